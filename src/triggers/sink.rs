//! Fits the Sekoia.io side to the traits of the fetch loop.

use std::io;

use bytes::Bytes;

use crate::{
    collect::{Batch, Pushed, Receipt, Rejected, Sink, Store},
    sdk::{self, Intake, Storage, StorageError},
};

/// An intake as a sink.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) intake: Intake,
    /// Nothing leaves: every event counts as accepted.
    pub(super) pretended: bool,
}

impl Sink for Delivery {
    type Batch = sdk::Batch;

    fn batch(&self) -> sdk::Batch {
        self.intake.batch()
    }

    async fn deliver(&self, batch: sdk::Batch) -> Option<Receipt> {
        if self.pretended {
            return Some(Receipt::default());
        }
        let receipt = self.intake.push(batch).await.ok()?;
        let rejected = receipt.rejected.into_iter();
        let rejected = rejected.map(|one| Rejected {
            event: one.event,
            reason: one.reason,
        });
        Some(Receipt {
            rejected: rejected.collect(),
        })
    }
}

impl Batch for sdk::Batch {
    fn push(&mut self, event: &[u8]) -> Pushed {
        match Self::push(self, event) {
            sdk::Pushed::Added => Pushed::Added,
            sdk::Pushed::Full => Pushed::Full,
            sdk::Pushed::TooLong { .. } => Pushed::TooLong,
        }
    }
}

/// The storage of the SDK as a store.
#[derive(Debug)]
pub(super) struct Kept(pub(super) Storage);

fn io<T>(result: Result<T, StorageError>) -> io::Result<T> {
    result.map_err(|error| {
        let kind = match &error {
            StorageError::Failed { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    })
}

impl Store for Kept {
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
