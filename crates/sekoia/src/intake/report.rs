//! What is said of an intake that does not accept: when it begins, then once a minute, and when it
//! ends.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use super::answer::{Cause, KEY_ERROR};
use crate::log::Log;

/// One line in this time.
const EVERY: Duration = Duration::from_secs(60);

/// One line in this time about events that no refusal ever counts against.
const SELDOM: Duration = Duration::from_secs(3600);

/// A new intake is not ready for some minutes.
const NEW: Duration = Duration::from_secs(900);

#[derive(Debug, Default)]
pub(super) struct Report {
    troubles: BTreeMap<Kind, Trouble>,
    /// Whether a trouble was said since events were accepted.
    is_announced: bool,
    has_accepted: bool,
    /// Since when the intake does not know the key.
    unknown: Option<Instant>,
    /// How often an event was sent again after an answer that did not say whether it is accepted: one that is
    /// tried alone may have been so many times.
    again: usize,
    /// When that was said last.
    said_again: Option<Instant>,
    /// When it was said last of events that the key or the address is refused for, and not for others.
    said_barred: Option<Instant>,
    /// And of requests that have too many events.
    said_too_many: Option<Instant>,
}

/// One that goes on and off counts as one: it ends a minute after it was last seen.
#[derive(Debug, Default)]
struct Trouble {
    said: Option<Instant>,
    /// Requests that failed since it began.
    failures: u64,
    /// When events were accepted after the last failure.
    ended: Option<Instant>,
    /// Whether events were accepted since it was said last.
    interrupted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
            Cause::Uncertain => return self.doubted(log, sentence),
        };
        let is_unknown = cause == Cause::Barred && sentence.contains(KEY_ERROR);
        let unknown = is_unknown.then(|| *self.unknown.get_or_insert_with(Instant::now));
        let Some((failures, interrupted)) = self.is_to_be_said(kind) else {
            return;
        };
        let mut text = format!(
            "Failed to forward {events} events\n{sentence}; the events are kept and sent again"
        );
        if failures > 1 {
            text.push_str(&format!(" ({failures} requests failed so far)"));
        }
        let is_new = !self.has_accepted && unknown.is_some_and(|since| since.elapsed() < NEW);
        let is_mild = kind == Kind::Outage && (failures == 1 || interrupted);
        if is_mild || is_new {
            log.warning(text);
        } else {
            log.error(text);
        }
    }

    /// A success proved nothing.
    fn doubted(&mut self, log: &Log, what: &str) {
        // Once; and once more where it has been said since that the intake accepts events again.
        if let Some((failures, interrupted)) = self.is_to_be_said(Kind::Doubt)
            && (failures == 1 || interrupted)
        {
            log.error(format!(
                "An answer is not certain: {what}. Nothing else is sent; one event alone is tried \
                 again until an answer is certain. What it would have accepted may come twice. Check \
                 that intake_server is the address of your region's intake and that no proxy answers \
                 in its place"
            ));
        }
    }

    /// How often it failed in this way, and whether events were accepted meanwhile, when that is to be said:
    /// at the beginning, and once a minute.
    fn is_to_be_said(&mut self, kind: Kind) -> Option<(u64, bool)> {
        let now = Instant::now();
        let is_over = |ended: Instant| now.duration_since(ended) >= EVERY;
        self.troubles
            .retain(|_, trouble| !trouble.ended.is_some_and(is_over));
        let trouble = self.troubles.entry(kind).or_default();
        trouble.failures += 1;
        trouble.ended = None;
        let is_said = |said: Instant| now.duration_since(said) < EVERY;
        if trouble.said.is_some_and(is_said) {
            return None;
        }
        trouble.said = Some(now);
        self.is_announced = true;
        Some((trouble.failures, std::mem::take(&mut trouble.interrupted)))
    }

    /// Events of a batch are not accepted although others are.
    pub(super) fn suspected(log: &Log, events: usize, why: &str) {
        log.warning(format!(
            "{events} events of a batch are not accepted while others are: they are tried in smaller \
             parts, down to single ones ({why})"
        ));
    }

    /// Nothing is accepted, and events of a batch failed several times: others go before them.
    pub(super) fn set_aside(log: &Log, events: usize, why: &str) {
        log.warning(format!(
            "{events} events of a batch failed again and again: others are sent before them, which shows \
             whether the reason is in these ({why})"
        ));
    }

    /// Events in hand were answered twice as if the key or the address were wrong, and others between were
    /// accepted with both. Nothing ends that by itself.
    pub(super) fn barred(&mut self, log: &Log, events: usize, why: &str) {
        if self.said_barred.is_some_and(|said| said.elapsed() < SELDOM) {
            return;
        }
        self.said_barred = Some(Instant::now());
        log.warning(format!(
            "{events} events in hand are answered as if the key or the address were wrong, while others are \
             accepted with both: the reason may be in these, and in a firewall that dislikes them. They are \
             tried on and on, and their windows stay open. Have them let through; or leave their rows out \
             with `exclude_senders`, and start the trigger again ({why})"
        ));
    }

    /// So many events at once were answered with 429 for as long as it took, and fewer were accepted.
    pub(super) fn has_too_many(&mut self, log: &Log, events: usize, why: &str) {
        if self
            .said_too_many
            .is_some_and(|said| said.elapsed() < SELDOM)
        {
            return;
        }
        self.said_too_many = Some(Instant::now());
        log.warning(format!(
            "{events} events in one request are too many for the intake, as it seems: it asks for patience again \
             and again, and accepts fewer. Requests become smaller. Lower `chunk_size`, so that none is \
             answered in this way ({why})"
        ));
    }

    /// The identifiers of the intake's answers tell nothing.
    pub(super) fn counts_alone(log: &Log) {
        log.warning(
            "The intake gives the same identifiers to different events, as a relay or a test may do: from here on \
             only their number counts. An answer that a proxy gives a second time, to other events, will not be \
             noticed",
        );
    }

    /// Events were sent that may be accepted already, and may be so once more now.
    pub(super) fn sent_again(&mut self, events: usize) {
        self.again += events;
    }

    pub(super) fn accepted(&mut self, log: &Log) {
        self.has_accepted = true;
        let now = Instant::now();
        for trouble in self.troubles.values_mut() {
            trouble.ended.get_or_insert(now);
            trouble.interrupted = true;
        }
        if std::mem::take(&mut self.is_announced) {
            log.info("The intake accepts events again");
        }
        let is_due = self.said_again.is_none_or(|said| said.elapsed() >= EVERY);
        if self.again > 0 && is_due {
            self.said_again = Some(Instant::now());
            let again = std::mem::take(&mut self.again);
            log.warning(format!(
                "{again} times an event was sent again after an answer that did not say whether it is \
                 accepted: the intake may hold such events more than once"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;
    use crate::log::tests::log;

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_and_off_is_one_line_a_minute_with_the_count() {
        let (log, lines) = log();
        let mut report = Report::default();
        for second in 0..179 {
            match second % 4 {
                0 => report.failed(&log, Cause::Outage, 5, "the intake answers 503"),
                1 => report.failed(&log, Cause::Barred, 5, "the intake answers 401"),
                2 => report.failed(&log, Cause::Outage, 5, "the intake answers 502"),
                _ => report.accepted(&log),
            }
            time::sleep(Duration::from_secs(1)).await;
        }
        let lines = lines.lock().unwrap();
        let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(
            count("WARNING - Failed to forward 5 events"),
            3,
            "{lines:?}"
        );
        assert_eq!(count("ERROR - Failed to forward 5 events"), 3, "{lines:?}");
        assert_eq!(count("(31 requests failed so far)"), 2, "{lines:?}");
        assert!(count("accepts events again") <= 6, "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubt_that_comes_again_is_said_again_and_not_once_a_minute() {
        let (log, lines) = log();
        let mut report = Report::default();
        report.doubted(&log, "200 OK");
        time::sleep(Duration::from_secs(10)).await;
        report.accepted(&log);
        for _ in 0..360 {
            time::sleep(Duration::from_secs(10)).await;
            report.doubted(&log, "202 Accepted");
        }
        let lines = lines.lock().unwrap();
        let said = lines.iter().filter_map(|line| {
            let texts = ["accepts events again", "An answer is not certain"];
            texts.into_iter().find(|text| line.contains(text))
        });
        let said: Vec<_> = said.collect();
        let doubt = "An answer is not certain";
        assert_eq!(said, [doubt, "accepts events again", doubt], "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_a_new_intake_does_not_know_is_a_warning_for_a_quarter_of_an_hour() {
        let (log, lines) = log();
        let mut report = Report::default();
        for _ in 0..29 {
            report.failed(&log, Cause::Barred, 1, "422 (INTAKE_KEY_ERROR)");
            report.failed(&log, Cause::Outage, 1, "503");
            time::sleep(Duration::from_secs(60)).await;
        }
        let lines = lines.lock().unwrap();
        let count = |level: &str| {
            let of_key = lines
                .iter()
                .filter(|line| line.contains("INTAKE_KEY_ERROR"));
            of_key.filter(|line| line.contains(level)).count()
        };
        assert_eq!(
            (count("- WARNING -"), count("- ERROR -")),
            (15, 14),
            "{lines:?}"
        );
    }
}
