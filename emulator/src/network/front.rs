//! TLS in front of a server that has none.

use std::{io, net::SocketAddr};

use tokio::{io::copy_bidirectional_with_sizes, net::TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::DropGuard;

use super::{ServerCertificate, serve};

/// The longest that a record of TLS may be, which is what servers send.
const RECORD: usize = 16 << 10;

/// Ends TLS and passes on what is inside. When it is dropped, its connections are closed.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    _closing: DropGuard,
}

impl TlsFront {
    /// Listens on a free port of the loopback interface, for the server at this address.
    ///
    /// # Errors
    ///
    /// When no port can be bound.
    pub async fn start(server: SocketAddr, certificate: ServerCertificate) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(certificate.into_config());
        let (address, closing) = serve(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let mut outside = acceptor.accept(stream).await?;
                let mut inside = TcpStream::connect(server).await?;
                copy_bidirectional_with_sizes(&mut outside, &mut inside, RECORD, RECORD).await?;
                Ok(())
            }
        })
        .await?;
        Ok(Self {
            address,
            _closing: closing,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
