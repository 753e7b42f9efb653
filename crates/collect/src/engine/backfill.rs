//! What a person asks for beside the collection, or instead of it.

use std::{io, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Checkpoint, Event, Sink, Source, Store,
    backfill::{Order, Phase, Progress, Trouble},
    engine::{Collector, End, Lane},
};

/// Progress is written at most this often.
const TELLING: Duration = Duration::from_secs(1);

/// New orders are looked for at most this often.
const LOOKING: Duration = Duration::from_secs(5);

/// The looks at orders.
#[derive(Debug, Default)]
pub(super) struct Orders {
    looked: Option<Instant>,
    /// The order that has ended, which is left to lie.
    ended: Option<Uuid>,
}

/// A backfill under way.
#[derive(Debug)]
pub(super) struct Backfill {
    pub(super) progress: Progress,
    /// Since when this process works on it, and for how many seconds others did before.
    since: Instant,
    before: u64,
    /// What was ordered.
    order: Order,
    /// Whether it was cancelled: only what has begun is read to its end.
    cancelled: bool,
    /// When the progress was written last, and whether it has changed since.
    told: Option<Instant>,
    changed: bool,
}

impl Backfill {
    /// What failed, or none since nothing does any more.
    pub(super) fn is_in(&mut self, trouble: Option<Trouble>) {
        self.changed |= self.progress.trouble != trouble;
        self.progress.trouble = trouble;
    }

    pub(super) fn lost(&mut self, window: Window) {
        let lost = self.progress.range.intersection(window);
        self.progress.lost += lost.map_or(0, |lost| lost.span().num_seconds());
        self.changed = true;
    }

    /// What has become of its rows.
    fn count(&mut self, accepted: usize, refused: usize) {
        let progress = self.changed();
        progress.accepted += accepted as u64;
        progress.refused += refused as u64;
    }

    pub(super) fn changed(&mut self) -> &mut Progress {
        self.changed = true;
        &mut self.progress
    }

    /// How long until the progress is to be written; none when it has not changed.
    fn due_in(&self) -> Option<Duration> {
        let rested = self.told.map_or(TELLING, |told| told.elapsed());
        self.changed.then(|| TELLING.saturating_sub(rested))
    }
}

impl<S: Source, K: Sink, T: Store, C: Checkpoint> Collector<S, K, T, C> {
    /// Looks whether there is a new order, or an old one was cancelled.
    pub(super) async fn look_for_order(&mut self) -> Result<(), End> {
        let looked = self.orders.looked;
        if looked.is_some_and(|looked| looked.elapsed() < LOOKING) {
            return Ok(());
        }
        self.orders.looked = Some(Instant::now());
        let (order, known) = match self.found_order().await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(error) => {
                // It is looked for again soon.
                let pause = LOOKING;
                self.tell(Event::StoreFailed {
                    error: &error,
                    pause,
                });
                return Ok(());
            }
        };
        let under_way = self.backfill.as_ref().map(|one| one.progress.id);
        if under_way != Some(order.id) {
            self.take_order(&order, known).await?;
        }
        if !order.cancelled {
            return Ok(());
        }
        if self.has_begun() {
            return self.cancel().await;
        }
        // Nothing of it is in the timeline.
        match self.backfill.take_if(|one| one.progress.asked == 0) {
            Some(backfill) => Box::pin(self.end_before_begin(backfill)).await,
            None => Ok(()),
        }
    }

    /// An order that has not ended, and its progress if it has been begun.
    async fn found_order(&mut self) -> io::Result<Option<(Order, Option<Progress>)>> {
        let store = self.parts.store.as_ref();
        let Some(order) = Order::load(store).await? else {
            return Ok(None);
        };
        if self.orders.ended == Some(order.id) {
            return Ok(None);
        }
        let known = Progress::load(store).await?;
        let known = known.filter(|known| known.id == order.id);
        if known.as_ref().is_some_and(Progress::has_ended) {
            self.orders.ended = Some(order.id);
            return Ok(None);
        }
        Ok(Some((order, known)))
    }

    /// So many rows of a batch were accepted, or will not be.
    pub(super) fn count_for_backfill(&mut self, counts: bool, accepted: usize, refused: usize) {
        if let Some(backfill) = self.backfill.as_mut().filter(|_| counts)
            && accepted + refused > 0
        {
            backfill.count(accepted, refused);
        }
    }

    /// An order that was cancelled before anything was read for it ends at once.
    async fn end_before_begin(&mut self, backfill: Backfill) -> Result<(), End> {
        let mut backfill = backfill;
        let progress = &mut backfill.progress;
        // Only a schedule that has begun knows which part would have been read.
        let unread = match self.has_begun() {
            true => {
                let mut schedule = self.schedule.clone();
                schedule.backfill(progress.range, backfill.order.again);
                schedule.unread(progress.range).collect()
            }
            false => vec![progress.range],
        };
        progress.measure(unread.into_iter());
        progress.asked = progress.left;
        self.backfill = Some(backfill);
        self.ends(Phase::Cancelled).await
    }

    /// Takes a backfill up. Before the time is known, that is all: a person sees what is in the way.
    async fn take_order(&mut self, order: &Order, known: Option<Progress>) -> Result<(), End> {
        let now = self.time().now;
        let progress = known.unwrap_or_else(|| Progress::new(order, order.range, now));
        let is_untouched = progress.asked == 0;
        let backfill = Backfill {
            since: Instant::now(),
            before: progress.worked,
            progress,
            order: order.clone(),
            cancelled: false,
            told: None,
            changed: false,
        };
        if order.cancelled && is_untouched {
            return Box::pin(self.end_before_begin(backfill)).await;
        }
        self.backfill = Some(backfill);
        self.place_backfill().await
    }

    /// Begins a backfill, or goes on with it. The timeline is kept first: a crash between the two
    /// makes that be done once more.
    pub(super) async fn place_backfill(&mut self) -> Result<(), End> {
        if !self.has_begun() {
            return Ok(());
        }
        let Some(mut backfill) = self.backfill.take() else {
            return Ok(());
        };
        let (order, progress) = (&backfill.order, &mut backfill.progress);
        let resumed = progress.asked > 0;
        if !resumed {
            let now = self.time().now;
            let end = self.behind_the_live_edge(order.range.end(), now);
            let Some(range) = Window::new(order.range.start(), end) else {
                return Ok(());
            };
            progress.range = range;
            progress.complete_until = range.start();
        }
        // What was delivered for it stays so, even when the timeline had to be begun anew.
        let rest = Window::new(progress.complete_until, progress.range.end());
        if let Some(rest) = rest.filter(|_| !order.cancelled) {
            self.schedule.backfill(rest, order.again && !resumed);
        }
        self.keep().await?;
        progress.measure(self.schedule.unread(progress.range));
        if !resumed {
            progress.asked = progress.left;
        }
        self.tell(Event::BackfillBegun {
            range: progress.range,
            resumed,
        });
        backfill.changed = true;
        self.backfill = Some(backfill);
        self.settle_backfill().await
    }

    /// A collection reads by itself what lies behind its live edge.
    fn behind_the_live_edge(&self, end: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        if self.schedule.is_collecting() {
            end.min(self.schedule.coverage().edge())
        } else {
            end.min(now)
        }
    }

    /// The person has thought better of it. What has begun is read to its end: nobody would know of
    /// its delivered rows if the rest were asked for again.
    async fn cancel(&mut self) -> Result<(), End> {
        let Some(backfill) = self.backfill.as_mut().filter(|one| !one.cancelled) else {
            return Ok(());
        };
        backfill.cancelled = true;
        let known = &self.known;
        self.schedule.give_up_backfill(|hour| known.holds(hour));
        self.keep().await?;
        self.settle_backfill().await
    }

    /// Measures what is left, and ends the backfill when that is nothing.
    pub(super) async fn settle_backfill(&mut self) -> Result<(), End> {
        let Some(backfill) = &mut self.backfill else {
            return Ok(());
        };
        let progress = &mut backfill.progress;
        let before = progress.left;
        let range = progress.range;
        if backfill.cancelled {
            let wanted = self.schedule.coverage().wanted();
            progress.measure(wanted.filter_map(|one| one.intersection(range)));
        } else {
            progress.measure(self.schedule.unread(range));
        }
        backfill.changed |= progress.left != before;
        if progress.left > 0 {
            return self.tell_progress().await;
        }
        let phase = match backfill.cancelled {
            true => Phase::Cancelled,
            false => Phase::Done,
        };
        self.ends(phase).await
    }

    /// The backfill has come to its end.
    async fn ends(&mut self, phase: Phase) -> Result<(), End> {
        // Whoever reads that it has ended must find that kept.
        self.keep_changes().await?;
        let Some(backfill) = &mut self.backfill else {
            return Ok(());
        };
        let progress = &mut backfill.progress;
        progress.phase = phase;
        progress.trouble = None;
        backfill.changed = true;
        backfill.told = None;
        self.tell_progress().await?;
        if let Some(Backfill { progress, .. }) = self.backfill.take() {
            self.orders.ended = Some(progress.id);
            self.tell(Event::BackfillEnded {
                progress: &progress,
            });
        }
        if self.schedule.is_collecting() {
            Ok(())
        } else {
            Err(End::Stopped)
        }
    }

    /// How long until there is progress to write.
    pub(super) fn until_told(&self) -> Option<Duration> {
        self.backfill.as_ref()?.due_in()
    }

    /// Writes the last progress, at a stop.
    pub(super) async fn tell_last_progress(&mut self) {
        if let Some(backfill) = &mut self.backfill {
            backfill.told = None;
            backfill.changed = true;
            // A stop does not wait for a store that cannot be written.
            _ = self.tell_progress().await;
        }
    }

    /// Writes the progress, now and then.
    pub(super) async fn tell_progress(&mut self) -> Result<(), End> {
        let now = self.time().now;
        let Some(backfill) = &mut self.backfill else {
            return Ok(());
        };
        if backfill.due_in() != Some(Duration::ZERO) {
            return Ok(());
        }
        let next_request = self.readers.iter().filter_map(|reader| {
            let lane = reader.read.as_ref().map(|read| read.lane);
            let task = reader.asked_by().filter(|_| lane == Some(Lane::Backfill))?;
            let leave = self.parts.source.leave_in(task)?;
            Some(now + TimeDelta::from_std(leave).ok()?)
        });
        let next_request = next_request.min();
        backfill.told = Some(Instant::now());
        backfill.changed = false;
        backfill.progress.at = now;
        backfill.progress.next_request = next_request;
        backfill.progress.worked = backfill.before + backfill.since.elapsed().as_secs();
        let progress = backfill.progress.clone();
        let mut backoff = crate::engine::persist::store_backoff();
        while let Err(error) = progress.save(self.parts.store.as_ref()).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        Ok(())
    }
}
