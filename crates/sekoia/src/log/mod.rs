//! The log: a line on stderr, an entry for the platform (G-01 to G-05), an event for Sentry.

mod console;
mod keeper;
mod last_lines;
mod limiter;
mod masks;
mod outbox;
mod refusals;
mod shipper;
mod spelling;

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use base::{Clock, Secret, http::chain, lock};
use chrono::{DateTime, Utc};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

pub use self::{console::Console, last_lines::LAST_LINES_FILES};
pub(super) use self::{
    keeper::{LAST_ERROR_FILE, keep_last_error},
    last_lines::keep_last_lines,
    outbox::naive,
    shipper::ship,
};
use self::{
    last_lines::Waiting,
    limiter::Limiter,
    masks::Masks,
    outbox::{Entry, Outbox},
};
use super::sentry::Reporter;

/// Longest message that leaves; the rest is cut off.
const LONGEST_MESSAGE: usize = 16 << 10;

/// Longest text that is kept for those who ask the process.
const LONGEST_KEPT: usize = 2048;

/// What went wrong last: the last line of each kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest {
    /// An error. Critical lines repeat one, or say less.
    pub(super) error: Option<Said>,
    pub(super) warning: Option<Said>,
}

/// A line of the log, without secrets.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at: DateTime<Utc>,
    /// Its text, cut where it is long.
    pub(super) text: String,
}

/// How bad a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not on stderr, but for the platform.
    Debug,
    /// What happens.
    Info,
    /// Unusual, no action needed.
    Warning,
    /// Something failed.
    Error,
    /// The platform should stop the trigger (E-06).
    Critical,
}

impl Level {
    /// The word of the logs endpoint.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// Handle on the log; cheap to clone. Logging never fails, and never waits: [`Console::stderr`] has the one
/// exception, a tenth of a second.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    name: String,
    clock: Clock,
    console: Console,
    masks: Masks,
    limiter: Mutex<Limiter>,
    outbox: Outbox,
    sentry: OnceLock<Reporter>,
    last_error: OnceLock<Gauge>,
    latest: Mutex<Latest>,
    waiting: Waiting,
    /// There has been an error since it was last waited for.
    erred: Notify,
    critical: AtomicBool,
}

impl Log {
    /// A log whose lines carry `name`.
    pub fn new(name: impl Into<String>, clock: Clock, console: Console) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            clock,
            console,
            masks: Masks::default(),
            limiter: Mutex::default(),
            outbox: Outbox::default(),
            sentry: OnceLock::new(),
            last_error: OnceLock::new(),
            latest: Mutex::default(),
            waiting: Waiting::default(),
            erred: Notify::new(),
            critical: AtomicBool::new(false),
        }))
    }

    /// For the developers: posted, not printed.
    pub(super) fn debug(&self, message: impl AsRef<str>) {
        self.write(Level::Debug, message.as_ref());
    }

    /// What happens.
    pub fn info(&self, message: impl AsRef<str>) {
        self.write(Level::Info, message.as_ref());
    }

    /// Unusual, no action needed.
    pub fn warning(&self, message: impl AsRef<str>) {
        self.write(Level::Warning, message.as_ref());
    }

    /// Something failed.
    pub fn error(&self, message: impl AsRef<str>) {
        self.write(Level::Error, message.as_ref());
    }

    /// Tells the platform to stop this trigger; once in the life of a process, then it becomes an
    /// error (E-06).
    pub fn critical(&self, message: impl AsRef<str>) {
        let first = !self.0.critical.swap(true, Ordering::Relaxed);
        let level = if first { Level::Critical } else { Level::Error };
        self.write(level, message.as_ref());
    }

    /// An error with its causes under a headline (G-05).
    pub fn exception(&self, headline: &str, error: &dyn std::error::Error) {
        self.error(format!("{headline}\n{}", chain(error)));
    }

    pub(super) fn has_been_critical(&self) -> bool {
        self.0.critical.load(Ordering::Relaxed)
    }

    /// Replaces this value by `***` in everything that leaves through the log from now on.
    pub fn hide(&self, secret: &Secret) {
        self.hide_text(secret.expose());
    }

    pub(super) fn hide_text(&self, value: &str) {
        self.0.masks.hide(value);
    }

    /// A text as it would leave through the log.
    pub fn masked(&self, text: &str) -> String {
        self.0.masks.apply(text).into_owned()
    }

    pub(super) fn report_to(&self, sentry: Reporter) {
        // A second reporter has nothing to add.
        _ = self.0.sentry.set(sentry);
    }

    /// Keeps the time of the last error in this gauge, from now on.
    pub(super) fn time_errors(&self, gauge: Gauge) {
        // A second gauge has nothing to add.
        _ = self.0.last_error.set(gauge);
    }

    pub(super) fn latest(&self) -> Latest {
        lock(&self.0.latest).clone()
    }

    /// Counts as the last error; it is told by another way.
    pub(super) fn remember(&self, error: &str) {
        let message = self.clean(error);
        self.enter(self.0.clock.now(), Level::Error, &message);
        self.0.waiting.put(&self.line(Level::Error, &message));
    }

    fn enter(&self, at: DateTime<Utc>, level: Level, message: &str) {
        let mut latest = lock(&self.0.latest);
        let kept = match level {
            Level::Error => &mut latest.error,
            Level::Warning => &mut latest.warning,
            _ => return,
        };
        let text = message.get(..message.floor_char_boundary(LONGEST_KEPT));
        let text = text.unwrap_or_default().to_owned();
        *kept = Some(Said { at, text });
        if level == Level::Error {
            self.0.erred.notify_one();
        }
    }

    /// For the platform only: stderr gets this text by another way.
    pub(super) fn post_error(&self, message: &str) {
        let message = self.clean(message);
        self.post(Level::Error, message);
    }

    /// Not for the platform.
    fn print(&self, level: Level, message: &str) {
        let line = self.line(level, message);
        self.0.waiting.put(&line);
        if level > Level::Debug {
            self.0.console.write(level, message, &line);
        }
    }

    /// A message with its date, as it stands in the log.
    fn line(&self, level: Level, message: &str) -> String {
        let date = self.0.clock.now().format("%Y-%m-%d %H:%M:%S");
        let word = level.word().to_ascii_uppercase();
        format!("{date} - {} - {word} - {message}", self.0.name)
    }

    fn write(&self, level: Level, message: &str) {
        let message = self.clean(message);
        let now = self.0.clock.now();
        if let Some(gauge) = self.0.last_error.get().filter(|_| level >= Level::Error) {
            gauge.set(now.timestamp());
        }
        self.enter(now, level, &message);
        self.print(level, &message);
        self.post(level, message);
    }

    fn post(&self, level: Level, message: String) {
        if !lock(&self.0.limiter).is_fresh(level, &message) {
            return;
        }
        if let Some(sentry) = self.0.sentry.get().filter(|_| level >= Level::Error) {
            sentry.report(level, &message);
        }
        let date = self.0.clock.now();
        self.0.outbox.put(Entry {
            date,
            level,
            message,
        });
    }

    fn clean(&self, message: &str) -> String {
        let mut text = self.0.masks.apply(message).into_owned();
        if text.len() > LONGEST_MESSAGE {
            text.truncate(text.floor_char_boundary(LONGEST_MESSAGE));
            text.push_str(" [cut]");
        }
        text
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.0.name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A log on virtual time and the lines it prints.
    pub(crate) fn log() -> (Log, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let console = Console::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        (Log::new("item", Clock::virtual_from(start), console), lines)
    }

    #[tokio::test(start_paused = true)]
    async fn lines_have_the_contract_s_form() {
        let (log, lines) = log();
        log.debug("not printed");
        log.info("started");
        log.critical("first");
        log.critical("second");
        assert_eq!(
            *lines.lock().unwrap(),
            [
                "2026-11-18 11:06:40 - item - INFO - started",
                "2026-11-18 11:06:40 - item - CRITICAL - first",
                "2026-11-18 11:06:40 - item - ERROR - second",
            ]
        );
        assert!(log.has_been_critical());
    }

    #[tokio::test(start_paused = true)]
    async fn hidden_values_and_overlong_texts_do_not_leave() {
        let (log, lines) = log();
        log.hide(&Secret::new("hunter2"));
        log.exception("failed", &std::io::Error::other("login hunter2 refused"));
        log.info("é".repeat(LONGEST_MESSAGE));
        let lines = lines.lock().unwrap();
        assert!(
            lines[0].ends_with("ERROR - failed\nlogin *** refused"),
            "{lines:?}"
        );
        assert!(lines[1].ends_with("é [cut]") && lines[1].len() < LONGEST_MESSAGE + 100);
        let posted = log.0.outbox.take(10);
        assert_eq!(posted[0].message, "failed\nlogin *** refused");
        assert_eq!(log.latest().error.unwrap().text, posted[0].message);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_and_warning_are_kept_cut() {
        let (log, _) = log();
        assert!(log.latest().error.is_none() && log.latest().warning.is_none());
        log.error("an error");
        log.critical("says less");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        log.warning("é".repeat(LONGEST_MESSAGE));
        log.info("all is well");
        let Latest { error, warning } = log.latest();
        assert_eq!(error.as_ref().unwrap().text, "an error");
        let warning = warning.unwrap();
        assert_eq!(warning.text, "é".repeat(1024));
        assert!(warning.at > error.unwrap().at);
    }
}
