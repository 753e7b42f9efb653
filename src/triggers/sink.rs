//! Fits the Sekoia.io side to the traits of the fetch loop.

use std::io;

use bytes::Bytes;
use collect::{Batch, GivenUp, InHand, Pushed, Receipt, Sink, Store};
use sekoia::{Intake, Storage, StorageError};

/// An intake as a sink.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) intake: Intake,
    /// Nothing leaves: every event counts as accepted.
    pub(super) pretended: bool,
}

/// A batch of the intake.
#[derive(Debug)]
pub(super) struct Filling(sekoia::Batch);

/// What the intake has in hand.
#[derive(Debug)]
pub(super) struct Held(sekoia::InHand);

impl Sink for Delivery {
    type Batch = Filling;
    type InHand = Held;

    fn batch(&self) -> Filling {
        Filling(self.intake.batch())
    }

    async fn deliver(&self, Filling(batch): Filling) -> Option<Receipt<Held>> {
        if self.pretended {
            return Some(Receipt { kept: Vec::new() });
        }
        self.intake.push(batch).await.ok().map(receipt)
    }

    async fn insist(&self, Held(events): Held) -> Option<Receipt<Held>> {
        if self.pretended {
            return Some(Receipt { kept: Vec::new() });
        }
        self.intake.insist(events).await.ok().map(receipt)
    }

    async fn offer(&self, event: &[u8]) -> Option<Result<(), String>> {
        if self.pretended {
            return Some(Err("nothing is sent in a dry run".to_owned()));
        }
        self.intake.offer(event).await.ok()
    }

    fn alone(&self, event: &[u8]) -> Held {
        Held(self.intake.alone(event))
    }

    fn longest_event(&self) -> usize {
        self.intake.longest_event()
    }
}

fn receipt(receipt: sekoia::Receipt) -> Receipt<Held> {
    let kept = receipt.kept.into_iter();
    let kept = kept.map(|kept| (kept.range, Held(kept.events)));
    Receipt {
        kept: kept.collect(),
    }
}

impl InHand for Held {
    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn given_up(&self) -> Option<GivenUp> {
        self.0.given_up().map(|given_up| GivenUp {
            event: given_up.event,
            reason: given_up.reason,
            fits: given_up.fits,
        })
    }
}

impl Batch for Filling {
    fn push(&mut self, event: &[u8]) -> Pushed {
        match self.0.push(event) {
            sekoia::Pushed::Added => Pushed::Added,
            sekoia::Pushed::Full => Pushed::Full,
            sekoia::Pushed::TooLong { .. } => Pushed::TooLong,
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
