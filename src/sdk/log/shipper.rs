//! Brings log entries to the platform, in the background: bounded, never blocking, never fatal.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use tokio::{task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

use super::{
    Level, Log,
    outbox::{BATCH, Entry},
};
use crate::{
    http::{Backoff, Http, chain, retry_after},
    sdk::platform::{LIMITS, Platform},
};

/// Entries leave at least this often (G-02).
const PERIOD: Duration = Duration::from_secs(5);

/// What the last delivery at the end of the process may take.
const LAST_DELIVERY: Duration = Duration::from_millis(1500);

/// The task that delivers log entries.
#[derive(Debug)]
pub(crate) struct Shipper {
    finish: CancellationToken,
    task: JoinHandle<()>,
}

impl Shipper {
    /// Starts delivering; without an address of the logs endpoint everything stays on stderr.
    pub(crate) fn start(log: &Log, http: Http, platform: Platform, agent: HeaderValue) -> Self {
        let finish = CancellationToken::new();
        if let Some(token) = &platform.token {
            log.hide(token);
        }
        let courier = platform.logs.clone().map(|url| Courier {
            log: log.clone(),
            http,
            platform,
            agent,
            url,
            finish: finish.clone(),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            failing: false,
        });
        if courier.is_none() {
            log.warning("neither url_logs nor url_callback is set: log lines stay on stderr");
        }
        let task = tokio::spawn(async move {
            if let Some(courier) = courier {
                courier.run().await;
            }
        });
        Self { finish, task }
    }

    /// Delivers what is left, within a time that does not delay the end of the process.
    pub(crate) async fn finish(self) {
        self.finish.cancel();
        // Whatever is left after the time is on stderr.
        _ = time::timeout(LAST_DELIVERY, self.task).await;
    }
}

struct Courier {
    log: Log,
    http: Http,
    platform: Platform,
    agent: HeaderValue,
    url: String,
    finish: CancellationToken,
    backoff: Backoff,
    failing: bool,
}

enum Outcome {
    Delivered,
    /// The platform will never take these entries.
    Refused(String),
    Later(String, Option<Duration>),
}

impl Courier {
    async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.finish.cancelled() => break,
                () = self.log.0.outbox.woken() => {}
                () = time::sleep(PERIOD) => {}
            }
            self.deliver_all().await;
        }
        self.deliver_all().await;
    }

    /// Delivers until nothing waits; after the end was announced, each batch is tried once.
    async fn deliver_all(&mut self) {
        loop {
            let batch = self.log.0.outbox.take(BATCH);
            if batch.is_empty() {
                return;
            }
            match self.post(&batch).await {
                Outcome::Delivered => self.delivered(),
                Outcome::Refused(reason) => {
                    self.log.0.outbox.drop_entries(batch.len());
                    self.say(&format!("the platform refuses log lines: {reason}"));
                }
                Outcome::Later(reason, asked) => {
                    self.log.0.outbox.put_back(batch);
                    self.say(&format!("cannot deliver log lines, trying on: {reason}"));
                    if self.finish.is_cancelled() {
                        return;
                    }
                    let pause = self.backoff.next_pause(asked);
                    _ = time::timeout(pause, self.finish.cancelled()).await;
                }
            }
        }
    }

    fn delivered(&mut self) {
        self.backoff.reset();
        if std::mem::take(&mut self.failing) {
            self.log.print(Level::Info, "log lines are delivered again");
        }
        match self.log.0.outbox.take_dropped() {
            0 => {}
            lost => self.log.warning(format!(
                "{lost} log lines could not be delivered to the platform and were dropped"
            )),
        }
    }

    /// Says once per outage, on stderr, that delivery fails.
    fn say(&mut self, message: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            self.log.print(Level::Warning, message);
        }
    }

    async fn post(&self, batch: &[Entry]) -> Outcome {
        let body = match serde_json::to_vec(&serde_json::json!({ "logs": batch })) {
            Ok(body) => Bytes::from(body),
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let request = match self
            .platform
            .request(Method::POST, &self.url, &self.agent, body)
        {
            Ok(request) => request,
            Err(error) => return Outcome::Later(error.to_string(), None),
        };
        match self.http.send(request, LIMITS).await {
            Ok(answer) if answer.status().as_u16() < 400 => Outcome::Delivered,
            Ok(answer) => {
                let reason = format!("the logs endpoint answers {}", answer.status());
                match answer.status() {
                    StatusCode::BAD_REQUEST
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Refused(reason),
                    _ => {
                        let asked = retry_after(answer.headers(), self.log.0.clock.now());
                        Outcome::Later(reason, asked)
                    }
                }
            }
            Err(error) => Outcome::Later(chain(&error), None),
        }
    }
}
