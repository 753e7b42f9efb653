//! The one clock: wall time for everybody, so that tests decide what time it is.
//!
//! Waiting is tokio's (`tokio::time`), which tests pause and advance; [`Clock::virtual_from`] ties
//! wall time to it, so that both move together.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Tells wall time. Clones share the same source.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The time of the machine.
    pub fn system() -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "the one place that asks the machine"
        )]
        Self(Arc::new(Utc::now))
    }

    /// A clock with this source of time.
    pub fn new(source: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// A clock that shows `start` now and advances with tokio's (pausable) time.
    ///
    /// Must be called inside a tokio runtime.
    pub fn virtual_from(start: DateTime<Utc>) -> Self {
        let origin = tokio::time::Instant::now();
        Self(Arc::new(move || {
            let elapsed = TimeDelta::from_std(origin.elapsed()).unwrap_or(TimeDelta::MAX);
            start
                .checked_add_signed(elapsed)
                .unwrap_or(DateTime::<Utc>::MAX_UTC)
        }))
    }

    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }

    /// The present instant by the wall and by the monotonic clock.
    pub fn reading(&self) -> Reading {
        let mut tries = 0;
        loop {
            let instant = Instant::now();
            let wall = self.now();
            tries += 1;
            // A process that was stopped between the two looks must not take that for a step.
            if instant.elapsed() < TOGETHER || tries == TRIES {
                return Reading { wall, instant };
            }
        }
    }
}

/// The longest time between two looks that count as one.
const TOGETHER: Duration = Duration::from_millis(100);

/// Tries to look at both clocks at once; the last one counts however long it takes.
const TRIES: u32 = 5;

/// Both clocks of the machine, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, which people and programs set.
    pub wall: DateTime<Utc>,
    /// The monotonic clock, which nobody sets, and which may stand still while the machine sleeps.
    pub instant: Instant,
}

impl Reading {
    /// The time that has passed since another reading, by the monotonic clock.
    pub fn since(&self, earlier: Instant) -> TimeDelta {
        let passed = self.instant.saturating_duration_since(earlier);
        TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX)
    }
}

/// When both clocks differ by more than so much from one look to the next, the wall clock was set, or
/// the machine has slept. What NTP corrects without a step is far less.
const STEP: TimeDelta = TimeDelta::seconds(2);

/// Notices steps of the wall clock: a pure state machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepWatch(Option<Reading>);

/// The wall clock did not go on as the monotonic clock did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it should have shown.
    pub expected: DateTime<Utc>,
    /// What it showed.
    pub shown: DateTime<Utc>,
}

impl StepWatch {
    /// Looks at both clocks. Some when there was a step since the last look.
    pub fn look(&mut self, reading: Reading) -> Option<Step> {
        let last = self.0.replace(reading)?;
        let expected = last.wall.checked_add_signed(reading.since(last.instant))?;
        let shown = reading.wall;
        ((shown - expected).abs() > STEP).then_some(Step { expected, shown })
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_noticed_once_and_slow_corrections_are_none() {
        let start = Instant::now();
        let look = |watch: &mut StepWatch, wall: i64, seconds: u64| {
            let wall = DateTime::from_timestamp(1_800_000_000 + wall, 0).unwrap();
            let instant = start + Duration::from_secs(seconds);
            let step = watch.look(Reading { wall, instant })?;
            Some((step.shown - step.expected).num_seconds())
        };
        let mut watch = StepWatch::default();
        assert_eq!(look(&mut watch, 0, 0), None);
        assert_eq!(look(&mut watch, 62, 60), None, "two seconds are none");
        assert_eq!(look(&mut watch, 7262, 61), Some(7199), "ahead");
        assert_eq!(look(&mut watch, 7263, 62), None, "once");
        assert_eq!(look(&mut watch, 7260, 62), Some(-3), "set back");
        assert_eq!(look(&mut watch, 7261, 63), None);
    }

    #[test]
    fn both_clocks_are_read_at_once() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let before = Instant::now();
        let reading = Clock::new(move || at).reading();
        assert_eq!(reading.wall, at);
        assert!(before <= reading.instant && reading.instant <= Instant::now());
        let later = Reading {
            instant: reading.instant + Duration::from_secs(3),
            ..reading
        };
        assert_eq!(later.since(reading.instant), TimeDelta::seconds(3));
        assert_eq!(reading.since(later.instant), TimeDelta::zero());
    }
}
