//! Looks for what a person has left for the loop, beside it: a store that hangs delays nothing else. And
//! tells how far that has got.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::{
    CheckpointStore, Event, Lane, Sink, Source, Store,
    backfill::BackfillWork,
    engine::{
        Collector, End, Flow, Joined,
        nightly::{FoundNight, NightLooks},
        persist::until_stored,
    },
    letters::order::LettersOrder,
    order::{FoundRange, OrderFile, OrderPhase, RangeOrder, RangeProgress, RangeWork, Trouble},
    verify::VerifyWork,
};

/// New orders are looked for at most this often.
pub(super) const LOOKING: Duration = Duration::from_secs(5);

/// Standing orders are looked for at most this often.
const LOOKING_BY_NIGHT: Duration = Duration::from_secs(60);

/// Why orders cannot be read is told again after this time.
const REPEATING: Duration = Duration::from_secs(600);

/// Progress is written at most this often.
const TELLING: Duration = Duration::from_secs(1);

/// The looks at orders, one at a time.
#[derive(Debug, Default)]
pub(super) struct Orders {
    looked: Option<Instant>,
    pub(super) looks: JoinSet<Box<FoundOrders>>,
    /// The orders that have ended, and are left to lie.
    pub(super) ended_backfill: Option<Uuid>,
    pub(super) ended_verification: Option<Uuid>,
    /// Whether a page was read for a backfill whose order was not found yet.
    pub(super) has_uncounted: bool,
    /// A verification that waits until the time is known. Until then a person sees what is in the way.
    pub(super) awaited: Option<Box<OrderUnderWay<VerifyWork>>>,
    /// What the source has said last, when that was no answer: an order may be found later.
    pub(super) trouble: Option<Trouble>,
    /// What a standing order asks for.
    pub(super) nights: NightLooks,
    /// Why what a person has left could not be read, and when that was told.
    unreadable: BTreeMap<String, Instant>,
}

#[derive(Debug)]
pub(super) struct FoundOrders {
    backfill: io::Result<Option<FoundRange<BackfillWork>>>,
    verification: io::Result<Option<FoundRange<VerifyWork>>>,
    letters: io::Result<Option<LettersOrder>>,
    night: io::Result<Option<FoundNight>>,
}

/// The order in the store, unless it is known to have `ended`.
async fn look<W: RangeWork>(
    store: &impl Store,
    ended: Option<Uuid>,
) -> io::Result<Option<FoundRange<W>>> {
    let order = RangeOrder::understood(store).await?;
    let Some(order) = order.filter(|order: &RangeOrder<W>| Some(order.id) != ended) else {
        return Ok(None);
    };
    Ok(Some((order, RangeProgress::load(store).await?)))
}

/// Whether it is time to look again, which begins now.
fn is_to_look(looked: &mut Option<Instant>, often: Duration) -> bool {
    let is_time = looked.is_none_or(|looked| looked.elapsed() >= often);
    if is_time {
        *looked = Some(Instant::now());
    }
    is_time
}

/// Looks when that is wanted.
async fn when<O>(
    is_wanted: bool,
    look: impl Future<Output = io::Result<Option<O>>>,
) -> io::Result<Option<O>> {
    match is_wanted {
        true => look.await,
        false => Ok(None),
    }
}

/// Whether an order is not to be taken up, as it has `ended`.
pub(super) fn is_over<W: RangeWork>(
    ended: &mut Option<Uuid>,
    order: &RangeOrder<W>,
    known: Option<&RangeProgress<W>>,
) -> bool {
    if order.has_ended(known) {
        *ended = Some(order.id);
    }
    *ended == Some(order.id)
}

#[derive(Debug)]
pub(super) struct OrderUnderWay<W: RangeWork> {
    pub(super) order: RangeOrder<W>,
    pub(super) progress: RangeProgress<W>,
    /// Since when this process works on it, and for how many seconds others did before.
    since: Instant,
    before: u64,
    /// When the progress was written last, and whether it has changed since.
    told: Option<Instant>,
    changed: bool,
}

impl<W: RangeWork> OrderUnderWay<W> {
    pub(super) fn new(order: RangeOrder<W>, progress: RangeProgress<W>) -> Self {
        Self {
            order,
            since: Instant::now(),
            before: progress.worked,
            progress,
            told: None,
            // That it is taken up, and what is in the way no more.
            changed: true,
        }
    }

    /// What failed, or none since nothing does any more.
    pub(super) fn set_trouble(&mut self, trouble: Option<Trouble>) {
        self.changed |= self.progress.trouble != trouble;
        self.progress.trouble = trouble;
    }

    /// What is counted, which changes.
    pub(super) fn changed(&mut self) -> &mut W::Counts {
        self.changed = true;
        &mut self.progress.counts
    }

    /// It has come to its end, which is to be written at once.
    pub(super) fn ends(&mut self, phase: OrderPhase) {
        self.progress.phase = phase;
        self.set_trouble(None);
        self.hurry();
    }

    /// The progress is to be written at once.
    pub(super) fn hurry(&mut self) {
        self.told = None;
        self.changed = true;
    }

    /// How long until the progress is to be written; none when it has not changed.
    fn due_in(&self) -> Option<Duration> {
        let rested = self.told.map_or(TELLING, |told| told.elapsed());
        self.changed.then(|| TELLING.saturating_sub(rested))
    }

    /// The progress, when it is to be written.
    fn due(
        &mut self,
        now: DateTime<Utc>,
        next_request: Option<DateTime<Utc>>,
    ) -> Option<RangeProgress<W>> {
        if self.due_in() != Some(Duration::ZERO) {
            return None;
        }
        self.told = Some(Instant::now());
        self.changed = false;
        self.progress.at = now;
        self.progress.next_request = next_request.filter(|_| !self.progress.has_ended());
        self.progress.worked = self.before + self.since.elapsed().as_secs();
        Some(self.progress.clone())
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Has it looked whether there are new orders, or old ones were cancelled, now and then.
    pub(super) fn look_for_orders(&mut self) {
        let follows = self.has_begun() && self.schedule.is_collecting();
        let orders = &mut self.orders;
        if !orders.looks.is_empty() || !is_to_look(&mut orders.looked, LOOKING) {
            return;
        }
        let store = Arc::clone(&self.parts.store);
        let (backfill, verification) = (orders.ended_backfill, orders.ended_verification);
        let for_letters = self.letter_work.work.is_none();
        let for_night = follows && is_to_look(&mut orders.nights.looked, LOOKING_BY_NIGHT);
        orders.looks.spawn(async move {
            let store = store.as_ref();
            let letters = when(for_letters, LettersOrder::understood(store));
            let night = when(for_night, async { FoundNight::load(store).await.map(Some) });
            let (backfill, verification) = (look(store, backfill), look(store, verification));
            let (backfill, verification, letters, night) =
                tokio::join!(backfill, verification, letters, night);
            Box::new(FoundOrders {
                backfill,
                verification,
                letters,
                night,
            })
        });
    }

    pub(super) async fn orders_found(&mut self, found: Joined<Box<FoundOrders>>) -> Flow {
        let found = *found.map_err(End::Failed)?;
        // A backfill alone reads nothing for verifications.
        let may_audit = self.schedule.is_auditing() || self.schedule.is_collecting();
        if may_audit {
            let is_certain = found.verification.is_ok();
            let mut is_free = true;
            match self.readable(found.verification) {
                Some((order, known)) => {
                    let id = order.id;
                    Box::pin(self.verification_found(order, known)).await?;
                    is_free = self.orders.ended_verification == Some(id);
                }
                // It was taken away.
                None if is_certain => self.orders.awaited = None,
                None => {}
            }
            // One that waits for the time goes on with what it was sending again.
            if is_certain && self.has_begun() {
                self.break_off_resends();
            }
            // What a person asks for goes first.
            if is_certain
                && is_free
                && let Some(night) = self.readable(found.night)
            {
                Box::pin(self.night_found(night)).await?;
            }
        }
        if !self.schedule.is_auditing()
            && let Some((order, known)) = self.readable(found.backfill)
        {
            self.backfill_found(order, known).await?;
        }
        self.letters_found(found.letters).await
    }

    /// A look has come to its end while the loop waits for room: what is wanted of letters may make some, and
    /// all else is found again later.
    pub(super) async fn only_letters_found(&mut self, found: Joined<Box<FoundOrders>>) -> Flow {
        let found = *found.map_err(End::Failed)?;
        if !matches!(found.night, Ok(None)) {
            self.orders.nights.looked = None;
        }
        self.letters_found(found.letters).await
    }

    async fn letters_found(&mut self, found: io::Result<Option<LettersOrder>>) -> Flow {
        match self.readable(found) {
            Some(order) => self.begin_with_letters(order).await,
            None => Ok(()),
        }
    }

    /// What was read. What could not be is looked for again soon; why is told now and then.
    pub(super) fn readable<O>(&mut self, read: io::Result<Option<O>>) -> Option<O> {
        read.unwrap_or_else(|error| {
            let told = &mut self.orders.unreadable;
            told.retain(|_, told| told.elapsed() < REPEATING);
            let text = error.to_string();
            if let Entry::Vacant(entry) = told.entry(text) {
                entry.insert(Instant::now());
                self.tell(Event::OrderUnreadable(&error));
            }
            None
        })
    }

    /// What keeps the orders under way from going on, or nothing does any more.
    pub(super) fn set_trouble_of_orders(&mut self, trouble: Option<Trouble>) {
        if let Some(backfill) = &mut self.backfill {
            backfill.work.set_trouble(trouble.clone());
        }
        if let Some(work) = self.verify_work() {
            work.set_trouble(trouble.clone());
        }
        self.orders.trouble = trouble;
    }

    /// The verification under way, or the one that waits for the time.
    fn verify_work(&mut self) -> Option<&mut OrderUnderWay<VerifyWork>> {
        match &mut self.verification {
            Some(verification) => Some(&mut verification.work),
            None => self.orders.awaited.as_deref_mut(),
        }
    }

    pub(super) fn until_told(&self) -> Option<Duration> {
        let backfill = self.backfill.as_ref().and_then(|one| one.work.due_in());
        let verification = match &self.verification {
            Some(verification) => Some(&verification.work),
            None => self.orders.awaited.as_deref(),
        };
        let verification = verification.and_then(OrderUnderWay::due_in);
        backfill.into_iter().chain(verification).min()
    }

    /// Writes the progress, now and then.
    pub(super) async fn tell_progress(&mut self) -> Flow {
        let now = self.time().now;
        let next = self.next_request_of(Lane::Backfill);
        let backfill = self.backfill.as_mut();
        if let Some(progress) = backfill.and_then(|one| one.work.due(now, next)) {
            self.save(&progress).await?;
        }
        let next = self.next_request_of(Lane::Verify);
        let verification = self.verify_work();
        if let Some(progress) = verification.and_then(|one| one.due(now, next)) {
            self.save(&progress).await?;
        }
        Ok(())
    }

    /// Tells how far orders are at the end of the loop.
    pub(super) async fn tell_last_progress(&mut self) {
        if let Some(backfill) = &mut self.backfill {
            backfill.work.hurry();
        }
        if let Some(work) = self.verify_work() {
            work.hurry();
        }
        // A stop does not wait for a store that cannot be written.
        _ = self.tell_progress().await;
    }

    /// Tells the end of an order that is not under way: it was cancelled before, or what told its end is lost.
    pub(super) async fn tell_ended<W: RangeWork>(
        &self,
        order: &RangeOrder<W>,
        known: Option<RangeProgress<W>>,
        counts: W::Counts,
    ) -> Flow {
        let now = self.time().now;
        let is_lost = known.is_none() && !order.cancelled;
        let mut progress = known.unwrap_or_else(|| RangeProgress::new(order.id, counts, now));
        progress.at_least |= is_lost;
        progress.trouble = None;
        progress.phase = match order.cancelled {
            true => OrderPhase::Cancelled,
            false => OrderPhase::Done,
        };
        self.save(&progress).await?;
        self.order_is_over()
    }

    /// An order has come to its end, and with it what runs for it alone.
    pub(super) fn order_is_over(&self) -> Flow {
        match self.schedule.is_collecting() {
            true => Ok(()),
            false => Err(End::Stopped),
        }
    }

    pub(super) async fn save(&self, file: &impl OrderFile) -> Flow {
        until_stored!(self, file.save(self.parts.store.as_ref()).await);
        Ok(())
    }

    /// When the source's quota lets it be asked again for a lane that waits for that, by the clock of this
    /// machine: a person's command counts down to it.
    fn next_request_of(&self, lane: Lane) -> Option<DateTime<Utc>> {
        let now = self.parts.clock.now();
        let next = self.readers.iter().filter_map(|reader| {
            let of_lane = reader.read.as_ref().is_some_and(|read| read.lane == lane);
            let task = reader.asked_by.filter(|_| of_lane)?;
            let leave = self.parts.source.leave_in(task)?;
            Some(now + TimeDelta::from_std(leave).ok()?)
        });
        next.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{nightly::StandingOrder, testing::Files};

    /// Else a person waits for ever for what it has asked for, and a verification of each night ends unsaid.
    #[tokio::test]
    async fn an_order_that_is_damaged_is_told_and_one_that_is_not_there_is_none() {
        let store = Files::default();
        let told = async |name: &str| {
            let found = [
                look::<BackfillWork>(&store, None)
                    .await
                    .map(|found| found.is_some()),
                look::<VerifyWork>(&store, None)
                    .await
                    .map(|found| found.is_some()),
                LettersOrder::understood(&store)
                    .await
                    .map(|found| found.is_some()),
                FoundNight::load(&store).await.map(|_| false),
            ];
            let told = found.into_iter().filter_map(|found| match found {
                Ok(is_some) => is_some.then_some("an order".to_owned()),
                Err(error) => Some(error.to_string()),
            });
            let told: Vec<String> = told.collect();
            assert!(told.iter().all(|told| told.contains(name)), "{told:?}");
            told.len()
        };
        assert_eq!(told("none").await, 0);
        for name in [
            RangeOrder::<BackfillWork>::NAME,
            RangeOrder::<VerifyWork>::NAME,
            LettersOrder::NAME,
            StandingOrder::NAME,
        ] {
            for damage in ["", "{", "null", "{\"version\":1}", "\u{0}\u{0}"] {
                store.change(name, |content| *content = damage.as_bytes().to_vec());
                assert_eq!(told(name).await, 1, "{name} {damage:?}");
            }
            store.content.lock().unwrap().clear();
        }
    }
}
