//! How far it has come, and whether it keeps up.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use super::{COARSE, LATE, LONGEST_SETTLE_TIME, NEAR_THE_END, Schedule, ScheduleSettings};

/// How far a collection is behind the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointLag {
    /// The oldest instant that is missing.
    pub checkpoint: DateTime<Utc>,
    /// How old it is.
    pub age: TimeDelta,
    /// From which age on the collection is behind.
    pub behind_from: TimeDelta,
}

/// What a collection has never read by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingTime {
    /// How old its oldest instant is by the source's clock; zero when there is none.
    pub age: TimeDelta,
    /// How much it is.
    pub span: TimeDelta,
    /// In how many pieces.
    pub gaps: usize,
}

impl Schedule {
    /// How many times later than it should the past is read again, when that is worth a word.
    pub fn coarseness(&self) -> Option<f64> {
        let now = self.tick?;
        let most = self
            .runs(now)
            .iter()
            .map(|run| run.overdue)
            .fold(1.0, f64::max);
        (self.budget.is_exhausted(self.is_spare) && most >= COARSE).then_some(most)
    }

    /// A settle time that would catch more, when many rows still surface near its end.
    pub fn better_settle_time(&self) -> Option<TimeDelta> {
        let now = self.settings.settle_time;
        let near_the_end = self.lateness.beyond(now * 3 / 4)?;
        // It is set in whole hours.
        let longer = (now * 3 / 2).max(now + TimeDelta::hours(1));
        let better = longer.min(LONGEST_SETTLE_TIME);
        let can_be_longer = now > TimeDelta::zero() && better > now;
        // By a time that is ahead rows seem to be late that are not.
        let is_known = self.ahead.is_zero() && near_the_end > NEAR_THE_END;
        (is_known && can_be_longer).then_some(better)
    }

    /// How far the collection has come; none when it has no live edge.
    pub fn checkpoint_lag(&self, now: DateTime<Utc>) -> Option<CheckpointLag> {
        self.lag_of(self.coverage.checkpoint(), now)
    }

    /// The same of one with this checkpoint.
    pub(crate) fn lag_of(
        &self,
        checkpoint: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<CheckpointLag> {
        let ScheduleSettings {
            frequency, delay, ..
        } = self.settings;
        self.is_collecting().then(|| CheckpointLag {
            checkpoint,
            age: now - checkpoint,
            behind_from: delay + frequency + LATE,
        })
    }

    /// What was never read, with what nobody could ask for since the live edge was due, as while the source
    /// refuses its window.
    pub fn missing_time(&self, now: DateTime<Utc>) -> MissingTime {
        let mut since = self.coverage.missing().next().map(|gap| gap.start());
        let mut missing = MissingTime {
            age: TimeDelta::zero(),
            span: self.missing(),
            gaps: self.coverage.missing().count(),
        };
        let edge = self.coverage.edge();
        let is_late = |lag: CheckpointLag| now - edge > lag.behind_from;
        if self.checkpoint_lag(now).is_some_and(is_late)
            && let Some(late) = Window::new(edge, now - self.settings.delay)
        {
            since.get_or_insert(edge);
            missing.span += late.span();
            let last = self.coverage.missing().last();
            missing.gaps += usize::from(last.is_none_or(|gap| gap.end() < edge));
        }
        let age = since.map(|since| now - since);
        missing.age = missing.age.max(age.unwrap_or_default());
        missing
    }

    /// How much of the timeline has never been read to its end.
    pub fn missing(&self) -> TimeDelta {
        let missing = self.coverage.missing().map(|window| window.span());
        missing.fold(TimeDelta::zero(), |sum, span| sum + span)
    }
}
