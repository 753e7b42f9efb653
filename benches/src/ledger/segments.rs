//! The module's own memory of delivered rows.

use std::path::Path;

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    journal::{Inventory, Journal, Remembered},
    known::{BatchId, DedupDecision, KeyRef},
};
use sekoia::{LocalBackend, Storage};
use tokio::runtime::Runtime;

/// The module's own: known rows in memory, their journal in segment files.
pub(super) struct Segments {
    remembered: Remembered,
    store: Storage,
    runtime: Runtime,
    /// The batch of the page at hand.
    batch: BatchId,
}

impl Segments {
    /// Opens what is in the directory.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let store = Storage::new(LocalBackend::open(directory)?);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let remembered = runtime.block_on(Journal::open(&store, [7; 16], &Inventory::new()))?;
        ensure!(remembered.damage.is_empty(), "{:?}", remembered.damage);
        Ok(Self {
            remembered,
            store,
            runtime,
            batch: BatchId(0),
        })
    }

    /// How many rows of a page are to be sent.
    pub(super) fn admit(&mut self, page: &[KeyRef]) -> Result<usize> {
        let known = &mut self.remembered.known;
        let admissions = page.iter().map(|row| {
            let received = DateTime::UNIX_EPOCH + TimeDelta::hours(row.hour.into());
            known.admit(
                row.key,
                Some(received),
                DateTime::<Utc>::UNIX_EPOCH,
                self.batch,
            )
        });
        Ok(admissions
            .filter(|decision| matches!(decision, DedupDecision::New(_)))
            .count())
    }

    /// Remembers the rows durably.
    pub(super) fn deliver(&mut self, page: &[KeyRef]) -> Result<()> {
        let Remembered { journal, known, .. } = &mut self.remembered;
        let store = &self.store;
        self.runtime.block_on(async {
            journal.append(store, &mut page.to_vec()).await?;
            journal.sync(store).await
        })?;
        known.arrived(self.batch);
        self.batch = BatchId(self.batch.0 + 1);
        Ok(())
    }
}
