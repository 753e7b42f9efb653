//! Pages that are late, and links that seem to lead nowhere: rows in hand do not wait, and no row is
//! passed over.

use rows::privacy::{Addresses, Exposure, Privacy, Subjects};

use super::*;

/// Rows as instants of receipt, newest first.
type Rows = Vec<DateTime<Utc>>;

/// What a source does when it is asked for a page: how long that takes, and where the answer comes
/// from.
type Script = Box<dyn Fn(Ask<'_>) -> Result<Answer, ErrorClass> + Send + Sync>;

/// A question.
pub(super) struct Ask<'a> {
    /// The rows of the window, as numbers.
    pub(super) rows: &'a [usize],
    pub(super) link: Option<usize>,
    window: Window,
    /// Since the beginning.
    pub(super) elapsed: Duration,
    /// Whether only those of one message are asked for.
    pub(super) of_message: bool,
}

/// An answer: numbers of rows, and the link.
pub(super) type Answer = (Vec<usize>, Option<usize>);

/// What was seen, and when since the beginning.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: usize,
    /// When a row was first on a page.
    pub(super) shown: HashMap<usize, Duration>,
    /// When a row left, and how often.
    pub(super) sent: HashMap<usize, (Duration, u32)>,
    under_way: usize,
    most_under_way: usize,
    batches: Vec<usize>,
    dead_ends: usize,
    /// Messages that were asked for to the end, and those that were given up.
    pub(super) completed: usize,
    pub(super) given_up: usize,
    /// Why something was kept as a dead letter.
    kept: Vec<String>,
    /// When the order of a backfill was looked for.
    pub(super) order_reads: Vec<tokio::time::Instant>,
    /// How long the stop took.
    pub(super) stopped_in: Duration,
}

/// A collection that is run for a while.
pub(super) struct Play {
    /// How long before it the collection begins.
    pub(super) back: TimeDelta,
    pub(super) settle_time: TimeDelta,
    /// How long a page takes, and a delivery.
    pub(super) takes: (Duration, Duration),
    /// After so long it is stopped.
    pub(super) life: Duration,
    /// What must not leave.
    pub(super) privacy: Option<Privacy>,
    /// A message with so many rows may have others; 0 for never.
    pub(super) recipients_shown: u32,
    /// For how long orders are read before that fails.
    pub(super) orders_hang: Option<Duration>,
    /// So many rows fill a page.
    pub(super) full_page: u32,
    /// After so long the source is another one, whose pages so many rows fill.
    pub(super) successor: Option<(Duration, u32)>,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            back: MINUTE,
            settle_time: SETTLE,
            takes: (SOON, SOON),
            life: Duration::from_secs(180),
            privacy: None,
            recipients_shown: 0,
            orders_hang: None,
            full_page: 5000,
            successor: None,
        }
    }
}

const MINUTE: TimeDelta = TimeDelta::minutes(1);
const SOON: Duration = Duration::from_millis(300);

/// A world for one run.
struct Stage {
    rows: Rows,
    script: Script,
    /// A message with so many rows may have others; 0 for never.
    recipients_shown: u32,
    rows_per_page: u32,
    successor: Option<(Duration, u32)>,
    /// How long a page takes, and a delivery.
    takes: (Duration, Duration),
    clock: Clock,
    begun: tokio::time::Instant,
    seen: Mutex<Seen>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen.fmt(f)
    }
}

#[derive(Debug)]
struct Scripted(Arc<Stage>, RowKeyer);

impl RowText for Scripted {
    fn name(&self, _event: &[u8]) -> verify::RowName {
        verify::RowName::default()
    }

    fn message_of(&self, event: &[u8]) -> Option<Arc<str>> {
        let n: usize = str::from_utf8(event).ok()?.parse().ok()?;
        let received = self.0.rows.get(n)?;
        Some(received.timestamp_millis().to_string().into())
    }

    fn shorten(&self, _event: &str, _most: usize) -> Option<String> {
        None
    }
}

impl Source for Scripted {
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
        let Self(stage, keyer) = self;
        tokio::time::sleep(stage.takes.0).await;
        let asked_for = |at: &DateTime<Utc>| window.start() <= *at && *at <= window.end();
        let rows = stage.rows.iter().enumerate();
        let message = question.message;
        let is_of = |at: &DateTime<Utc>| {
            let id = message.as_deref();
            id.is_none_or(|id| *id == at.timestamp_millis().to_string())
        };
        let rows: Vec<_> = rows
            .filter(|(_, at)| asked_for(at) && is_of(at))
            .map(|(n, _)| n)
            .collect();
        let elapsed = stage.begun.elapsed();
        let mut seen = stage.seen.lock().unwrap();
        seen.requests += 1;
        let link = link.map(|offset| offset.0);
        let ask = Ask {
            rows: &rows,
            link,
            window,
            elapsed,
            of_message: message.is_some(),
        };
        let (rows, next) = (stage.script)(ask).or_else(refuse)?;
        let mut text = String::new();
        let mut spans = Vec::new();
        for n in rows {
            seen.shown.entry(n).or_insert(elapsed);
            let from = text.len();
            text.push_str(&n.to_string());
            spans.push((from..text.len(), n));
        }
        let spans = spans.into_iter().map(|(range, n)| {
            let received = stage.rows.get(n).copied();
            let span = RowSpan::new(range, key(keyer, n), received).unwrap();
            span.of_mail(received.unwrap().timestamp_millis() as u32 | 1)
        });
        Ok(Page::of(text, spans.collect(), next.map(Offset)).unwrap())
    }

    fn time(&self, local: DateTime<Utc>) -> SourceTime {
        local_time(local)
    }

    async fn ask_time(&self) -> Result<(), SourceError> {
        Ok(())
    }

    fn limits(&self) -> SourceLimits {
        let successor = self.0.successor;
        let successor = successor.filter(|(after, _)| self.0.begun.elapsed() >= *after);
        SourceLimits {
            rows_per_window: 100_000,
            rows_per_page: successor.map_or(self.0.rows_per_page, |(_, rows)| rows),
            pages_per_window: 300,
            recipients_shown: self.0.recipients_shown,
            ..LIMITS
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

/// Has room for a thousand.
#[derive(Debug, Default)]
struct Thousand(Vec<usize>);

impl EventBatch for Thousand {
    fn push(&mut self, event: &[u8]) -> Pushed {
        if self.0.len() == 1000 {
            return Pushed::Full;
        }
        self.0.push(str::from_utf8(event).unwrap().parse().unwrap());
        Pushed::Added
    }
}

impl Sink for Stage {
    type Batch = Thousand;
    type InHand = Held;

    fn batch(&self) -> Thousand {
        Thousand::default()
    }

    async fn deliver(&self, batch: Thousand) -> Option<Receipt<Held>> {
        let accepted = batch.0.len();
        {
            let mut seen = self.seen.lock().unwrap();
            seen.under_way += 1;
            seen.most_under_way = seen.most_under_way.max(seen.under_way);
            seen.batches.push(batch.0.len());
            for n in batch.0 {
                let sent = seen.sent.entry(n).or_default();
                *sent = (self.begun.elapsed(), sent.1 + 1);
            }
        }
        tokio::time::sleep(self.takes.1).await;
        self.seen.lock().unwrap().under_way -= 1;
        Some(Receipt {
            accepted,
            kept: Vec::new(),
        })
    }

    async fn insist(&self, _: Held) -> Option<Receipt<Held>> {
        None
    }

    async fn offer(&self, _: &[u8]) -> Option<Result<(), String>> {
        None
    }

    fn alone(&self, _: &[u8]) -> Held {
        Held((0, false), true)
    }

    fn longest_event(&self) -> usize {
        10
    }

    async fn gives_up(&self) {
        tokio::time::sleep(DRAIN).await;
    }
}

struct Watch(Arc<Stage>);

impl Observer for Watch {
    fn on(&self, event: Event<'_>) {
        let mut seen = self.0.seen.lock().unwrap();
        match event {
            Event::DeadEnd(_) => seen.dead_ends += 1,
            Event::MassMail { .. } => seen.completed += 1,
            Event::MassMailDoubted { gives_up: true, .. } => seen.given_up += 1,
            Event::Undeliverable { reason, .. } => seen.kept.push(reason.to_owned()),
            _ => {}
        }
    }
}

impl Play {
    /// Runs it with rows that were received so long before, and a source that answers like this. Then what was
    /// seen, and what is missing still.
    pub(super) fn run(
        self,
        ages: impl Iterator<Item = TimeDelta>,
        script: impl Fn(Ask<'_>) -> Result<Answer, ErrorClass> + Send + Sync + 'static,
    ) -> (Seen, TimeDelta) {
        on_virtual_time(async {
            let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            let stage = Arc::new(Stage {
                rows: ages.map(|age| now - age).collect(),
                script: Box::new(script),
                recipients_shown: self.recipients_shown,
                rows_per_page: self.full_page,
                successor: self.successor,
                takes: self.takes,
                clock: Clock::virtual_from(now),
                begun: tokio::time::Instant::now(),
                seen: Mutex::default(),
            });
            let disk = Arc::new(Disk::hanging(self.orders_hang));
            let nothing = Inventory::new();
            let remembered = Journal::open(disk.as_ref(), [3; 16], &nothing).await;
            let remembered = remembered.unwrap();
            let stop = CancellationToken::new();
            let source = Scripted(Arc::clone(&stage), remembered.keyer);
            let settings = ScheduleSettings {
                settle_time: self.settle_time,
                limits: source.limits(),
                ..settings()
            };
            let parts = Parts {
                source: Arc::new(source),
                sink: Arc::clone(&stage),
                store: Arc::clone(&disk),
                checkpoints: Checkpoint(Arc::clone(&disk)),
                letters: letters(&disk).await,
                excluded: Excluded::default(),
                privacy: self.privacy,
                details: None,
                observer: Arc::new(Watch(Arc::clone(&stage))),
                clock: stage.clock.clone(),
                stop: stop.clone(),
            };
            let witnesses = Witnesses {
                position: Position::Absent,
                copy: None,
                timeline: Found::Nothing,
                newest_known: None,
            };
            let terms = Terms {
                now,
                first: now - self.back,
                settle_time: self.settle_time,
            };
            let start = StartDecision::new(witnesses, terms);
            let schedule = Schedule::new(settings, start.coverage, start.lateness);
            let run = Collector::new(parts, schedule, remembered).run();
            let stopping = async {
                tokio::time::sleep(self.life).await;
                stop.cancel();
                tokio::time::Instant::now()
            };
            let (ended, stopped) = tokio::join!(run, stopping);
            ended.unwrap();
            let checkpoint = disk.checkpoint.lock().unwrap().unwrap_or(now - self.back);
            let missing = stage.clock.now() - checkpoint;
            let seen = std::mem::take(&mut *stage.seen.lock().unwrap());
            let seen = Seen {
                order_reads: std::mem::take(&mut *disk.order_reads.lock().unwrap()),
                stopped_in: stopped.elapsed(),
                ..seen
            };
            (seen, missing)
        })
    }
}

/// Nothing has waited for more than a second, nothing was empty, nothing came twice.
fn left_in_time(seen: &Seen, rows: usize) {
    assert_eq!(seen.sent.len(), rows, "{seen:?}");
    for (n, (sent, times)) in &seen.sent {
        let waited = *sent - seen.shown[n];
        let most = Duration::from_millis(1100);
        assert!(waited <= most && *times == 1, "{n} {waited:?} {times}");
    }
    assert!(!seen.batches.contains(&0), "{:?}", seen.batches);
}

/// Rows one after the other, the newest a second ago.
fn row_by_row(rows: i64) -> impl Iterator<Item = TimeDelta> {
    (0..rows).map(|n| TimeDelta::milliseconds(1000 + 10 * n))
}

/// Pages of so many rows.
fn pages_of(size: usize) -> impl Fn(&Ask<'_>) -> Answer {
    move |ask| {
        let start = ask.link.unwrap_or(0);
        let end = ask.rows.len().min(start + size);
        let next = (end < ask.rows.len()).then_some(end);
        (ask.rows.get(start..end).unwrap_or_default().to_vec(), next)
    }
}

/// The rows here are bare numbers: no objects, of whose members one could be hidden.
#[test]
fn rows_that_cannot_be_hidden_go_nowhere_and_hold_nothing_up() {
    let page = pages_of(10);
    let privacy = Privacy::new(|_| Exposure::Plain, Subjects::Drop, Addresses::Keep, None);
    let play = Play {
        privacy,
        life: Duration::from_secs(600),
        ..Play::default()
    };
    let (seen, missing) = play.run(row_by_row(25), move |ask| Ok(page(&ask)));
    assert!(seen.sent.is_empty(), "{seen:?}");
    assert_eq!(seen.kept.len(), 25, "each once: {seen:?}");
    assert!(
        seen.kept
            .iter()
            .all(|reason| reason.contains("cannot be hidden"))
    );
    assert!(missing < MINUTE * 5, "{missing}");
}

#[test]
fn rows_in_hand_do_not_wait_for_a_page_that_fails() {
    let page = pages_of(1200);
    let script = move |ask: Ask<'_>| match ask.link {
        Some(_) if ask.elapsed < Duration::from_secs(60) => Err(ErrorClass::Outage),
        _ => Ok(page(&ask)),
    };
    let (seen, _) = Play::default().run(row_by_row(1500), script);
    left_in_time(&seen, 1500);
    assert_eq!(seen.batches, [1000, 200, 300]);
}

#[test]
fn rows_in_hand_do_not_wait_for_the_quota() {
    let page = pages_of(10);
    let slow = Play {
        takes: (Duration::from_secs(3), SOON),
        ..Play::default()
    };
    let (seen, _) = slow.run(row_by_row(220), move |ask| Ok(page(&ask)));
    left_in_time(&seen, 220);
    assert_eq!(seen.batches, [10; 22]);
    // What comes sooner than that goes together.
    let page = pages_of(10);
    let (seen, _) = Play::default().run(row_by_row(220), move |ask| Ok(page(&ask)));
    assert!(seen.batches.len() <= 2, "{:?}", seen.batches);
}

#[test]
fn as_few_batches_are_under_way_as_ever_when_they_leave_half_filled() {
    let page = pages_of(10);
    let play = Play {
        takes: (Duration::from_secs(3), Duration::from_secs(40)),
        life: Duration::from_secs(600),
        ..Play::default()
    };
    let (seen, _) = play.run(row_by_row(220), move |ask| Ok(page(&ask)));
    assert_eq!((seen.sent.len(), seen.most_under_way), (220, 4));
    assert!(!seen.batches.contains(&0), "{:?}", seen.batches);
    assert!(seen.batches.len() < 22, "{:?}", seen.batches);
}

/// All rows but the last are on the first page of any window with that row; the last comes behind
/// so many links to `barren` pages, or never.
fn behind(
    links: Option<usize>,
    barren: impl Fn(&[usize]) -> Vec<usize> + Send + Sync + 'static,
) -> Script {
    Box::new(move |ask| {
        let Some((last, others)) = ask.rows.split_last() else {
            return Ok((Vec::new(), None));
        };
        let at = ask.link.unwrap_or(0);
        Ok(match links {
            Some(links) if at > links => (vec![*last], None),
            _ if at == 0 => (others.to_vec(), Some(1)),
            _ => (barren(others), Some(at + 1)),
        })
    })
}

/// As many rows within one second, so that nothing narrower can be asked for.
fn of_one_second(rows: i64, age: TimeDelta) -> impl Iterator<Item = TimeDelta> {
    (0..rows).map(move |n| age - TimeDelta::milliseconds(900 - n))
}

#[test]
fn a_row_behind_pages_that_bring_nothing_is_not_passed_over() {
    let (minute, hours) = (TimeDelta::seconds(30), TimeDelta::minutes(150));
    let zero = TimeDelta::zero();
    for links in [1, 2, 5, 12] {
        // At the live edge, in a backlog that is read once, and at a live edge that is read once.
        for (age, settle_time) in [(minute, SETTLE), (hours, SETTLE), (minute, zero)] {
            // Short pages, full ones, and empty ones with and without rows before them.
            for (rows, is_empty) in [(4, false), (60, false), (4, true), (1, true)] {
                let play = Play {
                    back: age + MINUTE,
                    settle_time,
                    life: Duration::from_secs(5400),
                    ..Play::default()
                };
                let script = behind(Some(links), move |others| match is_empty {
                    true => Vec::new(),
                    false => others.to_vec(),
                });
                let (seen, missing) = play.run(of_one_second(rows, age), script);
                let case = format!("{links} links, {age}, {settle_time}, {rows} rows, {is_empty}");
                assert_eq!(seen.sent.len(), rows as usize, "{case}");
                assert!(seen.sent.values().all(|(_, times)| *times == 1), "{case}");
                assert!(missing < TimeDelta::minutes(90), "{case}: {missing}");
                assert!(seen.requests < 1500, "{case}: {}", seen.requests);
            }
        }
    }
}

#[test]
fn links_without_end_are_said_and_keep_nothing_back() {
    for (age, settle_time) in [(30, SETTLE), (9000, SETTLE), (30, TimeDelta::zero())] {
        let age = TimeDelta::seconds(age);
        let play = Play {
            back: age + MINUTE,
            settle_time,
            life: Duration::from_secs(5400),
            ..Play::default()
        };
        let script = behind(None, <[usize]>::to_vec);
        let (seen, missing) = play.run(of_one_second(4, age), script);
        assert_eq!(seen.sent.len(), 3, "what was shown");
        assert!(seen.dead_ends > 0);
        assert!(missing < TimeDelta::minutes(90), "{missing}");
        assert!(seen.requests < 1500, "{}", seen.requests);
    }
}

/// There may be more rows than those that links lead to.
#[test]
fn a_full_page_of_one_second_never_counts_as_all_of_it() {
    let age = TimeDelta::seconds(9000);
    let play = Play {
        back: age + MINUTE,
        life: Duration::from_secs(5400),
        ..Play::default()
    };
    let (seen, missing) = play.run(of_one_second(60, age), behind(None, <[usize]>::to_vec));
    assert_eq!(seen.sent.len(), 59, "what was shown");
    assert!(seen.sent.values().all(|(_, times)| *times == 1), "{seen:?}");
    assert_eq!(seen.dead_ends, 0);
    assert!(missing > age, "{missing}");
}

/// Else what is not on the first page of its second would wait for ever.
#[test]
fn links_that_are_never_answered_hide_no_row_of_a_crowded_second() {
    let age = TimeDelta::seconds(9000);
    for class in [ErrorClass::Narrow, ErrorClass::Transient { after: None }] {
        let play = Play {
            back: age + MINUTE,
            life: Duration::from_secs(5400),
            ..Play::default()
        };
        let page = pages_of(100);
        let (seen, missing) = play.run(of_one_second(450, age), move |ask| match ask.link {
            Some(_) => Err(class),
            None => Ok(page(&ask)),
        });
        assert_eq!(seen.sent.len(), 450, "{class:?}");
        assert!(seen.sent.values().all(|(_, times)| *times == 1), "{seen:?}");
        assert!(missing < MINUTE * 5, "{class:?}: {missing}");
        assert!(seen.requests < 1500, "{class:?}: {}", seen.requests);
    }
}

/// That it shows nothing, or refuses such a question, says nothing of the rows that it has.
#[test]
fn a_source_that_counts_in_full_seconds_hides_no_row_for_good() {
    let age = TimeDelta::seconds(9000);
    for answer in [Ok((Vec::new(), None)), Err(ErrorClass::Narrow)] {
        let play = Play {
            back: age + MINUTE,
            life: Duration::from_secs(5400),
            ..Play::default()
        };
        let page = pages_of(100);
        let (seen, missing) = play.run(of_one_second(450, age), move |ask| match ask.link {
            Some(_) => Err(ErrorClass::Narrow),
            None if ask.window.end().timestamp_subsec_nanos() != 0 => answer.clone(),
            None => Ok(page(&ask)),
        });
        assert_eq!(seen.sent.len(), 100, "what was shown");
        assert!(seen.sent.values().all(|(_, times)| *times == 1), "{seen:?}");
        assert!(missing > age, "it is asked for on and on: {missing}");
        assert!(seen.requests < 1500, "{}", seen.requests);
    }
}

/// Else every other request would fail without end, as windows are twice as wide after each success.
#[test]
fn a_width_that_is_refused_is_not_asked_for_again_and_again() {
    let refused = Arc::new(AtomicUsize::default());
    let counted = Arc::clone(&refused);
    let play = Play {
        back: TimeDelta::hours(60),
        settle_time: TimeDelta::zero(),
        life: Duration::from_secs(1800),
        ..Play::default()
    };
    let ages = (0..360).map(|n| TimeDelta::seconds(60 + 600 * n));
    let (seen, missing) = play.run(ages, move |ask| {
        if ask.window.span() > MINUTE * 30 {
            counted.fetch_add(1, Ordering::Relaxed);
            return Err(ErrorClass::Narrow);
        }
        Ok((ask.rows.to_vec(), None))
    });
    assert_eq!(seen.sent.len(), 360, "{seen:?}");
    assert!(missing < MINUTE * 5, "{missing}");
    let refused = refused.load(Ordering::Relaxed);
    assert!(refused < 40, "{refused} of {}", seen.requests);
}

/// It is the only one that is shown of a window that ends with it: what comes before it is asked for alone.
#[test]
fn a_row_of_the_last_second_does_not_stand_for_all_before_it() {
    let hours = TimeDelta::hours(2);
    let before = [TimeDelta::milliseconds(500), MINUTE * 30, MINUTE * 31];
    let play = Play {
        // The first window of a backlog has an hour.
        back: hours + TimeDelta::hours(1),
        settle_time: TimeDelta::zero(),
        life: Duration::from_secs(1800),
        ..Play::default()
    };
    let ages = before.into_iter().map(|before| hours + before);
    let (seen, missing) = play.run(ages, |ask| {
        let at = ask.link.unwrap_or(0);
        Ok(match ask.rows {
            [0, ..] if at == 0 => (vec![0], Some(1)),
            [0, others @ ..] if at > 40 => (others.to_vec(), None),
            [0, ..] => (Vec::new(), Some(at + 1)),
            others => (others.to_vec(), None),
        })
    });
    assert_eq!(seen.sent.len(), 3, "{seen:?}");
    assert!(seen.sent.values().all(|(_, times)| *times == 1), "{seen:?}");
    assert!(missing < MINUTE * 5, "{missing}");
}

/// Rows of two minutes, which are read once.
fn read_once() -> Play {
    Play {
        back: MINUTE * 2,
        settle_time: TimeDelta::zero(),
        life: Duration::from_secs(900),
        ..Play::default()
    }
}

/// What is left of a window that begins with one may lie on either side of it.
#[test]
fn a_page_of_one_instant_does_not_tell_that_rows_come_newest_first() {
    // The oldest first, one on a page, and no link is accepted.
    let script = |ask: Ask<'_>| {
        if ask.link.is_some() {
            return Err(ErrorClass::Narrow);
        }
        let rows: Vec<usize> = ask.rows.last().copied().into_iter().collect();
        let answer: Answer = (rows, (ask.rows.len() > 1).then_some(1));
        Ok(answer)
    };
    let ages = (0..5).map(|n| TimeDelta::milliseconds(30_500 + 10_000 * n));
    let (seen, missing) = read_once().run(ages, script);
    assert_eq!(seen.sent.len(), 5, "{seen:?}");
    assert!(seen.sent.values().all(|(_, times)| *times == 1), "{seen:?}");
    assert!(missing < MINUTE * 5, "{missing}");
}

/// Which rows of a window are on its first page.
type FirstPage = fn(&[usize]) -> Vec<usize>;

/// What becomes of rows that are read once, when full pages of 100 have no link to the next one.
fn without_links(ages: impl Iterator<Item = TimeDelta>, first_page: FirstPage) -> Seen {
    let play = Play {
        full_page: 100,
        ..read_once()
    };
    let (seen, missing) = play.run(ages, move |ask| Ok((first_page(ask.rows), None)));
    assert!(seen.sent.values().all(|(_, times)| *times == 1), "{seen:?}");
    assert!(missing < MINUTE * 5, "{missing}");
    seen
}

#[test]
fn a_full_page_without_a_link_is_not_the_last_one_in_any_order() {
    let orders: [FirstPage; 3] = [
        |rows| rows.iter().copied().take(100).collect(),
        |rows| rows.iter().rev().copied().take(100).collect(),
        |rows| {
            let mut rows = rows.to_vec();
            rows.sort_by_key(|n| n * 7919 % 1009);
            rows.truncate(100);
            rows
        },
    ];
    for first_page in orders {
        let ages = (0..1000).map(|n| TimeDelta::milliseconds(1000 + 100 * n));
        assert_eq!(without_links(ages, first_page).sent.len(), 1000);
    }
}

/// Full seconds do not help there: as much would be asked for as before.
#[test]
fn a_full_page_of_the_last_second_hides_no_row() {
    let crowd = (0..150).map(|n| TimeDelta::milliseconds(100 + n));
    let others = (1..50).map(|n| TimeDelta::seconds(2 * n));
    let seen = without_links(crowd.chain(others), |rows| {
        rows.iter().copied().take(100).collect()
    });
    assert_eq!(seen.sent.len(), 199, "{seen:?}");
}

/// It was asked for before the change, and shows no more than the service before it does.
#[test]
fn a_page_that_is_under_way_while_the_source_changes_is_measured_by_what_it_was_asked_of() {
    let play = Play {
        full_page: 100,
        successor: Some((Duration::from_secs(5), 5000)),
        // Meanwhile the loop turns, and follows the source.
        takes: (Duration::from_secs(25), SOON),
        ..read_once()
    };
    let ages = (0..300).map(|n| TimeDelta::milliseconds(1000 + 300 * n));
    let (seen, missing) = play.run(ages, |ask| {
        let is_before = ask.elapsed < Duration::from_secs(30);
        let most = if is_before { 100 } else { 5000 };
        Ok((ask.rows.iter().copied().take(most).collect(), None))
    });
    assert_eq!(seen.sent.len(), 300, "{seen:?}");
    assert!(seen.sent.values().all(|(_, times)| *times == 1), "{seen:?}");
    assert!(missing < MINUTE * 5, "{missing}");
}
