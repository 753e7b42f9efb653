//! Has the ledger written: again and again while the store fails, and in the order on which the
//! promise rests. Keys are synced before the timeline counts their windows as read, and the
//! timeline is safe before the checkpoint is.

use std::{io, time::Duration};

use base::retry::Backoff;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    CheckpointStore, Event, Sink, Source, Store, WaitsFor,
    engine::{Collector, End, Flow},
    known::KeyRef,
    ledger::timeline::Timeline,
};

/// Delivered rows are remembered for this long before the floor of the timeline: a source may show rows
/// again that lie before the window that it was asked for. How far, nobody has written down. An hour of
/// keys costs little; a row whose key is forgotten comes twice.
pub(super) const REMEMBER: TimeDelta = TimeDelta::hours(1);

pub(super) fn store_backoff() -> Backoff {
    Backoff::new(Duration::from_secs(1), Duration::from_secs(30))
}

/// What the store answers to `$try`, which is tried again while the store fails. Only a stop ends that. It is
/// no function, as most tries change the collector that is told of the failure.
macro_rules! until_stored {
    ($collector:expr, $try:expr) => {{
        let mut backoff = $crate::engine::persist::store_backoff();
        loop {
            let tried = $try;
            match tried {
                Ok(done) => break done,
                Err(error) => $collector.store_failed(&error, &mut backoff).await?,
            }
        }
    }};
}

pub(super) use until_stored;

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Journals accepted rows when they have waited for others long enough, or stand in the way of
    /// the next; and syncs what has been journaled long enough ago.
    pub(super) async fn journal_when_due(&mut self) -> Flow {
        if self.ledger.is_journal_due() {
            // Boxed, as its future is large and seldom needed.
            Box::pin(self.journal_accepted()).await?;
        }
        if self.ledger.is_sync_due() {
            self.sync().await?;
        }
        Ok(())
    }

    /// Journals accepted rows when nothing else is to be done and none are about to follow.
    pub(super) async fn journal_when_quiet(&mut self) -> Flow {
        if self.outflow.batches() == 0 && self.ledger.waiting() > 0 {
            Box::pin(self.journal_accepted()).await?;
        }
        self.journal_when_due().await
    }

    /// Makes sure that what is journaled is not sent again after a crash of the machine either.
    pub(super) async fn sync(&mut self) -> Flow {
        until_stored!(self, self.ledger.sync(self.parts.store.as_ref()).await);
        Ok(())
    }

    /// Makes sure that accepted rows are not sent again after a restart.
    pub(super) async fn journal_accepted(&mut self) -> Flow {
        let batches = until_stored!(self, self.ledger.journal(self.parts.store.as_ref()).await);
        let mut done = Vec::new();
        for batch in batches {
            self.known.arrived(batch);
            done.extend(self.pending.accepted(batch));
        }
        self.windows_done(done).await
    }

    /// Journals rows that are dealt with otherwise than by a batch.
    pub(super) async fn remember(&mut self, mut rows: Vec<KeyRef>) -> Flow {
        let store = self.parts.store.as_ref();
        until_stored!(self, self.ledger.append(store, &mut rows, 1).await);
        Ok(())
    }

    /// Windows count as read now.
    pub(super) async fn settle_windows(&mut self) -> Flow {
        // What is done is not read again by this process, also before it is safe on the disk.
        let horizon = self.horizon();
        let forgotten = self.known.forget_before(horizon);
        let coverage = self.schedule.coverage();
        self.ledger.proof.fold(coverage, horizon, forgotten);
        self.parts.excluded.forget_before(horizon);
        self.ledger.is_changed = true;
        self.persist_when_due().await?;
        self.settle_backfill().await
    }

    /// Persists the timeline if it has changed, now and then.
    pub(super) async fn persist_when_due(&mut self) -> Flow {
        if self.ledger.is_timeline_due() {
            self.persist().await?;
        }
        Ok(())
    }

    pub(super) async fn persist_changes(&mut self) -> Flow {
        if self.ledger.is_changed {
            self.persist().await?;
        }
        Ok(())
    }

    /// Nobody will show rows again that were received before it.
    pub(super) fn horizon(&self) -> DateTime<Utc> {
        let certain = self.time().certain;
        let horizon = self.schedule.coverage().floor() - self.strays.memory(certain);
        let healing = self.verification.as_ref();
        let healing = healing.and_then(|one| one.healing_since());
        // Also before a start has found the order of it.
        let resending = self.ledger.proof.resending_since();
        let held = healing.into_iter().chain(resending);
        held.fold(horizon, DateTime::min)
    }

    /// What was received before the horizon is proven, or never will be.
    pub(super) fn begin_proof(&mut self) {
        let horizon = self.horizon();
        self.ledger.proof.begin(self.schedule.coverage(), horizon);
    }

    /// Persists the timeline, then the checkpoint. A crash between the two makes a few windows be read
    /// again, whose rows are known: they must be safe before either says that a window was read.
    pub(super) async fn persist(&mut self) -> Flow {
        self.sync().await?;
        if !self.has_begun() {
            // The files say more than the schedule, which knows nothing of them yet.
            return Ok(());
        }
        let store = self.parts.store.as_ref();
        let (time, retention) = (self.time(), self.schedule.limits().retention);
        // Before the timeline says that they are forgotten.
        until_stored!(self, self.ledger.prove(store, time, retention).await);
        let horizon = self.horizon().min(self.ledger.proof.floor());
        let mut timeline = Timeline::new(
            self.time().now,
            self.schedule.coverage().clone(),
            self.schedule.lateness().clone(),
        );
        timeline.segments = self.ledger.journal.inventory(horizon);
        timeline.seed_mark = self.ledger.journal.seed_mark;
        timeline.settle_seconds = Some(self.schedule.looked_for().num_seconds());
        timeline.leaps = self.leaps();
        until_stored!(self, self.ledger.save(store, &mut timeline).await);
        if timeline.coverage.has_begun() {
            let checkpoint = timeline.checkpoint;
            until_stored!(self, self.parts.checkpoints.save(checkpoint).await);
            self.ledger.checkpoint = Some(checkpoint);
            self.tell(Event::CheckpointMoved(checkpoint));
        }
        // The timeline and the checkpoint that say so are safe: what lies after an older checkpoint would be
        // read again after a crash.
        if let Err(error) = self.ledger.journal.forget_before(store, horizon).await {
            // Harmless: it is tried again when the timeline is persisted next.
            self.tell(Event::StoreFailed(&error));
        }
        Ok(())
    }

    pub(super) async fn store_failed(&self, error: &io::Error, backoff: &mut Backoff) -> Flow {
        let pause = backoff.next_pause(None);
        self.tell(Event::StoreFailed(error));
        self.tell_turning(pause, WaitsFor::Store);
        let paused = tokio::time::sleep(pause);
        let paused = self.parts.stop.run_until_cancelled(paused).await;
        paused.ok_or(End::Stopped)
    }
}
