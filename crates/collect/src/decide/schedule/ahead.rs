//! How long rows are looked for where the source's time is ahead of what is certain.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use super::{Schedule, ScheduleSettings};
use crate::decide::coverage::AHEAD;

impl Schedule {
    /// The source's time is ahead of what is certain by so much. Nobody knows which clock is right, and what is read
    /// counts for both of them: rows are looked for by as much longer.
    pub fn set_ahead(&mut self, ahead: TimeDelta) {
        let ScheduleSettings {
            settle_time, delay, ..
        } = self.settings;
        // What is older would be refused.
        let asked_for = self.settings.limits.retention * 9 / 10;
        let ahead = ahead.min(asked_for - settle_time - delay - AHEAD);
        if (ahead - self.ahead).abs() <= AHEAD {
            return;
        }
        let before = self.looked_for();
        self.ahead = match ahead > AHEAD {
            true => ahead,
            false => TimeDelta::zero(),
        };
        // What the longer time would have read again has a last reading.
        self.coverage.shorten(before, self.looked_for());
    }

    /// For how long after their reception, by the source's clock, rows are looked for.
    pub fn looked_for(&self) -> TimeDelta {
        self.settings.settle_time + self.longer()
    }

    /// By how much longer than by a clock that is certain.
    pub(super) fn longer(&self) -> TimeDelta {
        if self.ahead.is_zero() {
            return TimeDelta::zero();
        }
        // It may have become more since.
        let ahead = self.ahead + AHEAD;
        match self.settings.settle_time.is_zero() {
            // What is read once is read when the delay has passed.
            true => ahead + self.settings.delay,
            false => ahead,
        }
    }

    /// Whether all of a window will be read again that is read at this time.
    pub fn reads_again(&self, window: Window, began: DateTime<Utc>) -> bool {
        began - window.start() < self.looked_for()
    }
}
