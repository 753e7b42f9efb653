//! Waiting for the quota.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::quota::{Quota, Urgency};
use crate::Clock;

/// Makes requests wait for their turn. Clones share one [`Quota`].
#[derive(Clone, Debug)]
pub struct Limiter {
    quota: Arc<Mutex<Quota>>,
    clock: Clock,
}

impl Limiter {
    /// Waits by `clock` for leave of `quota`.
    pub fn new(quota: Quota, clock: Clock) -> Self {
        Self {
            quota: Arc::new(Mutex::new(quota)),
            clock,
        }
    }

    /// The instants of the requests that count, to be kept over a restart.
    pub fn stamps(&self) -> Vec<DateTime<Utc>> {
        self.quota().stamps().collect()
    }

    /// How many requests in 5 minutes are our share.
    pub fn share(&self) -> u32 {
        self.quota().share()
    }

    /// How many requests in 5 minutes are allowed at present.
    pub fn allowed(&self) -> u32 {
        self.quota().allowed()
    }

    /// Waits until a request may be sent, which then counts. May be dropped at any time.
    pub(in crate::microsoft) async fn admit(&self, urgency: Urgency) {
        loop {
            let wait = self.quota().take(urgency, self.clock.now());
            match wait {
                None => return,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Notes that the service has refused a request for the quota's sake.
    pub(in crate::microsoft) fn refused(&self, retry_after: Option<Duration>) {
        self.quota().refused(self.clock.now(), retry_after);
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
