//! The emulator on real sockets.

use std::{io, net::Ipv4Addr};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::{
    Emulator,
    connection::{Listener, Peer},
};

/// The ports to listen on; 0 for any that is free.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// For the services of Microsoft.
    pub microsoft: u16,
    /// For the services of Sekoia.io.
    pub sekoia: u16,
}

/// A served emulator. When it is dropped, all connections are reset and the ports are free.
#[derive(Debug)]
pub struct Running {
    microsoft: Url,
    sekoia: Url,
    _closing: DropGuard,
}

impl Emulator {
    /// Serves the emulator on free ports of the loopback interface.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn serve(&self) -> io::Result<Running> {
        self.serve_on(Ports::default()).await
    }

    /// Serves the emulator on these ports of the loopback interface.
    ///
    /// # Errors
    ///
    /// When a port cannot be bound.
    pub async fn serve_on(&self, ports: Ports) -> io::Result<Running> {
        let closing = CancellationToken::new();
        let guard = closing.clone().drop_guard();
        Ok(Running {
            microsoft: listen(ports.microsoft, self.microsoft_router(), &closing).await?,
            sekoia: listen(ports.sekoia, self.sekoia_router(), &closing).await?,
            _closing: guard,
        })
    }
}

pub(crate) async fn listen(
    port: u16,
    router: Router,
    closing: &CancellationToken,
) -> io::Result<Url> {
    let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = inner.local_addr()?;
    let listener = Listener {
        inner,
        closing: closing.clone(),
    };
    let service = router.into_make_service_with_connect_info::<Peer>();
    let closed = closing.clone().cancelled_owned();
    tokio::spawn(async move {
        tokio::select! {
            _ = axum::serve(listener, service) => {}
            () = closed => {}
        }
    });
    Url::parse(&format!("http://{address}/")).map_err(io::Error::other)
}

impl Running {
    /// The root of Microsoft's services.
    pub fn microsoft(&self) -> &Url {
        &self.microsoft
    }

    /// The root of Sekoia.io's services.
    pub fn sekoia(&self) -> &Url {
        &self.sekoia
    }

    /// The setting `reporting_url`.
    pub fn reporting_url(&self) -> String {
        format!("{}ecp/reportingwebservice/reporting.svc", self.microsoft)
    }

    /// The setting `graph_url`.
    pub fn graph_url(&self) -> String {
        format!("{}v1.0", self.microsoft)
    }

    /// The setting `login_url`.
    pub fn login_url(&self) -> String {
        self.microsoft.as_str().trim_end_matches('/').to_owned()
    }

    /// The setting `intake_server`, and the contract's `intake_url`.
    pub fn intake_url(&self) -> String {
        format!("{}intake", self.sekoia)
    }

    /// The contract's `url_callback`.
    pub fn callback_url(&self) -> String {
        format!("{}api/callback", self.sekoia)
    }

    /// The contract's `url_logs`.
    pub fn logs_url(&self) -> String {
        format!("{}api/logs", self.sekoia)
    }

    /// The contract's `url_secrets`.
    pub fn secrets_url(&self) -> String {
        format!("{}api/secrets", self.sekoia)
    }

    /// The setting `sentry_dsn`.
    pub fn sentry_dsn(&self) -> String {
        self.sekoia.as_str().replace("://", "://emulated@") + "1"
    }
}
