//! The connections to each server, all of which are given up when one of them turns out to be ill.
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

use super::{SetupError, proxy::Proxies};
use crate::lock;

/// How long an unused connection is kept. Load balancers close one after 60 seconds (those of AWS), 75 (nginx) or
/// more, and some firewalls forget it without a word. A collection asks every minute, too: a request that
/// meets a closing connection breaks, and nobody knows what became of its events. A new connection costs
/// a tenth of a second, and TLS takes its session up again.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// The connections to as many servers are told apart; a module has less than half of them.
const SERVERS: usize = 16;

#[derive(Debug)]
pub(super) struct Connections {
    /// With the sessions that TLS can take up again, which new connections share.
    tls: rustls::ClientConfig,
    pub(super) proxies: Proxies,
    pub(super) connect_timeout: Duration,
    /// Each client keeps the connections to one server.
    clients: Mutex<HashMap<String, Arc<Client>>>,
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
        if let Some(client) = clients.get(&name) {
            return Ok(Arc::clone(client));
        }
        if clients.len() >= SERVERS {
            clients.clear();
        }
        let client = Arc::new(self.client()?);
        clients.insert(name, Arc::clone(&client));
        Ok(client)
    }

    /// Gives up the connections to a server, unless that has been done since `ill` was had.
    pub(super) fn give_up(&self, server: &Uri, ill: Option<&Arc<Client>>) {
        let mut clients = lock(&self.clients);
        let Some(known) = clients.get_mut(&name(server)) else {
            return;
        };
        if ill.is_some_and(|ill| !Arc::ptr_eq(ill, known)) {
            return;
        }
        // The old ones are better than none.
        if let Ok(client) = self.client() {
            *known = Arc::new(client);
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
