//! What a person asks for beside the collection, or instead of it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rows::{Page, Window};

use crate::{
    CheckpointStore, Event, Lane, Sink, Source, Store,
    backfill::{BackfillCounts, BackfillOrder, BackfillProgress, BackfillWork},
    coverage::Coverage,
    engine::{
        Collector, Flow,
        orders::{OrderUnderWay, is_over},
        persist::until_stored,
    },
    event::PageCount,
    known::hour,
    ledger::timeline::{Found, Timeline},
    order::OrderPhase,
    proof::window_of,
    reader::WindowRead,
};

#[derive(Debug)]
pub(super) struct Backfill {
    pub(super) work: OrderUnderWay<BackfillWork>,
    /// Whether it was cancelled: only what has begun is read to its end.
    cancelled: bool,
}

impl BackfillCounts {
    pub(super) fn page(&mut self, count: PageCount) {
        let sent = count.sent();
        self.rows += (sent + count.known + count.excluded) as u64;
        self.new += sent as u64;
        self.known += count.known as u64;
        self.excluded += count.excluded as u64;
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// There is an order: a new one, one under way, or one that has ended.
    pub(super) async fn backfill_found(
        &mut self,
        order: BackfillOrder,
        known: Option<BackfillProgress>,
    ) -> Flow {
        if is_over(&mut self.orders.ended_backfill, &order, known.as_ref()) {
            return Ok(());
        }
        let known = known.filter(|known| known.id == order.id);
        let known = known.map(BackfillProgress::taken_up);
        if order.work.again && self.ledger.proof.has_ended(order.id) {
            // It was delivered once more, and what told that is lost: it is not delivered a third time.
            self.orders.ended_backfill = Some(order.id);
            let counts = BackfillCounts::new(order.range);
            return self.tell_ended(&order, known, counts).await;
        }
        let under_way = self.backfill.as_ref().map(|one| one.work.order.id);
        let is_new = under_way != Some(order.id);
        if is_new {
            // Before the time is known, that is all: a person sees what is in the way.
            let now = self.time().now;
            let counts = BackfillCounts::new(order.range);
            let begins = || BackfillProgress::new(order.id, counts, now);
            let mut progress = known.unwrap_or_else(begins);
            progress.at_least |= std::mem::take(&mut self.orders.has_uncounted);
            let mut work = OrderUnderWay::new(order.clone(), progress);
            work.set_trouble(self.orders.trouble.clone());
            self.backfill = Some(Backfill {
                work,
                cancelled: false,
            });
        }
        let is_begun = |one: &Backfill| one.work.progress.counts.asked > 0;
        let is_begun = self.backfill.as_ref().is_some_and(is_begun);
        if order.cancelled && !is_begun && !self.is_placed().await? {
            return Box::pin(self.end_before_begin()).await;
        }
        if is_new {
            self.place_backfill().await?;
        }
        // One that is placed is given up when the time is known.
        match order.cancelled && self.has_begun() {
            true => self.cancel().await,
            false => Ok(()),
        }
    }

    /// Whether a backfill is in the timeline: a kill may have come before its progress could say so.
    async fn is_placed(&self) -> Flow<bool> {
        let is_in = |coverage: &Coverage| coverage.wanted().next().is_some();
        if self.has_begun() {
            return Ok(is_in(self.schedule.coverage()));
        }
        let found = until_stored!(self, Timeline::load(self.parts.store.as_ref()).await);
        Ok(matches!(found, Found::Timeline(timeline) if is_in(&timeline.coverage)))
    }

    /// So many rows of a batch that was read for a backfill were accepted, or will not be.
    pub(super) fn count_for_backfill(&mut self, accepted: usize, refused: usize) {
        if let Some(backfill) = &mut self.backfill
            && accepted + refused > 0
        {
            let counts = backfill.work.changed();
            counts.accepted += accepted as u64;
            counts.refused += refused as u64;
        }
    }

    /// An order that was cancelled before anything was read for it ends at once.
    async fn end_before_begin(&mut self) -> Flow {
        let Some(mut backfill) = self.backfill.take() else {
            return Ok(());
        };
        let again = backfill.work.order.work.again;
        let counts = backfill.work.changed();
        // Only a schedule that has begun knows which part would have been read.
        let unread = match self.has_begun() {
            true => {
                let mut schedule = self.schedule.clone();
                schedule.backfill(counts.range, again);
                schedule.unread(counts.range).collect()
            }
            false => vec![counts.range],
        };
        counts.measure(unread.into_iter());
        counts.asked = counts.left;
        self.backfill = Some(backfill);
        self.ends(OrderPhase::Cancelled).await
    }

    /// Begins a backfill, or goes on with it. The timeline is kept first: a crash between the two
    /// makes that be done once more.
    pub(super) async fn place_backfill(&mut self) -> Flow {
        if !self.has_begun() {
            return Ok(());
        }
        let Some(mut backfill) = self.backfill.take() else {
            return Ok(());
        };
        let OrderUnderWay {
            order, progress, ..
        } = &mut backfill.work;
        let resumed = progress.counts.asked > 0;
        if !resumed {
            // Before the time was known, that was by the local clock.
            progress.begun = self.time().now;
        }
        let counts = &mut progress.counts;
        if !resumed {
            let until = self.schedule.asks_until(self.time().now);
            // A collection reads by itself what lies after its live edge.
            let end = match self.schedule.is_collecting() {
                true => until.min(self.schedule.coverage().edge()),
                false => until,
            };
            let end = end.min(order.range.end());
            let Some(range) = Window::new(order.range.start(), end) else {
                // All of it is left to the live edge, and none of it was delivered before.
                counts.asked = counts.range.span().num_seconds();
                self.backfill = Some(backfill);
                return Box::pin(self.ends(OrderPhase::Done)).await;
            };
            counts.range = range;
            counts.complete_until = range.start();
        }
        // What was delivered for it stays so, even when the timeline had to be begun anew.
        let rest = Window::new(counts.complete_until, counts.range.end());
        if let Some(rest) = rest.filter(|_| !order.cancelled) {
            self.schedule.backfill(rest, order.work.again && !resumed);
        }
        self.persist().await?;
        counts.measure(self.schedule.unread(counts.range));
        if !resumed {
            counts.asked = counts.left;
        }
        self.tell(Event::OrderBegun {
            what: "backfill",
            range: counts.range,
            resumed,
        });
        // Before the first of its rows is sent: a start must not begin it anew.
        backfill.work.hurry();
        self.backfill = Some(backfill);
        self.settle_backfill().await
    }

    /// Before rows of a page are sent again, the records of their hours go: the rows would count twice in
    /// them. New ones are made when the hours are done, of those parts that are sent again.
    pub(super) async fn renew_records(
        &mut self,
        page: &Page<S::Link>,
        read: &WindowRead<S, K>,
    ) -> Flow {
        let coverage = self.schedule.coverage();
        let is_again = |one: &Backfill| one.work.order.work.again;
        let is_ordered = self.backfill.as_ref().is_some_and(is_again);
        if read.lane == Lane::Verify || !is_ordered && !coverage.is_sending_again() {
            return Ok(());
        }
        // Also outside of the window: a row of a time that is still to be read is sent with any.
        let wanted: Vec<Window> = coverage.wanted().collect();
        let is_wanted = |received: &DateTime<Utc>| wanted.iter().any(|one| one.contains(*received));
        // After a start what is wanted is read, also before its order was found.
        let is_sent = |hour: &u32| {
            is_ordered || window_of(*hour).is_some_and(|hour| coverage.sends_again(hour))
        };
        let received = page.rows().filter_map(|row| row.received);
        let hours: BTreeSet<u32> = received.filter(is_wanted).map(hour).collect();
        let hours: Vec<u32> = hours.into_iter().filter(is_sent).collect();
        let mut new = Vec::new();
        for hour in &hours {
            let store = self.parts.store.as_ref();
            if until_stored!(self, self.ledger.proof.is_to_be_renewed(store, *hour).await) {
                new.push(*hour);
            }
        }
        if !new.is_empty() {
            // What the journal still has of them is not to be in the new ones, and not to be known: a start
            // knows all rows of a segment, also those that were forgotten long before.
            self.sync().await?;
            for hour in &new {
                self.ledger.renews(*hour);
            }
            self.persist().await?;
            for hour in new {
                self.known.forget_hour(hour);
            }
        }
        let store = self.parts.store.as_ref();
        for hour in hours {
            until_stored!(self, self.ledger.proof.forget_record(store, hour).await);
        }
        Ok(())
    }

    /// The backfill is cancelled. Hours that have begun are read to their end: if the rest were asked for
    /// again, their delivered rows would not be known.
    async fn cancel(&mut self) -> Flow {
        let Some(backfill) = self.backfill.as_mut().filter(|one| !one.cancelled) else {
            return Ok(());
        };
        backfill.cancelled = true;
        let again = backfill.work.order.work.again;
        let range = backfill.work.progress.counts.range;
        let mut untouched = BTreeSet::new();
        if again {
            // A start knows rows that were delivered long before: of these hours none was sent once more.
            for hour in hour(range.start())..=hour(range.end()) {
                let store = self.parts.store.as_ref();
                if until_stored!(self, self.ledger.proof.is_to_be_renewed(store, hour).await) {
                    untouched.insert(hour);
                }
            }
        }
        let (known, proof) = (&self.known, &self.ledger.proof);
        let is_begun = |window: Window| {
            let hour = hour(window.start());
            // Its record is gone, also when a kill has left nothing of what was on its way.
            let is_renewed = again && proof.is_renewed(hour);
            is_renewed || known.holds(window) && !untouched.contains(&hour)
        };
        let given_up = self.schedule.give_up_backfill(is_begun);
        self.ledger.proof.close(&given_up);
        self.persist().await?;
        self.settle_backfill().await
    }

    /// Measures what is left, and ends the backfill when that is nothing.
    pub(super) async fn settle_backfill(&mut self) -> Flow {
        let Some(backfill) = &mut self.backfill else {
            return Ok(());
        };
        let counts = &mut backfill.work.progress.counts;
        let (before, range) = (counts.left, counts.range);
        if backfill.cancelled {
            let wanted = self.schedule.coverage().wanted();
            counts.measure(wanted.filter_map(|one| one.intersection(range)));
        } else {
            counts.measure(self.schedule.unread(range));
        }
        let left = counts.left;
        if left != before {
            _ = backfill.work.changed();
        }
        if left > 0 {
            return self.tell_progress().await;
        }
        // What was given up before a kill is not wanted any more either.
        let phase = match backfill.cancelled || backfill.work.order.cancelled {
            true => OrderPhase::Cancelled,
            false => OrderPhase::Done,
        };
        // A start must not carry it out once more. One that never began has sent nothing, and ends elsewhere.
        let order = &backfill.work.order;
        if order.work.again {
            self.ledger.proof.ends_order(order.id);
            self.ledger.is_changed = true;
        }
        self.ends(phase).await
    }

    /// The backfill has come to its end, or will not begin.
    async fn ends(&mut self, phase: OrderPhase) -> Flow {
        // The timeline is safe before the progress says that the order has ended.
        self.persist_changes().await?;
        let Some(backfill) = &mut self.backfill else {
            return Ok(());
        };
        backfill.work.ends(phase);
        self.tell_progress().await?;
        if let Some(Backfill { work, .. }) = self.backfill.take() {
            self.orders.ended_backfill = Some(work.order.id);
            self.tell(Event::BackfillEnded(&work.progress));
        }
        self.order_is_over()
    }
}
