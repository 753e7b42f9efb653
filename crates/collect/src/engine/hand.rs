//! Events in hand: not accepted while others are. They are delivered beside the batches, and their
//! windows stay open.

use crate::{
    CheckpointStore, Event, GivenUp, HeldEvents, RowText as _, Sink, Source, Store, WaitsFor,
    engine::{Collector, End, Flow, TURN, WindowRead, orders::LOOKING},
    known::{BatchId, KeyRef},
    letters::{Content, Undelivered},
    outflow::Delivery,
};

/// What is said of a row that no batch takes.
const TOO_LONG: &str = "it is longer than the intake accepts";

/// A row that no batch carries: its window waits for it by this id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone {
    pub(super) id: BatchId,
    pub(super) row: KeyRef,
    pub(super) for_backfill: bool,
}

/// Why the event of a row is given up. Where there are several, nobody knows which of them is meant: they stay
/// in hand.
fn why_given_up(rows: &[Option<KeyRef>], events: &impl HeldEvents) -> Option<GivenUp> {
    events.given_up().filter(|_| rows.len() < 2)
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
            let Some(reason) = why_given_up(kept, &events) else {
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
                Some(event) => self.stays_in_hand(id, vec![row], event, for_backfill),
                None => {
                    refused += 1;
                    self.became_letter(row.hour);
                    left.push(Some(row));
                }
            }
        }
        if for_backfill {
            self.count_for_backfill(accepted, refused);
        }
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
        self.tell_snapshot_when_due();
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

    /// A row goes without the draft of its window from now on.
    pub(super) fn goes_alone(&mut self, row: KeyRef, read: &WindowRead<S, K>) -> Alone {
        let id = self.outflow.next_id();
        self.known.carry_instead(row, read.draft.id, id);
        self.pending.carried_by(read.id, id);
        let for_backfill = read.draft.for_backfill;
        Alone {
            id,
            row,
            for_backfill,
        }
    }

    /// A row lies with the dead letters: it is dealt with.
    pub(super) fn filed_as_letter(&mut self, alone: Alone) {
        self.became_letter(alone.row.hour);
        if alone.for_backfill {
            self.count_for_backfill(0, 1);
        }
        self.ledger.accepted(alone.id, vec![alone.row]);
    }

    /// Puts a row away that is too long for a batch.
    #[cold]
    pub(super) async fn put_alone_away(&mut self, alone: Alone, event: String) -> Flow {
        self.wait_for_hand().await?;
        let given_up = GivenUp {
            event,
            reason: TOO_LONG.to_owned(),
            fits: Some(self.parts.sink.longest_event()),
        };
        match Box::pin(self.put_away(given_up, None)).await? {
            None => self.filed_as_letter(alone),
            Some(event) => {
                let rows = vec![alone.row];
                self.outflow
                    .insist(alone.id, rows, event, alone.for_backfill);
                self.tell(Event::InHand(self.outflow.held()));
            }
        }
        Ok(())
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

    /// Puts an event with the dead letters that will not be accepted. What is still to be delivered: a shorter
    /// copy, or, where there is no room for it, the event as it is `held`, so that what is known of it is not
    /// forgotten. None when it is dealt with.
    async fn put_away(
        &mut self,
        given_up: GivenUp,
        held: Option<K::InHand>,
    ) -> Flow<Option<K::InHand>> {
        let (event, source) = (given_up.event, &self.parts.source);
        let copy = given_up
            .fits
            .and_then(|most| source.text().shorten(&event, most));
        let is_kept = self
            .keep_undelivered(Undelivered {
                reason: given_up.reason,
                copy_sent: copy.is_some(),
                content: Content::Event(event.clone()),
            })
            .await?;
        let sink = &self.parts.sink;
        Ok(match is_kept {
            true => copy.map(|copy| sink.alone(copy.as_bytes())),
            false => Some(held.unwrap_or_else(|| sink.alone(event.as_bytes()))),
        })
    }
}

#[cfg(test)]
mod tests {
    use rows::RowKey;

    use super::*;

    struct Hopeless;

    impl HeldEvents for Hopeless {
        fn bytes(&self) -> usize {
            8
        }

        fn given_up(&self) -> Option<GivenUp> {
            Some(GivenUp {
                event: "{}".to_owned(),
                reason: "no".to_owned(),
                fits: None,
            })
        }
    }

    /// Else all but the first would count as accepted.
    #[test]
    fn of_several_events_none_is_given_up() {
        let key = RowKey::from_bytes([0; RowKey::BYTES]);
        let row = Some(KeyRef { hour: 1, key });
        assert!(why_given_up(&[row], &Hopeless).is_some());
        assert!(why_given_up(&[row, row], &Hopeless).is_none());
    }
}
