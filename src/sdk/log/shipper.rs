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

/// An entry waits for others at most this long (G-02).
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
        while self.wait().await.is_some() {
            self.deliver_all().await;
        }
        self.deliver_all().await;
    }

    /// Waits until entries should leave; none when the end was announced. Where there are none, nothing
    /// wakes the processor.
    async fn wait(&self) -> Option<()> {
        let outbox = &self.log.0.outbox;
        let finish = &self.finish;
        finish.run_until_cancelled(outbox.filled()).await?;
        let others = time::timeout(PERIOD, outbox.woken());
        finish.run_until_cancelled(others).await.map(drop)
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
            self.log.print(Level::Warning, &self.log.clean(message));
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

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio::time::Instant;

    use super::*;
    use crate::sdk::{config::Configuration, log::tests::log, testing::Fake};

    fn start(log: &Log, fake: &Fake) -> Shipper {
        let environment = [("TOKEN", "t0ken"), ("URL_LOGS", "http://h/logs")];
        let configuration =
            Configuration::open("/nowhere", environment.into_iter().collect()).unwrap();
        let platform = Platform::read(&configuration).unwrap();
        Shipper::start(
            log,
            fake.http(),
            platform,
            HeaderValue::from_static("module/1.0.0"),
        )
    }

    /// The sizes of the batches that were posted.
    fn sizes(fake: &Fake) -> Vec<usize> {
        let size = |body: &Value| body["logs"].as_array().unwrap().len();
        fake.bodies("/logs").iter().map(size).collect()
    }

    fn accepting() -> Fake {
        Fake::answering(|_| (200, String::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn batches_leave_after_five_seconds_at_fifty_entries_and_at_errors() {
        let (fake, (log, _)) = (accepting(), log());
        let shipper = start(&log, &fake);
        log.debug("one");
        time::sleep(Duration::from_millis(4900)).await;
        assert!(sizes(&fake).is_empty());
        time::sleep(Duration::from_millis(200)).await;
        assert_eq!(sizes(&fake), [1]);
        (0..50).for_each(|n| log.info(n.to_string()));
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(sizes(&fake), [1, 50]);
        log.info("before");
        log.error("failed");
        log.error("failed");
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(sizes(&fake), [1, 50, 2], "the repeated line is not posted");
        time::sleep(Duration::from_hours(1)).await;
        log.info("after a silence");
        time::sleep(Duration::from_millis(4900)).await;
        assert_eq!(sizes(&fake), [1, 50, 2]);
        time::sleep(Duration::from_millis(200)).await;
        assert_eq!(sizes(&fake), [1, 50, 2, 1]);
        log.info("last");
        shipper.finish().await;
        assert_eq!(sizes(&fake), [1, 50, 2, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_platform_refuses_is_dropped_counted_and_said() {
        let bad = (400, String::new());
        let (fake, (log, lines)) = (Fake::in_turn(vec![bad, (200, String::new())]), log());
        let shipper = start(&log, &fake);
        log.error("poison");
        time::sleep(Duration::from_secs(1)).await;
        log.error("next");
        shipper.finish().await;
        let text = lines.lock().unwrap().join("\n");
        assert!(
            text.contains("refuses log lines: the logs endpoint answers 400"),
            "{text}"
        );
        assert!(text.contains("log lines are delivered again"), "{text}");
        assert!(
            text.contains("1 log lines could not be delivered"),
            "{text}"
        );
        assert_eq!(sizes(&fake), [1, 1, 1], "poison, next, the notice");
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_neither_blocks_nor_delays_the_end() {
        let (fake, (log, lines)) = (Fake::answering(|_| (503, String::new())), log());
        let shipper = start(&log, &fake);
        for n in 0..5000 {
            log.error(n.to_string());
            time::sleep(Duration::from_millis(10)).await;
        }
        let failures = |line: &&String| line.contains("cannot deliver log lines");
        assert_eq!(lines.lock().unwrap().iter().filter(failures).count(), 1);
        assert!(fake.requests().len() < 20, "{}", fake.requests().len());
        let started = Instant::now();
        shipper.finish().await;
        assert!(started.elapsed() <= LAST_DELIVERY);
    }
}
