//! Events that start playbook runs, sent to the platform's callback (F-01, F-02).

use std::time::Duration;

use base::{
    Clock,
    http::{Http, HttpError},
    retry::{Again, RetryPolicy, retry, retry_after},
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    health::Heartbeat,
    log::Log,
    platform::{LIMITS, Platform},
    redirect::{self, Sent},
};

/// How often an event is tried (F-02).
const POLICY: RetryPolicy =
    RetryPolicy::pauses(Duration::from_secs(2), Duration::from_secs(256)).tries(10);

/// Why an event did not reach the platform.
#[derive(Debug, thiserror::Error)]
pub enum SendEventError {
    /// No address.
    #[error("cannot send an event: the key url_callback is not set")]
    NoAddress,
    /// The request could not be built.
    #[error("cannot build the request for an event: check url_callback and token")]
    Request(#[from] http::Error),
    /// The event is not representable as JSON.
    #[error("cannot write an event as JSON")]
    Event(#[from] serde_json::Error),
    /// No answer in all attempts.
    #[error("Impossible to send event to Sekoia.io API")]
    Http(#[from] HttpError),
    /// An answer with another status than a success; where it points, if it does, and why that is not
    /// followed.
    #[error("Impossible to send event to Sekoia.io API: it answers {0}{1}")]
    Status(StatusCode, String),
    /// The stop came first.
    #[error("stopped before the event was sent")]
    Stopped,
}

impl SendEventError {
    /// Whether the platform was out of reach rather than the event wrong (E-03).
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Http(_) | Self::Stopped => true,
            Self::Status(status, _) => is_temporary(*status),
            Self::NoAddress | Self::Request(_) | Self::Event(_) => false,
        }
    }
}

/// A 304 says that the platform has what was sent.
fn is_success(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::NOT_MODIFIED
}

fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        )
}

/// Sends events to playbooks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Callback {
    pub(super) platform: Platform,
    pub(super) http: Http,
    pub(super) agent: HeaderValue,
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) heartbeat: Heartbeat,
    pub(super) stop: CancellationToken,
}

#[derive(Serialize)]
struct Body<'a, T> {
    name: &'a str,
    event: &'a T,
    request_id: Uuid,
}

impl Callback {
    /// Starts a playbook run with an event, a JSON object. Tried up to ten times over about a
    /// quarter of an hour.
    ///
    /// # Errors
    /// When the platform refuses the event or cannot be reached, or at a stop.
    pub async fn send_event(
        &self,
        name: &str,
        event: &impl Serialize,
    ) -> Result<(), SendEventError> {
        let body = Body {
            name,
            event,
            request_id: Uuid::new_v4(),
        };
        let body = Bytes::from(serde_json::to_vec(&body)?);
        let sending = retry(
            POLICY,
            || {
                self.heartbeat.beat(LIMITS.total);
                self.post(body.clone())
            },
            |(error, asked)| match error.is_outage() {
                true => Again::After(*asked),
                false => Again::No,
            },
            |(error, _), pause| {
                self.log.exception("An exception occurred", error);
                self.heartbeat.beat(pause);
            },
        );
        match self.stop.run_until_cancelled(sending).await {
            None => Err(SendEventError::Stopped),
            Some(Err((error, _))) => Err(error),
            Some(Ok(())) => {
                self.heartbeat.delivered();
                Ok(())
            }
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), (SendEventError, Option<Duration>)> {
        let send = async {
            let url = self
                .platform
                .callback
                .as_deref()
                .ok_or(SendEventError::NoAddress)?;
            let request = self
                .platform
                .request(Method::POST, url, &self.agent, body)?;
            Ok(redirect::send(&self.http, request, LIMITS).await?)
        };
        match send.await {
            Ok(Sent { answer, .. }) if is_success(answer.status()) => Ok(()),
            Ok(Sent { answer, astray }) => {
                let asked = retry_after(answer.headers(), self.clock.now());
                let astray = astray.unwrap_or_default();
                Err((SendEventError::Status(answer.status(), astray), asked))
            }
            Err(error) => Err((error, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use tokio::time::{self, Instant};

    use super::*;
    use crate::{config::Configuration, health::Side, log::tests::log, testing::Fake};

    fn callback(fake: &Fake) -> Callback {
        let environment = [("TOKEN", "t0ken"), ("URL_CALLBACK", "http://h/callback")];
        let configuration =
            Configuration::open("/nowhere", environment.into_iter().collect()).unwrap();
        let clock = Clock::virtual_from(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let (log, _) = log();
        Callback {
            platform: Platform::read(&configuration).unwrap(),
            http: fake.http(),
            agent: HeaderValue::from_static("module/1.0.0"),
            heartbeat: Heartbeat::new(clock.clone(), log.clone()),
            stop: CancellationToken::new(),
            clock,
            log,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn outages_are_waited_out_with_the_same_body() {
        let down = |status| (status, String::new());
        let busy = (429, "header: retry-after=100\n\n".to_owned());
        let fake = Fake::in_turn(vec![down(500), down(0), busy, down(200)]);
        let callback = callback(&fake);
        callback.heartbeat.failed(Side::Run);
        let started = Instant::now();
        callback.send_event("Name", &json!({"a": 1})).await.unwrap();
        let bodies = fake.bodies("/callback");
        assert_eq!(bodies.len(), 4);
        assert!(bodies.iter().all(|body| *body == bodies[0]));
        assert!(
            started.elapsed() >= Duration::from_secs(106),
            "2, 4 and the asked 100 s"
        );
        assert_eq!(
            callback.heartbeat.errors(Side::Run),
            0,
            "a success starts the count over"
        );
        assert_eq!(
            fake.requests()[0].headers()["authorization"],
            "Bearer t0ken"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_redirect_is_followed_as_elsewhere_and_never_a_success_by_itself() {
        for (status, to, attempts, said) in [
            (304, "", 1, None),
            (307, "https://h/v2/callback", 2, None),
            (302, "https://h/v2/callback", 1, Some("only 307 and 308")),
            (307, "https://other.test/", 1, Some("it is another host")),
        ] {
            let fake = Fake::answering(move |request| match request.uri().scheme_str() {
                Some("https") => (200, String::new()),
                _ => (status, format!("header: location={to}\n\n")),
            });
            let sent = callback(&fake).send_event("Name", &json!({})).await;
            assert_eq!(fake.requests().len(), attempts, "{status} {to}");
            match (sent, said) {
                (Ok(()), None) => {}
                (Err(error), Some(said)) => {
                    assert!(error.to_string().contains(said), "{error}");
                    assert!(!error.is_outage());
                }
                (sent, _) => panic!("{status} {to}: {sent:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_events_are_given_up_at_once_and_outages_after_ten_attempts() {
        for (status, attempts) in [(400, 1), (401, 1), (503, 10)] {
            let fake = Fake::answering(move |_| (status, String::new()));
            let callback = callback(&fake);
            callback.heartbeat.failed(Side::Run);
            let error = callback.send_event("Name", &json!({})).await.unwrap_err();
            assert_eq!(fake.requests().len(), attempts, "{status}");
            assert_eq!(error.is_outage(), status == 503);
            assert_eq!(
                callback.heartbeat.errors(Side::Run),
                1,
                "an attempt resets nothing"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let callback = callback(&Fake::answering(|_| (500, String::new())));
        let stop = callback.stop.clone();
        let sending = tokio::spawn(async move { callback.send_event("Name", &json!({})).await });
        time::sleep(Duration::from_secs(5)).await;
        let stopped = Instant::now();
        stop.cancel();
        assert!(matches!(
            sending.await.unwrap(),
            Err(SendEventError::Stopped)
        ));
        assert!(stopped.elapsed() < Duration::from_secs(1));
    }
}
