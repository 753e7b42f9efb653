//! Fits the Sekoia.io side to the traits of the fetch loop.

use base::delivery::Receipt;
use collect::Sink;
use sekoia::{Batch, InHand, Intake};

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) intake: Intake,
    /// Nothing leaves: every event counts as accepted.
    pub(super) pretended: bool,
}

impl Sink for Delivery {
    type Batch = Batch;
    type InHand = InHand;

    fn batch(&self) -> Batch {
        self.intake.batch()
    }

    async fn deliver(&self, batch: Batch) -> Option<Receipt<InHand>> {
        if self.pretended {
            return Some(Receipt::default());
        }
        self.intake.push(batch).await.ok()
    }

    async fn insist(&self, events: InHand) -> Option<Receipt<InHand>> {
        if self.pretended {
            return Some(Receipt::default());
        }
        self.intake.insist(events).await.ok()
    }

    async fn offer(&self, event: &[u8]) -> Option<Result<(), String>> {
        if self.pretended {
            return Some(Err("nothing is sent in a dry run".to_owned()));
        }
        self.intake.offer(event).await.ok()
    }

    fn alone(&self, event: &[u8]) -> InHand {
        self.intake.alone(event)
    }

    fn longest_event(&self) -> usize {
        self.intake.longest_event()
    }

    async fn gives_up(&self) {
        self.intake.gives_up().await;
    }
}
