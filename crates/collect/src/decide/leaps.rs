//! Jumps of the source's time: of which readings it is not known when they were.
//!
//! While a wrong clock is believed that runs ahead, windows are read before they have happened, and
//! readings count as later than they were. When the time goes back, what was read since it had leapt
//! ahead is doubted. So that a restart does not end that, the time that was seen is kept with the timeline; what
//! has passed while nothing ran, the local clock tells.
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

    /// What of the time that has passed for `certain` has passed also if a leap ahead was wrong.
    pub(crate) fn surely(&self, certain: DateTime<Utc>, now: Instant) -> DateTime<Utc> {
        let is_held = |leap: &&Leap| now.saturating_duration_since(leap.instant) < HELD;
        let held = self.ahead.iter().filter(is_held);
        let before = held.filter_map(|leap| leap.since.checked_sub_signed(leap.by));
        before.fold(certain, DateTime::min)
    }

    /// It is `now`, and the source's clock is ahead of the local one by `skew`, if that is known. When the
    /// time had leapt ahead, if it has gone back by most of that: of several such leaps the first, as nobody
    /// knows which of them is undone.
    pub(crate) fn look(&mut self, now: Moment, skew: Option<TimeDelta>) -> Option<DateTime<Utc>> {
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
        let first = self.ahead.iter().find(|leap| is_undone(leap))?.since;
        self.ahead.retain(|leap| !is_undone(leap));
        Some(first)
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
mod tests {
    use super::*;

    /// What is doubted after each look: seconds of the source's time, of ours, and how far both clocks are
    /// apart.
    fn doubted(looks: &[(i64, u64, i64)]) -> Vec<Option<i64>> {
        let (mut leaps, start) = (Leaps::default(), Instant::now());
        let looks = looks.iter().map(|(time, passed, skew)| {
            let now = Moment {
                time: DateTime::from_timestamp(*time, 0).unwrap(),
                instant: start + Duration::from_secs(*passed),
            };
            let skew = Some(TimeDelta::seconds(*skew));
            leaps.look(now, skew).map(|since| since.timestamp())
        });
        looks.collect()
    }

    #[test]
    fn what_was_read_while_the_time_ran_ahead_is_doubted_when_it_goes_back() {
        let ahead = [
            (1000, 0, 0),
            (1060, 60, 0),
            (4720, 120, 3600),
            (5320, 720, 3600),
            (1780, 780, 0),
            (1840, 840, 0),
        ];
        assert_eq!(doubted(&ahead), [None, None, None, None, Some(4720), None]);
        let twice = [(1000, 0, 0), (2000, 10, 990), (9000, 20, 0), (1030, 30, 0)];
        assert_eq!(doubted(&twice), [None, None, None, Some(2000)]);
    }

    /// What is final is not doubted any more when the time goes back.
    #[test]
    fn nothing_that_was_read_since_a_leap_is_final_until_both_clocks_agree_or_for_a_day() {
        // What is sure after so many seconds, when the local clock says that all of them have passed.
        let sure = |skew: i64, last: u64| {
            let (mut leaps, start) = (Leaps::default(), Instant::now());
            let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
            for (ahead, passed) in [(0, 0), (7200, 60), (7200, last)] {
                let now = Moment {
                    time: at(1000 + ahead + i64::try_from(passed).unwrap()),
                    instant: start + Duration::from_secs(passed),
                };
                let skew = Some(TimeDelta::seconds(skew));
                assert_eq!(leaps.look(now, skew), None);
            }
            let local = at(1000 + i64::try_from(last).unwrap());
            let now = start + Duration::from_secs(last);
            leaps.surely(local, now).timestamp() - 1000
        };
        assert_eq!(sure(7200, 10_000), 60);
        assert_eq!(sure(7200, 60 + 86_399), 60);
        assert_eq!(sure(7200, 60 + 86_400), 60 + 86_400);
        assert_eq!(sure(0, 60 + 3599), 60);
        assert_eq!(sure(0, 60 + 3600), 60 + 3600, "the machine has slept");
    }

    /// Else what was read while the time ran ahead is final after a restart, however early that was.
    #[test]
    fn a_leap_is_doubted_over_a_restart() {
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        let (start, skew) = (Instant::now(), Some(TimeDelta::seconds(3600)));
        let reading = |passed: u64| Reading {
            wall: at(1000 + i64::try_from(passed).unwrap()),
            instant: start + Duration::from_secs(passed),
        };
        let moment = |ahead: i64, passed: u64| Moment {
            time: reading(passed).wall + TimeDelta::seconds(ahead),
            instant: reading(passed).instant,
        };
        let mut leaps = Leaps::default();
        assert_eq!(leaps.kept(reading(0)), None);
        assert_eq!(leaps.look(moment(0, 0), Some(TimeDelta::zero())), None);
        assert_eq!(leaps.look(moment(3600, 60), skew), None);
        assert_eq!(leaps.look(moment(3600, 600), skew), None);
        let kept = leaps.kept(reading(900)).unwrap();
        let kept: KeptLeaps = serde_json::from_value(serde_json::to_value(kept).unwrap()).unwrap();
        let restored = || Leaps::restored(kept.clone(), reading(2000));
        let sure = restored().surely(at(9000), reading(2000).instant);
        assert_eq!(sure, at(1060), "nothing later is final");
        let since = Some(at(1060 + 3600));
        assert_eq!(
            restored().look(moment(0, 2010), Some(TimeDelta::zero())),
            since
        );
        let mut still_ahead = restored();
        assert_eq!(still_ahead.look(moment(3600, 2010), skew), None);
        assert_eq!(
            still_ahead.look(moment(0, 3000), Some(TimeDelta::zero())),
            since
        );
        let day = 60 + HELD.as_secs();
        let later = Leaps::restored(kept.clone(), reading(day));
        assert_eq!(later.surely(at(9000), reading(day).instant), at(9000));
    }

    /// A process may begin with a service whose time is wrong.
    #[test]
    fn a_leap_that_a_process_begins_with_is_doubted_when_the_time_goes_back() {
        let start = Instant::now();
        let at = |seconds: i64| DateTime::from_timestamp(100_000 + seconds, 0).unwrap();
        let now = |time: i64, passed: u64| Moment {
            time: at(time),
            instant: start + Duration::from_secs(passed),
        };
        let skew = |seconds| Some(TimeDelta::seconds(seconds));
        let reading = |passed: u64| Reading {
            wall: at(i64::try_from(passed).unwrap()),
            instant: start + Duration::from_secs(passed),
        };
        let mut before = Leaps::default();
        assert_eq!(before.look(now(0, 0), skew(0)), None);
        let kept = before.kept(reading(10)).unwrap();
        let mut leaps = Leaps::restored(kept, reading(60));
        assert_eq!(leaps.look(now(9060, 60), skew(9000)), None);
        let sure = leaps.surely(at(5000), start + Duration::from_secs(5000));
        assert_eq!(sure, at(60), "what comes late is not final");
        let back = leaps.look(now(5000, 5000), skew(0));
        assert_eq!(back, Some(at(9060)));
        // The local clock is as wrong as before.
        let mut before = Leaps::default();
        assert_eq!(before.look(now(9000, 0), skew(9000)), None);
        let kept = before.kept(reading(10)).unwrap();
        let mut leaps = Leaps::restored(kept, reading(60));
        assert_eq!(leaps.look(now(9060, 60), skew(9000)), None);
        assert!(leaps.ahead.is_empty());
    }

    /// Where no answer tells the time, it is not known of a machine that it has only slept.
    #[test]
    fn a_wrong_leap_is_doubted_and_held_however_often_the_machine_has_slept() {
        let start = Instant::now();
        let hour = 3600;
        let look = |leaps: &mut Leaps, time: i64, passed: u64| {
            let now = Moment {
                time: DateTime::from_timestamp(time, 0).unwrap(),
                instant: start + Duration::from_secs(passed),
            };
            leaps.look(now, None).map(|since| since.timestamp())
        };
        let sure = |leaps: &Leaps, passed: u64| {
            let now = start + Duration::from_secs(passed);
            let certain = DateTime::from_timestamp(10_000_000, 0).unwrap();
            leaps.surely(certain, now).timestamp()
        };
        let mut leaps = Leaps::default();
        let mut at = 0;
        assert_eq!(look(&mut leaps, at, 0), None);
        // Each day it works for sixteen hours and sleeps for eight.
        let work = 16 * 3600;
        for day in 1..=3 {
            at += 24 * hour;
            assert_eq!(look(&mut leaps, at, day * work), None);
        }
        // What was read before the last two of them is final: these came in the last day of work.
        assert_eq!(sure(&leaps, 3 * work), 40 * hour);
        assert_eq!(sure(&leaps, 3 * work + work), 64 * hour);
        // A clock that is ahead by an hour, and is put right.
        assert_eq!(look(&mut leaps, at + hour + 60, 3 * work + 60), None);
        let undone = look(&mut leaps, at + 7200, 3 * work + 7200);
        assert_eq!(undone, Some(at + hour + 60));
        assert_eq!(look(&mut leaps, at + 7260, 3 * work + 7260), None);
        assert_eq!(leaps.ahead.len(), 3, "nothing tells of the others");
        // As many as there may be.
        for leap in 0..100 {
            let (time, passed) = (at + 10_000 + leap * hour, 3 * work + 7300);
            look(&mut leaps, time, passed);
            assert!(leaps.ahead.len() <= MOST);
        }
        assert_eq!(leaps.ahead.len(), MOST);
        assert_eq!(
            sure(&leaps, 3 * work + 7300),
            16 * hour,
            "the oldest is remembered"
        );
        let back = look(&mut leaps, at + 10_000, 3 * work + 7300);
        assert_eq!(back, Some(24 * hour));
    }

    #[test]
    fn small_jumps_and_those_back_alone_are_no_leaps() {
        let small = [(1000, 0, 0), (1070, 60, 0), (1120, 120, 0)];
        assert_eq!(doubted(&small), [None; 3]);
        assert_eq!(doubted(&[(9000, 0, 0), (1000, 60, 0)]), [None; 2]);
        // By ten seconds either way.
        let ahead = [(1000, 0, 0), (1070, 60, 0), (1119, 120, 0)];
        assert_eq!(doubted(&ahead), [None; 3]);
        let back = [(1000, 0, 0), (1075, 60, 0), (1125, 120, 0)];
        assert_eq!(doubted(&back), [None; 3]);
        // A clock was set right, by an hour, and then goes back by seconds.
        let right = [(1000, 0, 0), (4600, 0, 0), (4640, 60, 0)];
        assert_eq!(doubted(&right), [None; 3]);
    }

    #[test]
    fn a_leap_is_forgotten_when_both_clocks_have_agreed_on_it_for_an_hour() {
        // What comes after a leap by an hour, and a step back at last.
        let doubts = |skews: [i64; 3], last: u64| {
            let at = |passed: u64| 4600 + i64::try_from(passed).unwrap();
            let looks = [
                (1000, 0, 0),
                (at(10), 10, skews[0]),
                (at(2000), 2000, skews[1]),
                (at(last), last, skews[2]),
                (at(last) - 3600, last, 0),
            ];
            doubted(&looks)[4].is_some()
        };
        assert!(!doubts([0; 3], 3610), "the machine has slept");
        assert!(doubts([0; 3], 3609));
        assert!(doubts([3600; 3], 90_000), "a lie may last");
        assert!(doubts([0, 3600, 0], 5600), "both agree, but not for long");
        assert!(!doubts([3600, 0, 0], 5600));
    }
}
