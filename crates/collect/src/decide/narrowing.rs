//! How wide windows may be while the source fails at wide ones.
//!
//! Services take too long over a window that holds more than they can look through, although it is
//! within all limits. Half as much is asked for with every failure, and twice as much with every
//! success, up to what has failed: that is tried again after a few successes, and after more of them
//! each time that it fails. So few requests fail at a source that has such a limit for good, and one
//! that has lost it is soon asked for wide windows again.

use chrono::TimeDelta;
use rows::Window;

use crate::Lane;

/// So many windows succeed before one is tried that is as wide as what has failed, and at most as many,
/// when that fails again and again.
const SUCCESSES: (u32, u32) = (4, 64);

/// A window may be shorter than wanted by this, as it ends at a full second.
const ROUNDED: TimeDelta = TimeDelta::seconds(1);

/// The bounds of the live edge, and of all else.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Narrowing {
    pub(crate) live: Bound,
    pub(crate) past: Bound,
}

/// The widest window that is asked for; none when nothing has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) most: Option<TimeDelta>,
    /// The narrowest window that has failed, since one as wide succeeded.
    failed: Option<TimeDelta>,
    /// So many windows must succeed before one as wide is tried, and so many have.
    wanted: u32,
    succeeded: u32,
}

impl Narrowing {
    pub(crate) fn of(&mut self, lane: Lane) -> &mut Bound {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Settle | Lane::Backlog | Lane::Backfill | Lane::Verify => &mut self.past,
        }
    }
}

impl Bound {
    /// Whether windows are kept narrower than what has failed. When one as wide may be tried, they are as wide
    /// as ever, also when there is no occasion for that.
    pub(crate) fn is_narrow(self) -> bool {
        self.most
            .is_some_and(|most| self.failed.is_none_or(|failed| most < failed))
    }

    /// No more than `most` is asked for from now on.
    pub(crate) fn limit(&mut self, most: TimeDelta) {
        self.most = Some(self.most.map_or(most, |before| before.min(most)));
    }

    /// A window of this span failed: no more than `most` is asked for.
    pub(crate) fn fail(&mut self, span: TimeDelta, most: TimeDelta) {
        self.limit(most);
        let (first, last) = SUCCESSES;
        match self.failed {
            None => self.wanted = first,
            Some(failed) if span >= failed => self.wanted = (self.wanted * 2).min(last),
            // It is still being found out what succeeds.
            Some(_) => {}
        }
        self.succeeded = 0;
        self.failed = Some(self.failed.map_or(span, |failed| failed.min(span)));
    }

    /// A window of this span succeeded. The bound is forgotten when windows never are as long.
    pub(crate) fn widen(&mut self, span: TimeDelta, longest: TimeDelta) {
        self.failed = self.failed.filter(|failed| span < *failed);
        let Some(most) = self.most else {
            return;
        };
        let mut next = most * 2;
        if let Some(failed) = self.failed.filter(|failed| next >= *failed) {
            if most >= failed {
                // One as wide is to be tried, and there was no occasion yet.
                return;
            }
            self.succeeded += 1;
            if self.succeeded < self.wanted {
                return;
            }
            self.succeeded = 0;
            next = next.max(failed + ROUNDED);
        }
        self.most = Some(next).filter(|most| *most < longest);
    }

    /// As much of the end of a window as may be asked for.
    pub(crate) fn end_of(self, window: Window) -> Window {
        let start = self.most.map_or(window.start(), |most| window.end() - most);
        Window::new(start.max(window.start()), window.end()).unwrap_or(window)
    }

    /// As much of its beginning.
    pub(crate) fn start_of(self, window: Window) -> Window {
        let end = self.most.map_or(window.end(), |most| window.start() + most);
        Window::new(window.start(), end.min(window.end())).unwrap_or(window)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const LONGEST: TimeDelta = TimeDelta::days(10);

    /// So many requests of a source that answers for windows of at most `limit`: how many of them fail.
    fn ask(bound: &mut Bound, requests: usize, limit: TimeDelta) -> usize {
        let mut fails = || {
            let span = bound.most.unwrap_or(LONGEST);
            match span > limit {
                true => bound.fail(span, span / 2),
                false => bound.widen(span, LONGEST),
            }
            span > limit
        };
        (0..requests).filter(|_| fails()).count()
    }

    #[test]
    fn twice_as_much_with_every_success_until_it_does_not_matter() {
        let minutes = TimeDelta::minutes;
        let at = |minutes: i64| DateTime::from_timestamp(minutes * 60, 0).unwrap();
        let window = Window::new(at(0), at(100)).unwrap();
        let mut bound = Bound::default();
        bound.widen(minutes(60), minutes(60));
        assert_eq!(
            (bound.end_of(window), bound.start_of(window)),
            (window, window)
        );
        bound.most = Some(minutes(10));
        assert_eq!(bound.end_of(window), Window::new(at(90), at(100)).unwrap());
        assert_eq!(bound.start_of(window), Window::new(at(0), at(10)).unwrap());
        let mut bounds = Vec::new();
        while let Some(most) = bound.most {
            bounds.push(most.num_minutes());
            bound.widen(most, minutes(80));
        }
        assert_eq!(bounds, [10, 20, 40], "none is longer than 80");
    }

    #[test]
    fn what_has_failed_is_tried_after_some_successes_and_after_more_when_it_fails_again() {
        let minutes = TimeDelta::minutes;
        let mut bound = Bound::default();
        bound.fail(minutes(40), minutes(20));
        bound.fail(minutes(20), minutes(10));
        // One that was asked for before is too much, too.
        bound.limit(minutes(30));
        for successes in [4, 8, 16, 32, 64, 64] {
            for _ in 0..successes {
                assert_eq!(bound.most, Some(minutes(10)), "{successes}");
                bound.widen(minutes(10), LONGEST);
            }
            let tried = bound.most.unwrap();
            assert!(tried > minutes(20) && tried < minutes(21), "{tried}");
            // A narrower one tells nothing of it.
            bound.widen(minutes(10), LONGEST);
            assert_eq!(bound.most, Some(tried));
            bound.fail(tried, minutes(10));
        }
        // One that was asked for before succeeds: the way is free.
        bound.widen(minutes(20), LONGEST);
        bound.widen(minutes(20), LONGEST);
        assert_eq!(bound.most, Some(minutes(40)));
    }

    /// Else all of them would be asked for at a walk.
    #[test]
    fn windows_that_never_are_as_wide_as_what_has_failed_are_not_kept_narrow_for_ever() {
        let minutes = TimeDelta::minutes;
        let mut bound = Bound::default();
        assert!(!bound.is_narrow());
        for successes in [4, 8] {
            bound.fail(minutes(40), minutes(20));
            for _ in 0..successes {
                assert!(bound.is_narrow());
                bound.widen(minutes(1), LONGEST);
            }
            assert!(!bound.is_narrow(), "one as wide may be asked for");
            bound.widen(minutes(1), LONGEST);
            assert!(!bound.is_narrow() && bound.most > Some(minutes(40)));
        }
    }

    #[test]
    fn few_requests_fail_at_a_limit_that_stays_and_it_is_noticed_when_it_goes() {
        let mut bound = Bound::default();
        for (limit, most) in [(600, 60), (7, 60), (7, 35), (1800, 60)] {
            let failed = ask(&mut bound, 2000, TimeDelta::seconds(limit));
            assert!(failed <= most, "{limit}: {failed}");
        }
        let failed = ask(&mut bound, 100, LONGEST);
        assert_eq!((failed, bound.most), (0, None));
    }
}
