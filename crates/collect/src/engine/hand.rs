//! Events in hand: not accepted while others are. They are delivered beside the batches, and their
//! windows stay open.

use crate::{
    CheckpointStore, Event, GivenUp, HeldEvents as _, Sink, Source, Store, WaitsFor,
    engine::{Collector, End, Flow, TURN, orders::LOOKING},
    known::{BatchId, KeyRef},
    letters::{Content, Undelivered},
    outflow::Delivery,
};

/// Where an event is that will not be accepted.
pub(super) enum Away<H> {
    /// With the dead letters: it is dealt with.
    Kept,
    /// Still to be delivered: there is no room for it, or a shorter copy goes in its place.
    InHand(H),
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Takes in what became of a batch, or of events in hand.
    pub(super) async fn take_receipt(&mut self, delivery: Delivery<K::InHand>) -> Flow {
        let (id, for_backfill) = (delivery.id, delivery.for_backfill);
        let Some(receipt) = delivery.receipt else {
            return Ok(());
        };
        let mut left: Vec<Option<KeyRef>> = delivery.rows.into_iter().map(Some).collect();
        let mut given_up = Vec::new();
        for (range, events) in receipt.kept {
            let kept = left.get_mut(range).unwrap_or_default();
            let Some(reason) = events.given_up() else {
                let kept = kept.iter_mut().filter_map(Option::take).collect();
                self.stays_in_hand(id, kept, events, for_backfill);
                continue;
            };
            let row = kept.first_mut().and_then(Option::take);
            given_up.extend(row.map(|row| (row, events, reason)));
        }
        let accepted = left.iter().flatten().count();
        let mut refused = 0;
        for (row, events, reason) in given_up {
            match Box::pin(self.put_away(reason, Some(events))).await? {
                Away::Kept => {
                    refused += 1;
                    self.became_letter(row.hour);
                    left.push(Some(row));
                }
                Away::InHand(event) => {
                    self.stays_in_hand(id, vec![row], event, for_backfill);
                }
            }
        }
        self.count_for_backfill(for_backfill, accepted, refused);
        if let Some(newest) = delivery.newest.filter(|_| accepted > 0) {
            self.tell(Event::Accepted(newest));
        }
        // From then on it is not on its way any more: until a restart knows its rows, no window that
        // shows them is done.
        self.ledger
            .accepted(id, left.into_iter().flatten().collect());
        self.tell(Event::InHand(self.outflow.held()));
        Ok(())
    }

    /// Waits until there is room for more.
    pub(super) async fn wait_for_room(&mut self) -> Flow {
        self.tell_turning(TURN, WaitsFor::Receiver);
        // This wait can last for hours, and the loop tells nothing meanwhile.
        self.tell_standing_when_due();
        self.look_at_requests();
        let stop = self.parts.stop.clone();
        // So that the loop is seen to turn, however long the intake is down.
        let pause = self.ledger.batches_due_in().unwrap_or(LOOKING);
        // Beside a full hand the next one may leave after a while. A caller that waits for something else has room.
        let room = self.room_in().filter(|room| !room.is_zero());
        let pause = room.map_or(pause, |room| pause.min(room));
        // A person may make room for what is in hand.
        self.look_for_orders();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(End::Stopped),
            Some(done) = self.outflow.next() => self.delivered(done).await,
            Some(done) = self.letter_work.offers.join_next() => Box::pin(self.offered(done)).await,
            Some(found) = self.orders.looks.join_next() => Box::pin(self.only_letters_found(found)).await,
            () = tokio::time::sleep(pause) => self.journal_when_due().await,
        }
    }

    /// Waits as long as so much is in hand that nothing more may come.
    pub(super) async fn wait_for_hand(&mut self) -> Flow {
        while self.outflow.stands_still() {
            // Boxed, as its future is large and seldom needed.
            Box::pin(self.wait_for_room()).await?;
        }
        Ok(())
    }

    /// An event is in hand that no batch takes.
    pub(super) fn comes_in_hand(
        &mut self,
        id: BatchId,
        row: KeyRef,
        event: K::InHand,
        for_backfill: bool,
    ) {
        self.outflow.insist(id, vec![row], event, for_backfill);
        self.tell(Event::InHand(self.outflow.held()));
    }

    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, events: usize) {
        self.outflow.hold_at_most(events);
    }

    /// Rows of a batch are not accepted yet, and delivered beside the others.
    fn stays_in_hand(
        &mut self,
        batch: BatchId,
        rows: Vec<KeyRef>,
        events: K::InHand,
        for_backfill: bool,
    ) {
        let id = self.outflow.next_id();
        for row in &rows {
            self.known.carry_instead(*row, batch, id);
        }
        self.pending.carried_instead(batch, id);
        self.outflow.insist(id, rows, events, for_backfill);
    }

    /// Puts an event with the dead letters that will not be accepted. Where there is no room for it, it
    /// stays in hand as it is `held`: what is known of it is not forgotten.
    pub(super) async fn put_away(
        &mut self,
        given_up: GivenUp,
        held: Option<K::InHand>,
    ) -> Flow<Away<K::InHand>> {
        let (event, source) = (given_up.event, &self.parts.source);
        let copy = given_up.fits.and_then(|most| source.shorten(&event, most));
        let is_kept = self
            .keep_undelivered(Undelivered {
                reason: given_up.reason,
                copy_sent: copy.is_some(),
                content: Content::Event(event.clone()),
            })
            .await?;
        let sink = &self.parts.sink;
        Ok(match copy {
            _ if !is_kept => Away::InHand(held.unwrap_or_else(|| sink.alone(event.as_bytes()))),
            Some(copy) => Away::InHand(sink.alone(copy.as_bytes())),
            None => Away::Kept,
        })
    }
}
