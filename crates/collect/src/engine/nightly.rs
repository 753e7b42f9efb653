//! Follows a standing order: a verification a day, begun in quiet hours, after all that a person asks for.

use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    CheckpointStore, Event, Sink, Source, Store,
    engine::{Collector, Flow, persist::until_stored},
    nightly::{Nights, QuietHours, StandingOrder},
    order::{FoundRange, OrderFile as _, OrderPhase},
    verify::{Verdict, VerifyOrder, VerifyProgress, VerifyWork},
};

/// What the source keeps only for so long more may be gone before it is read.
const BRINK: TimeDelta = TimeDelta::hours(2);

/// The looks at the standing order.
#[derive(Debug, Default)]
pub(super) struct NightLooks {
    pub(super) looked: Option<Instant>,
    /// When what has come of it was written last.
    written: Option<Instant>,
    /// The standing order that was told.
    told: Option<Uuid>,
}

#[derive(Debug)]
pub(super) struct FoundNight {
    looked: Instant,
    standing: Option<StandingOrder>,
    nights: Option<Nights>,
    /// Of the last verification of all.
    progress: Option<VerifyProgress>,
}

impl FoundNight {
    pub(super) async fn load(store: &impl Store) -> io::Result<Self> {
        Ok(Self {
            looked: Instant::now(),
            standing: StandingOrder::understood(store)
                .await?
                .filter(StandingOrder::stands),
            nights: Nights::load(store).await?,
            progress: VerifyProgress::load(store).await?,
        })
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// There may be a standing order, or none any more.
    pub(super) async fn night_found(&mut self, found: FoundNight) -> Flow {
        let written = self.orders.nights.written;
        if written.is_some_and(|written| found.looked <= written) {
            // Something has come of it since.
            self.orders.nights.looked = None;
            return Ok(());
        }
        let Some(standing) = found.standing else {
            if self.orders.nights.told.take().is_some() {
                self.tell(Event::StandingOrder(None));
            }
            let under_way = self.verification.as_ref().map(|one| one.work.order.id);
            let order = found.nights.and_then(|nights| nights.order);
            return match order.is_some_and(|order| under_way == Some(order.id)) {
                true => Box::pin(self.break_off_night()).await,
                false => Ok(()),
            };
        };
        let due = self
            .due_night(&standing, found.nights, found.progress)
            .await;
        match self.readable(due) {
            Some((order, known)) => {
                let known = known.map(VerifyProgress::taken_up);
                Box::pin(self.begin_verification(order, known)).await
            }
            None => Ok(()),
        }
    }

    /// The verification that is to be begun for a standing order, or gone on with as it was begun before.
    async fn due_night(
        &mut self,
        standing: &StandingOrder,
        kept: Option<Nights>,
        progress: Option<VerifyProgress>,
    ) -> io::Result<Option<FoundRange<VerifyWork>>> {
        let now = self.time().now;
        let mut nights = match kept {
            Some(nights) if nights.standing == standing.id => nights,
            kept => {
                let quiet = self.quiet_hours(now).await?;
                let nights = Nights::of(standing, kept, quiet, now);
                self.keep_nights(&nights).await?;
                nights
            }
        };
        if self.orders.nights.told.replace(standing.id) != Some(standing.id) {
            self.tell(Event::StandingOrder(Some(&nights)));
        }
        if self.verification.is_some() {
            return Ok(None);
        }
        if let Some(order) = nights.order.take()
            // Another one is of what a person has asked for since.
            && let Some(known) = progress.filter(|known| known.id == order.id)
        {
            if !known.has_ended() {
                return Ok(Some((order, Some(known))));
            }
            // A kill came before that was noted.
            self.note_night(nights, &order, &known).await?;
            return Ok(None);
        }
        if !nights.is_due(now) {
            return Ok(None);
        }
        let Some(range) = self.range_of_night(&nights, standing, now) else {
            nights.wait_a_day(now, now);
            self.keep_nights(&nights).await?;
            return Ok(None);
        };
        let words = ("--schedule".to_owned(), String::new());
        let order = VerifyOrder::new(Uuid::new_v4(), range, words, VerifyWork { resend: false });
        nights.order = Some(order.clone());
        self.keep_nights(&nights).await?;
        Ok(Some((order, None)))
    }

    async fn keep_nights(&mut self, nights: &Nights) -> io::Result<()> {
        nights.save(self.parts.store.as_ref()).await?;
        self.orders.nights.written = Some(Instant::now());
        Ok(())
    }

    /// What the source still keeps, this module has collected, and will not be read again.
    fn range_of_night(
        &self,
        nights: &Nights,
        standing: &StandingOrder,
        now: DateTime<Utc>,
    ) -> Option<Window> {
        let kept = now - self.parts.source.limits().retention + BRINK;
        let oldest = kept.max(self.schedule.coverage().origin());
        let closed = self.ledger.proof.floor();
        nights.range(standing.hours_back, oldest, closed, now)
    }

    async fn quiet_hours(&mut self, now: DateTime<Utc>) -> io::Result<QuietHours> {
        let (proof, store) = (&mut self.ledger.proof, self.parts.store.as_ref());
        Ok(QuietHours::of(&proof.by_hour_of_day(store, now).await?))
    }

    /// The verification under way ends, as a person wants something else. That of a standing order is done
    /// in the next quiet hours, which may be now.
    pub(super) async fn break_off_night(&mut self) -> Flow {
        let kept = until_stored!(self, Nights::kept(self.parts.store.as_ref()).await);
        if let Some(mut nights) = kept
            && nights.order.take().is_some()
        {
            until_stored!(self, self.keep_nights(&nights).await);
        }
        self.orders.nights.looked = None;
        self.give_up_verification().await
    }

    /// A verification has ended: when it was one of a standing order, what it has found is noted.
    pub(super) async fn night_ended(
        &mut self,
        order: &VerifyOrder,
        progress: &VerifyProgress,
    ) -> Flow {
        let kept = until_stored!(self, Nights::kept(self.parts.store.as_ref()).await);
        if let Some(nights) = kept
            && nights.order.as_ref().is_some_and(|its| its.id == order.id)
        {
            until_stored!(self, self.note_night(nights.clone(), order, progress).await);
        }
        Ok(())
    }

    async fn note_night(
        &mut self,
        mut nights: Nights,
        order: &VerifyOrder,
        progress: &VerifyProgress,
    ) -> io::Result<()> {
        let now = self.time().now;
        nights.quiet = self.quiet_hours(now).await?;
        let is_done = progress.phase == OrderPhase::Done;
        if is_done {
            let verdicts = Verdict::of_order(self.parts.store.as_ref(), order.id).await?;
            nights.ended(
                order,
                [progress.begun, now],
                progress.counts.hours,
                &verdicts,
            );
        } else {
            nights.wait_a_day(progress.begun, now);
        }
        self.keep_nights(&nights).await?;
        // What an earlier one has found is no news.
        if is_done {
            self.tell(Event::NightEnded(&nights));
        }
        Ok(())
    }
}
