//! A collection whose source and sink do exactly what a test says.

use rows::{
    Broken, Damage,
    exclude::Exclusions,
    privacy::{Addresses, Exposure, Privacy, Subjects},
};

use super::*;

/// So many hours of the collection have a record.
pub(super) const HOURS: i64 = 5;

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Stop,
    Kill,
}

/// A message with so many rows in a window may have others.
const RECIPIENTS: u32 = 20;

/// When a row was received, and whether its status has changed.
pub(super) type Mail = (DateTime<Utc>, bool);

/// What happens when a page is asked for.
type Hook = Box<dyn FnMut(Lane, Window, bool) -> Result<(), ErrorClass> + Send>;

/// A clock that begins at the same full hour in each test.
pub(super) struct FullHour(Clock);

impl Default for FullHour {
    fn default() -> Self {
        Self(Clock::virtual_from(full_hour()))
    }
}

impl std::ops::Deref for FullHour {
    type Target = Clock;

    fn deref(&self) -> &Clock {
        &self.0
    }
}

fn full_hour() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// A source, a sink and a disk.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) clock: FullHour,
    pub(super) disk: Arc<Disk>,
    pub(super) start: DateTime<Utc>,
    pub(super) rows: Mutex<Vec<Mail>>,
    /// How often each event was accepted.
    pub(super) sent: Mutex<BTreeMap<usize, usize>>,
    /// Rows of a page, and how long a page of each lane takes.
    pub(super) page: Mutex<usize>,
    pub(super) takes: Mutex<HashMap<Lane, Duration>>,
    /// Whether pages have all rows there are, also those that were not asked for.
    pub(super) is_unbounded: AtomicBool,
    /// Whether they have what was received a second after their window, too.
    pub(super) looks_beyond: AtomicBool,
    /// Whether events are refused, until they are given up.
    pub(super) refuses: AtomicBool,
    /// Whether no batch takes an event, as all are too long.
    pub(super) is_long: AtomicBool,
    /// Rows whose batches are given up, and how long the answer to another one takes; half of that to these.
    pub(super) hopeless: Mutex<std::ops::Range<usize>>,
    pub(super) answers_in: Mutex<Duration>,
    /// Rows that are refused as long as others are accepted, and so many accepted events.
    pub(super) refused: Mutex<std::ops::Range<usize>>,
    accepted: AtomicUsize,
    /// So many events fill the hand, unless 0.
    pub(super) holds: AtomicUsize,
    /// The most events that were in hand, and how often it was told that nothing is sent for that.
    pub(super) most_held: AtomicUsize,
    pub(super) standstills: AtomicUsize,
    /// When something was received that cannot be read as a row.
    pub(super) broken: Mutex<Option<DateTime<Utc>>>,
    /// A row that has to be mended, and in how many ways it has been shown; none when it is the same each time.
    pub(super) mended: Mutex<Option<(usize, Option<usize>)>>,
    /// Whether pages have no links to the next ones.
    pub(super) hides_links: AtomicBool,
    /// Whether the same item that is no row stands on each page.
    pub(super) is_damaged: AtomicBool,
    /// Whether no page has a row.
    pub(super) is_bare_of_rows: AtomicBool,
    /// Whether no batch has an answer.
    pub(super) is_silent: AtomicBool,
    /// Whether rows are bare numbers, in which nothing can be hidden.
    pub(super) is_bare: AtomicBool,
    /// Whether rows are not wanted whose status has changed.
    pub(super) excludes: AtomicBool,
    /// Whether all rows are of one message, and whether its status changes as soon as it is asked for.
    pub(super) is_mass: AtomicBool,
    pub(super) changes: AtomicBool,
    /// Whether windows show no more of it than they have to, and questions for it are refused.
    pub(super) hides: AtomicBool,
    /// Whether there is no collection, but a backfill of all hours alone.
    pub(super) is_alone: AtomicBool,
    /// Whether there is none, but an order to verify alone, with which the life ends.
    pub(super) is_auditing: AtomicBool,
    /// Whether the source's time is known, and how far it is ahead of the local clock.
    pub(super) time: Mutex<(bool, TimeDelta)>,
    /// Whether the source does not tell it.
    pub(super) tells_no_time: AtomicBool,
    pub(super) hook: Mutex<Option<Hook>>,
    /// New rows that a question for a message has brought.
    pub(super) by_id: Mutex<Vec<u64>>,
    /// How often it was told that a night has ended, and that the store has failed.
    pub(super) nights: AtomicUsize,
    pub(super) failures: AtomicUsize,
    /// How long the event of a letter takes to be accepted; none when it never is.
    pub(super) takes_letters: Mutex<Option<Duration>>,
    /// How often it was told that there is no room for another dead letter.
    pub(super) no_room: AtomicUsize,
    /// How often it was told how far the collection has come, and where it stands.
    pub(super) lags: AtomicUsize,
    pub(super) snapshots: AtomicUsize,
    /// How many events are in hand, as was told last, where all that is missing waits for its rows only.
    pub(super) only_waits: Mutex<Option<usize>>,
    /// So many accepted rows could not be remembered before a stop.
    pub(super) unremembered: AtomicUsize,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").finish_non_exhaustive()
    }
}

impl Bench {
    /// Rows of so many hours, up to now: so many in each hour.
    pub(super) fn new(of_hour: usize) -> Arc<Self> {
        Self::ahead(of_hour, TimeDelta::zero())
    }

    /// The same, and the source's clock is so far ahead of the local one.
    pub(super) fn ahead(of_hour: usize, skew: TimeDelta) -> Arc<Self> {
        let start = full_hour() + skew - TimeDelta::hours(HOURS + 3);
        let apart = TimeDelta::hours(1) / i32::try_from(of_hour).unwrap();
        let count = of_hour * usize::try_from(HOURS + 3).unwrap();
        let row = |n: usize| start + apart * i32::try_from(n).unwrap() + TimeDelta::seconds(1);
        Arc::new(Self {
            start,
            rows: Mutex::new((0..count).map(|n| (row(n), false)).collect()),
            page: Mutex::new(1000),
            time: Mutex::new((true, skew)),
            ..Self::default()
        })
    }

    /// One whose rows were collected, and the first hours were folded.
    pub(super) async fn collected(of_hour: usize) -> Arc<Self> {
        let bench = Self::new(of_hour);
        bench.lives(End::Stop, bench.collects()).await;
        bench
    }

    /// A page of this lane takes so many seconds from now on.
    pub(super) fn slows(&self, lane: Lane, seconds: u64) {
        let takes = Duration::from_secs(seconds);
        self.takes.lock().unwrap().insert(lane, takes);
    }

    /// Waits until the first hours have a record.
    pub(super) async fn collects(&self) {
        let folded = self.start + TimeDelta::hours(HOURS + 1);
        let is_done = async || {
            let timeline = timeline(&self.disk).await;
            timeline.is_some_and(|timeline| timeline.coverage.floor() >= folded)
        };
        self.until("it is collected", is_done).await;
    }

    pub(super) async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        for _ in 0..20_000 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("never: {what}");
    }

    /// The rows of all hours are forgotten on the disk, as those of the oldest are some day.
    pub(super) async fn forgets(&self) {
        for name in self.disk.list("known-rows/").await.unwrap() {
            if name.ends_with(".keys") {
                self.disk.files.lock().unwrap().remove(&name);
                self.disk.safe.lock().unwrap().remove(&name);
            }
        }
    }

    /// How often events were accepted: each number of times that there is.
    pub(super) fn times(&self) -> Vec<usize> {
        let sent = self.sent.lock().unwrap();
        let times: std::collections::BTreeSet<usize> = sent.values().copied().collect();
        times.into_iter().collect()
    }

    /// How often each row of an hour was accepted.
    pub(super) fn times_of(&self, hour: i64) -> Vec<usize> {
        let start = self.start + TimeDelta::hours(hour);
        let hour = Window::new(start, start + TimeDelta::hours(1)).unwrap();
        let rows = self.rows.lock().unwrap();
        let rows = rows.iter().enumerate();
        let rows = rows.filter(|(_, (received, _))| hour.contains(*received));
        let sent = self.sent.lock().unwrap();
        rows.map(|(n, _)| sent.get(&n).copied().unwrap_or(0))
            .collect()
    }

    /// A row surfaces that was received in this minute of an hour.
    pub(super) fn surfaces(&self, hour: i64, minute: i64) {
        let received = self.start + TimeDelta::hours(hour) + TimeDelta::minutes(minute);
        self.rows.lock().unwrap().push((received, false));
    }

    /// What is not wanted.
    async fn excluded(&self, keyer: &RowKeyer) -> Excluded {
        let excludes = self.excludes.load(Ordering::Relaxed);
        let rules = excludes.then(|| Exclusions::new(naming, &[], &[], &["changed".to_owned()]));
        let excluded = Excluded::open(self.disk.as_ref(), rules.flatten(), keyer).await;
        excluded.unwrap()
    }

    /// A collection runs until the script has ended.
    pub(super) async fn lives(self: &Arc<Self>, end: End, script: impl Future<Output = ()>) {
        let owner = Owner {
            intake: "f00d".to_owned(),
            identify: |_| None,
        };
        let letters = Letters::open(self.disk.as_ref(), owner, Room::WIDE).await;
        self.lives_in(end, letters.unwrap(), script).await;
    }

    /// The same with these letters.
    pub(super) async fn lives_in(
        self: &Arc<Self>,
        end: End,
        letters: Letters,
        script: impl Future<Output = ()>,
    ) {
        let kept = timeline(&self.disk).await;
        let expected = kept.map(|kept| kept.segments).unwrap_or_default();
        let remembered = Journal::open(self.disk.as_ref(), [3; 16], &expected).await;
        let remembered = remembered.unwrap();
        let stop = CancellationToken::new();
        let parts = Parts {
            source: Arc::new(Benched(Arc::clone(self), remembered.keyer)),
            sink: Arc::new(Taken(Arc::clone(self))),
            store: Arc::clone(&self.disk),
            checkpoints: Checkpoint(Arc::clone(&self.disk)),
            letters,
            excluded: self.excluded(&remembered.keyer).await,
            privacy: match self.is_bare.load(Ordering::Relaxed) {
                true => Privacy::new(|_| Exposure::Plain, Subjects::Drop, Addresses::Keep, None),
                false => None,
            },
            details: None,
            observer: Arc::clone(self) as Arc<dyn Observer>,
            clock: self.clock.clone(),
            stop: stop.clone(),
        };
        let checkpoint = *self.disk.checkpoint.lock().unwrap();
        let timeline = Timeline::load(self.disk.as_ref()).await.unwrap();
        let first = self.start;
        let is_alone = self.is_alone.load(Ordering::Relaxed);
        let all = Window::new(first, first + TimeDelta::hours(HOURS + 3));
        let alone = all.filter(|_| is_alone);
        let is_auditing = self.is_auditing.load(Ordering::Relaxed);
        let scoped = move |schedule: Schedule| match alone {
            Some(range) => schedule.only(range),
            None if is_auditing => schedule.auditing(),
            None => schedule,
        };
        let begin = move |opening: Opening, known: &known::KnownRows| {
            let witnesses = Witnesses {
                position: checkpoint.map_or(Position::Absent, Position::At),
                copy: checkpoint,
                timeline,
                newest_known: known.newest_hour(opening.now),
            };
            let terms = Terms {
                now: opening.now,
                first,
                settle_time: SETTLE,
            };
            let start = match alone {
                Some(range) => StartDecision::of_backfill(range.start(), witnesses, terms),
                None => StartDecision::new(witnesses, terms),
            };
            let schedule = Schedule::new(bench_settings(), start.coverage, start.lateness);
            scoped(schedule)
        };
        let nothing = coverage::Coverage::new(self.clock.now());
        let schedule = Schedule::new(bench_settings(), nothing, lateness::Lateness::default());
        let schedule = scoped(schedule);
        let mut collector = Collector::new(parts, schedule, remembered);
        match self.holds.load(Ordering::Relaxed) {
            0 => {}
            events => collector.hold_at_most(events),
        }
        let run = Box::pin(collector.beginning(None, None, begin).run());
        let script = async {
            script.await;
            if end == End::Stop {
                stop.cancel();
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = run => {
                ended.unwrap();
                let by_itself = !stop.is_cancelled();
                assert_eq!(by_itself, is_auditing, "whether the loop ended by itself");
            }
            () = script => {}
        }
    }
}

fn bench_settings() -> ScheduleSettings {
    ScheduleSettings {
        limits: SourceLimits {
            rows_per_window: 100_000,
            rows_per_page: 1000,
            ..LIMITS
        },
        ..settings()
    }
}

impl Observer for Bench {
    fn on(&self, event: Event<'_>) {
        match event {
            Event::MassMail { new, .. } => self.by_id.lock().unwrap().push(new),
            Event::NightEnded(_) => _ = self.nights.fetch_add(1, Ordering::Relaxed),
            Event::StoreFailed(_) => _ = self.failures.fetch_add(1, Ordering::Relaxed),
            Event::InHand(events) => _ = self.most_held.fetch_max(events, Ordering::Relaxed),
            Event::HandFull => _ = self.standstills.fetch_add(1, Ordering::Relaxed),
            Event::NoRoom(_) => _ = self.no_room.fetch_add(1, Ordering::Relaxed),
            Event::Unremembered(rows) => {
                assert!(rows > 0, "it is told of none");
                _ = self.unremembered.fetch_add(rows, Ordering::Relaxed);
            }
            Event::Outside { rows, .. } => assert!(rows > 0, "it is told of none"),
            Event::Accepted(_) => {
                let accepted = self.accepted.load(Ordering::Relaxed);
                assert!(accepted > 0, "nothing was accepted");
            }
            Event::Snapshot(_) => _ = self.snapshots.fetch_add(1, Ordering::Relaxed),
            Event::Turning { lag, activity, .. } => {
                let told = usize::from(lag.is_some());
                _ = self.lags.fetch_add(told, Ordering::Relaxed);
                *self.only_waits.lock().unwrap() = activity.only_waits;
            }
            _ => {}
        }
        if std::env::var_os("BENCH").is_some()
            && !matches!(event, Event::Turning { .. } | Event::Snapshot(_))
        {
            println!("{} {event:?}", self.clock.now());
        }
    }
}

#[derive(Debug)]
struct Benched(Arc<Bench>, RowKeyer);

impl RowText for Benched {
    fn name(&self, event: &[u8]) -> verify::RowName {
        verify::RowName {
            message_trace_id: Some(number(event).0.to_string()),
            recipient: None,
        }
    }

    fn message_of(&self, _event: &[u8]) -> Option<Arc<str>> {
        Some("all".into())
    }

    fn shorten(&self, _event: &str, _most: usize) -> Option<String> {
        None
    }
}

impl Source for Benched {
    type Link = Offset;
    type Text = Self;

    without_quota!();

    fn text(&self) -> &Self {
        self
    }

    async fn page(
        &self,
        lane: Lane,
        question: Question,
        link: Option<Offset>,
    ) -> Result<Page<Offset>, SourceError> {
        let Self(bench, keyer) = self;
        let takes = bench.takes.lock().unwrap().get(&lane).copied();
        tokio::time::sleep(takes.unwrap_or(Duration::from_millis(100))).await;
        if let Some(hook) = bench.hook.lock().unwrap().as_mut()
            && let Err(class) = hook(lane, question.window, link.is_some())
        {
            return refuse(class);
        }
        let hides = bench.hides.load(Ordering::Relaxed);
        if hides && question.message.is_some() {
            return refuse(ErrorClass::Person);
        }
        let window = question.window;
        let size = *bench.page.lock().unwrap();
        let is_unbounded = bench.is_unbounded.load(Ordering::Relaxed);
        let beyond = match bench.looks_beyond.load(Ordering::Relaxed) {
            true => TimeDelta::seconds(2),
            false => TimeDelta::zero(),
        };
        let shown = Window::new(window.start(), window.end() + beyond).unwrap();
        let mut all_rows = bench.rows.lock().unwrap();
        if question.message.is_some() && bench.changes.load(Ordering::Relaxed) {
            all_rows.iter_mut().for_each(|row| row.1 = true);
        }
        let rows = all_rows.iter().enumerate();
        let mut rows: Vec<(usize, Mail)> = rows
            .filter(|(_, (received, _))| is_unbounded || shown.contains(*received))
            .map(|(n, mail)| (n, *mail))
            .collect();
        if bench.is_bare_of_rows.load(Ordering::Relaxed) {
            rows.clear();
        }
        let hides_links = bench.hides_links.load(Ordering::Relaxed);
        rows.sort_by_key(|(_, (received, _))| *received);
        if hides_links {
            rows.reverse();
        }
        if hides {
            rows.truncate(RECIPIENTS as usize);
        }
        let from = link.map_or(0, |link| link.0);
        let has_more = from + size < rows.len() && !hides_links;
        let next = has_more.then_some(Offset(from + size));
        let mail = u32::from(bench.is_mass.load(Ordering::Relaxed));
        let mut all = Vec::new();
        let mut spans = Vec::new();
        let mut mended = Vec::new();
        let mut to_mend = bench.mended.lock().unwrap();
        for (n, (received, has_changed)) in rows.into_iter().skip(from).take(size) {
            let event = if has_changed { n + CHANGED } else { n };
            let start = all.len();
            all.extend(match bench.is_bare.load(Ordering::Relaxed) {
                true => event.to_string().into_bytes(),
                false => text(event).into_bytes(),
            });
            let mut key = key(keyer, event);
            if let Some((_, ways)) = to_mend.as_mut().filter(|(row, _)| *row == n) {
                *ways = ways.map(|ways| ways + 1);
                key = keyer.opaque(&ways.unwrap_or(0).to_le_bytes());
                mended.push(key);
            }
            let span = RowSpan::new(start..all.len(), key, Some(received));
            spans.push(span.unwrap().of_mail(mail));
        }
        let is_damaged = bench.is_damaged.load(Ordering::Relaxed);
        let broken = *bench.broken.lock().unwrap();
        let is_broken = broken.is_some_and(|at| window.contains(at));
        let items = [is_damaged.then_some("null"), is_broken.then_some("7")];
        let items = items.into_iter().flatten().map(|item| Broken {
            bytes: item.into(),
            key: keyer.opaque(item.as_bytes()),
            position: 1,
            newer: None,
            older: None,
        });
        let is_damaged = is_damaged || is_broken || !mended.is_empty();
        let damage = Damage {
            sentence: "one of its rows is not a JSON object".to_owned(),
            mended,
            broken: items.collect(),
        };
        let page = Page::of(all, spans, next).unwrap();
        Ok(page.damaged(is_damaged.then_some(damage)))
    }

    fn time(&self, local: DateTime<Utc>) -> SourceTime {
        let (is_known, skew) = *self.0.time.lock().unwrap();
        match is_known {
            true => SourceTime {
                now: local + skew,
                certain: Some(local + skew),
                skew: Some(skew),
            },
            false => SourceTime {
                certain: None,
                ..local_time(local)
            },
        }
    }

    async fn ask_time(&self) -> Result<(), SourceError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if self.0.tells_no_time.load(Ordering::Relaxed) {
            return refuse(ErrorClass::Outage);
        }
        self.0.time.lock().unwrap().0 = true;
        Ok(())
    }

    fn limits(&self) -> SourceLimits {
        SourceLimits {
            recipients_shown: RECIPIENTS * u32::from(self.0.is_mass.load(Ordering::Relaxed)),
            latency: Duration::from_secs(4),
            ..bench_settings().limits
        }
    }

    async fn details(
        &self,
        _name: verify::RowName,
        _received: Option<DateTime<Utc>>,
    ) -> Result<Option<String>, SourceError> {
        Ok(None)
    }
}

/// A batch of a few events, of any length; or whether all are too long for it.
#[derive(Debug)]
struct Few(Vec<usize>, bool);

impl EventBatch for Few {
    fn push(&mut self, event: &[u8]) -> Pushed {
        if self.1 {
            return Pushed::TooLong;
        }
        if self.0.len() >= BATCH {
            return Pushed::Full;
        }
        self.0.push(number(event).0);
        Pushed::Added
    }
}

/// So many refusals are enough.
const REFUSALS: u32 = 3;

/// An event in hand.
#[derive(Debug)]
struct Heavy {
    event: usize,
    bytes: usize,
    /// Its refusals that count, and what was accepted at the last one.
    refusals: u32,
    accepted: usize,
}

impl Heavy {
    /// One that fills the hand, and was given up.
    fn hopeless(event: usize) -> Self {
        Self {
            event,
            bytes: 64 << 20,
            refusals: REFUSALS,
            accepted: 0,
        }
    }
}

impl HeldEvents for Heavy {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn given_up(&self) -> Option<GivenUp> {
        (self.refusals >= REFUSALS).then(|| GivenUp {
            event: text(self.event),
            reason: "no".to_owned(),
            fits: None,
        })
    }
}

#[derive(Debug)]
struct Taken(Arc<Bench>);

impl Taken {
    fn accepts(&self, event: usize) {
        *self.0.sent.lock().unwrap().entry(event).or_default() += 1;
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    fn refuses(&self, event: usize) -> bool {
        self.0.refused.lock().unwrap().contains(&event)
    }
}

impl Sink for Taken {
    type Batch = Few;
    type InHand = Heavy;

    fn batch(&self) -> Few {
        Few(Vec::new(), self.0.is_long.load(Ordering::Relaxed))
    }

    async fn deliver(&self, batch: Few) -> Option<Receipt<Heavy>> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if self.0.is_silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let answers_in = *self.0.answers_in.lock().unwrap();
        let hopeless = self.0.hopeless.lock().unwrap().clone();
        let is_hopeless = batch.0.iter().any(|event| hopeless.contains(event));
        if is_hopeless {
            tokio::time::sleep(answers_in / 2).await;
        }
        if is_hopeless || self.0.refuses.load(Ordering::Relaxed) {
            let kept = batch.0.iter().enumerate();
            let kept = kept.map(|(at, event)| (at..at + 1, Heavy::hopeless(*event)));
            return Some(Receipt {
                accepted: 0,
                kept: kept.collect(),
            });
        }
        if batch.0.iter().all(|event| self.refuses(*event)) {
            // Until others go before it.
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let accepted = self.0.accepted.load(Ordering::Relaxed);
        let mut receipt = Receipt::default();
        for (at, event) in batch.0.into_iter().enumerate() {
            if self.refuses(event) {
                let held = Heavy {
                    event,
                    bytes: 8,
                    refusals: 0,
                    accepted,
                };
                receipt.kept.push((at..at + 1, held));
            } else {
                self.accepts(event);
                receipt.accepted += 1;
            }
        }
        if !answers_in.is_zero() {
            tokio::time::sleep(answers_in).await;
        }
        Some(receipt)
    }

    async fn insist(&self, mut held: Heavy) -> Option<Receipt<Heavy>> {
        tokio::time::sleep(Duration::from_secs(10)).await;
        while held.refusals < REFUSALS {
            tokio::time::sleep(Duration::from_secs(300)).await;
            if !self.refuses(held.event) {
                self.accepts(held.event);
                return Some(Receipt {
                    accepted: 1,
                    kept: Vec::new(),
                });
            }
            // It counts when others were accepted between.
            let accepted = self.0.accepted.load(Ordering::Relaxed);
            held.refusals += u32::from(accepted > held.accepted);
            held.accepted = accepted;
        }
        Some(Receipt {
            accepted: 0,
            kept: vec![(0..1, held)],
        })
    }

    async fn offer(&self, event: &[u8]) -> Option<Result<(), String>> {
        let takes = *self.0.takes_letters.lock().unwrap();
        tokio::time::sleep(takes?).await;
        let mut sent = self.0.sent.lock().unwrap();
        *sent.entry(number(event).0).or_default() += 1;
        Some(Ok(()))
    }

    fn alone(&self, event: &[u8]) -> Heavy {
        Heavy::hopeless(number(event).0)
    }

    fn longest_event(&self) -> usize {
        LONGEST
    }

    async fn gives_up(&self) {
        tokio::time::sleep(DRAIN).await;
    }
}
