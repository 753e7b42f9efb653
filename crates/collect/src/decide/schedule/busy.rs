//! The windows that are being read, or whose rows are not all accepted yet.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

/// The windows that are being read, or whose rows are not all accepted yet: nobody else asks for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy {
    /// Each, and since when.
    windows: Vec<(Window, DateTime<Utc>)>,
    /// Of the windows that were released since they were looked at, the oldest start, and since when one was
    /// busy.
    released: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Busy {
    /// A window is being read since `now`; where the time is not known yet, perhaps for long.
    pub(super) fn push(&mut self, window: Window, now: Option<DateTime<Utc>>) {
        let since = now.unwrap_or(DateTime::<Utc>::MIN_UTC);
        self.windows.push((window, since));
    }

    pub(super) fn release(&mut self, window: Window) {
        let mut busy = self.windows.iter();
        let Some(place) = busy.position(|(busy, _)| *busy == window) else {
            return;
        };
        let (_, since) = self.windows.swap_remove(place);
        let (oldest, earliest) = self.released.unwrap_or((window.start(), since));
        self.released = Some((oldest.min(window.start()), earliest.min(since)));
    }

    /// Whether something received before `instant` was busy for so long until now that it could not be read
    /// meanwhile. What was released is forgotten.
    pub(super) fn has_held(
        &mut self,
        instant: DateTime<Utc>,
        now: DateTime<Utc>,
        long: TimeDelta,
    ) -> bool {
        let released = self.released.take();
        released.is_some_and(|(oldest, since)| oldest < instant && now - since >= long)
    }

    pub(super) fn windows(&self) -> impl Iterator<Item = Window> {
        self.windows.iter().map(|(window, _)| *window)
    }

    /// Whether some of a window is busy.
    pub(super) fn meets(&self, window: Window) -> bool {
        self.windows()
            .any(|busy| busy.intersection(window).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{at_second as at, seconds};

    #[test]
    fn only_what_was_held_for_long_counts_and_only_once() {
        let window = seconds(0, 60);
        let held_since = |since: Option<DateTime<Utc>>| {
            let mut busy = Busy::default();
            busy.push(window, since);
            let look = |busy: &mut Busy| busy.has_held(at(30), at(1000), TimeDelta::seconds(500));
            assert!(!look(&mut busy), "it is still busy");
            busy.release(window);
            let held = look(&mut busy);
            assert!(!look(&mut busy), "it was looked at");
            held
        };
        assert!(held_since(Some(at(400))));
        assert!(!held_since(Some(at(600))));
        // Before the time is known nobody can say for how long.
        assert!(held_since(None));
    }

    #[test]
    fn what_was_received_later_was_not_held() {
        for (instant, is_held) in [(at(0), false), (at(1), true)] {
            let window = seconds(0, 60);
            let mut busy = Busy::default();
            busy.push(window, None);
            busy.release(window);
            let held = busy.has_held(instant, at(1000), TimeDelta::seconds(500));
            assert_eq!(held, is_held, "{instant}");
        }
    }
}
