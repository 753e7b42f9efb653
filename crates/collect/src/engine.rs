//! The async shell of the fetch loop: one task that decides, while pages are
//! asked for and batches are delivered beside it, a bounded number of each.

mod activity;
mod backfill;
mod delivery;
mod hand;
mod letters;
mod outside;
mod persist;
mod time;
mod walk;

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use base::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use rows::{Page, Window};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::time::Opening;
use crate::{
    Checkpoint, Event, Lane, Newest, Observer, Remedy, Sink, Source, SourceError, SourceLimits,
    Standing, Store, UnderWay, WaitsFor,
    backfill::Trouble,
    decide::{
        pending::{PendingWindows, Read},
        schedule::Schedule,
        service::{Asking, ServiceHealth},
    },
    engine::{
        backfill::{Backfill, Orders},
        letters::{Errands, Offered},
        outside::Strays,
        time::Waiting,
        walk::{Parking, is_paced},
    },
    known::KnownRows,
    ledger::{Ledger, journal::Journal},
    letters::Letters,
    outflow::{Delivery, Outflow},
    reader::{Reader, WindowRead, trail::Step},
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

/// What a probe asks for, and what it asks for when that was too much several times.
const PROBE: (TimeDelta, TimeDelta) = (TimeDelta::seconds(60), TimeDelta::seconds(4));

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
    /// Where the mark is kept.
    pub checkpoint: C,
    /// Where what cannot be delivered is kept.
    pub letters: Letters,
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
#[derive(Debug)]
pub struct Collector<S: Source, K: Sink, T, C> {
    parts: Parts<S, K, T, C>,
    schedule: Schedule,
    pending: PendingWindows,
    known: KnownRows,
    ledger: Ledger,
    /// The reader of the live edge first, then those beside it.
    readers: Vec<Reader<S::Link, K::Batch>>,
    /// Windows whose page came damaged.
    parking: Parking<WindowRead<S::Link, K::Batch>>,
    /// Rows outside of what was asked for.
    strays: Strays,
    asked: JoinSet<Answer<S::Link>>,
    outflow: Outflow<K>,
    /// What a person wants done with dead letters.
    errands: Errands,
    /// What a person asks for besides.
    backfill: Option<Backfill>,
    orders: Orders,
    service: ServiceHealth,
    /// The reader whose request has failed last.
    last_failed: usize,
    /// What waits until the time is known.
    waiting: Waiting,
    /// Since when the request has been under way that was said to hang.
    hanging: Option<Instant>,
    /// What the page that is being taken in is of.
    taken_in: Option<(Lane, Window)>,
    /// What the source can do.
    source: Box<Followed>,
}

/// What a source can do, apart from how long it takes at present.
#[derive(Clone, Copy, Debug)]
struct Followed {
    limits: SourceLimits,
    /// Whether that has changed.
    is_adapted: bool,
}

/// Without what changes all the time.
fn lasting(limits: SourceLimits) -> SourceLimits {
    SourceLimits {
        latency: Duration::ZERO,
        ..limits
    }
}

/// What came of asking.
#[derive(Debug)]
struct Answer<L> {
    reader: usize,
    came: Came<L>,
}

#[derive(Debug)]
enum Came<L> {
    /// A page, or none.
    Page(Result<Page<L>, SourceError>),
    /// The source's time, or none.
    Time(Result<(), SourceError>),
}

/// Why the loop ended.
#[derive(Debug)]
enum End {
    Stopped,
    Failed(JoinError),
}

/// Something the loop waited for.
enum Turn<L, H> {
    Answered(Result<Answer<L>, JoinError>),
    Delivered(Result<Delivery<H>, JoinError>),
    Offered(Result<Offered, JoinError>),
    Time,
}

impl<S: Source, K: Sink, T: Store, C: Checkpoint> Collector<S, K, T, C> {
    /// A collector that follows `schedule` and knows the `known` rows.
    pub fn new(
        parts: Parts<S, K, T, C>,
        schedule: Schedule,
        known: KnownRows,
        journal: Journal,
    ) -> Self {
        let limits = lasting(parts.source.limits());
        let outflow = Outflow::new(Arc::clone(&parts.sink));
        Self {
            parts,
            outflow,
            schedule,
            source: Box::new(Followed {
                limits,
                is_adapted: false,
            }),
            pending: PendingWindows::default(),
            known,
            ledger: Ledger::new(journal),
            readers: (0..=BESIDE).map(|_| Reader::new()).collect(),
            parking: Parking::default(),
            strays: Strays::default(),
            asked: JoinSet::new(),
            errands: Errands::default(),
            backfill: None,
            orders: Orders::default(),
            service: ServiceHealth::new(1 + BESIDE),
            last_failed: BESIDE,
            waiting: Waiting::default(),
            hanging: None,
            taken_in: None,
        }
    }

    /// Collects until stopped.
    ///
    /// # Errors
    /// Only when a task panicked; everything that can be waited out is.
    pub async fn run(mut self) -> io::Result<()> {
        let end = match self.collect().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.asked.abort_all();
        self.drain().await;
        self.parts.source.close().await;
        self.tell_last_progress().await;
        match end {
            End::Stopped => Ok(()),
            End::Failed(error) => Err(io::Error::other(error)),
        }
    }

    async fn collect(&mut self) -> Result<std::convert::Infallible, End> {
        self.tell(Event::Letters(self.parts.letters.stock()));
        self.expect_strays().await;
        if self.has_begun() {
            self.keep().await?;
        }
        loop {
            self.plan().await?;
            self.send_lingering().await?;
            self.journal_when_due().await?;
            self.keep_when_due().await?;
            self.tell_progress().await?;
            match self.wait().await? {
                Turn::Answered(answer) => {
                    self.answered(answer.map_err(End::Failed)?).await?;
                    self.taken_in = None;
                }
                Turn::Delivered(first) => self.delivered(first).await?,
                Turn::Offered(done) => Box::pin(self.offered(done)).await?,
                Turn::Time => self.journal_when_quiet().await?,
            }
        }
    }

    /// Gives every reader something to do that may ask.
    async fn plan(&mut self) -> Result<(), End> {
        self.look_for_order().await?;
        // It is large, and seldom has anything to do.
        Box::pin(self.look_after_letters()).await?;
        let is_certain = self.look_at_clocks().await?;
        if !is_certain {
            self.ask_time().await?;
            return self.go_on_reading();
        }
        let now = self.time().now;
        match self.service.asking(Instant::now()) {
            Asking::All => {
                for reader in 0..self.readers.len() {
                    self.turn_to(reader, now);
                }
            }
            Asking::One => self.ask_one(now),
            Asking::Probe { small } => self.probe(now, small).await?,
        }
        Ok(())
    }

    /// Has the readers go on with the windows that they are reading, and begin no others.
    fn go_on_reading(&mut self) -> Result<(), End> {
        for reader in 0..self.readers.len() {
            let may = self.service.asking(Instant::now()) == Asking::All && self.may_ask(reader);
            if may && self.readers.get(reader).is_some_and(Reader::waits) {
                self.ask(reader);
            }
        }
        Ok(())
    }

    /// Has a reader ask for a page, when it may and there is something to ask for.
    fn turn_to(&mut self, reader: usize, now: DateTime<Utc>) {
        if !self.may_ask(reader) {
            return;
        }
        if self.readers.get(reader).is_some_and(Reader::waits) || self.unpark(reader) {
            self.ask(reader);
        } else if self.readers.get(reader).is_some_and(Reader::is_idle)
            && let Some((lane, window)) = self.next_window(reader, now)
        {
            self.begin(reader, lane, window, false);
        }
    }

    /// What a reader without a window is to read.
    fn next_window(&mut self, reader: usize, now: DateTime<Utc>) -> Option<(Lane, Window)> {
        if reader == 0 {
            self.follow_source();
            if let Some(window) = self.schedule.live(now) {
                if self.schedule.missing() > TimeDelta::zero() {
                    // Who looks at the timeline sees what is missing.
                    self.ledger.timeline_changes();
                }
                self.tell_standing();
                return Some((Lane::Live, window));
            }
            if self.schedule.is_collecting() {
                return None;
            }
            // The first reader finds out whether anything is wrong.
            return self.schedule.beside(now, Instant::now());
        }
        let most = self.parts.source.limits().readers().min(BESIDE);
        if self.service.is_unproven() || self.reading_beside() >= most {
            return None;
        }
        if self.service.is_failing(Instant::now())
            && let Some(never_read) = self.schedule.never_read()
        {
            return Some(never_read);
        }
        self.schedule.beside(now, Instant::now())
    }

    /// A source may be another one from some moment on.
    fn follow_source(&mut self) {
        let limits = lasting(self.parts.source.limits());
        if limits != self.source.limits {
            self.source.limits = limits;
            self.source.is_adapted = true;
            self.schedule.adapt(&limits);
        }
    }

    /// Has one reader ask, while none does. The one whose page has failed last comes last.
    fn ask_one(&mut self, now: DateTime<Utc>) {
        let readers = self.readers.len();
        let first = self.last_failed + 1;
        for place in 0..readers {
            if self.is_asking() {
                return;
            }
            self.turn_to((first + place) % readers, now);
        }
    }

    /// Asks for as little as there is, while no reader asks, to find out whether the source answers.
    async fn probe(&mut self, now: DateTime<Utc>, small: bool) -> Result<(), End> {
        if self.is_asking() || !self.may_ask(0) {
            return Ok(());
        }
        if let Some(read) = self
            .readers
            .first_mut()
            .and_then(|reader| reader.read.take())
        {
            self.put_back(read).await?;
        }
        let span = if small { PROBE.1 } else { PROBE.0 };
        match self.schedule.probe(now, span) {
            Some((lane, window)) => {
                self.service.probes();
                self.begin(0, lane, window, true);
            }
            // All of that is being read.
            None => self.ask_one(now),
        }
        Ok(())
    }

    /// Leaves a window to be asked for in another way.
    async fn put_back(&mut self, read: WindowRead<S::Link, K::Batch>) -> Result<(), End> {
        self.schedule.put_back(read.window);
        self.pending.abandon(read.id);
        self.send(read.draft).await
    }

    /// Waits for what comes first.
    async fn wait(&mut self) -> Result<Turn<S::Link, K::InHand>, End> {
        let most = if self.is_asking() { WATCHING } else { TURN };
        let pause = self.until_due().min(most);
        self.look_at_requests();
        self.tell_turning(pause, WaitsFor::Turn);
        let stop = self.parts.stop.clone();
        let mut time = pin!(tokio::time::sleep(pause));
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(End::Stopped),
            Some(done) = self.outflow.next() => Ok(Turn::Delivered(done)),
            Some(done) = self.errands.offers.join_next() => Ok(Turn::Offered(done)),
            Some(answer) = self.asked.join_next() => Ok(Turn::Answered(answer)),
            () = &mut time => Ok(Turn::Time),
        }
    }

    /// How long until the live edge or a paused reader is due.
    fn until_due(&self) -> Duration {
        let due = [
            self.until_told(),
            self.until_written(),
            self.until_lingering(),
            self.parking.due_in(),
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
        let request = self.parts.source.oldest_request();
        let now = self.time().now;
        self.tell(Event::Turning {
            within,
            request_due: request.map(|request| request.since + request.limit),
            progress: self.schedule.standpoint(now),
            activity: &self.activity(now, blocker),
        });
    }

    /// Says once of a request that it hangs.
    fn look_at_requests(&mut self) {
        let request = self.parts.source.oldest_request();
        let hangs = request.filter(|request| request.since.elapsed() >= HANGING);
        if let Some(UnderWay { since, limit }) = hangs
            && self.hanging.replace(since) != Some(since)
        {
            self.tell(Event::Hanging { limit });
        }
    }

    /// Whether a reader's pause is over.
    fn may_ask(&self, reader: usize) -> bool {
        self.service.held_until(reader, Instant::now()).is_none()
    }

    /// Whether a page is being asked for.
    fn is_asking(&self) -> bool {
        self.readers
            .iter()
            .any(|reader| reader.asking_since().is_some())
    }

    /// How many of the readers beside that of the live edge are reading, and do not pause.
    fn reading_beside(&self) -> usize {
        let readers = self.readers.iter().enumerate().skip(1);
        let reading = readers.filter(|(at, reader)| !reader.is_idle() && self.may_ask(*at));
        reading.count()
    }

    /// Begins to read a window.
    fn begin(&mut self, reader: usize, lane: Lane, window: Window, is_probe: bool) {
        self.tell(Event::Asking { lane, window });
        let began = self.moment();
        let id = self.pending.begin(window, began);
        let draft = self.outflow.draft(lane, window);
        // Windows of the live edge are alike, and fail for the same reason.
        if lane != Lane::Live {
            self.service.begun(reader);
        }
        if let Some(reader) = self.readers.get_mut(reader) {
            let mut read = WindowRead::new(id, lane, window, began, draft);
            read.is_probe = is_probe;
            reader.read = Some(read);
        }
        self.ask(reader);
    }

    fn ask(&mut self, reader: usize) {
        if let Some((lane, window, link)) = self.readers.get_mut(reader).and_then(Reader::ask) {
            self.fetch(reader, lane, window, link);
        }
    }

    /// Asks for a page beside everything else.
    fn fetch(&mut self, reader: usize, lane: Lane, window: Window, link: Option<S::Link>) {
        let source = Arc::clone(&self.parts.source);
        let task = self.asked.spawn(async move {
            let page = source.page(lane, window, link).await;
            let came = Came::Page(page);
            Answer { reader, came }
        });
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.is_asked_by(task.id());
        }
        if lane == Lane::Backfill
            && let Some(backfill) = &mut self.backfill
        {
            // It is told when it may ask.
            _ = backfill.changed();
        }
    }

    async fn answered(&mut self, answer: Answer<S::Link>) -> Result<(), End> {
        let Answer { reader, came } = answer;
        let page = match came {
            Came::Page(page) => page,
            Came::Time(told) => {
                self.time_came(reader, told);
                return Ok(());
            }
        };
        let Some(mut read) = self.readers.get_mut(reader).and_then(Reader::answered) else {
            return Ok(());
        };
        self.taken_in = Some((read.lane, read.window));
        match page {
            Ok(page) => {
                let damaged = page.damage().map(|damage| {
                    format!("unreadable answer: {}; asked again later", damage.sentence)
                });
                match damaged {
                    Some(sentence) => {
                        Box::pin(self.doubt(reader, read, Some(page), &sentence)).await
                    }
                    None => {
                        self.tell_healed(&mut read);
                        self.turn_page(reader, read, page).await
                    }
                }
            }
            Err(error) if error.remedy == Remedy::Unreadable => {
                Box::pin(self.doubt(reader, read, None, &error.sentence)).await
            }
            Err(error)
                if error.remedy == Remedy::Narrow
                    && read.link.is_some()
                    && self.goes_by_time(&mut read, &error.sentence) =>
            {
                self.tell_failure(&error, Duration::ZERO, false);
                self.resume_later(reader, read);
                Ok(())
            }
            Err(error) if error.remedy == Remedy::Narrow => {
                self.tell_failure(&error, Duration::ZERO, false);
                Box::pin(self.cut(reader, read, &error.sentence)).await
            }
            Err(error) if let Remedy::TooOld { oldest } = error.remedy => {
                self.refused(reader, read, oldest, &error).await
            }
            Err(error) => Box::pin(self.failed(reader, read, &error)).await,
        }
    }

    /// Takes a page in, while the next one is being fetched.
    async fn turn_page(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        page: Page<S::Link>,
    ) -> Result<(), End> {
        self.page_came(reader, read.is_probe);
        self.schedule.paged(read.lane);
        // Before its rows are looked at: they must not count as foreign.
        if let Some(window) = self.schedule.answered(read.window, Instant::now()) {
            self.tell(Event::Found { window });
        }
        let most = self.parts.source.limits().pages_per_window;
        let distrust = page.next().and_then(|next| read.follow(next, most));
        let goes_on = page.next().is_some() && distrust.is_none();
        let newest = read.newest(&page);
        if goes_on && self.is_shortened(&read, newest) {
            self.take(&page, &mut read).await?;
            self.pending.abandon(read.id);
            return self.send(read.draft).await;
        }
        let advances = read.advances(&page);
        // The source may have asked another reader for a pause.
        let is_ahead = goes_on && advances && !is_paced(&read) && self.may_ask(reader);
        if is_ahead {
            self.fetch_ahead(reader, &read);
        }
        let is_news = self.take(&page, &mut read).await?;
        if is_ahead {
            if let Some(reader) = self.readers.get_mut(reader) {
                reader.read = Some(read);
            }
            return Ok(());
        }
        let step = match advances {
            true => Step::Forward,
            false => read.step(&page, is_news),
        };
        drop(page);
        if goes_on {
            return Box::pin(self.walk_on(reader, read, step)).await;
        }
        match distrust {
            Some(sentence) if self.goes_by_time(&mut read, &sentence) => {
                self.resume_later(reader, read);
                Ok(())
            }
            Some(sentence) => Box::pin(self.cut(reader, read, &sentence)).await,
            None => {
                self.send_rest(&mut read).await?;
                self.read(reader, &read).await
            }
        }
    }

    /// Whether a window was given back because it would have far more rows than it should, as the
    /// `newest` of them show.
    fn is_shortened(
        &mut self,
        read: &WindowRead<S::Link, K::Batch>,
        newest: Option<Newest>,
    ) -> bool {
        let Some(newest) = newest else {
            return false;
        };
        self.schedule.see(read.lane, newest);
        read.pages == 0 && self.schedule.shorten(read.lane, read.window, newest)
    }

    /// A page came: whatever failed before has healed.
    fn page_came(&mut self, reader: usize, is_probe: bool) {
        let failures = self.service.answered(reader, Instant::now(), is_probe);
        if failures > 0 {
            self.tell(Event::Recovered { failures });
        }
        if let Some(backfill) = &mut self.backfill {
            backfill.is_in(None);
        }
    }

    /// Asks for the page behind the one at hand.
    fn fetch_ahead(&mut self, reader: usize, read: &WindowRead<S::Link, K::Batch>) {
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.asks();
        }
        self.fetch(reader, read.lane, read.asked, read.link.clone());
    }

    /// A window was read to its end.
    async fn read(
        &mut self,
        reader: usize,
        read: &WindowRead<S::Link, K::Batch>,
    ) -> Result<(), End> {
        self.service.window_read(reader);
        let WindowRead {
            lane,
            window,
            pages,
            rows,
            new,
            ..
        } = *read;
        self.schedule.learn(lane, window, rows);
        if lane == Lane::Backfill
            && let Some(backfill) = &mut self.backfill
        {
            backfill.changed().windows += 1;
        }
        self.tell(Event::WindowRead {
            lane,
            window,
            pages,
            rows,
            new,
        });
        let until = self.moment();
        let done = self.pending.read(read.id, Read { rows, until });
        self.complete(done).await
    }

    /// A request failed: the reader pauses, and others with it.
    async fn failed(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        error: &SourceError,
    ) -> Result<(), End> {
        let is_link_given_up = read.failed();
        let too_wide = error.may_be_too_wide && !read.is_probe && self.service.is_too_wide(reader);
        self.pause_after(reader, error);
        let source_time = self.time().now;
        if read.pages == 0 && read.window.end() > source_time {
            // The clock was ahead when it was made: the windows are made anew.
            self.schedule.withdraw(read.window, source_time);
            self.pending.abandon(read.id);
            self.service.hold(reader, ALMOST_AT_ONCE, Instant::now());
            return Ok(());
        }
        if read.is_probe {
            return self.put_back(read).await;
        }
        if too_wide {
            return self.relieve(reader, read, &error.sentence).await;
        }
        if is_link_given_up {
            return Box::pin(self.link_failed(reader, read, &error.sentence)).await;
        }
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.read = Some(read);
        }
        Ok(())
    }

    /// A reader pauses after a failure, and it is told.
    fn pause_after(&mut self, reader: usize, error: &SourceError) {
        self.last_failed = reader;
        let verdict = self.service.failed(reader, error.remedy, Instant::now());
        let person = error.remedy.needs_a_person();
        if let Some(backfill) = &mut self.backfill {
            let sentence = error.sentence.clone();
            backfill.is_in(Some(Trouble { sentence, person }));
        }
        self.tell_failure(error, verdict.pause, person);
        self.call(verdict.call, &error.sentence);
    }

    /// Has a window that fails while others are answered read in narrower ones.
    async fn relieve(
        &mut self,
        reader: usize,
        read: WindowRead<S::Link, K::Batch>,
        sentence: &str,
    ) -> Result<(), End> {
        if !self.schedule.can_narrow(read.window) {
            return self.cut(reader, read, sentence).await;
        }
        let window = read.window;
        self.schedule.relieve(read.lane, window);
        self.pending.abandon(read.id);
        self.service.window_failed(reader, false, Instant::now());
        self.tell(Event::Narrowed { window, sentence });
        self.send(read.draft).await
    }

    fn tell_failure(&self, error: &SourceError, pause: Duration, person: bool) {
        self.tell(Event::PageFailed {
            sentence: &error.sentence,
            label: error.label,
            pause,
            person,
        });
    }

    /// Calls for help, when it is time to.
    fn call(&self, call: bool, sentence: &str) {
        if call {
            self.tell(Event::Persisting { sentence });
        }
    }

    /// Has a window read in another way.
    async fn cut(
        &mut self,
        reader: usize,
        mut read: WindowRead<S::Link, K::Batch>,
        sentence: &str,
    ) -> Result<(), End> {
        let window = read.window;
        self.send_rest(&mut read).await?;
        let narrowest = !self.schedule.can_narrow(window);
        // What cannot be read at all keeps one of the readers beside busy, never the live edge.
        let stays = narrowest && read.lane != Lane::Live;
        if !stays {
            self.schedule.narrow(window);
        }
        let pause = self
            .service
            .window_failed(reader, narrowest, Instant::now());
        if narrowest {
            self.tell(Event::PageFailed {
                sentence,
                label: "paging",
                pause,
                person: true,
            });
        } else {
            self.tell(Event::Narrowed { window, sentence });
        }
        if stays {
            read.begin_anew();
            if let Some(reader) = self.readers.get_mut(reader) {
                reader.read = Some(read);
            }
        } else {
            self.pending.abandon(read.id);
        }
        Ok(())
    }

    fn tell_standing(&self) {
        let coverage = self.schedule.coverage();
        self.tell(Event::Standing(Standing {
            mark: coverage.mark(),
            oldest_missing: coverage.missing().next().map(|window| window.start()),
            missing: self.schedule.missing(),
            gaps: coverage.missing().count(),
            settling_since: coverage.settling_since(),
            known: self.known.len(),
            coarseness: self.schedule.coarseness(),
            better_settle_time: self.schedule.better_settle_time(),
            skew: self.time().skew,
            refused: self.schedule.refused().map(|window| window.span()).sum(),
        }));
    }

    fn tell(&self, event: Event<'_>) {
        self.parts.observer.on(event);
    }

    /// Runs something until stopped.
    async fn until_stopped<O>(&self, work: impl Future<Output = O>) -> Result<O, End> {
        let done = self.parts.stop.run_until_cancelled(work).await;
        done.ok_or(End::Stopped)
    }
}
