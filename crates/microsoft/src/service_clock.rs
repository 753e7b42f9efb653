//! The service's clock, learnt from its answers: a pure state machine, told of every answer.
//!
//! Proxies, gateways and caches write a `Date` of their own, and the clock of this machine may be
//! wrong, too. So nobody is believed alone. The local clock counts once one answer confirms it to the
//! second; another time counts once several of the last answers agree on it. A time that is earlier
//! than a row that the service has shown is nobody's. Between answers time goes
//! on by the monotonic clock, so a step of the local clock changes nothing until answers judge it.

mod alone;

use std::collections::VecDeque;

use base::{
    SourceTime,
    clock::{Reading, StepWatch},
};
use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use tokio::time::Instant;

/// The resolution of the `Date` header.
const TICK: TimeDelta = TimeDelta::seconds(1);

/// Times that differ by no more, beside what is not known for certain, are the same.
const SAME: TimeDelta = TimeDelta::seconds(2);

/// A clock of this machine that is wrong by more is wrong enough to tell a person.
pub const BOUND: TimeDelta = TimeDelta::minutes(5);

/// One answer confirms the local clock: with it, that makes two witnesses.
const CONFIRMING: usize = 2;

/// As many answers must agree on a time that differs from the local clock by at most [`BOUND`].
const AGREEING: usize = 3;

/// As many when it differs by more.
const AGREEING_BEYOND: usize = 5;

/// So many of the last answers count.
const SIGHTINGS: usize = 8;

/// After so many answers that do not tell the time, none is expected to.
const SILENT: u32 = 3;

/// After so many answers that agree neither with the local clock nor with one another, their dates
/// are worth nothing.
const HOPELESS: u32 = 24;

/// A clock that is wrong by more is no clock.
const NO_CLOCK: TimeDelta = TimeDelta::days(36_500);

/// A time that was confirmed as lately is not doubted again.
const FRESH: TimeDelta = TimeDelta::minutes(1);

/// When the service has said twice that its time is earlier, the local clock counts as far as it is behind
/// by no more: it may be wrong itself, and what lies after now is taken back.
const BACK: TimeDelta = TimeDelta::minutes(15);

/// It counts as far as four times as much with each further time,
const FURTHER: i32 = 4;

/// up to so often.
const MOST_FURTHER: u32 = 12;

/// How many questions for the time there are.
pub(super) const QUESTIONS: u32 = 6;

/// When an answer was written, by the clock of who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// None when it does not say, or says that it is old.
    pub(super) date: Option<DateTime<Utc>>,
    /// The answer was written after this instant,
    pub(super) sent: Instant,
    /// and before this one.
    pub(super) received: Reading,
    /// The newest row of its window that it shows: the service received it before it answered.
    pub(super) shown: Option<DateTime<Utc>>,
}

/// What the service's clock showed at the origin, from when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    lower: DateTime<Utc>,
    upper: DateTime<Utc>,
}

impl Bounds {
    /// Whether both may be true of one clock.
    fn agrees(&self, other: &Self) -> bool {
        self.lower - SAME <= other.upper && other.lower - SAME <= self.upper
    }

    fn at(instant: DateTime<Utc>) -> Self {
        let (lower, upper) = (instant, instant);
        Self { lower, upper }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Nobody's yet.
    None,
    /// The service's: what its clock showed at the origin, at least and probably.
    Service {
        lower: DateTime<Utc>,
        likely: DateTime<Utc>,
    },
    /// The local clock's, as no answer tells the time.
    Local,
}

#[derive(Debug)]
pub(super) struct ServiceClock {
    origin: Instant,
    steps: StepWatch,
    /// The last answers that told the time, oldest first.
    sightings: VecDeque<Bounds>,
    /// What the service's clock showed at the origin at least, as its rows say.
    shown: Option<DateTime<Utc>>,
    trust: Trust,
    /// What was trusted before the local clock was set, or the time was doubted.
    before: Option<DateTime<Utc>>,
    /// How often the service has said that what seems to be its time lies in its future.
    early: u32,
    /// When an answer last agreed with what is trusted.
    confirmed: Option<Instant>,
    /// Since when the local clock is all there is, and earlier than what has passed; a step of it does not
    /// begin that anew.
    behind: Option<Instant>,
    /// Answers with a time since anything was trusted, and answers without.
    undecided: u32,
    untold: u32,
}

impl ServiceClock {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            origin: now,
            steps: StepWatch::default(),
            sightings: VecDeque::with_capacity(SIGHTINGS),
            shown: None,
            trust: Trust::None,
            before: None,
            early: 0,
            confirmed: None,
            behind: None,
            undecided: 0,
            untold: 0,
        }
    }

    /// This time has surely passed, as an earlier process has kept: as if a row of it had been shown.
    pub(super) fn has_passed(&mut self, at: DateTime<Utc>) {
        self.shown = self.shown.max(Some(at));
    }

    /// The service has answered with a whole page.
    pub(super) fn see(&mut self, sighting: Sighting) {
        self.watch(sighting.received);
        let (sent, local) = (sighting.sent, sighting.received.wall);
        let received = sighting.received.instant;
        let shown = sighting
            .shown
            .and_then(|shown| self.at_origin(shown, received));
        self.shown = self.shown.max(shown);
        // A clock that was never set tells no time.
        let is_clock = |date: &DateTime<Utc>| (*date - local).abs() <= NO_CLOCK;
        let told = sighting.date.filter(is_clock);
        let Some(date) = told.filter(|date| !self.contradicts_rows(*date, sent)) else {
            // A time that cannot be is no sign that none is told.
            self.undecided += u32::from(told.is_some());
            self.untold += u32::from(told.is_none());
            let is_silent = self.untold >= SILENT && self.sightings.is_empty();
            if is_silent || self.is_hopeless() {
                self.goes_by_local_alone(local, received);
            }
            return;
        };
        let at = |time, instant| self.at_origin(time, instant);
        let (Some(witness), Some(lower), Some(upper)) =
            (at(local, received), at(date, received), at(date, sent))
        else {
            return;
        };
        let upper = upper + TICK;
        let seen = Bounds { lower, upper };
        if self.sightings.len() == SIGHTINGS {
            self.sightings.pop_front();
        }
        self.sightings.push_back(seen);
        self.judge(Bounds::at(witness));
        match self.trust {
            Trust::None => {
                self.undecided += 1;
                if self.is_hopeless() {
                    self.goes_by_local_alone(local, received);
                }
            }
            Trust::Service { lower, .. } if Bounds::at(lower).agrees(&seen) => {
                self.confirmed = Some(received);
            }
            Trust::Service { .. } | Trust::Local => {}
        }
    }

    /// Whether so many answers have not told the time that none is expected to.
    fn is_hopeless(&self) -> bool {
        self.undecided.saturating_add(self.untold) >= HOPELESS
    }

    /// Whether a time is earlier than a row that was shown before, by more than clocks of one service differ.
    fn contradicts_rows(&self, date: DateTime<Utc>, sent: Instant) -> bool {
        let latest = self.at_origin(date, sent);
        let rows = self.shown.and_then(|shown| shown.checked_sub_signed(BOUND));
        rows.zip(latest).is_some_and(|(rows, latest)| latest < rows)
    }

    /// Trusts what most of the last answers agree on, when they are enough. The `local` clock is a
    /// witness like any of them.
    fn judge(&mut self, local: Bounds) {
        let witnesses = || self.sightings.iter().chain([&local]);
        let votes = |one: &Bounds| witnesses().filter(|other| other.agrees(one)).count();
        // Of as many votes the newest answer's count.
        let Some(middle) = self.sightings.iter().copied().max_by_key(votes) else {
            return;
        };
        let nearest = local.lower.clamp(middle.lower, middle.upper);
        let enough = if middle.agrees(&local) {
            CONFIRMING
        } else if (nearest - local.lower).abs() <= BOUND {
            AGREEING
        } else {
            AGREEING_BEYOND
        };
        let is_outvoted = match self.trust {
            Trust::Service { lower, .. } if !Bounds::at(lower).agrees(&middle) => {
                votes(&middle) >= AGREEING && votes(&middle) > votes(&Bounds::at(lower))
            }
            _ => true,
        };
        if votes(&middle) >= enough && is_outvoted {
            let agreeing = || self.sightings.iter().filter(|one| one.agrees(&middle));
            let least = agreeing().map(|one| one.upper).min();
            let most = agreeing().map(|one| one.lower).max();
            let Some((lower, upper)) = most.zip(least) else {
                return;
            };
            let lower = lower.min(upper);
            // A local clock that agrees tells more than a date in whole seconds.
            let likely = if middle.agrees(&local) {
                local.lower.clamp(lower, upper)
            } else {
                lower
            };
            self.trust = Trust::Service { lower, likely };
            self.before = None;
            self.behind = None;
            self.undecided = 0;
        }
    }

    /// A query was refused that would have been answered if the time were right: unless an answer
    /// has confirmed it just now, it is to be learnt anew.
    pub(super) fn doubt(&mut self, now: Instant) {
        let fresh = self.confirmed.is_some_and(|at| since(now, at) < FRESH);
        if !fresh {
            self.forget();
        }
    }

    /// The service has refused a window as one that ends in its future, which was not thought so: its
    /// time is earlier than it seems, or its dates lie.
    pub(super) fn is_earlier(&mut self) {
        self.early = self.early.saturating_add(1);
    }

    fn forget(&mut self) {
        if let Trust::Service { lower, .. } = self.trust {
            self.before = Some(lower);
        }
        self.early = 0;
        self.trust = Trust::None;
        self.sightings.clear();
        self.confirmed = None;
        self.undecided = 0;
        self.untold = 0;
    }

    /// A step of the local clock makes what was learnt doubtful: it was set, or the machine has slept,
    /// and the monotonic clock with it.
    fn watch(&mut self, reading: Reading) {
        if self.steps.look(reading).is_some() {
            self.forget();
        }
    }

    pub(super) fn time(&mut self, reading: Reading) -> SourceTime {
        self.watch(reading);
        let (local, now) = (reading.wall, reading.instant);
        let passed = since(now, self.origin);
        let later = |at: DateTime<Utc>| at.checked_add_signed(passed).unwrap_or(at);
        // However earlier the service says that it is: what has passed would be taken back, and come twice.
        let shown = self.shown.map(later);
        let at_least = |at: DateTime<Utc>| shown.map_or(at, |shown| shown.max(at));
        let (now, certain, skew) = match self.trust {
            Trust::Service { lower, likely } => {
                let (least, told) = (later(lower), later(likely));
                let now = match self.early {
                    0 => told,
                    // Its dates may be a little ahead, or lie: a local clock that is far behind is no
                    // better yet.
                    1 => least,
                    early => {
                        let further = early.saturating_sub(2).min(MOST_FURTHER);
                        let back = BACK * FURTHER.saturating_pow(further);
                        let back = least.checked_sub_signed(back);
                        least.min(at_least(back.map_or(local, |back| back.max(local))))
                    }
                };
                (now, Some(least.min(local)), Some(told - local))
            }
            Trust::Local => {
                let now = self.earlier_alone(local).map_or(local, at_least).min(local);
                (now, Some(now), None)
            }
            Trust::None => {
                let seen = self.sightings.back().map(|seen| seen.lower);
                let others = [self.before, seen].into_iter().flatten().map(later);
                (others.fold(local, DateTime::min), None, None)
            }
        };
        SourceTime { now, certain, skew }
    }

    /// What the clock showed at the origin that shows `date` at an instant.
    fn at_origin(&self, date: DateTime<Utc>, at: Instant) -> Option<DateTime<Utc>> {
        date.checked_sub_signed(since(at, self.origin))
    }
}

fn since(now: Instant, then: Instant) -> TimeDelta {
    let passed = now.saturating_duration_since(then);
    TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX)
}

/// A window whose page tells the service's time, none for the query without a window, which any clock
/// may ask. Which of them a service answers depends on how wrong the clock is, and on how much there
/// is to look through: each is the next when the one before was refused.
pub(super) fn question(number: u32, now: DateTime<Utc>) -> Option<Window> {
    let back = match number % QUESTIONS {
        0 => TimeDelta::minutes(1),
        1 => return None,
        2 => TimeDelta::hours(1),
        3 => TimeDelta::days(1),
        4 => TimeDelta::days(9),
        _ => TimeDelta::days(28),
    };
    let end = now.checked_sub_signed(back)?;
    Window::new(end - TimeDelta::minutes(1), end)
}

#[cfg(test)]
mod tests;
