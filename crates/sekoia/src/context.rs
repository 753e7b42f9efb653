//! What a trigger's run works with.

use base::{
    Clock, Secret,
    http::{Http, chain},
};
use http::HeaderValue;
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
    /// Cancelled when the run should end. Three seconds later the run is dropped.
    pub stop: CancellationToken,
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

    /// An environment variable that is not a key of the contract, e.g. one that the platform below
    /// sets; none when it is absent or empty.
    pub fn environment(&self, name: &str) -> Option<&str> {
        self.configuration.environment.get(name)
    }
}
