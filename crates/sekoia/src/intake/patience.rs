//! When a batch that is asked for patience has too many events for one request: a pure state machine that is
//! told the time.
//!
//! An intake may allow so many events in a time, and never answer otherwise to a request that has more. The same
//! answer to all requests asks for patience alone. Only one event that is accepted after a long time tells
//! them apart. Neither says anything of the events.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::Cause;

/// After so many such answers in a row, over so long, one event alone is tried now and then.
const LONG: (u32, Duration) = (4, Duration::from_secs(300));

/// So many in a row are for the size where it is known that fewer events are accepted.
const OF_SIZE: u32 = 3;

/// Such answers in a row to requests of a batch, without another one between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    since: Option<Instant>,
    times: u32,
    is_long: bool,
    /// One event alone has its turn: each second time.
    one_next: bool,
    /// After a long time, one event was accepted of those that were not.
    one_passed: bool,
}

impl Patience {
    /// A request of the batch accepted nothing.
    pub(super) fn failed(&mut self, cause: Cause, now: Instant) {
        if cause != Cause::Busy {
            self.begin_anew();
            return;
        }
        self.times += 1;
        let since = *self.since.get_or_insert(now);
        let (times, over) = LONG;
        self.is_long = self.times >= times && now.saturating_duration_since(since) >= over;
        self.one_next = self.is_long && !self.one_next;
    }

    /// Events were accepted, perhaps one that was tried alone. More of them show that they are not too many.
    pub(super) fn accepted(&mut self, alone: bool) {
        *self = Self {
            one_passed: self.is_long && alone,
            ..Self::default()
        };
    }

    /// The same size is not asked about again, or there was another answer.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            one_passed: self.one_passed,
            ..Self::default()
        };
    }

    pub(super) fn is_long(&self) -> bool {
        self.is_long
    }

    pub(super) fn has_one_next(&self) -> bool {
        self.one_next
    }

    pub(super) fn one_passed(&self) -> bool {
        self.one_passed
    }

    /// Whether the events may be too many. Of an intake with a `limit` that is known it takes no long time.
    pub(super) fn is_of_size(&self, limit: bool) -> bool {
        self.times >= OF_SIZE && (self.one_passed || limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_after_a_long_time_does_one_event_that_is_accepted_speak_for_a_size() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut patience = Patience::default();
        for (seconds, is_long) in [(0, false), (100, false), (299, false), (300, true)] {
            patience.failed(Cause::Busy, at(seconds));
            assert_eq!(patience.is_long(), is_long, "{seconds}");
            assert_eq!(patience.has_one_next(), is_long, "{seconds}");
            assert!(!patience.is_of_size(false), "it may be for all");
        }
        patience.failed(Cause::Busy, at(300));
        assert!(patience.is_long() && !patience.has_one_next());
        patience.accepted(true);
        assert!(!patience.is_long());
        for n in 1..=OF_SIZE {
            assert!(!patience.is_of_size(false), "{n}");
            patience.failed(Cause::Busy, at(300));
        }
        assert!(patience.is_of_size(false));
        patience.begin_anew();
        assert!(!patience.is_of_size(false) && patience.one_passed());
        // Several are accepted: it says no more.
        patience.accepted(false);
        (0..9).for_each(|_| patience.failed(Cause::Busy, at(301)));
        assert!(!patience.is_of_size(false) && patience.is_of_size(true));
        patience.accepted(true);
        assert!(!patience.one_passed(), "not so soon");
    }

    #[tokio::test(start_paused = true)]
    async fn another_answer_between_begins_it_anew() {
        let begun = Instant::now();
        let mut patience = Patience::default();
        for n in 0..30 {
            let cause = if n % 4 == 3 {
                Cause::Outage
            } else {
                Cause::Busy
            };
            patience.failed(cause, begun + Duration::from_secs(n * 100));
            assert!(!patience.is_long(), "{n}");
        }
    }
}
