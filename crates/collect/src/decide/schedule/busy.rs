//! The windows that are being read, or whose rows are not all accepted yet.

use std::ops::Deref;

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

/// The windows that are being read, or whose rows are not all accepted yet: nobody else asks for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy {
    windows: Vec<Window>,
    /// Since when, in the order of the windows; none when the time was not known.
    since: Vec<Option<DateTime<Utc>>>,
    /// Of the windows that were released since they were looked at, the oldest start, and since when one was
    /// busy.
    released: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Busy {
    /// A window is being read since `now`.
    pub(super) fn push(&mut self, window: Window, now: Option<DateTime<Utc>>) {
        self.windows.push(window);
        self.since.push(now);
    }

    /// A window is free again.
    pub(super) fn release(&mut self, window: Window) {
        let Some(place) = self.windows.iter().position(|busy| *busy == window) else {
            return;
        };
        self.windows.swap_remove(place);
        if let Some(since) = self.since.swap_remove(place) {
            let (oldest, earliest) = self.released.unwrap_or((window.start(), since));
            self.released = Some((oldest.min(window.start()), earliest.min(since)));
        }
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

    #[cfg(test)]
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Deref for Busy {
    type Target = [Window];

    fn deref(&self) -> &[Window] {
        &self.windows
    }
}
