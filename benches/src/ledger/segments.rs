//! The module's own memory of delivered rows.

use std::{io, path::Path};

use anyhow::{Result, ensure};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    Store,
    journal::{Inventory, Journal, Remembered},
    known::{Admission, BatchId, Filed},
};
use sekoia::{LocalBackend, Storage, StorageError};
use tokio::runtime::Runtime;

use super::steps::Ledger;

/// The module's own: known rows in memory, their journal in segment files.
pub(super) struct Segments {
    remembered: Remembered,
    store: Directory,
    runtime: Runtime,
    /// The batch of the page at hand.
    batch: BatchId,
}

impl Ledger for Segments {
    fn open(directory: &Path) -> Result<Self> {
        let store = Directory(Storage::new(LocalBackend::open(directory)?));
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

    fn admit(&mut self, page: &[Filed]) -> Result<usize> {
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
            .filter(|admission| matches!(admission, Admission::New(_)))
            .count())
    }

    fn deliver(&mut self, page: &[Filed]) -> Result<()> {
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

/// The storage of the module as the store of the journal.
struct Directory(Storage);

fn io<T>(result: Result<T, StorageError>) -> io::Result<T> {
    result.map_err(io::Error::other)
}

impl Store for Directory {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        io(self.0.read(name).await)
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(self.0.write(name, content).await)
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(self.0.append(name, content).await)
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        io(self.0.sync(name).await)
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        io(self.0.delete(name).await)
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        io(self.0.list(prefix).await)
    }
}
