//! Waiting for the quota.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::quota::{Allowance, Quota, Urgency};

/// Makes requests wait for their turn. Clones share one [`Quota`].
#[derive(Clone, Debug)]
pub struct Limiter {
    quota: Arc<Mutex<Quota>>,
    clock: Clock,
    began: (DateTime<Utc>, Instant),
}

impl Limiter {
    /// Waits for leave of `quota`. The clock is asked once: what it is set to later changes nothing.
    pub fn new(quota: Quota, clock: Clock) -> Self {
        Self {
            quota: Arc::new(Mutex::new(quota)),
            began: (clock.now(), Instant::now()),
            clock,
        }
    }

    /// The instants of the requests that count, to be kept over a restart.
    pub fn stamps(&self) -> Vec<DateTime<Utc>> {
        let ahead = self.clock.now() - self.now();
        let quota = self.quota();
        quota.stamps().map(|stamp| stamp + ahead).collect()
    }

    /// How many requests in 5 minutes are our share.
    pub fn share(&self) -> u32 {
        self.quota().share()
    }

    /// How many requests in 5 minutes are allowed at present.
    pub fn allowed(&self) -> u32 {
        self.quota().allowed()
    }

    /// What is allowed, and until when, when that is less than our share.
    pub fn allowance(&self) -> Option<Allowance> {
        let now = self.now();
        let ahead = self.clock.now() - now;
        let allowance = self.quota().allowance(now)?;
        Some(Allowance {
            until: allowance.until + ahead,
            ..allowance
        })
    }

    /// Waits until a request may be sent, which then counts. May be dropped at any time.
    pub(crate) async fn admit(&self, urgency: Urgency) {
        loop {
            let wait = self.quota().take(urgency, self.now());
            match wait {
                None => return,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// The request that was admitted last was not sent.
    pub(crate) fn unsent(&self) {
        self.quota().unsent();
    }

    /// Notes that the service has refused a request for the quota's sake.
    pub(crate) fn refused(&self, retry_after: Option<Duration>) {
        self.quota().refused(self.now(), retry_after);
    }

    /// Now, by the clock as it was at first: when it is set, requests lie no farther back.
    fn now(&self) -> DateTime<Utc> {
        let (began, since) = self.began;
        began + TimeDelta::from_std(since.elapsed()).unwrap_or_default()
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
