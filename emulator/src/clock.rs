//! The emulator's clock.

use std::{fmt, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the emulator what time it is. Clones share the same source.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// A clock with this source of time.
    pub fn new(source: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// The time of the machine.
    pub fn system() -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "the one place that asks the machine"
        )]
        Self::new(Utc::now)
    }

    /// A clock that shows `start` now and runs `speed` times as fast as tokio's (pausable) time.
    ///
    /// Must be called inside a tokio runtime.
    pub fn accelerated(start: DateTime<Utc>, speed: f64) -> Self {
        let origin = tokio::time::Instant::now();
        Self::new(move || {
            let micros = origin.elapsed().as_secs_f64() * speed * 1e6;
            start + TimeDelta::microseconds(micros as i64)
        })
    }

    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
