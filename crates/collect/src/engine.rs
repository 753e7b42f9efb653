//! The async shell of the fetch loop: one task that decides, while pages are
//! asked for and batches are delivered beside it, a bounded number of each.

mod activity;
mod backfill;
mod damaged;
mod delivery;
mod details;
mod exclude;
mod failures;
mod hand;
mod letters;
mod mass;
mod nightly;
mod orders;
mod outside;
mod pages;
mod parking;
mod persist;
mod plan;
mod privacy;
mod time;
mod unreadable;
mod verify;
mod walk;

use std::{io, pin::pin, sync::Arc, time::Duration};

use base::Clock;
use rows::{Page, Window, privacy::Privacy};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::{details::DetailsWish, outside::OUTSIDE_FILE, time::Opening};
use crate::{
    CheckpointStore, Event, Lane, Observer, PendingRequest, Sink, Source, SourceError,
    SourceLimits, Store, WaitsFor,
    decide::{
        mass::MassMail,
        pending::PendingWindows,
        schedule::Schedule,
        service::{Asking, ServiceHealth},
    },
    engine::{
        backfill::Backfill,
        details::{Detailing, DetailsCall},
        letters::{LetterWork, Offered},
        orders::{FoundOrders, Orders},
        outside::Strays,
        parking::{DamageRecord, Parking},
        time::Waiting,
        verify::Verification,
    },
    excluded::Excluded,
    known::KnownRows,
    ledger::{Ledger, journal::Remembered},
    letters::Letters,
    outflow::{Delivery, Outflow},
    reader::{Reader, WindowRead},
};

/// Readers beside the one of the live edge, at most. Two saturate the quota even when a page takes
/// 4 s.
const BESIDE: usize = 2;

/// The loop turns at least this often.
const TURN: Duration = Duration::from_secs(60);

/// A request that has been under way for as long is worth a warning.
const HANGING: Duration = Duration::from_secs(60);

/// While a request is under way, it is looked at this often.
const WATCHING: Duration = Duration::from_secs(10);

/// The pause before windows are made anew for a clock that turned out to be wrong.
const ALMOST_AT_ONCE: Duration = Duration::from_millis(100);

/// What a collector works with.
pub struct Parts<S, K, T, C> {
    /// Where rows come from.
    pub source: Arc<S>,
    /// Where rows go.
    pub sink: Arc<K>,
    /// Where the timeline and delivered rows are remembered.
    pub store: Arc<T>,
    /// Where the checkpoint is kept.
    pub checkpoints: C,
    /// Where what cannot be delivered is kept.
    pub letters: Letters,
    /// What is not wanted.
    pub excluded: Excluded,
    /// What of rows must not leave; none when all of it may.
    pub privacy: Option<Privacy>,
    /// Of which rows details are wanted; none when of none.
    pub details: Option<DetailsWish>,
    /// Who hears of it.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Clock,
    /// Ends the collection.
    pub stop: CancellationToken,
}

impl<S, K, T, C> std::fmt::Debug for Parts<S, K, T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// The fetch loop.
pub struct Collector<S: Source, K: Sink, T, C> {
    parts: Parts<S, K, T, C>,
    schedule: Schedule,
    pending: PendingWindows,
    known: KnownRows,
    ledger: Ledger,
    /// The reader of the live edge first, then those beside it.
    readers: Vec<Reader<S, K>>,
    /// Windows whose page came damaged.
    damaged: Parking<WindowRead<S, K>>,
    damage: DamageRecord,
    /// Windows of which messages are asked for by their ids, and what is known of those.
    completing: Parking<WindowRead<S, K>>,
    mass: MassMail,
    /// Rows outside of what was asked for.
    strays: Strays,
    /// Rows that wait for details of their message.
    details: Option<Box<Detailing>>,
    asked: JoinSet<Answer<S::Link>>,
    outflow: Outflow<K>,
    letter_work: LetterWork,
    backfill: Option<Backfill>,
    orders: Orders,
    verification: Option<Verification>,
    service: ServiceHealth,
    /// The reader whose request has failed last.
    last_failed: usize,
    waiting: Waiting,
    /// Since when the request has been under way that was said to hang.
    hanging: Option<Instant>,
    /// When it was told last where the collection stands.
    told_snapshot: Option<Instant>,
    /// What the page that is being taken in is of.
    taken_in: Option<(Lane, Window)>,
}

impl<S: Source, K: Sink, T, C> std::fmt::Debug for Collector<S, K, T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

/// What a source can do, without what changes all the time: how long it takes at present.
fn without_latency(limits: SourceLimits) -> SourceLimits {
    SourceLimits {
        latency: Duration::ZERO,
        ..limits
    }
}

/// What came of asking.
#[derive(Debug)]
enum Answer<L> {
    /// A page, or none, for this reader. So many rows filled one when it was asked for.
    Page(usize, u32, Result<Page<L>, SourceError>),
    /// The source's time, or none, for the reader of the live edge.
    Time(Result<(), SourceError>),
}

#[derive(Debug)]
enum End {
    Stopped,
    Failed(JoinError),
}

/// What a step of the loop returns: the loop goes on, or ends.
type Flow<T = ()> = Result<T, End>;

/// What a task beside the loop has brought, unless it panicked.
type Joined<T> = Result<T, JoinError>;

enum Turn<L, H> {
    Answered(Joined<Answer<L>>),
    Delivered(Joined<Delivery<H>>),
    Offered(Joined<Offered>),
    Detailed(Joined<DetailsCall>),
    Looked(Joined<Box<FoundOrders>>),
    Time,
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// A collector that follows `schedule` and knows the rows that are `remembered`.
    pub(crate) fn new(
        parts: Parts<S, K, T, C>,
        mut schedule: Schedule,
        remembered: Remembered,
    ) -> Self {
        schedule.adapt(&without_latency(parts.source.limits()));
        let outflow = Outflow::new(Arc::clone(&parts.sink));
        let details = parts.details.clone().map(Detailing::new).map(Box::new);
        Self {
            parts,
            details,
            outflow,
            schedule,
            pending: PendingWindows::default(),
            known: remembered.known,
            ledger: Ledger::new(remembered.journal, remembered.proof),
            readers: (0..=BESIDE).map(|_| Reader::new()).collect(),
            damaged: Parking::default(),
            damage: DamageRecord::default(),
            completing: Parking::default(),
            mass: MassMail::default(),
            strays: Strays::default(),
            asked: JoinSet::new(),
            letter_work: LetterWork::default(),
            backfill: None,
            orders: Orders::default(),
            verification: None,
            service: ServiceHealth::new(1 + BESIDE),
            last_failed: BESIDE,
            waiting: Waiting::default(),
            hanging: None,
            told_snapshot: None,
            taken_in: None,
        }
    }

    /// Collects until stopped.
    ///
    /// # Errors
    /// Only when a task panicked; everything that can be waited out is.
    pub async fn run(mut self) -> io::Result<()> {
        let Err(end) = self.collect().await;
        self.asked.abort_all();
        self.drain().await;
        self.parts.source.close().await;
        self.tell_last_progress().await;
        match end {
            End::Stopped => Ok(()),
            End::Failed(error) => Err(io::Error::other(error)),
        }
    }

    async fn collect(&mut self) -> Flow<std::convert::Infallible> {
        self.tell(Event::Letters(self.parts.letters.stock()));
        self.expect_strays().await;
        self.hide_named().await?;
        if self.has_begun() {
            self.begin_proof();
            self.persist().await?;
        }
        loop {
            self.plan().await?;
            self.send_lingering().await?;
            if self.details.is_some() {
                // Boxed, as its future is large and mostly not needed.
                Box::pin(self.look_after_details()).await?;
            }
            self.journal_when_due().await?;
            self.persist_when_due().await?;
            self.tell_progress().await?;
            self.tell_snapshot_when_due();
            match self.wait().await? {
                Turn::Answered(answer) => {
                    self.answered(answer.map_err(End::Failed)?).await?;
                    self.taken_in = None;
                }
                Turn::Delivered(first) => self.delivered(first).await?,
                Turn::Offered(done) => Box::pin(self.offered(done)).await?,
                Turn::Detailed(done) => self.details_came(done),
                // Boxed, as its future is large and seldom needed.
                Turn::Looked(found) => Box::pin(self.orders_found(found)).await?,
                Turn::Time => self.journal_when_quiet().await?,
            }
        }
    }

    async fn wait(&mut self) -> Flow<Turn<S::Link, K::InHand>> {
        let most = if self.is_asking() { WATCHING } else { TURN };
        let pause = self.until_due().min(most);
        self.look_at_requests();
        self.tell_turning(pause, WaitsFor::Turn);
        let stop = self.parts.stop.clone();
        let mut time = pin!(tokio::time::sleep(pause));
        let pause_of_failure = self.service.failure_holds(0, Instant::now());
        let is_paused = !self.is_asking() && pause_of_failure.is_some();
        let paused = is_paused.then(Instant::now);
        let turn = tokio::select! {
            biased;
            () = stop.cancelled() => Err(End::Stopped),
            Some(done) = self.outflow.next() => Ok(Turn::Delivered(done)),
            Some(done) = self.letter_work.offers.join_next() => Ok(Turn::Offered(done)),
            Some(done) = Detailing::next(&mut self.details) => Ok(Turn::Detailed(done)),
            Some(found) = self.orders.looks.join_next() => Ok(Turn::Looked(found)),
            Some(answer) = self.asked.join_next() => Ok(Turn::Answered(answer)),
            () = &mut time => Ok(Turn::Time),
        };
        if let Some(since) = paused {
            self.tell(Event::Paused(since.elapsed()));
        }
        turn
    }

    /// How long until the live edge or a paused reader is due.
    fn until_due(&self) -> Duration {
        let due = [
            self.until_told(),
            self.ledger.due_in(self.outflow.batches() == 0),
            self.until_lingering(),
            self.until_details(),
            self.damaged.due_in(),
            self.completing.due_in(),
        ];
        let mut pause = due.into_iter().flatten().min().unwrap_or(TURN);
        let now = Instant::now();
        let may_begin = match self.service.asking(now) {
            Asking::All => true,
            Asking::One => !self.is_asking(),
            Asking::Probe { .. } => false,
        };
        if may_begin
            && self.readers.first().is_some_and(Reader::is_idle)
            && self.service.held_until(0, now).is_none()
        {
            let now = self.time().now;
            let due = (self.schedule.due(now) - now).to_std().unwrap_or_default();
            pause = pause.min(due);
        }
        let holds =
            (0..self.readers.len()).filter_map(|reader| self.service.held_until(reader, now));
        let holds = holds.map(|until| until.saturating_duration_since(now));
        holds.fold(pause, Duration::min)
    }

    /// Says that the loop turns, and what the page waits for that is being taken in.
    fn tell_turning(&self, within: Duration, blocker: WaitsFor) {
        if self.outflow.stands_still() {
            // It may last until a person acts.
            self.tell(Event::HandFull);
        }
        let request = self.parts.source.oldest_request();
        let now = self.time().now;
        self.tell(Event::Turning {
            within,
            request_due: request.map(|request| request.since + request.limit),
            lag: self.checkpoint_lag(),
            activity: &self.activity(now, blocker),
        });
    }

    /// Says once of a request that it hangs.
    fn look_at_requests(&mut self) {
        let request = self.parts.source.oldest_request();
        let hangs = request.filter(|request| request.since.elapsed() >= HANGING);
        if let Some(PendingRequest { since, limit }) = hangs
            && self.hanging.replace(since) != Some(since)
        {
            self.tell(Event::Hanging(limit));
        }
    }

    fn tell(&self, event: Event<'_>) {
        self.parts.observer.on(event);
    }
}
