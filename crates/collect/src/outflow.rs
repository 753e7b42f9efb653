//! Rows into batches, and batches on their way. [`Outflow`] owns what is on its way, and yields what
//! became of it; what follows from that is for others to decide.

use std::{sync::Arc, time::Duration};

use base::delivery::{HeldEvents as _, Receipt};
use chrono::{DateTime, Utc};
use rows::{
    Window,
    known::{BatchId, KeyRef},
};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

use crate::{Lane, Sink, ledger::IN_FLIGHT};

/// So many events in hand, or bytes of them, are a full hand. Beside it one batch leaves at a time: were
/// none accepted any more, no refusal would count, and the hand stay full without end.
const MOST_HELD: (usize, usize) = (10_000, 64 << 20);

/// So many times as much is in hand at most, with what was on its way when that was reached: nothing
/// leaves then.
const BOUND: usize = 2;

/// Beside a full hand the next batch leaves when the hand has had the time to judge what the last one
/// has added: three refusals of each event, one in a second.
const JUDGED: Duration = Duration::from_secs(3);

/// It waits so long at most: what it brings may be the evidence that the hand waits for.
const LONGEST: Duration = Duration::from_secs(300);

/// A batch that is not full leaves so long after its last row, when the next page has not come:
/// rows in hand do not wait for a service that fails, nor for its quota.
const LINGER: Duration = Duration::from_secs(1);

/// A batch that is no longer under way, or events that are no longer in hand.
#[derive(Debug)]
pub(crate) struct Delivery<H> {
    pub(crate) id: BatchId,
    pub(crate) rows: Vec<KeyRef>,
    pub(crate) newest: Option<DateTime<Utc>>,
    /// Whether they count for the backfill.
    pub(crate) for_backfill: bool,
    /// Events and bytes that were in hand.
    held: (usize, usize),
    /// None when it was given up because of a stop.
    pub(crate) receipt: Option<Receipt<H>>,
}

pub(crate) struct Draft<B> {
    /// Names it, until its rows are accepted.
    pub(crate) id: BatchId,
    /// Rows without a date are filed under this one.
    pub(crate) otherwise: DateTime<Utc>,
    /// Made with its first row: most windows that are read again have none.
    pub(crate) batch: Option<B>,
    pub(crate) rows: Vec<KeyRef>,
    pub(crate) newest: Option<DateTime<Utc>>,
    /// When the page of its last row was taken in.
    pub(crate) filled: Option<Instant>,
    /// Whether its rows count for the backfill.
    pub(crate) for_backfill: bool,
}

impl<B> Draft<B> {
    fn new(id: BatchId, otherwise: DateTime<Utc>, for_backfill: bool) -> Self {
        Self {
            id,
            otherwise,
            batch: None,
            rows: Vec::new(),
            newest: None,
            filled: None,
            for_backfill,
        }
    }

    /// How long until it leaves although it is not full; none when it has no rows.
    pub(crate) fn leaves_in(&self) -> Option<Duration> {
        let filled = self.filled.filter(|_| !self.rows.is_empty())?;
        Some(LINGER.saturating_sub(filled.elapsed()))
    }
}

/// What is on its way to the sink.
pub(crate) struct Outflow<K: Sink> {
    sink: Arc<K>,
    batches: JoinSet<Delivery<K::InHand>>,
    /// Events that are not accepted while others are: they are tried beside the batches.
    in_hand: JoinSet<Delivery<K::InHand>>,
    /// How many events are in hand, and their bytes.
    held: (usize, usize),
    /// So many fill the hand.
    most_held: (usize, usize),
    /// From when on a batch may leave beside a full hand.
    beside: Option<Instant>,
    last: BatchId,
}

impl<K: Sink> Outflow<K> {
    pub(crate) fn new(sink: Arc<K>) -> Self {
        Self {
            sink,
            batches: JoinSet::new(),
            in_hand: JoinSet::new(),
            held: (0, 0),
            most_held: MOST_HELD,
            beside: None,
            last: BatchId(0),
        }
    }

    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, events: usize) {
        self.most_held.0 = events;
    }

    pub(crate) fn next_id(&mut self) -> BatchId {
        self.last = self.last.next();
        self.last
    }

    /// An empty batch for rows of a window.
    pub(crate) fn draft(&mut self, lane: Lane, window: Window) -> Draft<K::Batch> {
        Draft::new(self.next_id(), window.start(), lane == Lane::Backfill)
    }

    /// An empty batch for rows that have waited, which are known already.
    pub(crate) fn draft_of_waiting(&mut self, for_backfill: bool) -> Draft<K::Batch> {
        Draft::new(self.next_id(), DateTime::UNIX_EPOCH, for_backfill)
    }

    pub(crate) fn batches(&self) -> usize {
        self.batches.len()
    }

    pub(crate) fn held(&self) -> usize {
        self.held.0
    }

    /// How long until one more batch may leave, while so many are accepted and `waiting` to be
    /// journaled; none when something must come to its end before.
    pub(crate) fn room_in(&self, waiting: usize) -> Option<Duration> {
        if self.batches.len() + waiting >= IN_FLIGHT || self.stands_still() {
            return None;
        }
        if !self.holds_times(1) {
            return Some(Duration::ZERO);
        }
        let due = self.beside.map_or(Duration::ZERO, |beside| {
            beside.saturating_duration_since(Instant::now())
        });
        self.batches.is_empty().then_some(due)
    }

    /// Whether so much is in hand that nothing leaves any more.
    pub(crate) fn stands_still(&self) -> bool {
        self.holds_times(BOUND)
    }

    fn holds_times(&self, times: usize) -> bool {
        let (events, bytes) = self.most_held;
        self.held.0 >= events.saturating_mul(times) || self.held.1 >= bytes.saturating_mul(times)
    }

    /// Sends a batch on its way that has rows.
    pub(crate) fn send(&mut self, draft: Draft<K::Batch>) {
        let Some(batch) = draft.batch else {
            return;
        };
        let sink = Arc::clone(&self.sink);
        self.batches.spawn(async move {
            let receipt = sink.deliver(batch).await;
            Delivery {
                id: draft.id,
                rows: draft.rows,
                newest: draft.newest,
                for_backfill: draft.for_backfill,
                held: (0, 0),
                receipt,
            }
        });
    }

    pub(crate) fn insist(
        &mut self,
        id: BatchId,
        rows: Vec<KeyRef>,
        events: K::InHand,
        for_backfill: bool,
    ) {
        let held = (rows.len(), events.bytes());
        self.held.0 += held.0;
        self.held.1 += held.1;
        let sink = Arc::clone(&self.sink);
        self.in_hand.spawn(async move {
            let receipt = sink.insist(events).await;
            Delivery {
                id,
                rows,
                newest: None,
                for_backfill,
                held,
                receipt,
            }
        });
    }

    /// What is no longer on its way, or no longer in hand; none when nothing is.
    pub(crate) async fn next(&mut self) -> Option<Result<Delivery<K::InHand>, JoinError>> {
        let next = tokio::select! {
            biased;
            Some(done) = self.batches.join_next() => Some(done),
            Some(done) = self.in_hand.join_next() => Some(done),
            else => None,
        };
        self.released(next)
    }

    /// The same without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Result<Delivery<K::InHand>, JoinError>> {
        let next = self.batches.try_join_next();
        let next = next.or_else(|| self.in_hand.try_join_next());
        self.released(next)
    }

    /// What was in hand and has an answer is in hand no longer.
    fn released(
        &mut self,
        next: Option<Result<Delivery<K::InHand>, JoinError>>,
    ) -> Option<Result<Delivery<K::InHand>, JoinError>> {
        if let Some(Ok(delivery)) = &next {
            self.held.0 = self.held.0.saturating_sub(delivery.held.0);
            self.held.1 = self.held.1.saturating_sub(delivery.held.1);
            if delivery.held.0 == 0 {
                self.pace(delivery);
            }
        }
        next
    }

    /// A batch has an answer. Beside a full hand the next one waits, the longer the more events of this
    /// one stay in hand. An accepted batch makes nobody wait.
    fn pace(&mut self, batch: &Delivery<K::InHand>) {
        let kept = batch.receipt.iter().flat_map(|receipt| &receipt.kept);
        let kept: usize = kept.map(|(range, _)| range.len()).sum();
        let pause = JUDGED.saturating_mul(u32::try_from(kept).unwrap_or(u32::MAX));
        let next = Instant::now() + pause.min(LONGEST);
        self.beside = self.beside.max(Some(next));
    }

    pub(crate) fn abort(&mut self) {
        self.batches.abort_all();
        self.in_hand.abort_all();
    }
}

#[cfg(test)]
mod tests {
    use rows::RowKey;
    use tokio::time::advance;

    use super::*;
    use crate::testing::{SilentBatch, SilentHeld, SilentSink, minutes};

    fn holding_at_most(events: usize) -> Outflow<SilentSink> {
        let mut outflow = Outflow::new(Arc::new(SilentSink));
        outflow.hold_at_most(events);
        outflow
    }

    fn takes_in_hand(outflow: &mut Outflow<SilentSink>, events: usize) {
        let row = KeyRef {
            hour: 0,
            key: RowKey::from_bytes([0; RowKey::BYTES]),
        };
        let id = outflow.next_id();
        outflow.insist(id, vec![row; events], SilentHeld, false);
    }

    /// A batch has an answer, or so many events that were in `hand` have, and so many events stay there.
    fn answered(outflow: &mut Outflow<SilentSink>, hand: usize, kept: usize) {
        let receipt = Receipt {
            accepted: 1,
            kept: vec![(0..kept, SilentHeld)],
        };
        let delivery = Delivery {
            id: BatchId(0),
            rows: Vec::new(),
            newest: None,
            for_backfill: false,
            held: (hand, 8 * hand),
            receipt: Some(receipt),
        };
        _ = outflow.released(Some(Ok(delivery)));
    }

    fn sends(outflow: &mut Outflow<SilentSink>) {
        let mut draft = outflow.draft(Lane::Live, minutes(0, 1));
        draft.batch = Some(SilentBatch);
        outflow.send(draft);
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn beside_a_full_hand_the_next_batch_waits_the_longer_the_more_the_last_one_has_added() {
        let mut outflow = holding_at_most(10);
        takes_in_hand(&mut outflow, 10);
        assert_eq!(outflow.room_in(0), seconds(0), "none was answered yet");
        answered(&mut outflow, 0, 0);
        assert_eq!(outflow.room_in(0), seconds(0), "all was accepted");
        answered(&mut outflow, 0, 3);
        assert_eq!(outflow.room_in(0), seconds(9));
        answered(&mut outflow, 0, 0);
        assert_eq!(outflow.room_in(0), seconds(9), "none goes before");
        advance(Duration::from_secs(9)).await;
        assert_eq!(outflow.room_in(0), seconds(0));
        answered(&mut outflow, 0, 5000);
        assert_eq!(outflow.room_in(0), seconds(300));
        advance(Duration::from_secs(300)).await;
        // What was in hand before adds nothing.
        answered(&mut outflow, 1, 2);
        takes_in_hand(&mut outflow, 1);
        assert_eq!(outflow.room_in(0), seconds(0));
        sends(&mut outflow);
        assert_eq!(outflow.room_in(0), None, "one at a time");
        answered(&mut outflow, 1, 0);
        assert_eq!(outflow.room_in(2), seconds(0), "there is room in the hand");
        assert_eq!(outflow.room_in(3), None, "four are on their way");
    }

    #[tokio::test]
    async fn nothing_leaves_when_twice_as_much_is_in_hand_as_fills_it() {
        let mut outflow = holding_at_most(10);
        takes_in_hand(&mut outflow, 19);
        assert!(!outflow.stands_still());
        takes_in_hand(&mut outflow, 1);
        assert!(outflow.stands_still());
        assert_eq!((outflow.room_in(0), outflow.held()), (None, 20));
        answered(&mut outflow, 1, 0);
        assert!(!outflow.stands_still());
        assert_eq!(outflow.held(), 19);
    }
}
