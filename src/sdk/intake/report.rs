//! What is said of an intake that does not accept: when it begins, then once a minute, and when it
//! ends.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::Cause;
use crate::sdk::log::Log;

/// One line in this time.
const EVERY: Duration = Duration::from_secs(60);

/// A new intake is not ready for some minutes.
const NEW: Duration = Duration::from_secs(900);

/// What was said, and what is to be said.
#[derive(Debug, Default)]
pub(super) struct Report {
    trouble: Option<Trouble>,
    /// Whether anything was accepted since the start.
    has_accepted: bool,
    /// Events sent again after an answer that did not say whether they are accepted.
    again: usize,
    /// When that was said last.
    said_again: Option<Instant>,
}

#[derive(Debug)]
struct Trouble {
    kind: Kind,
    since: Instant,
    said: Instant,
    /// Requests that failed since then.
    failures: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Outage,
    Refusal,
    Doubt,
}

impl Report {
    /// A request with so many events accepted nothing.
    pub(super) fn failed(&mut self, log: &Log, cause: Cause, events: usize, sentence: &str) {
        let kind = match cause {
            Cause::Outage | Cause::Busy => Kind::Outage,
            Cause::Barred | Cause::Refused | Cause::TooLarge => Kind::Refusal,
        };
        let Some((failures, since)) = self.is_to_be_said(kind) else {
            return;
        };
        let mut text = format!(
            "Failed to forward {events} events\n{sentence}; the events are kept and sent again"
        );
        if failures > 1 {
            text.push_str(&format!(" ({failures} requests failed so far)"));
        }
        let is_new = !self.has_accepted && since < NEW && sentence.contains("INTAKE_KEY_ERROR");
        if (kind == Kind::Outage && failures == 1) || is_new {
            log.warning(text);
        } else {
            log.error(text);
        }
    }

    /// A success proved nothing.
    pub(super) fn doubted(&mut self, log: &Log, what: &str) {
        if let Some((1, _)) = self.is_to_be_said(Kind::Doubt) {
            log.error(format!(
                "An answer is not certain: {what}. Nothing else is sent; one event alone is tried \
                 again until an answer is certain. What it would have accepted may come twice. Check \
                 that intake_server is the address of your region's intake and that no proxy answers \
                 in its place"
            ));
        }
    }

    /// How often it failed in this way, and for how long, when that is to be said.
    fn is_to_be_said(&mut self, kind: Kind) -> Option<(u64, Duration)> {
        let now = Instant::now();
        let known = self.trouble.take().filter(|known| known.kind == kind);
        let is_first = known.is_none();
        let trouble = self.trouble.insert(known.unwrap_or(Trouble {
            kind,
            since: now,
            said: now,
            failures: 0,
        }));
        trouble.failures += 1;
        if !is_first && trouble.said.elapsed() < EVERY {
            return None;
        }
        trouble.said = now;
        Some((trouble.failures, trouble.since.elapsed()))
    }

    /// Events of a batch are not accepted although others are.
    pub(super) fn suspected(log: &Log, events: usize, why: &str) {
        log.warning(format!(
            "{events} events of a batch are not accepted while others are: they are tried in smaller \
             parts, down to single ones ({why})"
        ));
    }

    /// Events are sent that may be accepted already.
    pub(super) fn sent_again(&mut self, events: usize) {
        self.again += events;
    }

    /// Events were accepted.
    pub(super) fn accepted(&mut self, log: &Log) {
        self.has_accepted = true;
        if self.trouble.take().is_some() {
            log.info("The intake accepts events again");
        }
        let is_due = self.said_again.is_none_or(|said| said.elapsed() >= EVERY);
        if self.again > 0 && is_due {
            self.said_again = Some(Instant::now());
            let again = std::mem::take(&mut self.again);
            log.warning(format!(
                "{again} events were sent again after answers that did not say whether they are \
                 accepted: the intake may hold them twice"
            ));
        }
    }
}
