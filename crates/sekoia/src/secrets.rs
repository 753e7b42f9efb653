//! The secrets of module and trigger, from the platform's secrets endpoint (D-03 to D-06).
//!
//! The endpoint is asked at every start. Where the configuration holds placeholders in their place,
//! the start waits for the answer; else it waits five seconds at most, and goes on with what it
//! has.

use std::time::Duration;

use base::{
    http::{Http, HttpError, chain},
    retry::Backoff,
};
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde_json::{Map, Value};
use tokio::{sync::watch, time};
use tokio_util::sync::CancellationToken;

use super::{
    config::{Configuration, SettingsMap, text},
    log::Log,
    platform::{LIMITS, Platform},
    redirect,
    settings::{self, MODULE, TRIGGER},
};

/// How often the endpoint is asked (D-05).
const ATTEMPTS: u32 = 10;

/// How long a start waits that does not need the answer.
const SHORT: Duration = Duration::from_secs(5);

/// What the secrets endpoint gives.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Secrets {
    /// Laid over the module configuration.
    value: Map<String, Value>,
    /// Laid over what stands in `trigger_configuration` (D-06).
    node_value: Map<String, Value>,
}

impl Secrets {
    /// Reads an answer. What is null, a list or not there gives nothing.
    fn read(answer: &[u8]) -> Result<Self, SecretsError> {
        // With a byte order mark, or in another encoding of Unicode, it is the same to the SDK.
        let text = text::decoded(answer).ok_or(SecretsError::Shape)?;
        let Ok(Value::Object(mut answer)) = serde_json::from_str(&text) else {
            return Err(SecretsError::Shape);
        };
        let mut values = |name| match answer.remove(name) {
            Some(Value::Object(values)) => {
                let known = values.into_iter().filter(|(_, value)| !value.is_null());
                known.collect()
            }
            _ => Map::new(),
        };
        Ok(Self {
            value: values("value"),
            node_value: values("node_value"),
        })
    }

    /// Lays the secrets over the configuration that stands under this key; all of them, not only the
    /// declared ones. A connector's holds its own.
    pub(super) fn complete(&self, key: &str, configuration: &mut SettingsMap) {
        match key {
            MODULE => configuration.0.extend(self.value.clone()),
            TRIGGER => configuration.0.extend(self.node_value.clone()),
            _ => {}
        }
    }

    /// Whether the configuration has other values than these. One that cannot be read has.
    fn differ_from(&self, configuration: &Configuration) -> bool {
        let Ok(key) = settings::of_trigger(configuration) else {
            return true;
        };
        [MODULE, key].into_iter().any(|key| {
            let Ok(Some(found)) = configuration.object(key) else {
                return true;
            };
            let mut completed = found.clone();
            self.complete(key, &mut completed);
            completed.0 != found.0
        })
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let values = self.value.values().chain(self.node_value.values());
        values.filter_map(Value::as_str)
    }
}

/// Why the secrets could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("there are placeholders for secrets, but neither url_secrets nor url_callback is set")]
    NoAddress,
    /// The request could not be built from address and token.
    #[error("cannot build the request for the secrets: check url_secrets and token")]
    Request(#[from] http::Error),
    #[error("cannot get the secrets from the platform")]
    Http(#[from] HttpError),
    /// An answer with an error status, or one that leads elsewhere.
    #[error(
        "the platform refuses the secrets with status {0}: check that the trigger's token is still \
         valid"
    )]
    Status(http::StatusCode),
    /// An answer that is not understood. Holds no part of it.
    #[error("the platform's answer to the request for the secrets is not a JSON object")]
    Shape,
    #[error("stopped while waiting for the secrets")]
    Stopped,
}

#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) platform: Platform,
    pub(super) http: Http,
    pub(super) agent: HeaderValue,
    pub(super) log: Log,
    pub(super) stop: CancellationToken,
}

impl Asker {
    pub(super) fn has_address(&self) -> bool {
        self.platform.secrets.is_some()
    }

    /// Asks up to ten times in about a minute, and hides the values in the log.
    pub(super) async fn patiently(&self) -> Result<Secrets, SecretsError> {
        self.times(ATTEMPTS).await
    }

    /// Asks once, and waits a few seconds at most.
    pub(super) async fn briefly(&self) -> Result<Secrets, SecretsError> {
        let late = || HttpError::new(base::http::HttpErrorKind::Timeout, "url_secrets");
        let answer = time::timeout(SHORT, self.times(1)).await;
        answer.unwrap_or_else(|_| Err(late().into()))
    }

    async fn times(&self, attempts: u32) -> Result<Secrets, SecretsError> {
        // After a stop nothing more is asked.
        let secrets = self
            .stop
            .run_until_cancelled(self.ask_again(attempts))
            .await;
        let secrets = secrets.unwrap_or(Err(SecretsError::Stopped))?;
        secrets.texts().for_each(|text| self.log.hide_text(text));
        Ok(secrets)
    }

    async fn ask_again(&self, attempts: u32) -> Result<Secrets, SecretsError> {
        // Nine pauses take 65 s or so.
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(14));
        for _ in 1..attempts {
            match self.ask().await {
                Ok(secrets) => return Ok(secrets),
                Err(error) => self.log.exception("An exception occurred", &error),
            }
            time::sleep(backoff.next_pause(None)).await;
        }
        self.ask().await
    }

    async fn ask(&self) -> Result<Secrets, SecretsError> {
        let url = self.platform.secrets.as_deref();
        let url = url.ok_or(SecretsError::NoAddress)?;
        let request = self
            .platform
            .request(Method::GET, url, &self.agent, Bytes::new())?;
        let answer = redirect::send(&self.http, request, LIMITS).await?.answer;
        if !answer.status().is_success() {
            return Err(SecretsError::Status(answer.status()));
        }
        Secrets::read(answer.body())
    }

    /// Goes on asking while the trigger runs without the answer. When it comes and has other values
    /// than the configuration, the run has to begin anew with them.
    pub(super) async fn later(self, configuration: Configuration, told: watch::Sender<Secrets>) {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));
        for _ in 1..ATTEMPTS {
            time::sleep(backoff.next_pause(None)).await;
            match self.times(1).await {
                Ok(secrets) if secrets.differ_from(&configuration) => {
                    self.log.warning(
                        "The platform's secrets have come late and are not those of the \
                         configuration: the run begins anew with them.",
                    );
                    _ = told.send(secrets);
                    return;
                }
                Ok(_) => {
                    return self
                        .log
                        .info("The platform's secrets have come; they change nothing.");
                }
                Err(SecretsError::Stopped) => return,
                Err(error) => self.log.debug(chain(&error)),
            }
        }
        self.log.warning(
            "The platform's secrets could not be had: the run goes on with what the configuration \
             holds until the next start.",
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::{log::tests::log, testing::Fake};

    fn configuration() -> Configuration {
        let environment = [
            ("TOKEN", "t0ken"),
            ("URL_CALLBACK", "http://h/callback"),
            ("MODULE_CONFIGURATION", "{}"),
            ("TRIGGER_CONFIGURATION", r#"{"secret": "s3"}"#),
        ];
        Configuration::open("/nowhere", environment.into_iter().collect()).unwrap()
    }

    fn asker(fake: &Fake) -> Asker {
        Asker {
            platform: Platform::read(&configuration()).unwrap(),
            http: fake.http(),
            agent: HeaderValue::from_static("a/1"),
            log: log().0,
            stop: CancellationToken::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn completes_both_configurations() {
        let body = json!({
            "value": {"api_key": "resolved", "n": 1, "none": null},
            "node_value": {"secret": "s3", "other": null},
        });
        let fake = Fake::answering(move |_| (200, body.to_string()));
        let secrets = asker(&fake).patiently().await.unwrap();
        let (mut module, mut trigger) = (SettingsMap::default(), SettingsMap::default());
        module.0.insert("api_key".to_owned(), "***".into());
        trigger.0.insert("other".to_owned(), "kept".into());
        let mut connector = trigger.clone();
        secrets.complete(MODULE, &mut module);
        secrets.complete(TRIGGER, &mut trigger);
        secrets.complete(settings::CONNECTOR, &mut connector);
        assert_eq!(
            Value::Object(module.0),
            json!({"api_key": "resolved", "n": 1})
        );
        let expected = json!({"secret": "s3", "other": "kept"});
        assert_eq!(Value::Object(trigger.0), expected);
        assert_eq!(Value::Object(connector.0), json!({"other": "kept"}));
        let requests = fake.requests();
        assert_eq!(requests[0].uri(), "http://h/secrets");
        assert_eq!(requests[0].headers()["authorization"], "Bearer t0ken");
    }

    #[test]
    fn every_object_is_an_answer() {
        for answer in [
            json!({}),
            json!({"value": null, "node_value": null}),
            json!({"value": [], "node_value": []}),
            json!({"node_value": {"a": null}}),
            json!({"value": {}, "node_value": "x"}),
        ] {
            let secrets = Secrets::read(answer.to_string().as_bytes()).unwrap();
            assert!(secrets == Secrets::default(), "{answer}");
        }
        let without_value = json!({"node_value": {"a": "b"}}).to_string();
        let marked = format!("\u{feff}{without_value}");
        for answer in [without_value, marked] {
            let secrets = Secrets::read(answer.as_bytes()).unwrap();
            assert_eq!(secrets.texts().collect::<Vec<_>>(), ["b"]);
        }
        for answer in ["[]", "null", "<html>", ""] {
            assert!(Secrets::read(answer.as_bytes()).is_err(), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_endpoint_may_point_to_another_address() {
        let fake = Fake::in_turn(vec![
            (307, "header: location=https://h/v2/secrets\n\n".to_owned()),
            (200, json!({"value": {"a": "b"}}).to_string()),
        ]);
        let secrets = asker(&fake).briefly().await.unwrap();
        assert_eq!(secrets.texts().collect::<Vec<_>>(), ["b"]);
        assert_eq!(fake.requests()[1].uri(), "https://h/v2/secrets");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_after_ten_attempts() {
        let fake = Fake::answering(|_| (503, String::new()));
        let started = Instant::now();
        let secrets = asker(&fake).patiently().await;
        assert!(matches!(secrets, Err(SecretsError::Status(_))));
        assert_eq!(fake.requests().len(), 10);
        let waited = started.elapsed().as_secs();
        assert!((49..=98).contains(&waited), "{waited} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let fake = Fake::answering(|_| (200, "[]".to_owned()));
        let asker = asker(&fake);
        asker.stop.cancel();
        assert!(matches!(
            asker.patiently().await,
            Err(SecretsError::Stopped)
        ));
        assert!(fake.requests().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_counts_only_when_it_says_something_else() {
        for (answer, counts) in [("s3", false), ("other", true)] {
            let body = json!({"node_value": {"secret": answer}}).to_string();
            let fake = Fake::in_turn(vec![(500, String::new()), (200, body)]);
            let (sender, receiver) = watch::channel(Secrets::default());
            asker(&fake).later(configuration(), sender).await;
            assert_eq!(fake.requests().len(), 2);
            assert_eq!(*receiver.borrow() != Secrets::default(), counts, "{answer}");
        }
    }
}
