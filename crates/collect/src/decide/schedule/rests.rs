//! Windows that fail while others are answered: they rest, and the others are read meanwhile.
//!
//! A window that always fails would keep its reader for ever otherwise, and two of them all that is read
//! beside the live edge. None is skipped: each is asked for again, in halves, until it was read.
//!
//! Where no page comes whole, it is not the window that fails: it is asked for again as soon as one does.

use std::time::Duration;

use rows::Window;
use tokio::time::Instant;

use super::{SHORTEST_SPAN, Schedule};
use crate::decide::{
    coverage::windows::{is_part, joins, with, without},
    spans::whole_seconds,
};

/// So many windows rest at once, at most: each costs a few requests now and then.
const MOST: usize = 16;

/// What becomes one window with others waits no longer than so beyond the first of them: where new ones rest every
/// minute, it would never be asked for again. It is the longest pause that a source may wish for.
const LONGER: Duration = Duration::from_secs(300);

/// What was woken as a page came whole, and rests again, is not woken like that before: of a service some of
/// whose pages come whole, and others never, nobody asks more often for that.
const WOKEN_ANEW: Duration = Duration::from_secs(480);

/// A window that rests.
#[derive(Clone, Copy, Debug)]
struct Resting {
    window: Window,
    /// From then on it is asked for again.
    until: Instant,
    /// When the first of what has become one window was to be asked for again.
    first: Instant,
}

/// The windows that rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Rests {
    resting: Vec<Resting>,
    /// Those that have rested, and were not read since.
    pub(super) rested: Vec<Window>,
    /// Those that could not be read whole, and were not read in narrower ones since.
    pub(super) narrowed: Vec<Window>,
    /// Those that rest as no page came whole, and when such were woken last.
    with_others: Vec<Window>,
    woken: Option<Instant>,
}

impl Rests {
    /// Whether there is room for this window, in which case it rests.
    fn add(&mut self, window: Window, until: Instant) -> bool {
        if self.resting.len() >= MOST {
            self.join();
        }
        let has_room = self.resting.len() < MOST;
        if has_room {
            let first = until;
            self.resting.push(Resting {
                window,
                until,
                first,
            });
        }
        has_room
    }

    /// Makes one of those that follow each other.
    fn join(&mut self) {
        self.resting.sort_by_key(|one| one.window.start());
        self.resting.dedup_by(|next, last| {
            let are_one = joins(&mut last.window, next.window);
            if are_one {
                last.first = last.first.min(next.first);
                last.until = last.until.max(next.until).min(last.first + LONGER);
            }
            are_one
        });
    }

    pub(super) fn windows(&self) -> impl Iterator<Item = Window> {
        self.resting.iter().map(|one| one.window)
    }
}

impl Schedule {
    /// A window fails while others are answered. It is given back, and nobody asks for it until then.
    /// Whether it rests: when too many do, nothing has changed.
    pub fn rest(&mut self, window: Window, until: Instant) -> bool {
        let rests = self.rests.add(window, until);
        if rests {
            self.rests.with_others = without(&self.rests.with_others, [window]);
            self.give_back(window);
            // Windows beside it are asked for without it.
            self.cuts.extend([window.start(), window.end()]);
        }
        rests
    }

    /// When a window rests, it does so as no page comes whole.
    pub fn rests_with_others(&mut self, window: Window) {
        if self.rests.windows().any(|one| is_part(window, one)) {
            self.rests.with_others = with(&self.rests.with_others, window);
        }
    }

    /// A page with rows came whole: what rests as none did rests no longer, unless that was tried lately.
    pub fn wake_with_others(&mut self, now: Instant) {
        let rests = &mut self.rests;
        let lately = rests
            .woken
            .is_some_and(|woken| now.saturating_duration_since(woken) < WOKEN_ANEW);
        if lately || rests.with_others.is_empty() {
            return;
        }
        rests.woken = Some(now);
        for resting in &mut rests.resting {
            let mut with_others = rests.with_others.iter();
            if with_others.any(|one| is_part(resting.window, *one)) {
                resting.until = now.min(resting.until);
            }
        }
    }

    /// How many windows rest.
    pub fn resting(&self) -> usize {
        self.rests.resting.len()
    }

    /// Whether all of a window has rested, and was not read since: one more failure is enough.
    pub fn has_rested(&self, window: Window) -> bool {
        let mut rested = self.rests.rested.iter();
        rested.any(|one| is_part(window, *one))
    }

    /// What settles, was asked for in vain, and was not read since.
    pub(super) fn failing(&self) -> impl Iterator<Item = Window> {
        self.coverage.settling().flat_map(|one| {
            let in_vain = self.rests.rested.iter().chain(&self.rests.narrowed);
            in_vain.filter_map(|failed| failed.intersection(one.window))
        })
    }

    /// What has rested long enough is asked for again, in halves: what fails may be in one of them only.
    pub fn wake(&mut self, now: Instant) {
        let due = self.rests.resting.extract_if(.., |one| one.until <= now);
        for Resting { window, .. } in due {
            self.rests.rested = with(&self.rests.rested, window);
            self.rests.with_others = without(&self.rests.with_others, [window]);
            let half = whole_seconds(window.span() / 2);
            if half >= SHORTEST_SPAN {
                self.cuts.insert(window.start() + half);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Lane,
        decide::{
            coverage::Coverage,
            lateness::Lateness,
            schedule::tests::{SETTINGS, complete},
        },
        testing::{at_second as at, seconds as window},
    };

    #[test]
    fn windows_that_follow_each_other_are_joined_when_there_is_no_room() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut rests = Rests::default();
        for n in 0..MOST {
            let start = 10 * i64::try_from(n).unwrap();
            assert!(rests.add(window(start, start + 5), now));
        }
        assert!(!rests.add(window(1000, 1001), now), "none follows another");
        rests.resting.pop();
        assert!(rests.add(window(5, 10), later));
        assert!(rests.add(window(1000, 1001), now));
        let joined = rests.resting.first().map(|one| (one.window, one.until));
        assert_eq!(joined, Some((window(0, 15), later)));
        assert_eq!(rests.windows().count(), MOST - 1);
    }

    /// Else it would never be asked for again.
    #[test]
    fn what_new_ones_are_joined_to_waits_for_little_longer_than_it_would_have() {
        let (mut rests, until) = (Rests::default(), Instant::now());
        for minute in 0..100 {
            let start = 60 * i64::try_from(minute).unwrap();
            let until = until + Duration::from_secs(60 * minute);
            assert!(rests.add(window(start, start + 60), until));
        }
        let first = rests.resting.first().unwrap();
        assert_eq!(first.until, until + LONGER);
    }

    #[test]
    fn what_has_rested_is_asked_for_in_halves_and_has_rested_until_it_is_read() {
        let coverage = Coverage::new(at(0));
        let mut schedule = Schedule::new(SETTINGS, coverage, Lateness::default());
        let failing = schedule.live(at(60)).unwrap();
        assert_eq!(failing, window(0, 60));
        let now = Instant::now();
        let until = now + Duration::from_secs(600);
        assert!(schedule.rest(failing, until));
        assert_eq!(
            (schedule.resting(), schedule.has_rested(failing)),
            (1, false)
        );
        assert_eq!(schedule.live(at(120)), Some(window(60, 120)));
        complete(&mut schedule, window(60, 120), at(120), 0, at(120));
        schedule.wake(until.checked_sub(Duration::from_secs(1)).unwrap());
        assert_eq!(schedule.never_read(), None);
        schedule.wake(until);
        assert_eq!(
            (schedule.resting(), schedule.has_rested(failing)),
            (0, true)
        );
        assert!(!schedule.has_rested(window(30, 90)), "not all of it has");
        let mut halves = [schedule.never_read(), schedule.never_read()];
        halves.sort_by_key(|half| half.map(|(_, window)| window.start()));
        let (read, other) = (window(0, 30), window(30, 60));
        assert_eq!(
            halves,
            [read, other].map(|half| Some((Lane::Backlog, half)))
        );
        complete(&mut schedule, read, at(120), 0, at(120));
        let rested = [read, other, failing].map(|one| schedule.has_rested(one));
        assert_eq!(rested, [false, true, false]);
    }

    /// Else what was received in an outage comes ten minutes after it, and more where many rest.
    #[test]
    fn what_rests_as_no_page_comes_whole_is_asked_for_again_as_soon_as_one_does() {
        let coverage = Coverage::new(at(0));
        let mut schedule = Schedule::new(SETTINGS, coverage, Lateness::default());
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let wakes = |schedule: &mut Schedule, seconds| {
            schedule.wake_with_others(later(seconds));
            schedule.wake(later(seconds));
            schedule.resting()
        };
        let first = schedule.live(at(60)).unwrap();
        assert!(schedule.rest(first, later(600)));
        schedule.rests_with_others(first);
        let of_its_own = schedule.live(at(120)).unwrap();
        assert!(schedule.rest(of_its_own, later(1200)));
        assert_eq!(wakes(&mut schedule, 10), 1);
        assert!(schedule.has_rested(first) && !schedule.has_rested(of_its_own));
        // It fails again, and others go on coming whole.
        let (_, half) = schedule.never_read().unwrap();
        assert!(schedule.rest(half, later(1200)));
        schedule.rests_with_others(half);
        assert_eq!(wakes(&mut schedule, 489), 2);
        assert_eq!(wakes(&mut schedule, 490), 1);
        // It is the window, after all.
        let (_, half) = schedule.never_read().unwrap();
        assert!(schedule.rest(half, later(1200)));
        assert_eq!(wakes(&mut schedule, 1199), 2);
        // One that does not rest is not remembered as one that does.
        schedule.rests_with_others(window(500, 600));
        assert!(schedule.rests.with_others.is_empty());
    }
}
