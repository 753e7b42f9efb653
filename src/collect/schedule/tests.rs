use std::collections::HashMap;

use super::*;

pub(super) const SETTINGS: ScheduleSettings = ScheduleSettings {
    frequency: TimeDelta::seconds(60),
    delay: TimeDelta::zero(),
    settle_time: TimeDelta::hours(24),
    longest: TimeDelta::days(10),
    retention: TimeDelta::days(90),
    rows_per_window: 100_000,
    rows_per_page: 5000,
    share: 90,
};

/// Seconds of the day on which the tests begin.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn window(start: i64, end: i64) -> Window {
    Window::new(at(start), at(end)).unwrap()
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
        self.schedule.complete(window, now, rows, now);
    }

    /// Reads all that there is to read at `now`.
    fn turn(&mut self, now: DateTime<Utc>) {
        if let Some(window) = self.schedule.live(now) {
            self.read(Lane::Live, window, now);
        }
        while let Some((lane, window)) = self.schedule.beside(now) {
            self.read(lane, window, now);
        }
    }

    fn requests(&self, lane: Lane) -> u64 {
        self.requests.get(&lane).copied().unwrap_or(0)
    }
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
    // What is being read, or not accepted yet, is not asked for again.
    assert_eq!(schedule.live(at(127)), Some(window(60, 127)));
    assert_eq!(schedule.coverage().mark(), at(0));
    schedule.complete(window(60, 127), at(127), 0, at(127));
    assert_eq!(schedule.coverage().mark(), at(0), "the first is missing");
    schedule.complete(window(0, 60), at(60), 0, at(60));
    assert_eq!(schedule.coverage().mark(), at(127));
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
}

#[test]
fn after_a_stop_the_newest_is_read_first_and_the_gap_oldest_first() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(29 * 86_400);
    let newest = schedule.live(now).unwrap();
    assert_eq!((newest.end(), newest.span()), (now, TimeDelta::minutes(2)));
    assert_eq!(schedule.beside(now), Some((Lane::Backlog, window(0, 3600))));
    assert_eq!(
        schedule.beside(now),
        Some((Lane::Backlog, window(3600, 7200)))
    );
    schedule.complete(newest, now, 0, now);
    assert_eq!(schedule.coverage().mark(), at(0));
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

#[test]
fn what_the_source_no_longer_keeps_is_lost_once() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(91 * 86_400);
    let newest = schedule.live(now).unwrap();
    let lost = window(0, 86_400 + 60);
    assert_eq!((schedule.lost(now), schedule.lost(now)), (Some(lost), None));
    assert_eq!(schedule.coverage().lost(), [lost]);
    let (_, first) = schedule.beside(now).unwrap();
    assert_eq!(first.start(), lost.end());
    // The service keeps less than was thought.
    let oldest = at(10 * 86_400);
    assert_eq!(schedule.forget_before(first, at(0)), None);
    let more = window(86_400 + 60, 10 * 86_400 + 60);
    assert_eq!(schedule.forget_before(first, oldest), Some(more));
    schedule.complete(newest, now, 0, now);
    assert_eq!(schedule.coverage().lost(), [window(0, 10 * 86_400 + 60)]);
    // The clock of the source is behind ours: what it has not reached is not read.
    let tick = now + TimeDelta::minutes(1);
    let ahead = schedule.live(tick).unwrap();
    let behind = tick - TimeDelta::seconds(30);
    schedule.complete(ahead, tick, 0, behind);
    assert_eq!(schedule.coverage().edge(), behind);
}

#[test]
fn a_window_that_is_too_much_is_halved_down_to_a_second() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(100_000);
    schedule.live(now).unwrap();
    let mut spans = Vec::new();
    loop {
        let (_, window) = schedule.beside(now).unwrap();
        assert_eq!(window.start(), at(0), "the same start is asked for again");
        spans.push(window.span().num_seconds());
        if !schedule.can_narrow(window) {
            break;
        }
        schedule.narrow(window);
    }
    assert_eq!(spans, [3600, 1800, 900, 450, 225, 112, 56, 28, 14, 7, 3, 1]);
    // The other reader goes on behind it.
    assert_eq!(schedule.beside(now), Some((Lane::Backlog, window(1, 3))));
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
    assert!(requests <= 7200 * 50 / 24 + 40, "{requests}");
}

#[test]
fn a_backfill_comes_last_or_alone() {
    let coverage = Coverage::new(at(0));
    let mut schedule = Schedule::new(SETTINGS, coverage.clone(), Lateness::default());
    let now = at(7200);
    schedule.live(now).unwrap();
    schedule.backfill(window(-86_400, -79_200), false);
    let lanes: Vec<_> = std::iter::from_fn(|| schedule.beside(now))
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
    let lanes: Vec<_> = std::iter::from_fn(|| alone.beside(now)).collect();
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
    alone.complete(window(-1800, 0), now, 0, now);
    assert_eq!(alone.beside(now), None);
    assert_eq!(alone.coverage().wanted().count(), 0);
    assert_eq!(alone.coverage().mark(), at(0));
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
    schedule.complete(half, later, 10, later);
    // What was left away is missing, and twice as much is asked for with every success.
    let rest = Window::new(now, half.start()).unwrap();
    assert_eq!(schedule.coverage().missing().collect::<Vec<_>>(), [rest]);
    assert_eq!(schedule.never_read(), Some((Lane::Backlog, rest)));
    schedule.complete(rest, later, 10, later);
    let mut longest = TimeDelta::zero();
    for minute in 1..12 {
        schedule.learn(Lane::Live, half, 10);
        let now = later + TimeDelta::minutes(minute);
        let window = schedule.live(now).unwrap();
        let most = TimeDelta::seconds(31 << minute.min(14));
        assert!(window.span() <= most, "{window:?}");
        longest = longest.max(window.span());
        schedule.complete(window, now, 60, now);
    }
    assert!(
        longest > TimeDelta::minutes(3),
        "with the past again: {longest}"
    );
}

#[test]
fn a_backlog_that_fails_is_read_in_narrow_windows_that_grow_again() {
    let mut schedule = Schedule::new(SETTINGS, Coverage::new(at(0)), Lateness::default());
    let now = at(100_000);
    schedule.live(now).unwrap();
    let mut spans = Vec::new();
    for _ in 0..4 {
        let (lane, window) = schedule.beside(now).unwrap();
        assert_eq!((lane, window.start()), (Lane::Backlog, at(0)));
        spans.push(window.span().num_seconds());
        schedule.relieve(lane, window);
    }
    assert_eq!(spans, [3600, 1800, 900, 450]);
    spans.clear();
    for _ in 0..6 {
        let (lane, window) = schedule.beside(now).unwrap();
        spans.push(window.span().num_seconds());
        schedule.learn(lane, window, 1);
        schedule.complete(window, now, 1, now);
    }
    // Old cuts are kept: what lies before one ends there.
    assert_eq!(spans, [225, 225, 450, 900, 1800, 3600]);
}

#[test]
fn never_read_goes_before_read_again() {
    let (mut schedule, now) = settled();
    schedule.coverage.want(window(-3600, 0));
    let now = now + TimeDelta::minutes(5);
    schedule.narrowing.live.most = Some(TimeDelta::seconds(1));
    schedule.live(now).unwrap();
    let mut other = schedule.clone();
    assert_eq!(other.beside(now).map(|(lane, _)| lane), Some(Lane::Settle));
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
    schedule.put_back(newest);
    let later = later + TimeDelta::seconds(12);
    let newest = Window::new(later - minute, later).unwrap();
    assert_eq!(schedule.probe(later, minute), Some((Lane::Live, newest)));
    schedule.complete(newest, later, 1, later);
    assert_eq!(schedule.due(later), later + SETTINGS.frequency);
    let rest = Window::new(now, newest.start()).unwrap();
    assert_eq!(schedule.coverage().missing().collect::<Vec<_>>(), [rest]);
    // Without a live edge it is the beginning of what is to be read.
    let coverage = Coverage::new(at(0));
    let mut only = Schedule::new(SETTINGS, coverage, Lateness::default()).only(window(0, 7200));
    only.backfill(window(0, 7200), false);
    assert_eq!(
        only.probe(later, minute),
        Some((Lane::Backfill, window(0, 60)))
    );
}
