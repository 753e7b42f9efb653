//! What a trigger's run works with.

use std::time::Duration;

use base::{
    Clock, Secret,
    http::{Http, chain},
};
use http::HeaderValue;
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    RunError,
    config::{Configuration, SettingsMap},
    health::Heartbeat,
    intake::{self, Intake},
    log::Log,
    metrics::Metrics,
    storage::Storage,
};

/// Everything around a run; cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// Wall time.
    pub clock: Clock,
    /// The way out.
    pub http: Http,
    /// Cancelled when the run should end. Three seconds later the run is dropped, or half a minute
    /// later than that while the process goes on.
    pub stop: CancellationToken,
    /// Cancelled when the process is to end.
    pub(super) ending: CancellationToken,
    /// The log.
    pub log: Log,
    /// What must survive a restart.
    pub storage: Storage,
    /// The trigger's own metrics beside the contract's.
    pub metrics: Metrics,
    /// Tells the liveness server that the loop turns.
    pub heartbeat: Heartbeat,
    /// The module configuration with its secrets.
    pub module_configuration: SettingsMap,
    pub(super) configuration: Configuration,
    /// How requests of this module introduce themselves.
    pub(super) agent: HeaderValue,
}

/// A run that ends while the process goes on has so much longer for what is on its way: nothing presses.
const UNPRESSED: Duration = Duration::from_secs(30);

impl Context {
    /// The intake with this key. `server` is its base address; without one the key `intake_url` of
    /// the platform counts (J-01). A batch holds at most `chunk_size` events.
    ///
    /// # Errors
    /// When there is no address, or it is not a URL.
    pub fn intake(
        &self,
        key: &Secret,
        server: Option<&str>,
        chunk_size: usize,
    ) -> Result<Intake, RunError> {
        let server = server.map(str::trim).filter(|server| !server.is_empty());
        let base = match server {
            Some(server) => Some(server.to_owned()),
            None => self
                .configuration
                .url("intake_url")
                .map_err(|error| RunError::configuration(chain(&error)))?,
        };
        let Some(base) = base else {
            return Err(RunError::configuration(
                "intake_server is missing, and the platform does not set intake_url: enter the \
                 address of the intake of your region, e.g. https://intake.sekoia.io",
            ));
        };
        let Some(url) = intake::address(&base) else {
            return Err(RunError::configuration(
                "intake_server is not a URL that starts with https:// or http://: enter the \
                 address of the intake of your region, e.g. https://intake.sekoia.io",
            ));
        };
        let key = Secret::new(key.expose().trim());
        Ok(Intake::new(self.clone(), url, &key, chunk_size))
    }

    /// Once the run is to end: ends when what it has under way is given up. That is after `grace` when the
    /// process is to end, too, and else half a minute later.
    pub(super) async fn given_up(&self, grace: Duration) {
        let pressed = async {
            self.ending.cancelled().await;
            time::sleep(grace).await;
        };
        _ = time::timeout(grace + UNPRESSED, pressed).await;
    }

    /// An environment variable that is not a key of the contract, e.g. one that the platform below
    /// sets; none when it is absent or empty.
    pub fn environment(&self, name: &str) -> Option<&str> {
        self.configuration.environment.get(name)
    }
}
