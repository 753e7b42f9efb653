//! How the source fares, in one view for all readers, and when each of them may ask: a pure state
//! machine.
//!
//! A failure means one of four things, and each has its own way to go on:
//!
//! - **Outage**: there is no answer. The reader whose request failed tries again soon; when that fails
//!   a few times in a row for any reader, single requests find out when the source is back: every
//!   10 to 15 s a probe, which asks for as little as there is.
//! - **Throttling**: the source has too much to do. All readers pause, for as long as it wishes and
//!   longer each time, and nothing is tried out in between. That one window is too much for it is found
//!   out by asking for less, when it is time to ask.
//! - **Refusal**: a person must act. All readers keep a slow pace.
//! - **A page that cannot be read**: its reader pauses, and no other.
//!
//! A wish for a pause, or a refusal, that one window alone meets again and again while others are answered is
//! meant for that window: its reader pauses, and no other.
//!
//! An answer to one reader ends the pauses of all, but for what the source has asked for.

mod pauses;

use std::time::Duration;

use base::retry::Backoff;
use tokio::time::Instant;

use crate::ErrorClass;

/// As many requests in a row may stay without an answer before single ones find out when the source is
/// back.
const QUICK: u32 = 3;

/// As many failures in a row, of all readers, are no passing throttling any more: a quarter of an hour of it.
const MANY: u32 = 24;

/// Pauses of a reader whose request failed, before that.
const QUICK_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// Pauses between single requests, while the source still answers now and then.
const SINGLE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(4));

/// It does so when an answer came in this time.
const LATELY: Duration = Duration::from_secs(30);

/// Pauses between probes.
const PROBING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15));

/// Pauses of all readers when there are too many requests.
const THROTTLED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Pauses of a reader whose page cannot be read, or always fails while others are answered.
const OWN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Pauses of a reader whose window is about to be asked for in narrower ones.
const NARROWING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// Pauses between windows that are kept narrow: there may be very many of them, answered at once.
const WALK: (Duration, Duration) = (Duration::from_millis(750), Duration::from_millis(1250));

/// Pauses after failures that a person must mend.
const SLOW: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(150));

/// A page that has failed so often while others were answered keeps its own pauses.
const STUBBORN: u32 = 3;

/// The same where the source wishes for a long pause each time: all have waited twice then.
const STUBBORN_AT_LONG_WISHES: u32 = 2;

/// A pause of all readers that is longer is worth a word, and none that is to be made often for one window.
const LONG: Duration = Duration::from_secs(60);

/// For how long a page rests that fails while others are answered; longer, when many do.
const RESTS: (Duration, Duration) = (Duration::from_secs(480), Duration::from_secs(600));

/// A failure that a person must mend is critical when it has lasted this long.
const CRITICAL_AFTER: Duration = Duration::from_secs(15 * 60);

/// Requests fail at present when one has in this time.
const FAILING: Duration = Duration::from_secs(60);

/// Every so many probes in a row, one asks for next to nothing.
const SMALL_PROBE: u32 = 4;

/// The view of the source that all readers share.
#[derive(Debug)]
pub(crate) struct ServiceHealth {
    readers: Vec<ReaderHealth>,
    /// Pages that came.
    answers: u64,
    answered: Option<Instant>,
    /// Requests in a row that failed, and those among them that had no answer.
    failures: u32,
    silent: u32,
    failed: Option<Instant>,
    /// What keeps all readers from asking at once, until an answer comes.
    gate: Option<Gate>,
    /// Nobody asks before it: the source has wished so.
    not_before: Option<Instant>,
    probes: u32,
    throttled: Backoff,
    slow: Backoff,
    /// Since when a person is needed for all that is asked, for something that does not heal by itself.
    refused_for_good: Option<Instant>,
    called: bool,
}

#[derive(Debug)]
struct ReaderHealth {
    /// It does not ask before it.
    hold: Option<Hold>,
    quick: Backoff,
    own: Backoff,
    narrowing: Backoff,
    slow: Backoff,
    /// How often its page has failed while others were answered, and how many answers there had been
    /// at its last failure.
    contrary: u32,
    seen: Option<u64>,
    /// The same at the last failure that a narrower window may cure.
    suspect: Option<u64>,
    /// Failures since its last answer.
    in_a_row: u32,
    /// When it has failed last, if it was not answered since.
    failed: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    until: Instant,
    /// Whether it lasts although others are answered.
    is_firm: bool,
    /// Whether something has failed, else the reader only goes at a walk.
    has_failed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Gate {
    until: Instant,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Outage,
    Throttled,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Every reader.
    All,
    /// One at a time.
    One,
    /// The first reader, for as little as there is.
    Probe {
        /// For even less than usual.
        small: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailureVerdict {
    /// Whether now is the time to call for help.
    pub(crate) call: bool,
    /// Whether its page has failed again and again while others were answered.
    pub(crate) is_stubborn: bool,
    /// Whether it has failed again and again, also when nothing else was asked for.
    pub(crate) is_lasting: bool,
    /// Whether several requests in a row have failed, of any reader, and whether many have.
    pub(crate) is_general: bool,
    pub(crate) is_long: bool,
    /// Until when nothing is asked for, when the source has just wished for a long pause.
    pub(crate) stands_until: Option<Instant>,
}

/// Whether the source wishes for a pause that is worth a word.
fn wishes_long(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Throttled { after: Some(after) } if after > LONG)
}

fn backoff((min, max): (Duration, Duration)) -> Backoff {
    Backoff::new(min, max)
}

impl ReaderHealth {
    fn new() -> Self {
        Self {
            hold: None,
            quick: backoff(QUICK_PAUSES),
            own: backoff(OWN),
            narrowing: backoff(NARROWING),
            slow: backoff(SLOW),
            contrary: 0,
            seen: None,
            suspect: None,
            in_a_row: 0,
            failed: None,
        }
    }
}

impl ServiceHealth {
    pub(crate) fn new(readers: usize) -> Self {
        Self {
            readers: (0..readers).map(|_| ReaderHealth::new()).collect(),
            answers: 0,
            answered: None,
            failures: 0,
            silent: 0,
            failed: None,
            gate: None,
            not_before: None,
            probes: 0,
            throttled: backoff(THROTTLED),
            slow: backoff(SLOW),
            refused_for_good: None,
            called: false,
        }
    }

    /// Who may ask now.
    pub(crate) fn asking(&self, now: Instant) -> Asking {
        match self.gate {
            Some(gate) if gate.cause == Cause::Outage && !self.answers_lately(now) => {
                Asking::Probe {
                    small: self.probes % SMALL_PROBE == SMALL_PROBE - 1,
                }
            }
            Some(_) => Asking::One,
            None if self.answers == 0 => Asking::One,
            None => Asking::All,
        }
    }

    /// Until when nobody asks, as the source has wished so.
    fn stands_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|until| *until > now)
    }

    /// When a reader has failed last, if it was not answered since.
    pub(crate) fn failed_at(&self, reader: usize) -> Option<Instant> {
        self.readers.get(reader).and_then(|reader| reader.failed)
    }

    /// Whether no page has come yet.
    pub(crate) fn is_unproven(&self) -> bool {
        self.answers == 0
    }

    pub(crate) fn is_failing(&self, now: Instant) -> bool {
        self.failed
            .is_some_and(|failed| now.saturating_duration_since(failed) < FAILING)
    }

    fn answers_lately(&self, now: Instant) -> bool {
        self.answered
            .is_some_and(|answered| now.saturating_duration_since(answered) < LATELY)
    }

    pub(crate) fn probes(&mut self) {
        self.probes = self.probes.saturating_add(1);
    }

    /// A page of a reader's window came. How many failures there were before it.
    pub(crate) fn answered(&mut self, reader: usize, now: Instant) -> u32 {
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.suspect = None;
        }
        self.probe_answered(reader, now)
    }

    /// The same for a probe, which says nothing of the window that the reader had before.
    pub(crate) fn probe_answered(&mut self, reader: usize, now: Instant) -> u32 {
        self.answers += 1;
        self.answered = Some(now);
        self.silent = 0;
        self.gate = None;
        self.probes = 0;
        self.throttled.reset();
        self.slow.reset();
        self.refused_for_good = None;
        for reader in &mut self.readers {
            reader.hold = reader.hold.filter(|hold| hold.is_firm);
            reader.quick.reset();
        }
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.own.reset();
            reader.slow.reset();
            (reader.contrary, reader.in_a_row) = (0, 0);
            (reader.seen, reader.failed) = (None, None);
        }
        self.calm();
        std::mem::take(&mut self.failures)
    }

    /// Help may be called for again when nothing is refused any more.
    fn calm(&mut self) {
        self.called &= self.refused_for_good.is_some();
    }

    pub(crate) fn failed(
        &mut self,
        reader: usize,
        class: ErrorClass,
        now: Instant,
    ) -> FailureVerdict {
        self.window_failed(reader, class, false, now)
    }

    /// The same for a window that may have rested, as it failed while others were answered.
    pub(crate) fn window_failed(
        &mut self,
        reader: usize,
        class: ErrorClass,
        has_rested: bool,
        now: Instant,
    ) -> FailureVerdict {
        let wishes_long = wishes_long(class);
        let enough = match wishes_long {
            true => STUBBORN_AT_LONG_WISHES,
            false => STUBBORN,
        };
        let stood_until = self.stands_until(now);
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(now);
        match class {
            ErrorClass::Outage => self.silent = self.silent.saturating_add(1),
            // It has answered: it is not gone.
            _ => self.silent = 0,
        }
        let (times, is_contrary, is_lasting) = self.count_failure(reader, now);
        let stubborn = times >= enough;
        // Others were answered since all have paused, and since this one has failed last. Several in a row tell
        // of the source again.
        let is_its_own = self.gate.is_none()
            && self.failures <= QUICK
            && (has_rested || (stubborn && is_contrary));
        match class {
            ErrorClass::Transient { after } => self.own_pause(reader, after, now, stubborn),
            // Of a window the reader makes something else; a question for the time comes again.
            ErrorClass::Unreadable | ErrorClass::Narrow | ErrorClass::OutOfReach { .. } => {
                self.own_pause(reader, None, now, stubborn)
            }
            ErrorClass::Throttled { after } if is_its_own => {
                self.own_pause(reader, after, now, true);
            }
            ErrorClass::Outage if stubborn => self.own_pause(reader, None, now, true),
            ErrorClass::Outage if self.silent <= QUICK && self.gate.is_none() => {
                self.pause(reader, now, false, |one| one.quick.next_pause(None));
            }
            ErrorClass::Refused { .. } if is_its_own => {
                self.pause(reader, now, true, |one| one.slow.next_pause(None));
            }
            ErrorClass::Person => {
                self.pause(reader, now, true, |one| one.slow.next_pause(None));
            }
            _ => {}
        }
        match class {
            ErrorClass::Outage if self.silent > QUICK || self.gate.is_some() => self.outage(now),
            ErrorClass::Throttled { after } if !is_its_own => self.throttled(after, now),
            ErrorClass::Refused { heals } if !is_its_own => {
                self.refused_for_good = match heals {
                    true => None,
                    false => Some(self.refused_for_good.unwrap_or(now)),
                };
                let pause = self.under_way(Cause::Refused, now);
                let pause = pause.unwrap_or_else(|| self.slow.next_pause(None));
                self.shut(Cause::Refused, pause, now);
            }
            _ => {}
        }
        let until = self.stands_until(now);
        FailureVerdict {
            call: self.is_time_to_call(now),
            is_stubborn: stubborn,
            is_lasting,
            // Each of them has all wait.
            is_general: self.failures > if wishes_long { 1 } else { QUICK },
            is_long: self.failures >= MANY,
            stands_until: until.filter(|_| wishes_long && stood_until.is_none()),
        }
    }

    /// Whether everything has been refused long enough to call for help, once until something heals. A
    /// single page that cannot be read is no reason: it may be read one day, and the others go on.
    fn is_time_to_call(&mut self, now: Instant) -> bool {
        let since = self.refused_for_good;
        let call = since
            .is_some_and(|since| now.saturating_duration_since(since) >= CRITICAL_AFTER)
            && !self.called;
        self.called |= call;
        call
    }
}

#[cfg(test)]
mod tests;
