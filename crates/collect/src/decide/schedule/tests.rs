use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::*;
pub(super) use crate::testing::at_second as at;
use crate::{
    MissingTime,
    decide::{
        evidence::{Judgement, Loss, SourceTime},
        spans::seconds,
    },
    testing::{local_time, seconds as window},
};

const LIMITS: SourceLimits = SourceLimits {
    longest_window: TimeDelta::days(10),
    retention: TimeDelta::days(90),
    rows_per_window: 100_000,
    rows_per_page: 5000,
    share: 90,
    pages_per_window: 300,
    recipients_shown: 0,
    latency: Duration::ZERO,
};

pub(super) const SETTINGS: ScheduleSettings = ScheduleSettings {
    frequency: TimeDelta::seconds(60),
    delay: TimeDelta::zero(),
    settle_time: TimeDelta::hours(24),
    limits: LIMITS,
};

/// A window is read, of which the source's time was `until`; both clocks agree.
pub(super) fn complete(
    schedule: &mut Schedule,
    window: Window,
    began: DateTime<Utc>,
    rows: u64,
    until: DateTime<Utc>,
) -> Vec<Window> {
    let completed = Completed {
        window,
        began,
        until,
        rows,
    };
    schedule.complete(completed, began)
}

/// A tenant with the same traffic all day, whose service answers at once.
struct Tenant {
    rows_per_day: f64,
    schedule: Schedule,
    /// The instants that are watched, with the ages at which they were read.
    watched: Vec<(DateTime<Utc>, Vec<TimeDelta>)>,
    requests: HashMap<Lane, u64>,
}

impl Tenant {
    fn new(rows_per_day: f64, settings: ScheduleSettings, start: DateTime<Utc>) -> Self {
        Self {
            rows_per_day,
            schedule: Schedule::new(settings, Coverage::new(start), Lateness::default()),
            watched: Vec::new(),
            requests: HashMap::new(),
        }
    }

    fn read(&mut self, lane: Lane, window: Window, now: DateTime<Utc>) {
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "a count"
        )]
        let rows = (self.rows_per_day * seconds(window.span()) / 86_400.0) as u64;
        let pages = rows.div_ceil(5000).max(1);
        *self.requests.entry(lane).or_default() += pages;
        (0..pages).for_each(|_| self.schedule.paged(lane));
        for (instant, ages) in &mut self.watched {
            if window.contains(*instant) {
                ages.push(now - *instant);
            }
        }
        self.schedule.learn(lane, window, rows);
        complete(&mut self.schedule, window, now, rows, now);
    }

    /// Reads all that there is to read at `now`.
    fn turn(&mut self, now: DateTime<Utc>) {
        if let Some(window) = self.schedule.live(now) {
            self.read(Lane::Live, window, now);
        }
        while let Some((lane, window)) = self.schedule.beside(now, Instant::now()) {
            self.read(lane, window, now);
        }
    }

    fn requests(&self, lane: Lane) -> u64 {
        self.requests.get(&lane).copied().unwrap_or(0)
    }
}

#[test]
fn what_cannot_be_asked_for_is_missing_when_that_has_lasted() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let read = schedule.live(at(60)).unwrap();
    complete(&mut schedule, read, at(60), 0, at(60));
    let end = schedule.live(at(120)).map(|window| window.end());
    assert_eq!(end, Some(at(120)));
    // Its service refuses it from now on.
    let missing = |now| schedule.missing_time(at(now));
    let none = MissingTime {
        age: TimeDelta::zero(),
        span: TimeDelta::zero(),
        gaps: 0,
    };
    assert_eq!(missing(420), none, "as late as the settings explain");
    let lately = MissingTime {
        age: TimeDelta::seconds(361),
        span: TimeDelta::seconds(361),
        gaps: 1,
    };
    assert_eq!(missing(421), lately);
}

/// What a service refuses is one gap with the time since, where it follows at once.
#[test]
fn what_is_missing_and_what_cannot_be_asked_for_are_counted_once() {
    let missing = |delay, gap| {
        let settings = ScheduleSettings {
            delay: TimeDelta::seconds(delay),
            ..SETTINGS
        };
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 60), at(60 + delay), 0);
        coverage.want(gap);
        let missing = Schedule::new(settings, coverage, Lateness::default()).missing_time(at(1000));
        (missing.gaps, missing.span.num_seconds())
    };
    assert_eq!(missing(0, window(0, 30)), (2, 30 + 940));
    assert_eq!(missing(0, window(30, 60)), (1, 30 + 940));
    assert_eq!(missing(100, window(0, 30)), (2, 30 + 840));
}

#[test]
fn a_longer_settle_time_is_advised_where_more_rows_surface_near_its_end() {
    let advised = |settle_time, age, late: u32| {
        let mut lateness = Lateness::default();
        let seen = at(0);
        for row in 0..1000 {
            // Five hours are not near the end of the longer ones.
            let age = TimeDelta::hours(if row < late { age } else { 5 });
            lateness.observe(seen - age, seen - TimeDelta::minutes(1), seen);
        }
        let settings = ScheduleSettings {
            settle_time: TimeDelta::hours(settle_time),
            ..SETTINGS
        };
        Schedule::new(settings, Coverage::new(seen), lateness).better_settle_time()
    };
    assert_eq!(advised(24, 20, 3), Some(TimeDelta::hours(36)));
    assert_eq!(advised(24, 20, 2), None, "two of a thousand may");
    assert_eq!(advised(60, 60, 3), Some(TimeDelta::hours(72)));
    assert_eq!(advised(72, 70, 3), None, "there is no longer one");
    // Whole hours are set, and one and a half would be told as one.
    assert_eq!(advised(1, 5, 0), Some(TimeDelta::hours(2)));
    assert_eq!(advised(0, 5, 0), None, "nothing is read again");
}

#[test]
fn what_was_cut_for_a_verification_is_forgotten_when_that_is_read() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    schedule.cuts.extend([0, 9, 10, 50, 100, 101].map(at));
    schedule.audited(window(10, 100));
    assert!(schedule.cuts.iter().eq(&[0, 9, 101].map(at)));
}

#[test]
fn asks_for_the_newest_once_a_frequency() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    assert_eq!(schedule.due(at(60)), at(60), "at once after a start");
    assert_eq!(schedule.live(at(60)), Some(window(0, 60)));
    assert_eq!(
        (schedule.live(at(60)), schedule.due(at(61))),
        (None, at(120))
    );
    assert_eq!(schedule.live(at(119)), None, "it is not due");
    // What is being read, or not accepted yet, is not asked for again.
    assert_eq!(schedule.live(at(127)), Some(window(60, 127)));
    assert_eq!(schedule.coverage().checkpoint(), at(0));
    complete(&mut schedule, window(60, 127), at(127), 0, at(127));
    assert_eq!(
        schedule.coverage().checkpoint(),
        at(0),
        "the first is missing"
    );
    complete(&mut schedule, window(0, 60), at(60), 0, at(60));
    assert_eq!(schedule.coverage().checkpoint(), at(127));
    assert_eq!(
        schedule.due(at(-500)),
        at(-500),
        "a clock that was set back"
    );
}

#[test]
fn the_delay_is_kept() {
    let delay = TimeDelta::minutes(5);
    let settings = ScheduleSettings { delay, ..SETTINGS };
    let mut schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
    assert_eq!(schedule.live(at(299)), None);
    assert_eq!(schedule.live(at(360)), Some(window(0, 60)));
    let probe = schedule.probe(at(900), TimeDelta::minutes(1));
    assert_eq!(probe, Some((Lane::Live, window(540, 600))));
}

/// What surfaces after the only reading is never seen.
#[test]
fn what_is_read_only_once_is_not_asked_for_before_the_delay_has_passed() {
    let now = at(900) + TimeDelta::milliseconds(7);
    let until = |settle_time| {
        let settings = ScheduleSettings {
            delay: TimeDelta::minutes(5),
            settle_time,
            ..SETTINGS
        };
        let schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
        schedule.asks_until(now)
    };
    assert_eq!(until(TimeDelta::zero()), at(600));
    assert_eq!(until(TimeDelta::hours(1)), now, "it is read again");
}

#[test]
fn after_a_stop_the_newest_is_read_first_and_the_gap_oldest_first() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(29 * 86_400);
    let newest = schedule.live(now).unwrap();
    assert_eq!((newest.end(), newest.span()), (now, TimeDelta::minutes(2)));
    assert_eq!(
        schedule.beside(now, Instant::now()),
        Some((Lane::Backlog, window(0, 3600)))
    );
    assert_eq!(
        schedule.beside(now, Instant::now()),
        Some((Lane::Backlog, window(3600, 7200)))
    );
    complete(&mut schedule, newest, now, 0, now);
    assert_eq!(schedule.coverage().checkpoint(), at(0));
    assert_eq!(schedule.missing(), newest.start() - at(0));
}

#[test]
fn a_backlog_of_thirty_days_takes_few_requests() {
    let mut tenant = Tenant::new(100_000.0 / 30.0, SETTINGS, at(0));
    tenant.turn(at(30 * 86_400));
    assert_eq!(tenant.schedule.missing(), TimeDelta::zero());
    let requests = tenant.requests(Lane::Backlog);
    assert!(requests <= 35, "{requests}");
}

/// The source's time; both clocks agree, and the source tells it.
fn time(now: DateTime<Utc>) -> SourceTime {
    SourceTime {
        skew: Some(TimeDelta::zero()),
        ..local_time(now)
    }
}

/// A backlog of 100 days, and a source that keeps 90.
struct Old {
    schedule: Schedule,
    start: Instant,
    /// Windows that begin before it are refused.
    oldest: DateTime<Utc>,
}

const HUNDRED: i64 = 100 * 86_400;

impl Old {
    fn new(oldest: DateTime<Utc>) -> Self {
        let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
        let live = schedule.live(at(HUNDRED)).unwrap();
        complete(&mut schedule, live, at(HUNDRED), 0, at(HUNDRED));
        let start = Instant::now();
        Self {
            schedule,
            start,
            oldest,
        }
    }

    /// Reads all that there is to read after so many seconds. What was asked for, and what is lost.
    fn turn(&mut self, second: i64) -> (Vec<(Lane, Window)>, Vec<Window>) {
        let (mut asked, mut lost) = (Vec::new(), Vec::new());
        let now = at(HUNDRED + second);
        let instant = self.start + Duration::from_secs(second.unsigned_abs());
        while let Some((lane, window)) = self.schedule.beside(now, instant) {
            asked.push((lane, window));
            if window.start() >= self.oldest {
                self.schedule.answered(window, instant);
                complete(&mut self.schedule, window, now, 0, now);
                continue;
            }
            let judged = self.schedule.refuse(window, None, time(now), instant);
            if let Some(Judgement::Lost(loss)) = judged {
                lost.push(loss.window);
            }
        }
        (asked, lost)
    }
}

#[test]
fn what_the_source_refuses_is_lost_only_with_evidence_and_holds_up_nothing_else() {
    let oldest = at(HUNDRED - 90 * 86_400);
    let mut old = Old::new(oldest);
    let (_, lost) = old.turn(0);
    assert_eq!(
        (lost, old.schedule.coverage().lost().len()),
        (Vec::new(), 0)
    );
    let missing: Vec<_> = old.schedule.coverage().missing().collect();
    let [held] = missing[..] else {
        panic!("{missing:?}")
    };
    assert_eq!(
        (held.start(), old.schedule.coverage().checkpoint()),
        (at(0), at(0))
    );
    assert!((held.end() - oldest) <= TimeDelta::minutes(1));
    assert_eq!(old.schedule.refused().collect::<Vec<_>>(), missing);
    // A page between; ten minutes later it is asked for once more.
    old.schedule.answered(
        window(HUNDRED, HUNDRED + 60),
        old.start + Duration::from_secs(5),
    );
    assert_eq!(old.turn(599).0, []);
    let (asked, lost) = old.turn(600);
    assert_eq!((asked.len(), lost), (1, vec![held]));
    assert_eq!(old.schedule.coverage().lost(), [held]);
    assert_eq!(old.schedule.coverage().checkpoint(), at(HUNDRED));
    assert_eq!(old.schedule.refused().count(), 0);
}

#[test]
fn what_is_lost_is_asked_for_once_a_day_and_missing_again_when_it_is_answered() {
    let mut old = Old::new(at(HUNDRED - 90 * 86_400));
    old.turn(0);
    old.schedule.answered(
        window(HUNDRED, HUNDRED + 60),
        old.start + Duration::from_secs(5),
    );
    let [lost] = old.turn(600).1[..] else {
        panic!("nothing is lost")
    };
    let end = Window::new(lost.end() - TimeDelta::minutes(1), lost.end()).unwrap();
    let day = 86_400;
    assert_eq!(old.turn(600 + day - 1).0, []);
    assert_eq!(old.turn(600 + day).0, [(Lane::Backlog, end)]);
    assert_eq!(old.schedule.coverage().lost(), [lost], "refused again");
    assert_eq!(old.turn(600 + 2 * day - 1).0, []);
    // It turns out to be kept.
    old.oldest = at(0);
    let now = at(HUNDRED + 600 + 2 * day);
    let instant = old.start + Duration::from_secs(600 + 2 * 86_400);
    assert_eq!(
        old.schedule.beside(now, instant),
        Some((Lane::Backlog, end))
    );
    assert_eq!(old.schedule.beside(now, instant), None, "once");
    assert_eq!(old.schedule.answered(end, instant), Some(lost));
    assert_eq!(old.schedule.answered(end, instant), None);
    assert_eq!(old.schedule.coverage().lost(), []);
    assert_eq!(old.schedule.coverage().losses(), []);
    assert_eq!(old.schedule.coverage().checkpoint(), at(0));
    complete(&mut old.schedule, end, now, 0, now);
    let (asked, _) = old.turn(601 + 2 * day);
    assert_eq!(asked.first().map(|(_, window)| window.start()), Some(at(0)));
    assert_eq!(old.schedule.missing(), TimeDelta::zero());
    // Nobody asks for it beside a collection that is none.
    let mut alone = Schedule::new(
        SETTINGS,
        old.schedule.coverage().clone(),
        Lateness::default(),
    );
    alone.coverage.lose(Loss {
        window: lost,
        evidence: None,
        asked: at(0),
    });
    let mut only = alone.clone().only(window(0, 60));
    assert_eq!(only.lost_before(now), None);
    assert_eq!(alone.lost_before(now), Some((Lane::Backlog, end)));
    assert_eq!(alone.lost_before(now), None);
}

#[test]
fn a_refusal_of_what_was_read_or_is_lost_changes_nothing() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let live = schedule.live(at(300)).unwrap();
    complete(&mut schedule, live, at(300), 0, at(300));
    let again = schedule.live(at(600)).unwrap();
    assert!(again.start() < at(300), "with the past: {again}");
    let before = schedule.coverage().clone();
    let judged = schedule.refuse(again, Some(at(600)), time(at(600)), Instant::now());
    assert_eq!(judged, None);
    assert_eq!(schedule.refused().count(), 0);
    let missing: Vec<_> = schedule.coverage().missing().collect();
    assert_eq!(missing, [window(300, 600)]);
    assert_eq!(schedule.coverage().checkpoint(), before.edge());
    // The live edge itself is held back like anything else, and the next one is not.
    let newest = schedule.live(at(660)).unwrap();
    let newest = Window::new(newest.start().max(at(600)), newest.end()).unwrap();
    schedule.busy = Busy::default();
    schedule.busy.push(newest, None);
    let judged = schedule.refuse(newest, Some(at(660)), time(at(660)), Instant::now());
    assert_eq!(judged, Some(Judgement::Begun(newest)));
    assert_eq!(
        schedule.live(at(720)).map(|window| window.end()),
        Some(at(720))
    );
}

#[test]
fn a_backfill_that_is_refused_is_held_too_and_forgotten_when_it_is_given_up() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let start = Instant::now();
    schedule.backfill(window(-7200, -3600), false);
    let (lane, first) = schedule.beside(at(0), start).unwrap();
    assert_eq!((lane, first), (Lane::Backfill, window(-7200, -3600)));
    let judged = schedule.refuse(first, None, time(at(0)), start);
    assert_eq!(judged, Some(Judgement::Begun(first)));
    let (lane, question) = schedule.beside(at(0), start).unwrap();
    assert_eq!((lane, question), (Lane::Backfill, window(-5400, -5340)));
    assert_eq!(schedule.beside(at(0), start), None, "it is busy");
    schedule.give_back(question);
    schedule.give_up_backfill(|_| false);
    assert!(schedule.is_collecting());
    assert_eq!(schedule.beside(at(0), start), None);
    assert_eq!(schedule.refused().count(), 0);
    // Beside others that are held, a gap ends where they begin.
    schedule.backfill(window(-9000, -3600), false);
    let later = Window::new(at(-5000), at(-3600)).unwrap();
    schedule.refuse(later, None, time(at(0)), start);
    schedule.refuse(window(-9000, -8000), None, time(at(0)), start);
    let mut held: Vec<_> = schedule.refused().collect();
    held.sort_by_key(Window::start);
    assert_eq!(held, [window(-9000, -5000), later]);
}

/// What is refused again, and what begins where nothing was read yet, is judged.
#[test]
fn what_was_never_read_is_judged_each_time_it_is_refused() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let start = Instant::now();
    let first = window(0, 60);
    let judged = schedule.refuse(first, None, time(at(60)), start);
    assert_eq!(
        judged,
        Some(Judgement::Begun(first)),
        "it begins at the edge"
    );
    let judged = schedule.refuse(first, None, time(at(60)), start);
    assert_eq!(judged, Some(Judgement::Held(first)));
}

/// What another reader asks for may be answered.
#[test]
fn what_is_being_read_is_not_refused_with_what_lies_before_it() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(10_000));
    let mut schedule = Schedule::new(SETTINGS, coverage, Lateness::default());
    schedule.occupy(window(3600, 7200));
    let judged = schedule.refuse(window(0, 60), None, time(at(10_000)), Instant::now());
    assert_eq!(judged, Some(Judgement::Begun(window(0, 3600))));
}

/// Without a collection, only what a backfill asks for is held.
#[test]
fn what_a_backfill_alone_is_refused_is_asked_for_until_it_is_given_up() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(7200));
    let range = window(-7200, 1800);
    let mut alone = Schedule::new(SETTINGS, coverage, Lateness::default()).only(range);
    alone.backfill(range, false);
    let start = Instant::now();
    for refused in [window(0, 1800), window(-7200, -3600)] {
        assert!(alone.refuse(refused, None, time(at(7200)), start).is_some());
    }
    assert_eq!(alone.refused().count(), 2);
    let (lane, question) = alone.beside(at(7200), start).unwrap();
    assert_eq!(lane, Lane::Backfill);
    // Given up, but for what keeps it: what the collection misses is for the collection.
    alone.give_up_backfill(|_| true);
    alone.give_back(question);
    let (lane, question) = alone.beside(at(7200), start).unwrap();
    assert_eq!(lane, Lane::Backfill);
    assert!(question.end() <= at(0), "{question}");
    let held: Vec<_> = alone.refused().collect();
    assert!(held.iter().all(|held| held.end() <= at(0)), "{held:?}");
    assert_eq!(held.len(), 1);
}

/// What the collection misses is for the collection.
#[test]
fn a_backfill_alone_that_is_given_up_searches_nothing_that_the_collection_misses() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(7200));
    let range = window(-3600, 1800);
    let mut alone = Schedule::new(SETTINGS, coverage, Lateness::default()).only(range);
    alone.backfill(range, false);
    let suspect = window(600, 1200);
    alone.suspect(suspect, suspect);
    let (now, instant) = (at(7200), Instant::now());
    let (lane, searched) = alone.beside(now, instant).unwrap();
    assert_eq!((lane, searched.start()), (Lane::Settle, at(600)));
    alone.give_back(searched);
    alone.give_up_backfill(|_| false);
    assert_eq!(alone.beside(now, instant), None);
}

#[test]
fn a_live_edge_in_the_future_is_taken_back_and_asking_goes_on() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let live = schedule.live(at(7200)).unwrap();
    complete(&mut schedule, live, at(7200), 0, at(7200));
    assert_eq!(
        schedule.retract(at(7190), None),
        None,
        "some seconds are waited for"
    );
    assert_eq!(schedule.live(at(600)), None);
    assert_eq!(schedule.retract(at(600), None), Some(window(600, 7200)));
    assert_eq!(schedule.coverage().edge(), at(600));
    assert_eq!(
        schedule.live(at(660)).map(|window| window.end()),
        Some(at(660))
    );
    // What the clock of the source has not reached is not read.
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let ahead = schedule.live(at(600)).unwrap();
    complete(&mut schedule, ahead, at(600), 0, at(570));
    assert_eq!(schedule.coverage().edge(), at(570));
    let read = schedule.coverage().read_at(at(560));
    assert_eq!(read, Some(at(570)), "nor was it read then");
    let later = schedule.live(at(660)).unwrap();
    schedule.withdraw(later, at(580));
    assert_eq!(schedule.coverage().edge(), at(580));
}

/// Its rows may be on their way for hours, or one of its messages is asked for by its id.
#[test]
fn a_window_of_the_future_that_is_not_done_does_not_hold_the_live_edge_up() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let live = schedule.live(at(600)).unwrap();
    complete(&mut schedule, live, at(600), 0, at(600));
    let ahead = schedule.live(at(7800)).unwrap();
    assert_eq!(ahead.end(), at(7800));
    schedule.retract(at(660), None);
    let live = schedule.live(at(720));
    assert_eq!(live.map(|window| window.end()), Some(at(720)));
    let probe = schedule.probe(at(780), TimeDelta::seconds(60));
    assert_eq!(probe, Some((Lane::Live, window(720, 780))));
}

/// A minute in which only the newest is read: nothing settles. What is given up by `certain`.
fn turn(schedule: &mut Schedule, minute: i64, certain: DateTime<Utc>) -> Vec<Window> {
    let now = at(minute * 60);
    let window = schedule.live(now).unwrap();
    schedule.give_back(window);
    let newest = Window::new(now - TimeDelta::minutes(1), now).unwrap();
    accepted(schedule, newest, now, certain)
}

/// A window that was read at `now` is accepted when it is `certain`.
fn accepted(
    schedule: &mut Schedule,
    window: Window,
    now: DateTime<Utc>,
    certain: DateTime<Utc>,
) -> Vec<Window> {
    let completed = Completed {
        window,
        began: now,
        until: now,
        rows: 0,
    };
    schedule.complete(completed, certain)
}

/// What a reading has kept from others, as its rows were not accepted for hours, has its time when that is
/// over.
#[test]
fn what_was_held_is_not_given_up_as_soon_as_it_is_free() {
    let settings = ScheduleSettings {
        settle_time: TimeDelta::hours(1),
        ..SETTINGS
    };
    for is_read in [true, false] {
        let mut schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
        let turn = |schedule: &mut Schedule, minute| turn(schedule, minute, at(minute * 60));
        for minute in 1..=10 {
            assert_eq!(turn(&mut schedule, minute), []);
        }
        let held = schedule.occupy(window(0, 60));
        for minute in 11..=200 {
            assert_eq!(turn(&mut schedule, minute), [], "{minute}");
        }
        if is_read {
            let given_up = accepted(&mut schedule, held, at(600), at(200 * 60));
            assert_eq!(given_up, []);
        } else {
            schedule.give_back(held);
        }
        let free = 200 + i64::from(!is_read);
        for minute in 201..free + 60 {
            assert_eq!(turn(&mut schedule, minute), [], "{minute}");
        }
        assert_eq!(schedule.coverage().floor(), at(0));
        assert!(turn(&mut schedule, free + 60).contains(&window(0, 60)));
    }
}

/// What is settling for twice the settle time is given up, and told, but only by time that surely
/// passed while this process worked.
#[test]
fn what_cannot_be_read_again_in_time_is_given_up_and_told() {
    let settle_time = TimeDelta::hours(1);
    let settings = ScheduleSettings {
        settle_time,
        ..SETTINGS
    };
    let new = || Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
    let mut schedule = new();
    for minute in 1..=120 {
        assert_eq!(turn(&mut schedule, minute, at(minute * 60)), []);
        assert_eq!(schedule.coverage().floor(), at(0));
    }
    assert_eq!(turn(&mut schedule, 121, at(121 * 60)), [window(0, 60)]);
    assert_eq!(schedule.coverage().floor(), at(60));
    // What is being read is not overdue.
    schedule.busy.push(window(90, 100), None);
    assert_eq!(turn(&mut schedule, 123, at(123 * 60)), []);
    schedule.busy = Busy::default();
    assert_eq!(turn(&mut schedule, 124, at(124 * 60)).len(), 3);
    // What was overdue before this process began has this process's time, too, to the second.
    let mut schedule = new();
    schedule.coverage.read(window(0, 60), at(60), 0);
    let hours = 10 * 60;
    for minute in 0..=60 {
        let given_up = turn(&mut schedule, hours + minute, at((hours + minute) * 60));
        let is_over = minute == 60;
        assert_eq!((minute, given_up.len()), (minute, usize::from(is_over)));
    }
    // A clock that jumps makes no time pass: neither the one that decides ...
    let mut schedule = new();
    for minute in 1..=30 {
        assert_eq!(turn(&mut schedule, minute, at(minute * 60)), []);
    }
    assert_eq!(turn(&mut schedule, 31 + 1000, at(1031 * 60)), []);
    assert_eq!(schedule.coverage().floor(), at(0));
    // ... nor that which is not certain.
    let mut schedule = new();
    for minute in 1..=300 {
        assert_eq!(turn(&mut schedule, minute, at(120 * 60)), []);
    }
    assert_eq!(schedule.coverage().floor(), at(0));
}

/// As while the source does not answer, or the receiver accepts nothing.
#[test]
fn what_could_not_be_read_in_a_standstill_has_its_time_first() {
    let settings = ScheduleSettings {
        settle_time: TimeDelta::hours(1),
        ..SETTINGS
    };
    let start = Instant::now();
    let later = start + Duration::from_secs(90 * 60);
    for is_answered in [true, false] {
        let mut schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
        let turn = |schedule: &mut Schedule, minute| turn(schedule, minute, at(minute * 60));
        for minute in 1..=70 {
            assert_eq!(turn(&mut schedule, minute), []);
        }
        assert_eq!(schedule.answered(window(4140, 4200), start), None);
        // What was read before it may be accepted before the next page comes.
        match is_answered {
            true => assert_eq!(schedule.answered(window(9540, 9600), later), None),
            false => schedule.look_for_standstill(later),
        }
        for minute in 160..218 {
            assert_eq!(turn(&mut schedule, minute), [], "{minute}");
        }
        assert!(turn(&mut schedule, 218).contains(&window(0, 60)));
    }
}

/// Else a collection that asks seldom would never give anything up.
#[test]
fn two_queries_that_are_far_apart_are_no_standstill() {
    let hour = TimeDelta::hours(1);
    let settings = ScheduleSettings {
        frequency: hour,
        settle_time: hour,
        ..SETTINGS
    };
    let mut schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    for hours in 1..=3_u32 {
        let live = schedule.live(at(3600 * i64::from(hours))).unwrap();
        schedule.answered(live, after(3600 * u64::from(hours)));
    }
    assert_eq!(schedule.worked, hour * 2);
    schedule.look_for_standstill(after(5 * 3600 - 1));
    assert_eq!(schedule.worked, hour * 2);
    schedule.look_for_standstill(after(5 * 3600));
    assert_eq!(schedule.worked, TimeDelta::zero());
}

/// Rows may have surfaced in it, and it is asked for again every ten minutes.
#[test]
fn what_was_asked_for_and_could_not_be_read_is_not_given_up() {
    let settings = ScheduleSettings {
        settle_time: TimeDelta::hours(1),
        ..SETTINGS
    };
    let (fails, instant) = (window(0, 60), Instant::now());
    let rests = |schedule: &mut Schedule, window| {
        schedule.occupy(window);
        assert!(schedule.rest(window, instant));
        schedule.wake(instant);
    };
    let is_narrowed = |schedule: &mut Schedule, window| {
        schedule.occupy(window);
        schedule.relieve(Lane::Settle, window);
    };
    for fail in [&rests as &dyn Fn(&mut Schedule, Window), &is_narrowed] {
        let mut schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
        let turn = |schedule: &mut Schedule, minute| turn(schedule, minute, at(minute * 60));
        for minute in 1..=10 {
            assert_eq!(turn(&mut schedule, minute), []);
        }
        fail(&mut schedule, fails);
        for minute in 11..=300 {
            assert_eq!(turn(&mut schedule, minute), [], "{minute}");
        }
        assert_eq!(schedule.coverage().floor(), at(0));
        accepted(&mut schedule, fails, at(300 * 60), at(300 * 60));
        assert!(schedule.coverage().floor() > at(0));
        // What a verification could not read holds up nothing.
        fail(&mut schedule, window(-7200, -3600));
        assert!(!turn(&mut schedule, 301).is_empty());
    }
}

/// From then on it is refused as too old, and no reading would ever end its rest.
#[test]
fn what_could_not_be_read_until_the_source_keeps_it_no_longer_is_given_up() {
    let settings = ScheduleSettings {
        settle_time: TimeDelta::hours(1),
        limits: SourceLimits {
            retention: TimeDelta::hours(4),
            ..LIMITS
        },
        ..SETTINGS
    };
    let mut schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
    let turn = |schedule: &mut Schedule, minute| turn(schedule, minute, at(minute * 60));
    for minute in 1..=10 {
        assert_eq!(turn(&mut schedule, minute), []);
    }
    let (fails, instant) = (window(0, 60), Instant::now());
    schedule.occupy(fails);
    assert!(schedule.rest(fails, instant));
    schedule.wake(instant);
    for minute in 11..=240 {
        assert_eq!(turn(&mut schedule, minute), [], "{minute}");
    }
    assert!(turn(&mut schedule, 241).contains(&fails));
    assert!(schedule.coverage().floor() > at(0));
}

#[test]
fn what_a_longer_settle_time_has_left_has_its_last_reading() {
    for settle_time in [TimeDelta::zero(), TimeDelta::hours(1)] {
        let settings = ScheduleSettings {
            settle_time,
            ..SETTINGS
        };
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 4 * 3600), at(4 * 3600), 10);
        coverage.shorten(TimeDelta::hours(3), settle_time);
        let mut schedule = Schedule::new(settings, coverage, Lateness::default());
        let now = at(4 * 3600 + 60);
        assert_eq!(turn(&mut schedule, 241, now), [], "it is not given up");
        assert_eq!(schedule.coverage().floor(), at(3600));
        let read = schedule.coverage().read_at(at(3600));
        assert_eq!(read, Some(at(3599) + settle_time), "too early for it");
        let runs = schedule.runs(now);
        let first = runs.first().unwrap();
        assert!(first.last, "{first:?}");
        assert_eq!(first.window.start(), at(3600));
    }
}

/// What surfaces after its last reading is never seen.
#[test]
fn what_a_longer_settle_time_has_left_has_no_last_reading_before_the_delay_has_passed() {
    let settings = ScheduleSettings {
        delay: TimeDelta::minutes(10),
        settle_time: TimeDelta::zero(),
        ..SETTINGS
    };
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 3600), at(3600), 60);
    coverage.shorten(TimeDelta::hours(3), TimeDelta::zero());
    let mut schedule = Schedule::new(settings, coverage, Lateness::default());
    let now = at(3660);
    assert_eq!(schedule.live(now), None);
    let first = window(0, 3060);
    assert_eq!(
        schedule.beside(now, Instant::now()),
        Some((Lane::Settle, first))
    );
    complete(&mut schedule, first, now, 0, now);
    assert_eq!(schedule.coverage().floor(), at(3060));
    assert_eq!(schedule.runs(now), []);
    let later = schedule.runs(now + TimeDelta::minutes(10));
    assert_eq!(later.len(), 1);
    assert_eq!(later[0].window, window(3060, 3600));
}

/// Else it is given up before.
#[test]
fn what_a_longer_settle_time_has_left_is_not_given_up_before_a_long_delay_has_passed() {
    let settings = ScheduleSettings {
        delay: TimeDelta::hours(6),
        settle_time: TimeDelta::zero(),
        ..SETTINGS
    };
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 3600), at(3600), 60);
    coverage.shorten(TimeDelta::hours(24), TimeDelta::zero());
    let mut schedule = Schedule::new(settings, coverage, Lateness::default());
    for minute in 61..300 {
        let now = at(minute * 60);
        assert_eq!(schedule.live(now), None);
        assert_eq!(schedule.give_up(now), []);
    }
}

/// Nobody knows which clock is right: else what surfaces in time by the later one is never seen.
#[test]
fn what_is_read_by_a_time_that_is_ahead_is_read_until_it_has_settled_by_both_clocks() {
    let (ahead, delay) = (TimeDelta::minutes(20), TimeDelta::minutes(1));
    for settle_time in [TimeDelta::zero(), TimeDelta::hours(1)] {
        let settings = ScheduleSettings {
            delay,
            settle_time,
            ..SETTINGS
        };
        let mut tenant = Tenant::new(1000.0, settings, at(0));
        let watched = [300, 1234, 3000].into_iter();
        tenant.watched = watched.map(|second| (at(second), Vec::new())).collect();
        tenant.schedule.set_ahead(ahead);
        for minute in 1..=240 {
            tenant.turn(at(minute * 60));
        }
        let settled = settle_time.max(delay) + ahead;
        let enough = settled..settled + TimeDelta::minutes(5);
        for (instant, ages) in &tenant.watched {
            let last = ages.iter().max().copied().unwrap();
            assert!(enough.contains(&last), "{instant}: {last}");
        }
        let open = at(240 * 60) - tenant.schedule.coverage().floor();
        assert!(enough.contains(&open), "{open}");
        let requests = tenant.requests(Lane::Settle);
        assert!(requests < 2 * 240, "{requests}");
    }
}

/// Else it is final without the questions that belong to the last reading, or by a clock that was wrong.
#[test]
fn what_was_read_by_a_time_that_was_ahead_has_its_last_reading_when_it_is_not_any_more() {
    let hour = TimeDelta::hours(1);
    let settings = ScheduleSettings {
        settle_time: hour,
        ..SETTINGS
    };
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 4 * 3600), at(4 * 3600), 10);
    let mut schedule = Schedule::new(settings, coverage, Lateness::default());
    schedule.set_ahead(TimeDelta::seconds(10));
    assert_eq!(schedule.looked_for(), hour, "to the second or so");
    schedule.set_ahead(TimeDelta::minutes(20));
    schedule.set_ahead(TimeDelta::seconds(1210));
    assert_eq!(schedule.looked_for(), TimeDelta::seconds(4810));
    assert!(schedule.reads_again(window(0, 60), at(4809)));
    assert!(!schedule.reads_again(window(0, 60), at(4810)));
    schedule.set_ahead(TimeDelta::seconds(2));
    assert_eq!(schedule.looked_for(), hour);
    let now = at(4 * 3600 + 60);
    assert_eq!(turn(&mut schedule, 241, now), []);
    let last = at(4 * 3600 - 4810);
    assert_eq!(schedule.coverage().floor(), last);
    let runs = schedule.runs(now);
    let first = runs.first().unwrap();
    assert!(first.last, "{first:?}");
    assert_eq!(first.window.start(), last);
    // What is older would be refused.
    schedule.set_ahead(TimeDelta::days(1000));
    assert_eq!(schedule.looked_for(), TimeDelta::days(81));
}

#[test]
fn nothing_is_final_before_the_time_is_certain_and_nothing_is_read_once_more_for_that() {
    let settings = ScheduleSettings {
        settle_time: TimeDelta::hours(1),
        ..SETTINGS
    };
    let mut schedule = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
    let live = schedule.live(at(60)).unwrap();
    complete(&mut schedule, live, at(60), 10, at(60));
    // The source's clock says that it is old enough, the local one does not.
    let completed = Completed {
        window: window(0, 60),
        began: at(2 * 3600),
        until: at(2 * 3600),
        rows: 10,
    };
    assert_eq!(schedule.complete(completed, at(3600)), []);
    assert_eq!(schedule.coverage().floor(), at(0));
    schedule.tick = Some(at(20 * 3600));
    assert_eq!(schedule.runs(at(20 * 3600)), []);
    assert_eq!(schedule.complete(completed, at(3630)), []);
    assert_eq!(schedule.coverage().floor(), at(30));
    assert_eq!(schedule.complete(completed, at(2 * 3600)), []);
    assert_eq!(schedule.coverage().floor(), at(60));
}

/// A window that was made narrower stays so until it is read, also when others beside it are.
#[test]
fn cuts_are_kept_until_their_window_is_read() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(100_000);
    schedule.live(now).unwrap();
    let instant = Instant::now();
    let (_, first) = schedule.beside(now, instant).unwrap();
    schedule.narrow(first);
    let cut = first.start() + first.span() / 2;
    assert_eq!(schedule.cuts.iter().copied().collect::<Vec<_>>(), [cut]);
    for beside in [window(50_000, 60_000), window(-600, 0)] {
        complete(&mut schedule, beside, now, 0, now);
        assert_eq!(schedule.cuts.len(), 1, "{beside}");
    }
    let (_, half) = schedule.beside(now, instant).unwrap();
    assert_eq!((half.start(), half.end()), (first.start(), cut));
    let before = schedule.clone();
    complete(&mut schedule, half, now, 0, now);
    assert_eq!(schedule.cuts.len(), 0, "it ends there");
    let mut schedule = before;
    let other = Window::new(cut, first.end()).unwrap();
    complete(&mut schedule, other, now, 0, now);
    assert_eq!(schedule.cuts.len(), 0, "it begins there");
}

#[test]
fn a_window_that_is_too_much_is_halved_down_to_a_second() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(100_000);
    schedule.live(now).unwrap();
    let mut spans = Vec::new();
    loop {
        let (_, window) = schedule.beside(now, Instant::now()).unwrap();
        assert_eq!(window.start(), at(0), "the same start is asked for again");
        spans.push(window.span().num_seconds());
        if !schedule.can_narrow(window) {
            break;
        }
        schedule.narrow(window);
    }
    assert_eq!(spans, [3600, 1800, 900, 450, 225, 112, 56, 28, 14, 7, 3, 1]);
    // The other reader goes on behind it.
    assert_eq!(
        schedule.beside(now, Instant::now()),
        Some((Lane::Backlog, window(1, 3)))
    );
}

#[test]
fn nothing_is_read_twice_without_a_settle_time() {
    let settle_time = TimeDelta::zero();
    let settings = ScheduleSettings {
        settle_time,
        ..SETTINGS
    };
    let mut tenant = Tenant::new(1e6, settings, at(0));
    tenant.watched.push((at(4000), Vec::new()));
    (1..200).for_each(|minute| tenant.turn(at(minute * 60)));
    assert_eq!(tenant.watched.first().unwrap().1.len(), 1);
    assert_eq!(tenant.schedule.coverage().stretches(), []);
    assert_eq!(tenant.schedule.coverage().floor(), at(199 * 60));
}

/// The promise: between two readings of an instant no more passes than a quarter of its age and one
/// `frequency`, and the last reading is not before the settle time.
#[test]
fn the_past_is_read_again_at_growing_intervals() {
    for rows_per_day in [1e3, 1e5, 5e5] {
        let mut tenant = Tenant::new(rows_per_day, SETTINGS, at(0));
        tenant.watched = (0..200).map(|n| (at(6000 + n * 37), Vec::new())).collect();
        (1..=29 * 60).for_each(|minute| tenant.turn(at(minute * 60)));
        let mut late = 0;
        let mut all = 0;
        for (instant, ages) in &tenant.watched {
            assert!(ages.last() >= Some(&SETTINGS.settle_time), "{instant}");
            for pair in ages.windows(2) {
                let [before, after] = pair else { continue };
                let allowed = *before / 4 + SETTINGS.frequency;
                all += 1;
                late += usize::from(*after - *before > allowed);
                assert!(*after - *before <= allowed * 3 / 2, "{before} {after}");
            }
        }
        assert!(late * 50 < all, "{late} of {all} readings were late");
        let stretches = tenant.schedule.coverage().stretches().len();
        assert!(stretches < 200, "{stretches}");
        let floor = at(29 * 3600) - tenant.schedule.coverage().floor();
        assert!(floor < TimeDelta::hours(25), "{floor}");
        let requests = tenant.requests(Lane::Settle);
        assert!(requests < 7200, "{requests} of a quarter of the quota");
    }
}

#[test]
fn a_tenant_that_is_too_large_is_read_more_coarsely_but_to_the_end() {
    let mut tenant = Tenant::new(8e6, SETTINGS, at(0));
    tenant.watched = (0..100).map(|n| (at(6000 + n * 37), Vec::new())).collect();
    for minute in 1..=50 * 60 {
        tenant.turn(at(minute * 60));
        assert!(tenant.schedule.coverage().stretches().len() <= 1100);
    }
    for (instant, ages) in &tenant.watched {
        assert!(
            ages.last() >= Some(&SETTINGS.settle_time),
            "{instant} {ages:?}"
        );
    }
    assert!(tenant.schedule.coarseness().is_some(), "and that is said");
    let requests = tenant.requests(Lane::Settle);
    assert!(requests <= 21_600 * 50 / 24 + 40, "{requests}");
}

/// Requests of settling in ten hours of a tenant that has more rows than can be read again in time.
fn settling_requests(before_each_minute: impl Fn(&mut Schedule, DateTime<Utc>)) -> u64 {
    let mut tenant = Tenant::new(1e7, SETTINGS, at(0));
    for minute in 1..=600 {
        let now = at(minute * 60);
        before_each_minute(&mut tenant.schedule, now);
        tenant.turn(now);
    }
    tenant.requests(Lane::Settle)
}

#[test]
fn settling_takes_what_nobody_needs_and_keeps_to_its_quarter_otherwise() {
    let (quarter, three_quarters) = (25 * 600 / 5, 75 * 600 / 5);
    let alone = settling_requests(|_, _| {});
    assert!(
        (three_quarters * 9 / 10..three_quarters + 100).contains(&alone),
        "{alone}"
    );
    let restrained = settling_requests(Schedule::restrain);
    assert!(
        (quarter * 9 / 10..quarter + 100).contains(&restrained),
        "{restrained}"
    );
    // For as long as the quota counts.
    let once = settling_requests(|schedule, now| {
        if now == at(300 * 60) {
            schedule.restrain(now);
        }
    });
    assert!(
        (alone - 75..alone - 20).contains(&once),
        "{once} of {alone}"
    );
}

#[test]
fn what_a_verification_could_not_read_and_nobody_reads_any_more_takes_no_spare_requests() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(-90_000)), Lateness::default());
    complete(&mut schedule, window(-90_000, 0), at(0), 10, at(0));
    let unread = window(-180_000, -172_800);
    schedule.backfill(unread, false);
    let audit = window(-90_000, -86_400);
    schedule.set_audits(vec![audit]);
    for suspect in [window(-90_000, -89_000), window(-180_000, -179_000)] {
        schedule.suspect(suspect, suspect);
    }
    // It still is to be read.
    schedule.set_audits(vec![audit]);
    assert!(schedule.is_suspect(window(-90_000, -89_999)));
    // It is given up.
    schedule.set_audits(Vec::new());
    assert!(!schedule.is_suspect(window(-90_000, -89_999)));
    assert!(schedule.is_suspect(window(-180_000, -179_999)), "wanted");
    schedule.give_up_backfill(|_| false);
    schedule.set_audits(Vec::new());
    assert!(schedule.has_spare_requests(at(0)));
}

#[test]
fn requests_are_spare_when_nothing_is_missing_or_asked_for() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    assert!(!schedule.has_spare_requests(at(3600)), "a backlog");
    complete(&mut schedule, window(0, 3600), at(3600), 10, at(3600));
    assert!(schedule.has_spare_requests(at(3600)));
    let (fresh, late) = (at(3600 + 65), at(3600 + 66));
    assert!(schedule.has_spare_requests(fresh) && !schedule.has_spare_requests(late));

    let mut failing = schedule.clone();
    failing.restrain(at(3600));
    assert!(!failing.has_spare_requests(fresh), "it wishes for fewer");
    complete(&mut failing, window(3600, 3900), at(3900), 10, at(3900));
    assert!(failing.has_spare_requests(at(3900)), "five minutes ago");
    failing.restrain(at(90_000));
    assert!(
        failing.has_spare_requests(at(3900)),
        "by a clock that was ahead"
    );

    let settings = ScheduleSettings {
        delay: TimeDelta::seconds(30),
        ..SETTINGS
    };
    let mut delayed = Schedule::new(settings, Coverage::new(at(0)), Lateness::default());
    complete(&mut delayed, window(0, 3600), at(3630), 10, at(3630));
    let (fresh_then, late) = (at(3695), at(3696));
    assert!(delayed.has_spare_requests(fresh_then) && !delayed.has_spare_requests(late));

    let mut wished = schedule.clone();
    wished.backfill(window(-7200, -3600), false);
    assert!(!wished.has_spare_requests(fresh), "a backfill");
    assert!(
        !schedule.only(window(0, 7200)).has_spare_requests(fresh),
        "no live edge"
    );
}

#[test]
fn a_backfill_comes_last_or_alone() {
    let coverage = Coverage::new(at(0));
    let mut schedule = Schedule::new(SETTINGS, coverage.clone(), Lateness::default());
    let now = at(7200);
    schedule.live(now).unwrap();
    schedule.backfill(window(-86_400, -79_200), false);
    let lanes: Vec<_> = std::iter::from_fn(|| schedule.beside(now, Instant::now()))
        .take(4)
        .collect();
    let newest = 7200 - 120;
    assert_eq!(
        lanes,
        [
            (Lane::Backlog, window(0, 3600)),
            (Lane::Backlog, window(3600, newest)),
            (Lane::Backfill, window(-86_400, -82_800)),
            (Lane::Backfill, window(-82_800, -79_200)),
        ]
    );

    // Alone: of a gap of the collection only what lies in the range, and no live edge.
    let mut coverage = coverage;
    coverage.reach(at(7200));
    let range = window(-1800, 1800);
    let mut alone = Schedule::new(SETTINGS, coverage, Lateness::default()).only(range);
    alone.backfill(range, false);
    assert_eq!((alone.live(now), alone.due(now) > now), (None, true));
    let lanes: Vec<_> = std::iter::from_fn(|| alone.beside(now, Instant::now())).collect();
    assert_eq!(
        lanes,
        [
            (Lane::Backfill, window(0, 1800)),
            (Lane::Backfill, window(-1800, 0)),
        ]
    );
    assert_eq!(alone.unread(range).count(), 2);
    // Given up, but for what is being read.
    alone.give_up_backfill(|_| false);
    let wanted: Vec<_> = alone.coverage().wanted().collect();
    assert_eq!(wanted, [window(-1800, 0)]);
    complete(&mut alone, window(-1800, 0), now, 0, now);
    assert_eq!(alone.beside(now, Instant::now()), None);
    assert_eq!(alone.coverage().wanted().count(), 0);
    assert_eq!(alone.coverage().checkpoint(), at(0));
}

/// A schedule whose live edge has been read for an hour, so that what is behind it is due again.
fn settled() -> (Schedule, DateTime<Utc>) {
    let mut tenant = Tenant::new(10_000.0, SETTINGS, at(0));
    for minute in 1..=60 {
        tenant.turn(at(minute * 60));
    }
    (tenant.schedule, at(3600))
}

#[test]
fn a_live_edge_that_fails_goes_without_the_past_and_then_in_halves() {
    let (mut schedule, now) = settled();
    let tick = now + TimeDelta::seconds(60);
    let wide = schedule.live(tick).unwrap();
    assert!(wide.span() > TimeDelta::minutes(3), "{wide:?}");
    schedule.relieve(Lane::Live, wide);
    assert_eq!(schedule.due(tick), tick, "at once");
    let later = tick + TimeDelta::seconds(3);
    let alone = schedule.live(later).unwrap();
    assert_eq!(alone, Window::new(now, later).unwrap());
    schedule.relieve(Lane::Live, alone);
    let half = schedule.live(later).unwrap();
    assert_eq!(half.end(), later);
    assert_eq!(half.span(), TimeDelta::seconds(31));
    complete(&mut schedule, half, later, 10, later);
    // What was left away is missing.
    let rest = Window::new(now, half.start()).unwrap();
    assert_eq!(schedule.coverage().missing().collect::<Vec<_>>(), [rest]);
    assert_eq!(schedule.never_read(), Some((Lane::Backlog, rest)));
    complete(&mut schedule, rest, later, 10, later);
    let (mut read, mut longest) = (half, TimeDelta::zero());
    for minute in 1..16 {
        schedule.learn(Lane::Live, read, 10);
        let now = later + TimeDelta::minutes(minute);
        read = schedule.live(now).unwrap();
        if minute < 5 {
            assert!(read.span() < alone.span(), "as much has failed: {read:?}");
        }
        longest = longest.max(read.span());
        complete(&mut schedule, read, now, 60, now);
    }
    assert!(
        longest > TimeDelta::minutes(3),
        "with the past again: {longest}"
    );
}

#[test]
fn a_live_edge_without_the_past_is_narrower_than_what_has_failed() {
    for (start, most) in [(3539, 120), (3540, 60)] {
        let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
        complete(&mut schedule, window(0, 3600), at(3600), 10, at(3600));
        schedule.relieve(Lane::Live, window(start, 3660));
        let most = Some(TimeDelta::seconds(most));
        assert_eq!(schedule.narrowing.live.most, most, "{start}");
    }
}

#[test]
fn a_live_edge_whose_past_cannot_be_read_goes_on_without_it_at_once() {
    let (mut schedule, now) = settled();
    let tick = now + TimeDelta::seconds(60);
    let wide = schedule.live(tick).unwrap();
    schedule.let_go_of_the_past(wide);
    assert_eq!(schedule.due(tick), tick);
    let later = tick + TimeDelta::seconds(3);
    assert_eq!(schedule.live(later), Window::new(now, later));
}

#[test]
fn what_cannot_be_read_whole_is_asked_for_apart_from_the_rest() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(100_000);
    schedule.live(now).unwrap();
    let backlog = |window| Some((Lane::Backlog, window));
    assert_eq!(schedule.never_read(), backlog(window(0, 3600)));
    schedule.part(window(0, 3600), at(600));
    assert_eq!(schedule.never_read(), backlog(window(0, 600)));
    assert_eq!(schedule.never_read(), backlog(window(600, 4200)));
    let around = window(1000, 1060);
    schedule.suspect(window(600, 4200), around);
    assert_eq!(schedule.never_read(), backlog(window(600, 1000)));
    assert_eq!(schedule.never_read(), backlog(window(1060, 4660)));
    // It is searched by settling, in halves.
    let mut search = || schedule.beside(now, Instant::now());
    assert_eq!(search(), Some((Lane::Settle, around)));
    schedule.suspect(around, around);
    let mut search = || schedule.beside(now, Instant::now());
    assert_eq!(search(), Some((Lane::Settle, window(1000, 1030))));
    assert!(schedule.is_suspect(window(1000, 1030)));
    assert!(!schedule.is_suspect(window(999, 1030)));
}

#[test]
fn nothing_of_the_past_is_begun_while_what_was_read_of_it_is_not_done() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(100_000));
    let mut schedule = Schedule::new(SETTINGS, coverage, Lateness::default());
    schedule.hold_past(true);
    assert_eq!(schedule.never_read(), None);
    schedule.hold_past(false);
    // What is read again tells nothing of how wide its windows may be.
    schedule.learn(Lane::Settle, window(0, 3600), 1);
    let first = Some((Lane::Backlog, window(0, 3600)));
    assert_eq!(schedule.never_read(), first);
}

#[test]
fn a_verification_reads_two_days_at_once_at_most() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    for hours in [1, 2, 4, 8, 16, 32, 64] {
        schedule.learn(Lane::Verify, window(0, hours * 3600), 1);
    }
    let day = 86_400;
    schedule.set_audits(vec![window(0, 5 * day)]);
    for (start, end) in [(0, 2), (2, 4), (4, 5)] {
        assert!(!schedule.is_audited());
        let next = window(start * day, end * day);
        assert_eq!(schedule.audit(), Some(next));
        schedule.occupy(next);
        assert_ne!(schedule.audit(), Some(next), "it is being read");
        schedule.audited(next);
    }
    assert!(schedule.is_audited() && !schedule.is_auditing());
    assert!(schedule.auditing().is_auditing(), "and nothing else");
}

#[test]
fn a_window_is_read_again_when_it_was_younger_than_the_settle_time() {
    let schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let (day, first) = (86_400, window(0, 60));
    assert_eq!(schedule.settle_time(), TimeDelta::seconds(day));
    assert!(schedule.reads_again(first, at(day - 1)));
    assert!(!schedule.reads_again(first, at(day)));
}

#[test]
fn only_what_was_read_before_tells_how_late_rows_are() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    complete(&mut schedule, window(0, 60), at(60), 0, at(60));
    let nothing = schedule.lateness().clone();
    let (known, unread, seen) = (at(30), at(60), at(90));
    assert_eq!(schedule.first_seen(unread, seen), None);
    schedule.status_changed(unread, seen);
    assert_eq!(schedule.lateness(), &nothing);
    schedule.status_changed(known, seen);
    let changed = schedule.lateness().clone();
    assert_ne!(changed, nothing);
    let late = TimeDelta::seconds(60);
    assert_eq!(schedule.first_seen(known, seen), Some(late));
    assert_ne!(schedule.lateness(), &changed);
    let back = schedule.first_seen(known, at(20));
    assert_eq!(back, Some(TimeDelta::zero()), "a clock was set back");
}

/// After a stop much is overdue, and the quota allows for it.
#[test]
fn settling_is_not_called_late_as_long_as_it_has_requests_left() {
    let (mut schedule, now) = settled();
    let later = now + TimeDelta::hours(6);
    schedule.tick = Some(later);
    let runs = schedule.runs(later);
    assert!(runs.iter().any(|run| run.overdue >= COARSE), "{runs:?}");
    assert_eq!(schedule.coarseness(), None);
}

#[test]
fn what_has_failed_at_one_source_narrows_nothing_at_another() {
    let (mut schedule, now) = settled();
    let tick = now + TimeDelta::seconds(60);
    let wide = schedule.live(tick).unwrap();
    schedule.relieve(Lane::Live, wide);
    schedule.adapt(&LIMITS);
    let later = tick + TimeDelta::seconds(3);
    let again = schedule.live(later).unwrap();
    assert!(again.span() > TimeDelta::minutes(3), "{again:?}");
}

#[test]
fn a_backlog_that_fails_is_read_in_narrow_windows_that_grow_again() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(100_000);
    schedule.live(now).unwrap();
    let mut spans = Vec::new();
    for _ in 0..4 {
        let (lane, window) = schedule.beside(now, Instant::now()).unwrap();
        assert_eq!((lane, window.start()), (Lane::Backlog, at(0)));
        spans.push(window.span().num_seconds());
        schedule.relieve(lane, window);
    }
    assert_eq!(spans, [3600, 1800, 900, 450]);
    spans.clear();
    for _ in 0..9 {
        let (lane, window) = schedule.beside(now, Instant::now()).unwrap();
        spans.push(window.span().num_seconds());
        schedule.learn(lane, window, 1);
        complete(&mut schedule, window, now, 1, now);
    }
    // What has failed is tried after four successes. Old cuts are kept: what lies before one ends there.
    assert_eq!(spans, [225, 225, 225, 225, 450, 450, 900, 1800, 3600]);
}

#[test]
fn beside_a_window_that_is_too_much_others_are_half_as_wide_until_some_are_read() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(100_000);
    schedule.live(now).unwrap();
    let (lane, first) = schedule.beside(now, Instant::now()).unwrap();
    assert_eq!(first.span(), TimeDelta::hours(1));
    schedule.expect_less(lane, first);
    assert!(schedule.rest(first, Instant::now() + Duration::from_secs(600)));
    let mut spans = Vec::new();
    for _ in 0..5 {
        let (lane, next) = schedule.beside(now, Instant::now()).unwrap();
        assert!(next.start() >= first.end(), "that one rests: {next}");
        spans.push(next.span().num_minutes());
        schedule.learn(lane, next, 1);
        complete(&mut schedule, next, now, 1, now);
    }
    assert_eq!(spans, [30, 30, 30, 30, 60]);
}

#[test]
fn windows_of_the_past_are_kept_narrow_from_a_failure_until_they_are_as_wide_as_ever() {
    let (mut schedule, now) = settled();
    let lanes = [
        Lane::Live,
        Lane::Settle,
        Lane::Backlog,
        Lane::Backfill,
        Lane::Verify,
    ];
    let narrow = |schedule: &Schedule| lanes.map(|lane| schedule.narrows_past(lane));
    let wide = schedule.live(now + TimeDelta::seconds(60)).unwrap();
    schedule.relieve(Lane::Live, wide);
    assert_eq!(narrow(&schedule), [false; 5], "it has a bound of its own");
    schedule.expect_less(Lane::Backlog, window(0, 3600));
    for _ in 0..4 {
        assert_eq!(narrow(&schedule), [false, true, true, true, true]);
        schedule.learn(Lane::Settle, window(0, 1800), 1);
    }
    assert_eq!(narrow(&schedule), [false; 5]);
}

#[test]
fn never_read_goes_before_read_again() {
    let (mut schedule, now) = settled();
    schedule.coverage.want(window(-3600, 0));
    let now = now + TimeDelta::minutes(5);
    schedule.narrowing.live.most = Some(TimeDelta::seconds(1));
    schedule.live(now).unwrap();
    let mut other = schedule.clone();
    assert_eq!(
        other.beside(now, Instant::now()).map(|(lane, _)| lane),
        Some(Lane::Settle)
    );
    assert_eq!(
        schedule.never_read(),
        Some((Lane::Backlog, window(-3600, 0)))
    );
    assert_ne!(schedule.never_read(), None, "what the live edge left away");
    assert_eq!(schedule.never_read(), None);
}

#[test]
fn a_probe_asks_for_the_newest_minute_alone() {
    let (mut schedule, now) = settled();
    let minute = TimeDelta::seconds(60);
    let later = now + TimeDelta::seconds(600);
    let newest = Window::new(later - minute, later).unwrap();
    assert_eq!(schedule.probe(later, minute), Some((Lane::Live, newest)));
    assert_eq!(schedule.probe(later, minute), None, "it is being read");
    schedule.release(newest);
    let later = later + TimeDelta::seconds(12);
    let newest = Window::new(later - minute, later).unwrap();
    assert_eq!(schedule.probe(later, minute), Some((Lane::Live, newest)));
    complete(&mut schedule, newest, later, 1, later);
    assert_eq!(schedule.due(later), later + SETTINGS.frequency);
    let rest = Window::new(now, newest.start()).unwrap();
    assert_eq!(schedule.coverage().missing().collect::<Vec<_>>(), [rest]);
}

/// Another module has delivered it.
#[test]
fn a_probe_leaves_alone_what_the_position_was_moved_over() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 100), at(100), 9);
    coverage.skip_by_position(at(1000));
    assert_eq!(coverage.floor(), at(0), "what was read is settling");
    let mut schedule = Schedule::new(SETTINGS, coverage, Lateness::default());
    let minute = TimeDelta::seconds(60);
    assert_eq!(schedule.probe(at(1000), minute), None);
    let rest = window(1000, 1010);
    assert_eq!(schedule.probe(at(1010), minute), Some((Lane::Live, rest)));
}

/// A position of the Python module has a fraction of a second.
#[test]
fn what_is_read_again_begins_where_the_position_was_moved_to() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 100), at(100), 9);
    let moved = at(1000) + TimeDelta::milliseconds(500);
    coverage.skip_by_position(moved);
    let mut schedule = Schedule::new(SETTINGS, coverage, Lateness::default());
    let first = schedule.live(at(1060)).unwrap();
    assert_eq!(first, Window::new(moved, at(1060)).unwrap());
    complete(&mut schedule, first, at(1060), 9, at(1060));
    let again = schedule.live(at(1120)).unwrap();
    assert_eq!(again, Window::new(moved, at(1120)).unwrap());
}

/// What is read goes by what the source can do from then on.
#[test]
fn another_source_in_the_same_place_is_asked_as_it_can_be_asked() {
    let settle = |adapted: bool| {
        let settings = ScheduleSettings {
            limits: SourceLimits {
                share: 270,
                ..LIMITS
            },
            ..SETTINGS
        };
        let mut tenant = Tenant::new(1e7, settings, at(0));
        if adapted {
            tenant.schedule.adapt(&LIMITS);
        }
        for minute in 0..600 {
            tenant.turn(at(60 * minute));
        }
        tenant.requests.get(&Lane::Settle).copied().unwrap_or(0)
    };
    let (wide, narrow) = (settle(false), settle(true));
    assert!(narrow < 600 / 5 * 75 + 100, "{narrow} requests");
    assert!(wide > 2 * narrow, "{wide} and {narrow} requests");

    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let longest = TimeDelta::hours(1);
    schedule.adapt(&SourceLimits {
        longest_window: longest,
        ..LIMITS
    });
    let now = at(20 * 86_400);
    let mut tenant = Tenant::new(10.0, SETTINGS, at(0));
    tenant.schedule = schedule;
    _ = tenant.schedule.live(now);
    for _ in 0..50 {
        let (lane, window) = tenant.schedule.beside(now, Instant::now()).unwrap();
        assert!(window.span() <= longest, "{window:?}");
        tenant.read(lane, window, now);
    }
}

/// Else a time would be called lost by how long the source keeps rows that was there before.
#[test]
fn what_another_source_keeps_for_longer_is_not_lost() {
    let now = at(100 * 86_400);
    for (retention, is_lost) in [(90, true), (120, false)] {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(60));
        let read = Window::new(at(60), now).unwrap();
        coverage.read(read, now, 0);
        let mut schedule = Schedule::new(SETTINGS, coverage, Lateness::default());
        schedule.adapt(&SourceLimits {
            retention: TimeDelta::days(retention),
            ..LIMITS
        });
        let (start, old) = (Instant::now(), window(0, 60));
        let mut refuse = |second| {
            let instant = start + Duration::from_secs(second);
            let judged = schedule.refuse(old, None, time(now), instant);
            schedule.answered(read, instant + Duration::from_secs(1));
            judged
        };
        assert_eq!(refuse(0), Some(Judgement::Begun(old)));
        assert_eq!(refuse(1), Some(Judgement::Held(old)));
        let is_judged_lost = matches!(refuse(601), Some(Judgement::Lost(_)));
        assert_eq!(is_judged_lost, is_lost, "{retention} days");
    }
}
