//! The module's secrets, from the platform's secrets endpoint (D-03 to D-06).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    config::SettingsMap,
    log::Log,
    platform::{LIMITS, Platform},
};
use crate::http::{Backoff, Http, HttpError};

/// How often the endpoint is asked (D-05).
const ATTEMPTS: u32 = 10;

/// What the secrets endpoint gives.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Secrets {
    /// Laid over the module configuration.
    value: Map<String, Value>,
    /// Laid over the trigger configuration, where the platform sends it (D-06).
    #[serde(default)]
    node_value: Option<Map<String, Value>>,
}

impl Secrets {
    /// Lays the module's secrets over its configuration; all keys, not only the declared ones.
    pub(super) fn complete_module(&self, configuration: &mut SettingsMap) {
        configuration.0.extend(self.value.clone());
    }

    /// Lays the trigger's secrets over its configuration.
    pub(super) fn complete_trigger(&self, configuration: &mut SettingsMap) {
        configuration
            .0
            .extend(self.node_value.clone().unwrap_or_default());
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self
            .value
            .values()
            .chain(self.node_value.iter().flat_map(Map::values));
        values.filter_map(Value::as_str)
    }
}

/// Why the secrets could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// No address.
    #[error("the module needs secrets, but neither url_secrets nor url_callback is set")]
    NoAddress,
    /// The request could not be built from address and token.
    #[error("cannot build the request for the module's secrets: check url_secrets and token")]
    Request(#[from] http::Error),
    /// No answer.
    #[error("cannot get the module's secrets from the platform")]
    Http(#[from] HttpError),
    /// An answer with an error status.
    #[error(
        "the platform refuses the module's secrets with status {0}: check that the trigger's token is still valid"
    )]
    Status(http::StatusCode),
    /// An answer that is not understood. Holds no part of it.
    #[error("the platform's answer does not hold the module's secrets in an object `value`")]
    Shape,
    /// The stop came first.
    #[error("stopped while waiting for the module's secrets")]
    Stopped,
}

/// Asks for the secrets, up to ten times in about a minute, and hides their values in the log.
pub(super) async fn fetch(
    platform: &Platform,
    http: &Http,
    agent: &HeaderValue,
    log: &Log,
    stop: &CancellationToken,
) -> Result<Secrets, SecretsError> {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
    let mut attempt = 1;
    loop {
        let answer = tokio::select! {
            // First, so that after a stop nothing more is asked.
            biased;
            () = stop.cancelled() => return Err(SecretsError::Stopped),
            answer = ask(platform, http, agent) => answer,
        };
        match answer {
            Ok(secrets) => {
                secrets.texts().for_each(|text| log.hide_text(text));
                return Ok(secrets);
            }
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(error) => log.exception("An exception occurred", &error),
        }
        attempt += 1;
        _ = time::timeout(backoff.next_pause(None), stop.cancelled()).await;
    }
}

async fn ask(
    platform: &Platform,
    http: &Http,
    agent: &HeaderValue,
) -> Result<Secrets, SecretsError> {
    let url = platform.secrets.as_deref().ok_or(SecretsError::NoAddress)?;
    let request = platform.request(Method::GET, url, agent, Bytes::new())?;
    let answer = http.send(request, LIMITS).await?;
    if answer.status().as_u16() >= 400 {
        return Err(SecretsError::Status(answer.status()));
    }
    serde_json::from_slice(answer.body()).map_err(|_| SecretsError::Shape)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::sdk::{config::Configuration, log::tests::log, testing::Fake};

    async fn fetch_from(
        fake: &Fake,
        stop: &CancellationToken,
    ) -> (Result<Secrets, SecretsError>, Log) {
        let environment = [("TOKEN", "t0ken"), ("URL_CALLBACK", "http://h/callback")];
        let configuration =
            Configuration::open("/nowhere", environment.into_iter().collect()).unwrap();
        let platform = Platform::read(&configuration).unwrap();
        let (log, _) = log();
        let agent = HeaderValue::from_static("a/1");
        (
            fetch(&platform, &fake.http(), &agent, &log, stop).await,
            log,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn completes_both_configurations() {
        let body =
            json!({"value": {"api_key": "resolved", "n": 1}, "node_value": {"secret": "s3"}});
        let fake = Fake::answering(move |_| (200, body.to_string()));
        let (secrets, _) = fetch_from(&fake, &CancellationToken::new()).await;
        let (mut module, mut trigger) = (SettingsMap::default(), SettingsMap::default());
        module.0.insert("api_key".to_owned(), "***".into());
        let secrets = secrets.unwrap();
        secrets.complete_module(&mut module);
        secrets.complete_trigger(&mut trigger);
        assert_eq!(
            Value::Object(module.0),
            json!({"api_key": "resolved", "n": 1})
        );
        assert_eq!(Value::Object(trigger.0), json!({"secret": "s3"}));
        let requests = fake.requests();
        assert_eq!(requests[0].uri(), "http://h/secrets");
        assert_eq!(requests[0].headers()["authorization"], "Bearer t0ken");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_ten_attempts() {
        let fake = Fake::answering(|_| (503, String::new()));
        let started = Instant::now();
        let (secrets, _) = fetch_from(&fake, &CancellationToken::new()).await;
        assert!(matches!(secrets, Err(SecretsError::Status(_))));
        assert_eq!(fake.requests().len(), 10);
        assert!(started.elapsed() >= Duration::from_secs(60));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let fake = Fake::answering(|_| (200, "[]".to_owned()));
        let stop = CancellationToken::new();
        stop.cancel();
        let (secrets, _) = fetch_from(&fake, &stop).await;
        assert!(matches!(secrets, Err(SecretsError::Stopped)));
        assert!(fake.requests().is_empty());
    }
}
