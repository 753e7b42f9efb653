//! How wide windows may be while the source fails at wide ones.
//!
//! Services take too long over a window that holds more than they can look through, although it is
//! within all limits. Half as much is asked for with every failure, and twice as much with every
//! success, until it does not matter any more.

use chrono::TimeDelta;
use rows::Window;

use crate::Lane;

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
    /// A window succeeded. The bound is forgotten when windows never are as long.
    pub(crate) fn widen(&mut self, longest: TimeDelta) {
        let twice = self.most.map(|most| most * 2);
        self.most = twice.filter(|most| *most < longest);
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

    #[test]
    fn twice_as_much_with_every_success_until_it_does_not_matter() {
        let minutes = TimeDelta::minutes;
        let at = |minutes: i64| DateTime::from_timestamp(minutes * 60, 0).unwrap();
        let window = Window::new(at(0), at(100)).unwrap();
        let mut bound = Bound::default();
        bound.widen(minutes(60));
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
            bound.widen(minutes(60));
        }
        assert_eq!(bounds, [10, 20, 40]);
    }
}
