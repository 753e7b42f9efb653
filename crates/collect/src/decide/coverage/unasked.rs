//! What nobody has asked for.

use rows::Window;

use crate::decide::coverage::{Coverage, Phase, windows::with};

/// As many such windows are remembered. Of more, neighbors become one, with what was read between them: a
/// backfill asks for that once more. So none of it ever counts as read that was not.
const MOST_UNASKED: usize = 1000;

impl Coverage {
    pub(super) fn nobody_asks(&mut self, window: Window) {
        self.unasked = with(&self.unasked, window);
        while self.unasked.len() > MOST_UNASKED
            && let Some(least) = self.least_between_unasked()
        {
            self.unasked = with(&self.unasked, least);
        }
    }

    /// The shortest window between two of them that is done with; none when there is none.
    fn least_between_unasked(&self) -> Option<Window> {
        let next = self.unasked.iter().skip(1);
        let pairs = self.unasked.iter().zip(next);
        let between = pairs.filter_map(|(one, next)| Window::new(one.end(), next.start()));
        let done = between.filter(|window| self.is_done(*window));
        done.min_by_key(Window::span)
    }

    /// Whether all of a window was read for the last time.
    fn is_done(&self, window: Window) -> bool {
        let open = self.stretches.iter();
        let open = open.filter(|stretch| stretch.phase != Phase::Final);
        let open = open.map(|stretch| stretch.window);
        let named = self.lost.iter().chain(&self.skipped).copied();
        let mut others = open.chain(named);
        others.all(|other| other.intersection(window).is_none())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::testing::{at_minute as at, minutes as window};

    /// One window more than is remembered, ten minutes each, and a minute apart.
    fn windows() -> Vec<Window> {
        let numbers = 0..=i64::try_from(MOST_UNASKED).unwrap();
        numbers.map(|one| window(one * 11, one * 11 + 10)).collect()
    }

    /// A timeline until the end of them that is done with.
    fn done() -> Coverage {
        let end = 11 * i64::try_from(MOST_UNASKED).unwrap() + 100;
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, end), at(end + 100), 0);
        coverage.settle(TimeDelta::minutes(60), at(end + 100));
        assert_eq!(coverage.floor(), at(end));
        coverage
    }

    #[test]
    fn of_too_many_windows_none_is_forgotten() {
        let mut coverage = done();
        for window in windows() {
            coverage.nobody_asks(window);
            assert!(coverage.unasked.len() <= MOST_UNASKED);
        }
        // The first two are one.
        assert_eq!(coverage.unasked[..2], [window(0, 21), window(22, 32)]);
        coverage.backfill(window(0, 20_000), false);
        for window in windows() {
            let all = |wanted: Window| wanted.intersection(window) == Some(window);
            assert!(coverage.wanted().any(all), "{window}");
        }
    }

    /// Else the checkpoint would not wait for it any more, or it would be told twice.
    #[test]
    fn they_are_joined_over_nothing_that_is_still_to_be_read_or_has_a_name() {
        let (missing, lost) = (window(10, 11), window(21, 22));
        let mut coverage = done();
        coverage.want(missing);
        coverage.lost = vec![lost];
        coverage.skipped = vec![window(32, 33)];
        for window in windows() {
            coverage.nobody_asks(window);
        }
        assert_eq!(coverage.unasked.len(), MOST_UNASKED);
        assert_eq!(coverage.unasked[3..5], [window(33, 54), window(55, 65)]);
        assert_eq!(coverage.missing().collect::<Vec<_>>(), [missing]);
        assert_eq!(coverage.lost(), [lost]);
        // There is nothing between them to be joined over.
        coverage.stretches.clear();
        coverage.floor = at(0);
        coverage.reach(at(20_000));
        coverage.unasked.clear();
        for window in windows() {
            coverage.nobody_asks(window);
        }
        assert_eq!(coverage.unasked, windows());
    }
}
