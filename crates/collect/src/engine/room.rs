//! Waits until there is room for more.

use crate::{
    CheckpointStore, Sink, Source, Store, WaitsFor,
    engine::{Collector, End, TURN, orders::LOOKING},
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    pub(super) async fn wait_for_room(&mut self) -> Result<(), End> {
        self.tell_turning(TURN, WaitsFor::Receiver);
        // This wait can last for hours, and the loop tells nothing meanwhile.
        self.tell_lack();
        self.look_at_requests();
        let stop = self.parts.stop.clone();
        // So that the loop is seen to turn, however long the intake is down.
        let pause = self.ledger.batches_due_in().unwrap_or(LOOKING);
        // Beside a full hand the next one may leave after a while. Who waits for something else has room.
        let room = self.room_in().filter(|room| !room.is_zero());
        let pause = room.map_or(pause, |room| pause.min(room));
        // A person may make room for what is in hand.
        self.look_for_orders();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(End::Stopped),
            Some(done) = self.outflow.next() => self.delivered(done).await,
            Some(done) = self.letter_work.offers.join_next() => Box::pin(self.offered(done)).await,
            Some(found) = self.orders.looks.join_next() => Box::pin(self.letters_found(found)).await,
            () = tokio::time::sleep(pause) => self.journal_when_due().await,
        }
    }
}
