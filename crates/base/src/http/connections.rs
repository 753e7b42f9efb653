//! The connections to each server, all of which are given up when one of them turns out to be ill, or is old.
//!
//! Behind one name stand many machines, and a connection stays with the one that took it: one that
//! answers 503 or breaks its answers off may do so for as long as it is used, while a new connection
//! leads to another machine. Requests under way on the old ones go on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use ::http::Uri;
use reqwest::Client;
use tokio::time::Instant;

use super::{SetupError, proxy::Proxies};
use crate::{lock, retry::drawn};

/// How long an unused connection is kept. Load balancers close one after 60 seconds (those of AWS), 75 (nginx) or
/// more, and some firewalls forget it without a word. A collection asks every minute, too: a request that
/// meets a closing connection breaks, and nobody knows what became of its events. A new connection costs
/// a tenth of a second, and TLS takes its session up again.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// From this age on connections are old, or from up to a quarter less, so that not all are left at once. A machine
/// that lags behind the others answers without a fault, and would be asked for as long as requests come often.
const OLD: Duration = Duration::from_secs(120);

/// The connections to as many servers are told apart; a module has less than half of them.
const SERVERS: usize = 16;

#[derive(Debug)]
pub(super) struct Connections {
    /// With the sessions that TLS can take up again, which new connections share.
    tls: rustls::ClientConfig,
    pub(super) proxies: Proxies,
    pub(super) connect_timeout: Duration,
    /// Each client keeps the connections to one server.
    clients: Mutex<HashMap<String, Kept>>,
}

#[derive(Debug)]
struct Kept {
    client: Arc<Client>,
    /// Its first connection is old from then on.
    old_from: Instant,
}

impl Kept {
    fn new(client: Client) -> Self {
        Self {
            client: Arc::new(client),
            old_from: Instant::now() + drawn(OLD * 3 / 4, OLD),
        }
    }
}

impl Connections {
    pub(super) fn new(
        tls: rustls::ClientConfig,
        proxies: Proxies,
        connect_timeout: Duration,
    ) -> Result<Self, SetupError> {
        let connections = Self {
            tls,
            proxies,
            connect_timeout,
            clients: Mutex::default(),
        };
        connections.client()?;
        Ok(connections)
    }

    /// The connections to a server.
    pub(super) fn to(&self, server: &Uri) -> Result<Arc<Client>, SetupError> {
        let mut clients = lock(&self.clients);
        let name = name(server);
        if let Some(known) = clients.get(&name) {
            return Ok(Arc::clone(&known.client));
        }
        if clients.len() >= SERVERS {
            clients.clear();
        }
        let kept = Kept::new(self.client()?);
        let client = Arc::clone(&kept.client);
        clients.insert(name, kept);
        Ok(client)
    }

    /// Gives up the connections to a server, unless that has been done since `ill` was had.
    pub(super) fn give_up(&self, server: &Uri, ill: Option<&Arc<Client>>) {
        self.replace(server, |known| {
            ill.is_none_or(|ill| Arc::ptr_eq(ill, &known.client))
        });
    }

    /// Gives up the connections to a server when they are old.
    pub(super) fn give_up_old(&self, server: &Uri) {
        let now = Instant::now();
        self.replace(server, |known| now >= known.old_from);
    }

    fn replace(&self, server: &Uri, gives_up: impl FnOnce(&Kept) -> bool) {
        let mut clients = lock(&self.clients);
        if let Some(known) = clients.get_mut(&name(server))
            && gives_up(known)
            // The old ones are better than none.
            && let Ok(client) = self.client()
        {
            *known = Kept::new(client);
        }
    }

    fn client(&self) -> Result<Client, SetupError> {
        Client::builder()
            .user_agent(concat!("message-trace/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            // Some proxies write such lines, and every browser reads on: an answer that is thrown away for one
            // would be one that never comes, and its events would be sent again without end.
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .tls_backend_preconfigured(self.tls.clone())
            .proxy(self.proxies.clone().into_reqwest())
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| SetupError::Client(error.without_url()))
    }
}

/// What tells servers apart.
fn name(server: &Uri) -> String {
    let scheme = server.scheme_str().unwrap_or_default();
    let authority = server
        .authority()
        .map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}")
}
