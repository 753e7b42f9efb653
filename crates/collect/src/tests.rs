//! The guarantee of the fetch loop, on virtual time, against sources and sinks that fail in every
//! way, and with kills and crashes of the machine at any moment.

mod details;
mod mass;
mod orders;
mod paging;
mod proof;
mod proving;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use base::Clock;
use bytes::Bytes;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rows::{
    RowKeyer, RowSpan, Window,
    reader::{Field, Known},
};
use tokio_util::sync::CancellationToken;

use crate::{
    backfill::{BackfillOrder, BackfillWork},
    decide::{
        schedule::{Schedule, ScheduleSettings},
        start::{Position, StartDecision, Terms, Weight, Witnesses},
    },
    known::{BatchId, DedupDecision},
    ledger::{
        journal::{Inventory, Journal},
        timeline::{Found, Timeline},
    },
    letters::{Letters, Owner, Room},
    order::OrderFile,
    testing::{DRAIN, local_time, without_quota},
    *,
};

/// Added to the number of a row to tell its second status.
const CHANGED: usize = 1_000_000;

/// So many rows of a message have the same date, and a window shows no more than so many of them.
const MASS: usize = 6;
const SHOWN: usize = 4;

/// What names the message of a row; 0 for one that is alone.
fn mail(n: usize) -> u32 {
    let message = n / MASS;
    match message % 4 {
        0 => message as u32 + 1,
        _ => 0,
    }
}

const BATCH: usize = 5;
const PAGE: usize = 7;

/// A row, which surfaces late, and changes its status perhaps.
#[derive(Clone, Copy, Debug)]
struct Row {
    received: DateTime<Utc>,
    visible: DateTime<Utc>,
    changes: Option<DateTime<Utc>>,
}

impl Row {
    fn has_changed(&self, now: DateTime<Utc>) -> bool {
        self.changes.is_some_and(|at| at <= now)
    }
}

/// The truth.
#[derive(Debug)]
struct World {
    rows: Vec<Row>,
    accepted: Mutex<HashMap<usize, usize>>,
    /// Rows whose first status was accepted after the last one, as the intake took its batch late.
    overtaken: Mutex<HashSet<usize>>,
    /// Those that were accepted with details.
    detailed: Mutex<HashSet<usize>>,
    /// Of which rows details are wanted.
    details: Option<DetailsWish>,
    /// Whether they never come.
    stalls: bool,
    /// Whether the intake takes ten minutes for each batch.
    is_slow: bool,
    /// Whether rows do not say to whom they were sent.
    names_nobody: bool,
    /// How the rows have gone of which they are.
    fates: Mutex<HashMap<DetailsFate, usize>>,
    /// How often it was told that they are refused, or do not come in time.
    refusals: AtomicU32,
    /// How often it was said that a row cannot be delivered.
    dropped: AtomicU32,
    /// The messages of which an answer was no use: a second time would be believed, and what their windows
    /// hide would be lost.
    doubted: Mutex<HashSet<Arc<str>>>,
    random: Mutex<StdRng>,
    /// Of a hundred calls, how many fail.
    faults: AtomicU32,
    /// How often the time was asked for, and whether it was told to the process at hand.
    asked_time: AtomicU32,
    knows_time: AtomicBool,
    clock: Clock,
}

impl World {
    fn new(
        rows: Vec<Row>,
        details: Option<DetailsWish>,
        faults: u32,
        random: StdRng,
        clock: Clock,
    ) -> Self {
        Self {
            rows,
            accepted: Mutex::default(),
            overtaken: Mutex::default(),
            detailed: Mutex::default(),
            details,
            stalls: false,
            is_slow: false,
            names_nobody: false,
            fates: Mutex::default(),
            refusals: AtomicU32::default(),
            dropped: AtomicU32::default(),
            doubted: Mutex::default(),
            random: Mutex::new(random),
            faults: faults.into(),
            asked_time: AtomicU32::default(),
            knows_time: AtomicBool::default(),
            clock,
        }
    }

    fn chance(&self, percent: u32) -> bool {
        self.random.lock().unwrap().random_ratio(percent, 100)
    }

    fn faults(&self) -> u32 {
        self.faults.load(Ordering::Relaxed)
    }

    fn pause(&self, most_ms: u64) -> tokio::time::Sleep {
        let ms = self.random.lock().unwrap().random_range(0..most_ms);
        tokio::time::sleep(Duration::from_millis(ms))
    }
}

const LIMITS: SourceLimits = SourceLimits {
    longest_window: TimeDelta::hours(240),
    retention: TimeDelta::days(30),
    rows_per_window: 40,
    rows_per_page: 7,
    share: 500,
    pages_per_window: 20,
    recipients_shown: SHOWN as u32,
    latency: Duration::from_secs(1),
};

#[derive(Debug)]
struct FakeSource {
    world: Arc<World>,
    keyer: RowKeyer,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Offset(usize);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}", self.0)
    }
}

fn key(keyer: &RowKeyer, event: usize) -> rows::RowKey {
    let number = (event % CHANGED).to_string();
    keyer.key(&[&number], if event < CHANGED { "" } else { "changed" })
}

/// The text of an event.
fn text(event: usize) -> String {
    let status = if event < CHANGED { "new" } else { "changed" };
    format!("{{\"n\":{event},\"status\":\"{status}\"}}")
}

/// The number in the text of an event, and whether it has details, which are its own.
fn number(event: impl AsRef<[u8]>) -> (usize, bool) {
    let event: serde_json::Value = serde_json::from_slice(event.as_ref()).unwrap();
    let number = usize::try_from(event["n"].as_u64().unwrap()).unwrap();
    let details = event.get("details");
    let is_own = |details: &serde_json::Value| details[0]["of"] == number;
    assert!(details.is_none_or(is_own), "{event}");
    (number, details.is_some())
}

fn naming(name: &str) -> Field {
    match name {
        "status" => Field::Known(Known::Status),
        _ => Field::Other,
    }
}

fn refuse<T>(class: ErrorClass) -> Result<T, SourceError> {
    Err(SourceError {
        class,
        sentence: format!("refused: {class:?}"),
        label: "fake",
        may_be_too_wide: false,
    })
}

impl RowText for FakeSource {
    fn name(&self, event: &[u8]) -> verify::RowName {
        verify::RowName {
            message_trace_id: Some(number(event).0.to_string()),
            recipient: (!self.world.names_nobody).then(|| "ada@contoso.example".to_owned()),
        }
    }

    fn message_of(&self, event: &[u8]) -> Option<Arc<str>> {
        let (event, _) = number(event);
        Some(mail(event % CHANGED).to_string().into())
    }

    fn shorten(&self, _event: &str, _most: usize) -> Option<String> {
        None
    }
}

impl Source for FakeSource {
    type Link = Offset;
    type Text = Self;

    without_quota!();

    fn text(&self) -> &Self {
        self
    }

    async fn page(
        &self,
        _lane: Lane,
        question: Question,
        link: Option<Offset>,
    ) -> Result<Page<Offset>, SourceError> {
        let window = question.window;
        self.world.pause(2000).await;
        if self.world.chance(self.world.faults()) {
            let choice = self.world.random.lock().unwrap().random_range(0..10);
            match choice {
                0 => {
                    return refuse(ErrorClass::Transient {
                        after: Some(Duration::from_secs(3)),
                    });
                }
                1 => return refuse(ErrorClass::Transient { after: None }),
                // It is said of everything, not of a question for a message.
                2 if question.message.is_some() => return refuse(ErrorClass::Outage),
                2 => return refuse(ErrorClass::Person),
                3 => {
                    return refuse(ErrorClass::Throttled {
                        after: Some(Duration::from_secs(2)),
                    });
                }
                4 => return refuse(ErrorClass::Throttled { after: None }),
                5 => return refuse(ErrorClass::Refused { heals: false }),
                6..8 => {
                    let wide = choice == 7;
                    return refuse(ErrorClass::Outage).map_err(|error| SourceError {
                        may_be_too_wide: wide,
                        ..error
                    });
                }
                _ if question.message.is_some() => return refuse(ErrorClass::Outage),
                // It is not so: the next answer is a page.
                8 => return refuse(ErrorClass::OutOfReach { days: None }),
                _ => return refuse(ErrorClass::Narrow),
            }
        }
        assert!(
            window.end() <= self.world.clock.now(),
            "asked for the future"
        );
        // Both bounds included, newest first.
        let now = self.world.clock.now();
        let asked_for = |row: &Row| {
            window.start() <= row.received && row.received <= window.end() && row.visible <= now
        };
        let mut shown: HashMap<u32, usize> = HashMap::new();
        let is_shown = |n: &usize| {
            let mail = mail(*n);
            if let Some(message) = &question.message {
                return **message == *mail.to_string();
            }
            let count = shown.entry(mail).or_default();
            *count += 1;
            mail == 0 || *count <= SHOWN
        };
        let matching: Vec<usize> = (0..self.world.rows.len())
            .rev()
            .filter(|n| self.world.rows.get(*n).is_some_and(asked_for))
            .filter(is_shown)
            .collect();
        let start = link.map_or(0, |offset| offset.0);
        let mut text = Vec::new();
        let mut spans = Vec::new();
        for n in matching.iter().skip(start).take(PAGE) {
            let from = text.len();
            let row = self.world.rows.get(*n).unwrap();
            let status = if row.has_changed(now) { CHANGED } else { 0 };
            text.extend_from_slice(self::text(n + status).as_bytes());
            spans.push((from..text.len(), *n, status));
        }
        let is_useless = |message: &Arc<str>| {
            let mut doubted = self.world.doubted.lock().unwrap();
            doubted.insert(Arc::clone(message))
        };
        let repeats = self.world.chance(self.world.faults() / 4)
            && question.message.as_ref().is_none_or(is_useless);
        let next = if repeats {
            Some(Offset(start)) // a link that repeats itself
        } else {
            (start + PAGE < matching.len()).then_some(Offset(start + PAGE))
        };
        let spans = spans.into_iter().map(|(range, n, status)| {
            let received = self.world.rows.get(n).map(|row| row.received);
            let key = key(&self.keyer, n + status);
            let span = RowSpan::new(range, key, received).unwrap();
            span.of_mail(mail(n))
        });
        Ok(Page::of(text, spans.collect(), next).unwrap())
    }

    fn time(&self, local: DateTime<Utc>) -> SourceTime {
        let time = local_time(local);
        let is_known = self.world.knows_time.load(Ordering::Relaxed);
        SourceTime {
            certain: time.certain.filter(|_| is_known),
            ..time
        }
    }

    async fn ask_time(&self) -> Result<(), SourceError> {
        self.world.asked_time.fetch_add(1, Ordering::Relaxed);
        self.world.pause(2000).await;
        // It may take several answers.
        let is_told = !self.world.chance(self.world.faults());
        self.world.knows_time.fetch_or(is_told, Ordering::Relaxed);
        Ok(())
    }

    fn limits(&self) -> SourceLimits {
        LIMITS
    }

    async fn details(
        &self,
        name: verify::RowName,
        _received: Option<DateTime<Utc>>,
    ) -> Result<Option<String>, SourceError> {
        if self.world.stalls {
            std::future::pending::<()>().await;
        }
        let slow = self.world.chance(self.world.faults());
        self.world.pause(if slow { 200_000 } else { 2000 }).await;
        if self.world.chance(self.world.faults() / 2) {
            return refuse(ErrorClass::Throttled { after: None });
        }
        let long = if self.world.chance(10) { LONGEST } else { 0 };
        let of = name.message_trace_id.unwrap();
        let details = format!("[{{\"of\":{of}}}{}]", " ".repeat(long));
        Ok((!self.world.chance(10)).then_some(details))
    }
}

/// The longest event that is taken.
const LONGEST: usize = 100;

#[derive(Debug)]
struct FakeSink {
    world: Arc<World>,
}

#[derive(Debug, Default)]
struct FakeBatch(Vec<(usize, bool)>);

impl EventBatch for FakeBatch {
    fn push(&mut self, event: &[u8]) -> Pushed {
        assert!(event.len() <= LONGEST);
        let event = number(event);
        if event.0 % CHANGED % 41 == 40 {
            Pushed::TooLong
        } else if self.0.len() < BATCH {
            self.0.push(event);
            Pushed::Added
        } else {
            Pushed::Full
        }
    }
}

/// An event in hand, and whether it was given up.
#[derive(Debug)]
struct Held((usize, bool), bool);

impl HeldEvents for Held {
    fn bytes(&self) -> usize {
        8
    }

    fn given_up(&self) -> Option<GivenUp> {
        self.1.then(|| GivenUp {
            event: text(self.0.0),
            reason: "no".to_owned(),
            fits: None,
        })
    }
}

impl FakeSink {
    /// Whether an event is never accepted.
    fn refuses((event, _): (usize, bool)) -> bool {
        event % CHANGED % 37 == 36
    }

    fn accept(&self, (event, is_detailed): (usize, bool)) {
        if is_detailed {
            self.world.detailed.lock().unwrap().insert(event);
        }
        let mut accepted = self.world.accepted.lock().unwrap();
        if accepted.contains_key(&(event + CHANGED)) {
            self.world.overtaken.lock().unwrap().insert(event);
        }
        *accepted.entry(event).or_default() += 1;
    }
}

impl Sink for FakeSink {
    type Batch = FakeBatch;
    type InHand = Held;

    fn batch(&self) -> FakeBatch {
        FakeBatch::default()
    }

    async fn deliver(&self, batch: FakeBatch) -> Option<Receipt<Held>> {
        let longest = if self.world.chance(10) { 900_000 } else { 5000 };
        self.world.pause(longest).await;
        if self.world.is_slow {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        let mut receipt = Receipt::default();
        for (index, n) in batch.0.into_iter().enumerate() {
            if Self::refuses(n) || self.world.chance(3) {
                receipt.kept.push((index..index + 1, Held(n, false)));
            } else {
                self.accept(n);
                receipt.accepted += 1;
            }
        }
        self.world.pause(1000).await; // the answer is on its way
        Some(receipt)
    }

    async fn insist(&self, held: Held) -> Option<Receipt<Held>> {
        self.world.pause(900_000).await;
        let mut receipt = Receipt::default();
        if Self::refuses(held.0) {
            let held = Held(held.0, self.world.chance(50));
            receipt.kept.push((0..1, held));
        } else {
            self.accept(held.0);
            receipt.accepted = 1;
        }
        self.world.pause(1000).await;
        Some(receipt)
    }

    async fn offer(&self, event: &[u8]) -> Option<Result<(), String>> {
        self.accept(number(event));
        Some(Ok(()))
    }

    fn alone(&self, event: &[u8]) -> Held {
        Held(number(event), false)
    }

    fn longest_event(&self) -> usize {
        LONGEST
    }

    async fn gives_up(&self) {
        tokio::time::sleep(DRAIN).await;
    }
}

/// Survives kills; every operation is atomic.
#[derive(Debug, Default)]
struct Disk {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What a crash of the machine leaves.
    safe: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Since when there is more than that.
    unsafe_since: Mutex<Option<tokio::time::Instant>>,
    checkpoint: Mutex<Option<DateTime<Utc>>>,
    /// For how long an order of a backfill is read before that fails, and when it was tried.
    orders_hang: Option<Duration>,
    order_reads: Mutex<Vec<tokio::time::Instant>>,
    /// Files whose names begin like this cannot be written, and the one with this name is none.
    unwritable: Mutex<Option<&'static str>>,
    no_file: Mutex<Option<&'static str>>,
}

impl Disk {
    /// Orders cannot be read for so long.
    fn hanging(orders_hang: Option<Duration>) -> Self {
        Self {
            orders_hang,
            ..Self::default()
        }
    }

    fn crash_of_the_machine(&self) {
        *self.files.lock().unwrap() = self.safe.lock().unwrap().clone();
        *self.unsafe_since.lock().unwrap() = None;
    }

    fn is_writable(&self, name: &str) -> io::Result<()> {
        let unwritable = *self.unwritable.lock().unwrap();
        match unwritable.is_some_and(|beginning| name.starts_with(beginning)) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    /// What is not safe is not so for long.
    fn is_safe_soon(&self) -> bool {
        let since = *self.unsafe_since.lock().unwrap();
        since.is_none_or(|since| since.elapsed() <= Duration::from_millis(51))
    }
}

/// The hours of the frames of a segment, in the form that the journal describes.
fn hours(segment: &[u8]) -> Vec<u32> {
    let number = |at: usize| u32::from_le_bytes(*segment[at..].first_chunk().unwrap());
    let mut hours = Vec::new();
    let mut at = 0;
    while at < segment.len() {
        hours.push(number(at));
        at += 12 + number(at + 4) as usize * rows::RowKey::BYTES;
    }
    hours
}

/// Whether a file is one that a person leaves.
fn is_order(name: &str) -> bool {
    [
        BackfillOrder::NAME,
        verify::VerifyOrder::NAME,
        letters::order::LettersOrder::NAME,
    ]
    .contains(&name)
}

#[async_trait]
impl Store for Disk {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        if name == BackfillOrder::NAME {
            let now = tokio::time::Instant::now();
            self.order_reads.lock().unwrap().push(now);
        }
        if is_order(name)
            && let Some(hang) = self.orders_hang
        {
            tokio::time::sleep(hang).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        if *self.no_file.lock().unwrap() == Some(name) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let files = self.files.lock().unwrap();
        Ok(files.get(name).cloned().map(Bytes::from))
    }
    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.is_writable(name)?;
        for files in [&self.files, &self.safe] {
            let mut files = files.lock().unwrap();
            files.insert(name.to_owned(), content.to_vec());
        }
        Ok(())
    }
    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.is_writable(name)?;
        let mut files = self.files.lock().unwrap();
        files.entry(name.to_owned()).or_default().extend(content);
        let mut since = self.unsafe_since.lock().unwrap();
        since.get_or_insert_with(tokio::time::Instant::now);
        Ok(())
    }
    async fn sync(&self, name: &str) -> io::Result<()> {
        assert!(self.is_safe_soon());
        let content = self.files.lock().unwrap().get(name).cloned();
        let content = content.ok_or(io::ErrorKind::NotFound)?;
        let mut safe = self.safe.lock().unwrap();
        safe.insert(name.to_owned(), content);
        if *safe == *self.files.lock().unwrap() {
            *self.unsafe_since.lock().unwrap() = None;
        }
        Ok(())
    }
    async fn delete(&self, name: &str) -> io::Result<()> {
        self.safe.lock().unwrap().remove(name);
        let old = self.files.lock().unwrap().remove(name);
        let checkpoint = *self.checkpoint.lock().unwrap();
        if name.ends_with(".keys")
            && let (Some(old), Some(checkpoint)) = (old, checkpoint)
        {
            // After a crash now, rows from the kept checkpoint on are read again.
            let newest = hours(&old).into_iter().max().unwrap_or(0);
            let end = DateTime::from_timestamp((i64::from(newest) + 1) * 3600, 0).unwrap();
            assert!(
                end <= checkpoint,
                "forgets rows until {end}, the checkpoint is {checkpoint}"
            );
        }
        Ok(())
    }
    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let files = self.files.lock().unwrap();
        Ok(files
            .keys()
            .filter(|name| name.starts_with(prefix))
            .cloned()
            .collect())
    }
}

struct Checkpoint(Arc<Disk>);

impl CheckpointStore for Checkpoint {
    async fn save(&mut self, checkpoint: DateTime<Utc>) -> io::Result<()> {
        // A kill may come between the timeline and the checkpoint.
        tokio::time::sleep(Duration::from_millis(500)).await;
        *self.0.checkpoint.lock().unwrap() = Some(checkpoint);
        Ok(())
    }
}

struct Watcher(Arc<World>);

impl Observer for Watcher {
    fn on(&self, event: Event<'_>) {
        if let Event::Undeliverable { reason, .. } = event {
            assert!(["no", "it is longer than the intake accepts"].contains(&reason));
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if let Event::DetailsRefused { .. } = event {
            self.0.refusals.fetch_add(1, Ordering::Relaxed);
        }
        if let Event::Details { fate, rows } = event {
            *self.0.fates.lock().unwrap().entry(fate).or_default() += rows;
        }
    }
}

async fn letters(disk: &Disk) -> Letters {
    let owner = Owner {
        intake: "f00d".to_owned(),
        identify: |text| Some(number(text).0.to_string()),
    };
    Letters::open(disk, owner, Room::WIDE).await.unwrap()
}

/// The events that lie with the dead letters.
async fn undelivered(disk: &Disk) -> Vec<usize> {
    let mut events = Vec::new();
    let look = |letter: letters::Letter| events.push(letter.message_id.unwrap().parse().unwrap());
    letters::each(disk, look).await.unwrap();
    events
}

const SETTLE: TimeDelta = TimeDelta::hours(1);

fn settings() -> ScheduleSettings {
    ScheduleSettings {
        frequency: TimeDelta::seconds(60),
        delay: TimeDelta::zero(),
        settle_time: SETTLE,
        limits: LIMITS,
    }
}

async fn timeline(disk: &Disk) -> Option<Timeline> {
    match Timeline::load(disk).await.unwrap() {
        Found::Timeline(timeline) => Some(*timeline),
        Found::Nothing => None,
        Found::Damaged(reason) => panic!("{reason}"),
    }
}

/// Rows delivered and not remembered at the kills so far: they may come twice.
type Allowed = HashMap<usize, usize>;

/// Runs a collector until `life` is over (a kill) or, without one, stops it cleanly once it is
/// done with everything.
async fn live(world: &Arc<World>, disk: &Arc<Disk>, start: DateTime<Utc>, life: Option<Duration>) {
    run(world, disk, start, life, None).await;
}

/// The same, or a backfill alone.
async fn run(
    world: &Arc<World>,
    disk: &Arc<Disk>,
    start: DateTime<Utc>,
    life: Option<Duration>,
    alone: Option<Window>,
) {
    let kept = timeline(disk).await;
    let expected = kept.map(|kept| kept.segments).unwrap_or_default();
    let remembered = Journal::open(disk.as_ref(), [3; 16], &expected).await;
    let remembered = remembered.unwrap();
    assert_eq!(remembered.damage, Vec::<String>::new());
    let checkpoint = *disk.checkpoint.lock().unwrap();
    let stop = CancellationToken::new();
    let parts = Parts {
        source: Arc::new(FakeSource {
            world: Arc::clone(world),
            keyer: remembered.keyer,
        }),
        sink: Arc::new(FakeSink {
            world: Arc::clone(world),
        }),
        store: Arc::clone(disk),
        checkpoints: Checkpoint(Arc::clone(disk)),
        letters: letters(disk).await,
        excluded: Excluded::default(),
        privacy: None,
        details: world.details.clone(),
        observer: Arc::new(Watcher(Arc::clone(world))),
        clock: world.clock.clone(),
        stop: stop.clone(),
    };
    let witnesses = Witnesses {
        position: checkpoint.map_or(Position::Absent, Position::At),
        copy: checkpoint,
        timeline: Timeline::load(disk.as_ref()).await.unwrap(),
        newest_known: remembered.known.newest_hour(world.clock.now()),
    };
    let terms = Terms {
        now: world.clock.now(),
        first: start,
        settle_time: SETTLE,
    };
    let start = match alone {
        Some(range) => StartDecision::of_backfill(range.start(), witnesses, terms),
        None => StartDecision::new(witnesses, terms),
    };
    for remark in start.remarks {
        // A kill came between the first timeline and the first checkpoint.
        let expected = checkpoint.is_none() || remark.weight == Weight::Info;
        assert!(expected, "{}", remark.sentence);
    }
    let scoped = |schedule: Schedule| match alone {
        Some(range) => schedule.only(range),
        None => schedule,
    };
    let schedule = scoped(Schedule::new(settings(), start.coverage, start.lateness));
    let nothing = coverage::Coverage::new(world.clock.now());
    let nothing = scoped(Schedule::new(
        settings(),
        nothing,
        lateness::Lateness::default(),
    ));
    world.knows_time.store(false, Ordering::Relaxed);
    // To read what was delivered takes a while, in which the time is asked for.
    let asked = world.asked_time.load(Ordering::Relaxed);
    let recall = async move {
        world.pause(3000).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(world.asked_time.load(Ordering::Relaxed) > asked);
        Ok::<_, io::Error>(remembered)
    };
    // It is large.
    let run = Box::pin(async {
        let collector = Collector::recalling(parts, nothing, recall).await?;
        let collector = collector.beginning(None, None, move |_, _| schedule);
        Box::pin(collector.run()).await
    });
    match life {
        Some(life) => {
            let ended = tokio::time::timeout(life, run).await;
            assert!(
                ended.is_err() || alone.is_some(),
                "the loop ended by itself"
            );
        }
        None => {
            // Rows are received until an hour after the beginning.
            let last = world.rows.last().map(|row| row.received);
            let end = last.map_or(world.clock.now(), |last| last.max(world.clock.now()));
            let disk = Arc::clone(disk);
            tokio::spawn(async move {
                let settled = async || {
                    let timeline = timeline(&disk).await;
                    timeline.is_some_and(|timeline| timeline.coverage.floor() >= end)
                };
                while !settled().await {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                stop.cancel();
            });
            tokio::time::timeout(Duration::from_secs(200_000), run)
                .await
                .unwrap()
                .unwrap();
        }
    }
}

/// What was accepted and is not in the journal, although it may be read again.
async fn forgotten(world: &World, disk: &Disk) -> Vec<usize> {
    let expected = Inventory::new();
    let mut remembered = Journal::open(disk, [3; 16], &expected).await.unwrap();
    let coverage = timeline(disk).await.map(|timeline| timeline.coverage);
    let may_be_read = |at: DateTime<Utc>| match &coverage {
        Some(coverage) => at >= coverage.floor() && !coverage.is_done_with(at),
        None => true,
    };
    let accepted: Vec<usize> = world.accepted.lock().unwrap().keys().copied().collect();
    accepted
        .into_iter()
        .filter(|event| {
            let key = key(&remembered.keyer, *event);
            let at = world.rows.get(*event % CHANGED).map(|row| row.received);
            let known = &mut remembered.known;
            let decision = known.admit(key, at, DateTime::UNIX_EPOCH, BatchId(0));
            at.is_some_and(may_be_read) && decision != DedupDecision::Delivered
        })
        .collect()
}

/// The rows of two days before the collection began are delivered by backfills.
const OLDER: TimeDelta = TimeDelta::hours(48);

/// With as many faults in a hundred calls, a backfill comes to its end beside the collection.
const BEARABLE: u32 = 30;

/// What a life is, beside its length.
#[derive(Clone, Copy, Debug)]
struct Wish {
    /// From how many hours before the collection began, and for how many, rows are asked for.
    range: Option<(i64, i64)>,
    /// Whether what was asked for before is given up instead.
    cancel: bool,
    /// Whether there is no collection, but a backfill alone.
    alone: bool,
}

async fn unfinished(disk: &Disk) -> Option<BackfillOrder> {
    let order = BackfillOrder::load(disk).await.unwrap()?;
    let progress = order.progress(disk).await.unwrap();
    (!order.has_ended(progress.as_ref())).then_some(order)
}

/// Asks for what is wished, as the command does: one thing after the other.
async fn place(disk: &Disk, start: DateTime<Utc>, number: u128, wish: Wish) {
    let order = match (unfinished(disk).await, wish.range) {
        (Some(mut order), _) if wish.cancel => {
            order.cancelled = true;
            order
        }
        (None, Some((from, hours))) => {
            let from = start - TimeDelta::hours(from);
            let range = Window::new(from, from + TimeDelta::hours(hours)).unwrap();
            let words = (String::new(), String::new());
            // What is given up before it begins sends nothing once more.
            let work = BackfillWork { again: wish.cancel };
            let id = uuid::Uuid::from_u128(number);
            let mut order = BackfillOrder::new(id, range, words, work);
            order.cancelled = wish.cancel;
            order
        }
        _ => return,
    };
    order.save(disk).await.unwrap();
}

async fn check(
    seed: u64,
    faults: u32,
    rows: usize,
    lives: Vec<(u32, Wish)>,
    backfilled: bool,
) -> Result<(), TestCaseError> {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let clock = Clock::virtual_from(now);
    let mut random = StdRng::seed_from_u64(seed);
    let start = now - TimeDelta::hours(5);
    // In every other case, half of the rows come in a wave of ten minutes.
    let wave = TimeDelta::minutes(random.random_range(0..300));
    let in_wave = if random.random() { 50 } else { 0 };
    let mut truth: Vec<Row> = (0..rows)
        .map(|_| {
            let is_in_wave = random.random_ratio(in_wave, 100);
            let mut within =
                |hours: i64| TimeDelta::milliseconds(random.random_range(0..hours * 3_600_000));
            // Up to an hour after the start of the collection.
            let received = match is_in_wave {
                true => start + wave + within(1) / 6,
                false => start + within(6),
            };
            Row {
                received,
                visible: received + within(1) - TimeDelta::seconds(1),
                changes: Some(received + within(4)).filter(|at| *at < received + SETTLE),
            }
        })
        .collect();
    if backfilled {
        truth.extend((0..rows).map(|_| {
            let before = random.random_range(1..=OLDER.num_milliseconds());
            let received = start - TimeDelta::milliseconds(before);
            Row {
                received,
                visible: received,
                changes: None,
            }
        }));
    }
    truth.sort_by_key(|row| row.received);
    // In every other case, details are wanted of all rows, or of those that have changed.
    let details = match random.random_range(0..4) {
        0 => Some(details::wish(&["changed"])),
        1 => Some(details::wish(&["changed", "new"])),
        _ => None,
    };
    for (n, message) in truth.chunks_mut(MASS).enumerate() {
        let Some(received) = message.first().map(|row| row.received) else {
            continue;
        };
        for row in message.iter_mut().filter(|_| mail(n * MASS) > 0) {
            let last = received + SETTLE - TimeDelta::seconds(1);
            row.received = received;
            row.visible = row.visible.min(last);
            row.changes = row.changes.filter(|at| *at <= last);
        }
    }
    let world = Arc::new(World::new(truth, details, faults, random, clock));
    let disk = Arc::new(Disk::default());
    let mut allowed = Allowed::new();
    for (number, (life, wish)) in lives.into_iter().enumerate() {
        place(&disk, start, number as u128, wish).await;
        let alone = unfinished(&disk).await.filter(|_| wish.alone);
        let life = Some(Duration::from_millis(life.into()));
        run(&world, &disk, start, life, alone.map(|order| order.range)).await;
        prop_assert!(disk.is_safe_soon());
        let mut most = 4 * BATCH;
        if world.chance(30) {
            disk.crash_of_the_machine();
            most += 16 * BATCH;
        }
        let lost = forgotten(&world, &disk).await;
        prop_assert!(
            lost.len() <= most,
            "{} rows in flight at a kill",
            lost.len()
        );
        for n in lost {
            *allowed.entry(n).or_default() += 1;
        }
    }
    if backfilled {
        // A source that refuses most requests may never leave time for what comes after the rest.
        world.faults.store(faults.min(BEARABLE), Ordering::Relaxed);
    }
    while backfilled && unfinished(&disk).await.is_some() {
        live(&world, &disk, start, Some(Duration::from_secs(20_000))).await;
    }
    if backfilled {
        let all = (OLDER.num_hours(), OLDER.num_hours());
        let all = Wish {
            range: Some(all),
            cancel: false,
            alone: false,
        };
        place(&disk, start, u128::MAX, all).await;
    }
    live(&world, &disk, start, None).await;
    every_event_once(&world, &disk, &allowed).await?;
    let first = if backfilled { start - OLDER } else { start };
    proof::holds(&world, &disk, first).await
}

/// Every row came with its last status, and none more often than is excused.
async fn every_event_once(
    world: &World,
    disk: &Disk,
    allowed: &Allowed,
) -> Result<(), TestCaseError> {
    let undelivered = undelivered(disk).await;
    let accepted = world.accepted.lock().unwrap();
    let said = world.dropped.load(Ordering::Relaxed) as usize;
    prop_assert!(said >= undelivered.len());
    let times = |event: usize| accepted.get(&event).copied().unwrap_or(0);
    for (n, row) in world.rows.iter().enumerate() {
        let settled = if row.changes.is_some() {
            n + CHANGED
        } else {
            n
        };
        if n % 41 == 40 || n % 37 == 36 {
            prop_assert!(
                times(n) + times(n + CHANGED) == 0 && undelivered.contains(&settled),
                "row {n} lies with the dead letters"
            );
            continue;
        }
        prop_assert!(
            times(settled) >= 1,
            "event {settled} is missing: {row:?} of {}",
            mail(n)
        );
        for event in [n, n + CHANGED] {
            let most = 1 + allowed.get(&event).copied().unwrap_or(0);
            prop_assert!(
                times(event) <= most,
                "event {event} came {} times, at most {most} are excused",
                times(event)
            );
        }
    }
    Ok(())
}

#[test]
fn slow_pages_take_more_readers() {
    let readers = |share, seconds| {
        let latency = Duration::from_secs_f64(seconds);
        let limits = SourceLimits {
            share,
            latency,
            ..LIMITS
        };
        limits.readers()
    };
    assert_eq!([readers(90, 0.0), readers(90, 1.6)], [1, 1]);
    assert_eq!([readers(90, 1.7), readers(100, 4.0)], [2, 3]);
    assert_eq!([readers(1, 60.0), readers(100, 60.0)], [1, 40]);
}

fn on_virtual_time<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

fn collecting(lives: Vec<u32>) -> Vec<(u32, Wish)> {
    let wish = Wish {
        range: None,
        cancel: false,
        alone: false,
    };
    lives.into_iter().map(|life| (life, wish)).collect()
}

fn wish() -> impl Strategy<Value = Wish> {
    let range = prop::option::weighted(0.8, (-3_i64..=48, 1_i64..60));
    let cancel = prop::bool::weighted(0.2);
    (range, cancel, any::<bool>()).prop_map(|(range, cancel, alone)| Wish {
        // Nothing that has not happened yet.
        range: range.map(|(from, hours)| (from, hours.min(from + 4))),
        cancel,
        alone,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A case that does not end in time takes minutes, and hundreds of them would be tried.
        max_shrink_time: 60_000,
        cases: std::env::var("PROPTEST_CASES").map_or(24, |cases| cases.parse().unwrap()),
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_missing_and_nothing_doubled(
        seed: u64,
        faults in 0_u32..60,
        rows in 0_usize..300,
        lives in prop::collection::vec(0_u32..120_000, 0..6),
    ) {
        on_virtual_time(check(seed, faults, rows, collecting(lives), false))?;
    }

    #[test]
    fn backfills_at_any_time_lose_and_double_nothing(
        seed: u64,
        faults in 0_u32..60,
        rows in 0_usize..200,
        lives in prop::collection::vec((0_u32..400_000, wish()), 0..7),
    ) {
        on_virtual_time(check(seed, faults, rows, lives, true))?;
    }
}
