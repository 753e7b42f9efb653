//! The books that are kept of accepted batches: the journal, the timeline and the mark.

use std::{io, sync::Arc, time::Duration};

use base::http::Backoff;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::{
    Checkpoint, Event, Sink, Source, Store, WaitsFor,
    engine::{Collector, End, delivery::IN_FLIGHT},
    known::{BatchId, Filed},
    ledger::timeline::Timeline,
};

/// Batches that are accepted one soon after the other are journaled together, and what is journaled is
/// synced together: each visit to the disk costs as much as hundreds of rows.
const TOGETHER: Duration = Duration::from_millis(50);

/// So many batches at most are journaled and not synced, which a crash of the machine makes the intake
/// get a second time.
const UNSYNCED: usize = 16;

/// The timeline is kept at most this often, as a crash between costs no more than that windows are
/// read again whose rows are known.
const KEEPING: Duration = Duration::from_secs(1);

/// Delivered rows are remembered for this long before the floor of the timeline: a source may show
/// rows again that lie just before the window it was asked for.
pub(super) const REMEMBER: TimeDelta = TimeDelta::minutes(5);

/// Pauses while the data directory cannot be written.
const STORE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Batches that are accepted and not journaled yet.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    rows: Vec<Filed>,
    pub(super) batches: Vec<BatchId>,
    since: Option<Instant>,
}

impl Accepted {
    pub(super) fn add(&mut self, batch: BatchId, rows: Vec<Filed>) {
        self.batches.push(batch);
        self.rows.extend(rows);
        self.since.get_or_insert_with(Instant::now);
    }

    /// How long until they are to be journaled; none when there are none.
    pub(super) fn due_in(&self) -> Option<Duration> {
        Some(TOGETHER.saturating_sub(self.since?.elapsed()))
    }
}

/// Batches that are journaled and not synced yet: a kill does not make them forgotten, a crash of the
/// machine may.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    batches: usize,
    since: Option<Instant>,
}

impl Unsynced {
    fn add(&mut self, batches: usize) {
        self.batches += batches;
        self.since.get_or_insert_with(Instant::now);
    }

    /// How long until they are to be synced; none when there are none.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let rested = self.since?.elapsed();
        let is_full = self.batches + IN_FLIGHT > UNSYNCED;
        Some(if is_full {
            Duration::ZERO
        } else {
            TOGETHER.saturating_sub(rested)
        })
    }
}

/// When the timeline was kept last, and whether it has changed since.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    kept: Option<Instant>,
    changed: bool,
}

impl Keeping {
    /// It is to be kept soon.
    pub(super) fn changes(&mut self) {
        self.changed = true;
    }

    /// How long until it is to be kept; none when it has not changed.
    fn due_in(&self) -> Option<Duration> {
        let rested = self.kept.map_or(KEEPING, |kept| kept.elapsed());
        self.changed.then(|| KEEPING.saturating_sub(rested))
    }
}

impl<S: Source, K: Sink, T: Store, C: Checkpoint> Collector<S, K, T, C> {
    /// Journals accepted rows when they have waited for others long enough, or stand in the way of
    /// the next; and syncs what has been journaled long enough ago.
    pub(super) async fn journal_when_due(&mut self) -> Result<(), End> {
        let is_full = self.accepted.batches.len() >= IN_FLIGHT;
        match self.accepted.due_in() {
            Some(due) if is_full || due.is_zero() => self.journal_accepted().await?,
            _ => {}
        }
        self.sync_when_due().await
    }

    /// Journals accepted rows when nothing else is to be done and none are about to follow.
    pub(super) async fn journal_when_quiet(&mut self) -> Result<(), End> {
        if self.deliveries.is_empty() && !self.accepted.batches.is_empty() {
            self.journal_accepted().await?;
        }
        self.journal_when_due().await
    }

    async fn sync_when_due(&mut self) -> Result<(), End> {
        if self.unsynced.due_in() == Some(Duration::ZERO) {
            self.sync().await?;
        }
        Ok(())
    }

    /// Makes sure that what is journaled is not sent again after a crash of the machine either.
    pub(super) async fn sync(&mut self) -> Result<(), End> {
        let mut backoff = store_backoff();
        while let Err(error) = self.journal.sync(self.parts.store.as_ref()).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        self.unsynced = Unsynced::default();
        Ok(())
    }

    /// Makes sure that accepted rows are not sent again after a restart.
    pub(super) async fn journal_accepted(&mut self) -> Result<(), End> {
        let Accepted { rows, batches, .. } = std::mem::take(&mut self.accepted);
        self.remember(rows, batches.len()).await?;
        let mut done = Vec::new();
        for batch in batches {
            done.extend(self.pending.accepted(batch));
        }
        self.complete(done).await
    }

    /// How long until something is to be written.
    pub(super) fn until_written(&self) -> Option<Duration> {
        let accepted = self.accepted.due_in();
        let is_quiet = self.deliveries.is_empty();
        let accepted = accepted.map(|due| if is_quiet { Duration::ZERO } else { due });
        let due = [accepted, self.unsynced.due_in(), self.keeping.due_in()];
        due.into_iter().flatten().min()
    }

    /// Journals the rows of so many batches.
    pub(super) async fn remember(
        &mut self,
        mut rows: Vec<Filed>,
        batches: usize,
    ) -> Result<(), End> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut backoff = store_backoff();
        let store = Arc::clone(&self.parts.store);
        while let Err(error) = self.journal.append(store.as_ref(), &mut rows).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        self.unsynced.add(batches);
        Ok(())
    }

    /// Windows count as read now.
    pub(super) async fn completed(&mut self) -> Result<(), End> {
        // What is done is not read again by this process, whatever is safe on the disk.
        let horizon = self.horizon();
        self.known.forget_before(horizon);
        self.keeping.changed = true;
        self.keep_when_due().await?;
        self.settle_backfill().await
    }

    /// Keeps the timeline if it has changed, now and then.
    pub(super) async fn keep_when_due(&mut self) -> Result<(), End> {
        if self.keeping.due_in() == Some(Duration::ZERO) {
            self.keep().await?;
        }
        Ok(())
    }

    /// Keeps the timeline if it has changed.
    pub(super) async fn keep_changes(&mut self) -> Result<(), End> {
        if self.keeping.changed {
            self.keep().await?;
        }
        Ok(())
    }

    /// Nobody will show rows again that were received before it.
    fn horizon(&self) -> DateTime<Utc> {
        let now = self.time().now;
        self.schedule.coverage().floor() - self.strays.memory(now)
    }

    /// Forgets rows on the disk. The timeline and the mark that say so must be safe: what lies behind
    /// an older mark is read again after a crash.
    async fn forget(&mut self, horizon: DateTime<Utc>) {
        let store = self.parts.store.as_ref();
        if let Err(error) = self.journal.forget_before(store, horizon).await {
            // Harmless: it is tried again when the timeline is kept next.
            self.tell(Event::StoreFailed {
                error: &error,
                pause: Duration::ZERO,
            });
        }
    }

    /// Keeps the timeline, then the mark. A crash between the two makes a few windows be read
    /// again, whose rows are known: they must be safe before either says that a window was read.
    pub(super) async fn keep(&mut self) -> Result<(), End> {
        self.sync().await?;
        let horizon = self.horizon();
        let timeline = Timeline::new(
            self.time().now,
            self.schedule.coverage().clone(),
            self.schedule.lateness().clone(),
        )
        .beside(self.journal.inventory(horizon));
        let mut backoff = store_backoff();
        while let Err(error) = timeline.save(self.parts.store.as_ref()).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        self.keeping = Keeping {
            kept: Some(Instant::now()),
            changed: false,
        };
        if timeline.coverage.has_begun() {
            let mut backoff = store_backoff();
            while let Err(error) = self.parts.checkpoint.save(timeline.mark).await {
                self.store_failed(&error, &mut backoff).await?;
            }
            self.tell(Event::Marked {
                mark: timeline.mark,
            });
        }
        self.forget(horizon).await;
        Ok(())
    }

    pub(super) async fn store_failed(
        &self,
        error: &io::Error,
        backoff: &mut Backoff,
    ) -> Result<(), End> {
        let pause = backoff.next_pause(None);
        self.tell(Event::StoreFailed { error, pause });
        self.tell_turning(pause, WaitsFor::Store);
        self.until_stopped(tokio::time::sleep(pause)).await
    }
}

pub(super) fn store_backoff() -> Backoff {
    Backoff::new(STORE_PAUSES.0, STORE_PAUSES.1)
}
