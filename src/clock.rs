//! The one clock: wall time for everybody, so that tests decide what time it is.
//!
//! Waiting is tokio's (`tokio::time`), which tests pause and advance; [`Clock::virtual_from`] ties
//! wall time to it, so that both move together.

use std::{fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

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
    #[cfg(test)]
    pub(crate) fn new(source: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
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
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
