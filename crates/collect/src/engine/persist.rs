//! Has the ledger written: again and again while the store fails, and in the order on which the promise
//! rests. Keys are synced before the timeline counts their windows as read, and the timeline is safe
//! before the mark is.

use std::{io, sync::Arc, time::Duration};

use base::http::Backoff;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Checkpoint, Event, Sink, Source, Store, WaitsFor,
    engine::{Collector, End},
    known::Filed,
    ledger::timeline::Timeline,
};

/// Delivered rows are remembered for this long before the floor of the timeline: a source may show
/// rows again that lie just before the window it was asked for.
pub(super) const REMEMBER: TimeDelta = TimeDelta::minutes(5);

/// Pauses while the data directory cannot be written.
const STORE_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl<S: Source, K: Sink, T: Store, C: Checkpoint> Collector<S, K, T, C> {
    /// Journals accepted rows when they have waited for others long enough, or stand in the way of
    /// the next; and syncs what has been journaled long enough ago.
    pub(super) async fn journal_when_due(&mut self) -> Result<(), End> {
        if self.ledger.is_journal_due() {
            // It is large, and seldom due.
            Box::pin(self.journal_accepted()).await?;
        }
        if self.ledger.is_sync_due() {
            self.sync().await?;
        }
        Ok(())
    }

    /// Journals accepted rows when nothing else is to be done and none are about to follow.
    pub(super) async fn journal_when_quiet(&mut self) -> Result<(), End> {
        if self.outflow.batches() == 0 && self.ledger.waiting() > 0 {
            Box::pin(self.journal_accepted()).await?;
        }
        self.journal_when_due().await
    }

    /// Makes sure that what is journaled is not sent again after a crash of the machine either.
    pub(super) async fn sync(&mut self) -> Result<(), End> {
        let mut backoff = store_backoff();
        while let Err(error) = self.ledger.sync(self.parts.store.as_ref()).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        Ok(())
    }

    /// Makes sure that accepted rows are not sent again after a restart.
    pub(super) async fn journal_accepted(&mut self) -> Result<(), End> {
        let mut backoff = store_backoff();
        let batches = loop {
            match self.ledger.journal(self.parts.store.as_ref()).await {
                Ok(batches) => break batches,
                Err(error) => self.store_failed(&error, &mut backoff).await?,
            }
        };
        let done = batches.into_iter();
        let done = done.flat_map(|batch| self.pending.accepted(batch));
        let done = done.collect();
        self.complete(done).await
    }

    /// How long until something is to be written.
    pub(super) fn until_written(&self) -> Option<Duration> {
        self.ledger.due_in(self.outflow.batches() == 0)
    }

    /// Journals rows that are dealt with otherwise than by a batch.
    pub(super) async fn remember(&mut self, mut rows: Vec<Filed>) -> Result<(), End> {
        let mut backoff = store_backoff();
        let store = Arc::clone(&self.parts.store);
        while let Err(error) = self.ledger.append(store.as_ref(), &mut rows).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        Ok(())
    }

    /// Windows count as read now.
    pub(super) async fn completed(&mut self) -> Result<(), End> {
        // What is done is not read again by this process, also before it is safe on the disk.
        let horizon = self.horizon();
        self.known.forget_before(horizon);
        self.ledger.timeline_changes();
        self.keep_when_due().await?;
        self.settle_backfill().await
    }

    /// Keeps the timeline if it has changed, now and then.
    pub(super) async fn keep_when_due(&mut self) -> Result<(), End> {
        if self.ledger.is_timeline_due() {
            self.keep().await?;
        }
        Ok(())
    }

    /// Keeps the timeline if it has changed.
    pub(super) async fn keep_changes(&mut self) -> Result<(), End> {
        if self.ledger.is_changed() {
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
        if let Err(error) = self.ledger.forget_before(store, horizon).await {
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
        .beside(self.ledger.inventory(horizon));
        let mut backoff = store_backoff();
        let store = Arc::clone(&self.parts.store);
        while let Err(error) = self.ledger.save(store.as_ref(), &timeline).await {
            self.store_failed(&error, &mut backoff).await?;
        }
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
