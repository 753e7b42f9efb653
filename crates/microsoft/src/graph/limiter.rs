//! Queue for the quota.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use base::{Clock, lock};
use chrono::{DateTime, Utc};
use tokio::{task, time::Instant};

use super::quota::{Allowance, PERIOD, Quota, Urgency};

/// Makes requests wait for their turn. Clones share one [`Quota`].
#[derive(Clone, Debug)]
pub struct Limiter {
    quota: Arc<Mutex<Quota>>,
    /// The requests that are made beside the share, which others keep few.
    beside: Arc<Mutex<Vec<DateTime<Utc>>>>,
    clock: Clock,
    /// The clock as it was at first: when it is set, requests lie no farther back.
    steady: Clock,
    waiting: Queue,
}

/// When the turn of each task comes that waits for leave.
type Queue = Arc<Mutex<HashMap<task::Id, Instant>>>;

/// A task's wait for leave, which ends when this is dropped.
struct Queued<'a> {
    waiting: &'a Queue,
    task: task::Id,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        lock(self.waiting).remove(&self.task);
    }
}

impl Limiter {
    /// Waits for leave of `quota`. The clock is asked once: what it is set to later changes nothing.
    pub fn new(quota: Quota, clock: Clock) -> Self {
        Self {
            quota: Arc::new(Mutex::new(quota)),
            beside: Arc::default(),
            steady: Clock::virtual_from(clock.now()),
            clock,
            waiting: Queue::default(),
        }
    }

    /// The instants of the requests that count, to be kept over a restart.
    pub fn stamps(&self) -> Vec<DateTime<Utc>> {
        let ahead = self.clock.now() - self.now();
        let beside = self.lately_beside();
        let quota = self.quota();
        let all = quota.stamps().chain(beside.iter().copied());
        all.map(|stamp| stamp + ahead).collect()
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
        let waiting = &self.waiting;
        let queued = task::try_id().map(|task| Queued { waiting, task });
        loop {
            let wait = self.quota().take(urgency, self.now());
            let Some(wait) = wait else {
                return;
            };
            if let Some(queued) = &queued {
                lock(waiting).insert(queued.task, Instant::now() + wait);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// How long a task still waits for leave, as far as that is known; none when it does not wait.
    pub fn leave_in(&self, task: task::Id) -> Option<Duration> {
        let turn = *lock(&self.waiting).get(&task)?;
        Some(turn.saturating_duration_since(Instant::now()))
    }

    /// How many requests were made in the last 5 minutes.
    pub fn used(&self) -> u32 {
        self.quota().used_at(self.now())
    }

    /// A request is made that counts in the tenant's quota, beside our share.
    pub(crate) fn sends_beside(&self) {
        self.lately_beside().push(self.now());
    }

    fn lately_beside(&self) -> MutexGuard<'_, Vec<DateTime<Utc>>> {
        let since = self.now() - PERIOD;
        let mut beside = lock(&self.beside);
        beside.retain(|at| *at > since);
        beside
    }

    /// The request that was admitted last was not sent.
    pub(crate) fn unsent(&self) {
        self.quota().unsent();
    }

    /// Notes that the service has refused a request for the quota's sake.
    pub(crate) fn refused(&self, retry_after: Option<Duration>) {
        self.quota().refused(self.now(), retry_after);
    }

    fn now(&self) -> DateTime<Utc> {
        self.steady.now()
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        lock(&self.quota)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Share;

    #[tokio::test(start_paused = true)]
    async fn a_task_is_known_while_it_waits() {
        let clock = Clock::virtual_from(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let limiter = Limiter::new(Quota::new(Share::new(1).unwrap()), clock);
        limiter.admit(Urgency::Now).await;
        assert_eq!(limiter.used(), 1);
        let waits = |limiter: Limiter| async move { limiter.admit(Urgency::Now).await };
        let first = tokio::spawn(waits(limiter.clone()));
        let given_up = tokio::spawn(waits(limiter.clone()));
        tokio::time::sleep(Duration::from_secs(21)).await;
        for task in [first.id(), given_up.id()] {
            let left = limiter.leave_in(task).unwrap();
            assert!((270..=280).contains(&left.as_secs()), "{left:?}");
        }
        let gone = given_up.id();
        given_up.abort();
        _ = given_up.await;
        assert_eq!(limiter.leave_in(gone), None);
        let done = first.id();
        first.await.unwrap();
        assert_eq!(limiter.leave_in(done), None);
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(limiter.used(), 0, "it counts for five minutes");
    }
}
