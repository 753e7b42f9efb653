//! Brings log entries to the platform, in the background: bounded, never blocking, never fatal.

use std::{collections::VecDeque, time::Duration};

use base::{
    http::{Http, Response, chain},
    retry::{Backoff, retry_after},
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use serde_json::json;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Level, Log,
    outbox::Entry,
    refusals::{Next, Refusals},
};
use crate::{
    deadline::{Background, Step},
    platform::{LIMITS, Platform},
    redirect,
};

/// An entry waits for others at most this long (G-02).
const PERIOD: Duration = Duration::from_secs(5);

/// What the last delivery at the end of the process may take.
const LAST_DELIVERY: Duration = Duration::from_millis(1500);

/// Lines that are refused alone and wait until others were accepted.
const ASIDE: usize = 8;

/// Between two tries of a critical line that is refused while others are accepted.
const CRITICAL_PAUSE: Duration = Duration::from_secs(60);

/// How many refusals the last delivery takes before it gives up.
const LAST_REFUSALS: u32 = 12;

/// Starts delivering; without an address of the logs endpoint everything stays on stderr.
pub(crate) fn ship(log: &Log, http: Http, platform: Platform, agent: HeaderValue) -> Background {
    if let Some(token) = &platform.token {
        log.hide(token);
    }
    let url = platform.logs.clone();
    if url.is_none() {
        log.warning("neither url_logs nor url_callback is set: log lines stay on stderr");
    }
    let log = log.clone();
    // What is left after the time is on stderr.
    Background::start(Step::Reports, LAST_DELIVERY, |finish| async move {
        let Some(url) = url else { return };
        let courier = Courier {
            log,
            http,
            platform,
            agent,
            url,
            finish,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
            refusals: Refusals::new(),
            aside: VecDeque::new(),
            failing: false,
        };
        courier.run().await;
    })
}

struct Courier {
    log: Log,
    http: Http,
    platform: Platform,
    agent: HeaderValue,
    url: String,
    finish: CancellationToken,
    backoff: Backoff,
    refusals: Refusals,
    aside: VecDeque<Aside>,
    failing: bool,
}

/// A line that was refused alone.
struct Aside {
    entry: Entry,
    /// When it is tried again; none until other lines were accepted: then the line is the reason.
    due: Option<Instant>,
}

enum Outcome {
    Delivered,
    Refused { reason: String, too_large: bool },
    Later(String, Option<Duration>),
}

impl Courier {
    async fn run(mut self) {
        while self.wait().await.is_some() {
            self.deliver_all().await;
        }
        self.deliver_all().await;
    }

    /// Waits until entries should leave; none when the end was announced. Where there are none,
    /// nothing wakes the processor.
    async fn wait(&self) -> Option<()> {
        let outbox = &self.log.0.outbox;
        let finish = &self.finish;
        let due = self.aside.iter().filter_map(|aside| aside.due).min();
        let filled = async {
            match due {
                Some(due) => _ = time::timeout_at(due, outbox.filled.notified()).await,
                None => outbox.filled.notified().await,
            }
        };
        finish.run_until_cancelled(filled).await?;
        let others = time::timeout(PERIOD, outbox.woken.notified());
        finish.run_until_cancelled(others).await.map(drop)
    }

    /// Delivers until nothing waits; after the end was announced, each batch is tried once.
    async fn deliver_all(&mut self) {
        let mut refused_at_the_end = 0;
        loop {
            let batch = self.next_batch();
            if batch.is_empty() {
                return self.deliver_aside().await;
            }
            match self.post(&batch).await {
                Outcome::Delivered => self.delivered(),
                Outcome::Refused { reason, too_large } => {
                    self.say(&format!(
                        "the platform refuses log lines, trying on: {reason}"
                    ));
                    self.refused(batch, too_large);
                    if !self.finish.is_cancelled() {
                        self.pause(None).await;
                        continue;
                    }
                    refused_at_the_end += 1;
                    if refused_at_the_end > LAST_REFUSALS {
                        return;
                    }
                }
                Outcome::Later(reason, asked) => {
                    self.log.0.outbox.put_back(batch);
                    self.say(&format!("cannot deliver log lines, trying on: {reason}"));
                    if self.finish.is_cancelled() {
                        return;
                    }
                    self.pause(asked).await;
                }
            }
        }
    }

    /// While lines are refused, the critical one goes alone and first.
    fn next_batch(&self) -> Vec<Entry> {
        let outbox = &self.log.0.outbox;
        let critical = match self.refusals.is_refused() {
            true => outbox.take_critical(),
            false => None,
        };
        match critical {
            Some(entry) => vec![entry],
            None => outbox.take(self.refusals.limit()),
        }
    }

    /// Keeps what was refused for another try.
    fn refused(&mut self, mut batch: Vec<Entry>, too_large: bool) {
        let hurry = self.finish.is_cancelled();
        match self.refusals.refused(batch.len(), too_large, hurry) {
            Next::Aside if hurry || self.aside.len() < ASIDE => {
                let refused = batch.pop();
                let aside = refused.map(|entry| Aside { entry, due: None });
                self.aside.extend(aside);
            }
            // Where as many were refused alone, most likely none of the lines is the reason.
            Next::Aside | Next::Repeat => {}
            Next::Smaller => self.backoff.reset(),
        }
        self.log.0.outbox.put_back(batch);
    }

    /// Tries the lines again that were refused alone, where others have been accepted since.
    async fn deliver_aside(&mut self) {
        for _ in 0..self.aside.len() {
            let Some(aside) = self.aside.pop_front() else {
                return;
            };
            let waits = aside.due.is_none_or(|due| due > Instant::now());
            if waits && !self.finish.is_cancelled() {
                self.aside.push_back(aside);
                continue;
            }
            let mut outcome = self.post(std::slice::from_ref(&aside.entry)).await;
            if let (Outcome::Refused { .. }, Some(plain)) = (&outcome, aside.entry.plain()) {
                outcome = self.post(&[plain]).await;
            }
            match outcome {
                Outcome::Delivered => self.delivered(),
                Outcome::Refused { .. } => self.give_up(aside.entry),
                Outcome::Later(..) => self.put_aside(aside.entry, PERIOD),
            }
        }
    }

    /// A line is refused again and again, in any form, while others are accepted. The critical one is
    /// kept all the same.
    fn give_up(&mut self, entry: Entry) {
        if entry.level == Level::Critical {
            self.put_aside(entry, CRITICAL_PAUSE);
        } else {
            self.log.0.outbox.drop_entry();
        }
    }

    fn put_aside(&mut self, entry: Entry, pause: Duration) {
        let due = Some(Instant::now() + pause);
        self.aside.push_back(Aside { entry, due });
    }

    async fn pause(&mut self, asked: Option<Duration>) {
        let pause = self.backoff.next_pause(asked);
        _ = time::timeout(pause, self.finish.cancelled()).await;
    }

    fn delivered(&mut self) {
        self.backoff.reset();
        self.refusals.accepted();
        for aside in &mut self.aside {
            aside.due.get_or_insert_with(Instant::now);
        }
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
        let lines: Vec<_> = batch.iter().map(Entry::to_json).collect();
        let body = Bytes::from(json!({ "logs": lines }).to_string());
        let request = match self
            .platform
            .request(Method::POST, &self.url, &self.agent, body)
        {
            Ok(request) => request,
            Err(error) => return Outcome::Later(error.to_string(), None),
        };
        let sent = match redirect::send(&self.http, request, LIMITS).await {
            Ok(sent) => sent,
            Err(error) => return Outcome::Later(chain(&error), None),
        };
        let answer = sent.answer;
        let status = answer.status();
        let astray = sent.astray.unwrap_or_default();
        let reason = format!("the logs endpoint answers {status}{astray}");
        match status {
            _ if status.is_success() && is_page(&answer) => {
                let reason = format!("{reason} with a web page: check url_logs and the proxy");
                Outcome::Later(reason, None)
            }
            _ if status.is_success() => Outcome::Delivered,
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Refused {
                reason,
                too_large: status == StatusCode::PAYLOAD_TOO_LARGE,
            },
            _ => Outcome::Later(
                reason,
                retry_after(answer.headers(), self.log.0.clock.now()),
            ),
        }
    }
}

/// Whether something else than the platform has answered: a proxy, or a page to sign in. The type alone
/// does not say so: some frameworks give it to an empty answer, too.
fn is_page(answer: &Response) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    let body = String::from_utf8_lossy(answer.body());
    let body = body.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    kind.is_some_and(|kind| kind.trim_start().starts_with("text/html")) && body.starts_with('<')
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio::time::Instant;

    use super::*;
    use crate::{config::Configuration, deadline::Deadline, log::tests::log, testing::Fake};

    fn start(log: &Log, fake: &Fake) -> Background {
        let environment = [("TOKEN", "t0ken"), ("URL_LOGS", "http://h/logs")];
        let configuration =
            Configuration::open("/nowhere", environment.into_iter().collect()).unwrap();
        let platform = Platform::read(&configuration).unwrap();
        ship(
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
        shipper.finish(&Deadline::default()).await;
        assert_eq!(sizes(&fake), [1, 50, 2, 1, 1]);
    }

    /// Answers with this status while a line of the request contains a text.
    fn refusing(status: u16, text: &'static str) -> Fake {
        Fake::answering(move |request| {
            let has = String::from_utf8_lossy(request.body()).contains(text);
            (if has { status } else { 200 }, String::new())
        })
    }

    /// The texts that were accepted, in order.
    fn accepted(fake: &Fake) -> Vec<String> {
        let bodies = fake.accepted();
        let lines = bodies
            .iter()
            .flat_map(|body| body["logs"].as_array().unwrap());
        lines
            .map(|line| line["message"].as_str().unwrap().to_owned())
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_400_or_422_or_3xx_once_loses_no_line() {
        for status in [400, 413, 422, 302, 308] {
            let refusal = (status, String::new());
            let (fake, (log, lines)) = (Fake::in_turn(vec![refusal, (200, String::new())]), log());
            let shipper = start(&log, &fake);
            log.info("before");
            log.critical("stop me");
            time::sleep(Duration::from_secs(10)).await;
            shipper.finish(&Deadline::default()).await;
            let got = accepted(&fake);
            for text in ["before", "stop me"] {
                let times = got.iter().filter(|line| *line == text).count();
                assert_eq!(times, 1, "{status}: {got:?}");
            }
            let text = lines.lock().unwrap().join("\n");
            assert!(
                text.contains("trying on: the logs endpoint answers"),
                "{text}"
            );
            assert!(text.contains("log lines are delivered again"), "{text}");
            assert!(!text.contains("could not be delivered"), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_accepts_nothing_and_its_type_alone_makes_no_page() {
        for (status, body, delivered) in [
            (200, "", true),
            (204, "", true),
            (200, "OK", true),
            (200, " \n<!doctype html><title>Sign in</title>", false),
            (200, "\u{feff}<html>", false),
        ] {
            let answer = format!("header: content-type=text/html; charset=utf-8\n\n{body}");
            let (fake, (log, lines)) = (Fake::answering(move |_| (status, answer.clone())), log());
            let shipper = start(&log, &fake);
            log.info("one");
            time::sleep(Duration::from_mins(5)).await;
            shipper.finish(&Deadline::default()).await;
            let times = fake.requests().len();
            assert_eq!(times == 1, delivered, "{body}: {times}");
            let text = lines.lock().unwrap().join("\n");
            assert_eq!(text.contains("with a web page"), !delivered, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn elsewhere_the_log_lines_are_not_sent_and_the_address_is_said() {
        let elsewhere = "header: location=https://other.test/logs\n\n";
        let fake = Fake::answering(|_| (307, elsewhere.to_owned()));
        let (log, lines) = log();
        let shipper = start(&log, &fake);
        log.error("one");
        time::sleep(Duration::from_secs(60)).await;
        shipper.finish(&Deadline::default()).await;
        let asked = fake.requests();
        assert!(asked.len() > 2 && asked.iter().all(|one| one.uri() == "http://h/logs"));
        let text = lines.lock().unwrap().join("\n");
        let said =
            "it points to https://other.test/logs, which is not followed: it is another host";
        assert!(text.contains(said), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_bad_line_is_found_and_its_plain_copy_goes() {
        let (fake, (log, _)) = (refusing(422, "b\u{e4}d"), log());
        let shipper = start(&log, &fake);
        for n in 0..120 {
            log.info(if n == 61 {
                "b\u{e4}d".to_owned()
            } else {
                n.to_string()
            });
        }
        time::sleep(Duration::from_secs(600)).await;
        shipper.finish(&Deadline::default()).await;
        let got = accepted(&fake);
        assert_eq!(got.len(), 120, "{got:?}");
        assert!(got.iter().any(|line| line.starts_with("b?d [refused")));
        assert!(fake.requests().len() < 60, "{}", fake.requests().len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_refused_in_any_form_is_dropped_and_said_but_never_the_critical_one() {
        let (fake, (log, lines)) = (refusing(400, "poison"), log());
        let shipper = start(&log, &fake);
        log.error("poison");
        log.critical("poison, too");
        for n in 0..60 {
            time::sleep(Duration::from_secs(20)).await;
            log.info(format!("line {n}"));
        }
        shipper.finish(&Deadline::default()).await;
        let text = lines.lock().unwrap().join("\n");
        assert!(
            text.contains("1 log lines could not be delivered"),
            "{text}"
        );
        let got = accepted(&fake);
        assert!(got.len() >= 60, "{got:?}");
        let asked = fake.requests();
        let last = asked.iter().rev().take(12);
        let critical =
            last.filter(|one| String::from_utf8_lossy(one.body()).contains("poison, too"));
        assert!(critical.count() >= 1, "it is tried on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_bytes_is_found() {
        let fake = Fake::answering(|request| {
            let large = request.body().len() > 2000;
            (if large { 413 } else { 200 }, String::new())
        });
        let (log, _) = log();
        let shipper = start(&log, &fake);
        for n in 0..100 {
            log.info(format!("{n} {}", "x".repeat(200)));
        }
        log.info("y".repeat(3000));
        time::sleep(Duration::from_secs(900)).await;
        // Also where nothing comes after it.
        shipper.finish(&Deadline::default()).await;
        let lines = accepted(&fake).len();
        assert_eq!(lines, 101);
    }

    #[tokio::test(start_paused = true)]
    async fn when_everything_is_refused_nothing_is_dropped_and_little_asked() {
        for status in [400, 302] {
            let refused = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(status));
            let answer = std::sync::Arc::clone(&refused);
            let fake = Fake::answering(move |_| {
                let status = answer.load(std::sync::atomic::Ordering::Relaxed);
                (status, String::new())
            });
            let (log, lines) = log();
            let shipper = start(&log, &fake);
            for n in 0..200 {
                log.info(format!("line {n}"));
            }
            time::sleep(Duration::from_hours(1)).await;
            assert!(fake.requests().len() < 120, "{}", fake.requests().len());
            refused.store(200, std::sync::atomic::Ordering::Relaxed);
            time::sleep(Duration::from_hours(1)).await;
            shipper.finish(&Deadline::default()).await;
            let lines_after = accepted(&fake).len();
            assert!(lines_after >= 200, "{lines_after}");
            let text = lines.lock().unwrap().join("\n");
            assert!(!text.contains("could not be delivered"), "{text}");
        }
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
        shipper.finish(&Deadline::default()).await;
        assert!(started.elapsed() <= LAST_DELIVERY);
    }
}
