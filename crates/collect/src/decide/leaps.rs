//! Jumps of the source's time: of which readings it is not known when they were.
//!
//! While a wrong clock is believed that runs ahead, windows are read before they have happened, and
//! readings count as later than they were. When the time goes back, what was read since it had leapt
//! ahead is doubted. So that a restart does not end that, the time that was seen is kept with the timeline; what
//! has passed while nothing ran, the local clock tells.
//!
//! Of a very first start nobody knows what the time was before: where the source's clock is far ahead of the local
//! one, it counts as a leap from there, and the collection has begun too late by it.
//!
//! A machine that has slept leaps ahead, too, and rightly: both clocks agree then. When both have agreed for an
//! hour, the leap is forgotten. Until then nothing becomes final that was read since: what is final cannot be
//! doubted any more. Where the source tells no time, nothing tells a sleep from a wrong clock: each leap is
//! remembered by itself, and one that is as long as the step back is doubted, however often the machine has slept.

use std::time::Duration;

use base::clock::Reading;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::evidence::Moment;

/// Times that differ by no more are the same: services differ by some seconds.
const SAME: TimeDelta = TimeDelta::seconds(10);

/// When the source's clock and the local one have agreed for so long, it was no leap of one of them.
const CONFIRMED: Duration = Duration::from_secs(3600);

/// Nothing becomes final for so long at most, where the clocks never agree: what is remembered stays bounded.
const HELD: Duration = Duration::from_secs(86_400);

/// So many leaps are remembered one by one; of more, the two oldest count as one.
const MOST: usize = 64;

/// What was seen no longer ago, as the local clock tells, is sure: it is not likely that this was set meanwhile.
const LATELY: TimeDelta = TimeDelta::hours(1);

/// A time that is farther from the local clock is none.
const NO_TIME: TimeDelta = TimeDelta::days(36_500);

#[derive(Debug, Default)]
pub(crate) struct Leaps {
    seen: Option<Moment>,
    /// Those that are not confirmed, oldest first.
    ahead: Vec<Leap>,
    /// Since when both clocks have agreed, and the time has gone on evenly.
    agreed: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Leap {
    /// When, by its new clock.
    since: DateTime<Utc>,
    by: TimeDelta,
    /// When, by the monotonic clock.
    instant: Instant,
}

/// A leap ahead that was wrong, as the time has gone back since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UndoneLeap {
    /// When it was, by its clock. Of several the first, as nobody knows which of them is undone.
    pub(crate) since: DateTime<Utc>,
    /// How far that clock was ahead.
    pub(crate) by: TimeDelta,
}

/// What the next process is to know: the last time that was seen, and leaps ahead that are not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptLeaps {
    /// Oldest first.
    ahead: Vec<KeptLeap>,
    /// The last time that was seen, and when that was by the local clock.
    seen: DateTime<Utc>,
    seen_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KeptLeap {
    /// When, by its new clock.
    since: DateTime<Utc>,
    by_seconds: i64,
    /// When, by the local clock.
    at: DateTime<Utc>,
}

/// The source's time, as what was kept tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptTime {
    /// The time.
    pub at: DateTime<Utc>,
    /// Whether that is sure: it was seen lately, and there was no leap of it for a day that the clocks do not agree
    /// on. Else the local clock may have been set since, or it was no time.
    pub is_sure: bool,
}

impl KeptLeaps {
    /// What time it is by the source when the local clock shows `local`. No earlier than what was seen: a local
    /// clock that shows an earlier time than then was set back, or is wrong.
    pub fn time(&self, local: DateTime<Utc>) -> KeptTime {
        let passed = local - self.seen_at;
        let at = match passed < TimeDelta::zero() {
            true => local.max(self.seen),
            false => self.seen.checked_add_signed(passed).unwrap_or(local),
        };
        let is_held = |leap: &KeptLeap| {
            let age = (local - leap.at).to_std().ok();
            age.is_none_or(|age| age < HELD)
        };
        let is_time = (at - local).abs() <= NO_TIME;
        let is_lately = is_time && (TimeDelta::zero()..=LATELY).contains(&passed);
        KeptTime {
            at: if is_time { at } else { local },
            is_sure: is_lately && !self.ahead.iter().any(is_held),
        }
    }
}

impl Leaps {
    /// What a process before has kept, as it is `now`.
    pub(crate) fn restored(kept: KeptLeaps, now: Reading) -> Self {
        let passed = |since: DateTime<Utc>| (now.wall - since).max(TimeDelta::zero());
        let time = kept.seen.checked_add_signed(passed(kept.seen_at));
        let leap = |kept: KeptLeap| {
            let age = passed(kept.at).to_std().unwrap_or_default();
            Leap {
                since: kept.since,
                by: TimeDelta::try_seconds(kept.by_seconds).unwrap_or_default(),
                instant: now.instant.checked_sub(age).unwrap_or(now.instant),
            }
        };
        Self {
            seen: time.map(|time| Moment {
                time,
                instant: now.instant,
            }),
            ahead: kept.ahead.into_iter().map(leap).collect(),
            agreed: None,
        }
    }

    /// What the next process is to know, as it is `now`: also where no leap is doubted, as the next time that is
    /// told may be one. None before a time was told.
    pub(crate) fn kept(&self, now: Reading) -> Option<KeptLeaps> {
        let seen = self.seen?;
        let wall = |instant| now.wall.checked_sub_signed(now.since(instant));
        let leap = |leap: &Leap| {
            Some(KeptLeap {
                since: leap.since,
                by_seconds: leap.by.num_seconds(),
                at: wall(leap.instant)?,
            })
        };
        Some(KeptLeaps {
            ahead: self.ahead.iter().filter_map(leap).collect(),
            seen: seen.time,
            seen_at: wall(seen.instant)?,
        })
    }

    /// A time is told for the first time of all, and it is `ahead` of the local clock. Nothing where another was
    /// seen before.
    pub(crate) fn begin(&mut self, now: Moment, ahead: Option<TimeDelta>) {
        if self.seen.is_some() {
            return;
        }
        self.seen = Some(now);
        self.ahead.extend(ahead.map(|by| Leap {
            since: now.time,
            by,
            instant: now.instant,
        }));
    }

    /// What of the time that has passed for `certain` has passed also if a leap ahead was wrong.
    pub(crate) fn surely(&self, certain: DateTime<Utc>, now: Instant) -> DateTime<Utc> {
        let is_held = |leap: &&Leap| now.saturating_duration_since(leap.instant) < HELD;
        let held = self.ahead.iter().filter(is_held);
        let before = held.filter_map(|leap| leap.since.checked_sub_signed(leap.by));
        before.fold(certain, DateTime::min)
    }

    /// It is `now`, and the source's clock is ahead of the local one by `skew`, if that is known. When the
    /// time had leapt ahead, if it has gone back by most of that.
    pub(crate) fn look(&mut self, now: Moment, skew: Option<TimeDelta>) -> Option<UndoneLeap> {
        let seen = self.seen.replace(now)?;
        let passed = now.instant.saturating_duration_since(seen.instant);
        let expected = TimeDelta::from_std(passed)
            .ok()
            .and_then(|passed| seen.time.checked_add_signed(passed))?;
        let jump = now.time - expected;
        if jump > SAME {
            self.leapt(Leap {
                since: now.time,
                by: jump,
                instant: now.instant,
            });
        }
        let before = self.agreed.filter(|_| jump.abs() <= SAME);
        let agree = skew.is_some_and(|skew| skew.abs() <= SAME);
        self.agreed = agree.then(|| before.unwrap_or(now.instant));
        let is_confirmed =
            |since: Instant| now.instant.saturating_duration_since(since) >= CONFIRMED;
        if self.agreed.is_some_and(is_confirmed) {
            self.ahead.clear();
        }
        let back = -jump;
        let is_undone = |leap: &Leap| back > SAME && back * 2 >= leap.by;
        let mut undone = self.ahead.iter().filter(|leap| is_undone(leap));
        let first = undone.next()?;
        let undone = UndoneLeap {
            since: first.since,
            by: match undone.next() {
                // The step back tells how far it was.
                None => first.by.max(back),
                Some(_) => first.by,
            },
        };
        self.ahead.retain(|leap| !is_undone(leap));
        Some(undone)
    }

    fn leapt(&mut self, leap: Leap) {
        self.ahead.push(leap);
        if self.ahead.len() > MOST {
            let oldest = self.ahead.remove(0);
            if let Some(next) = self.ahead.first_mut() {
                *next = Leap {
                    since: oldest.since,
                    by: oldest.by.max(next.by),
                    ..*next
                };
            }
        }
    }
}

#[cfg(test)]
mod tests;
