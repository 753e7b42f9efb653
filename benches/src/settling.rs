//! The schedule of settling, over six simulated days: what it costs, and when late rows are seen. It is
//! the real [`Schedule`], with a service that answers at once and a tenant whose rows surface late.

use std::{f64::consts::TAU, mem, ops::RangeInclusive, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    Lane, SourceLimits,
    coverage::Coverage,
    schedule::{Completed, Schedule, ScheduleSettings},
};
use emulator::Lateness;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rows::Window;
use tokio::time::Instant;

use crate::{
    report::{Figure, Outcome, most, number, say, table},
    side_by_side,
};

/// A source, as far as the schedule knows it: name, rows on a page, requests in five minutes.
type Service = (&'static str, u32, u32);

/// The two services with nine tenths of their quota; the Reporting Web Service's is an estimate.
const SERVICES: [Service; 2] = [("Graph", 5000, 90), ("Reporting Web Service", 2000, 270)];

/// Rows a day.
const TENANTS: [f64; 6] = [1e3, 1e5, 3e5, 1e6, 3e6, 1e7];
/// For tenants of so many rows a day the promise must be kept.
const PROMISED: RangeInclusive<f64> = 0.0..=1e6;

/// In seconds.
const DAY: i64 = 86_400;
/// Late rows that are watched, spread over the second and third day.
const WATCHED: usize = 60_000;

/// What is found out about a tenant.
#[derive(Clone, Copy, Debug)]
struct Case {
    service: Service,
    rows_per_day: f64,
    second_day: Read,
    /// The share of late rows that are seen within a quarter of their lateness and one `frequency`.
    in_time: f64,
    /// How many times later than that the last one is seen.
    slowest: f64,
    never_seen: usize,
    /// The most intervals that the timeline had.
    intervals: usize,
}

impl Case {
    fn of(service: Service, rows_per_day: f64) -> Self {
        let mut tenant = Tenant::new(rows_per_day, service);
        let mut second_day = Read::default();
        let mut intervals = 0;
        for minute in 0..6 * DAY / 60 {
            // What was read on the first day does not count.
            if minute * 60 == DAY {
                tenant.read = Read::default();
            } else if minute * 60 == 2 * DAY {
                second_day = mem::take(&mut tenant.read);
            }
            tenant.turn(at(minute * 60));
            intervals = intervals.max(tenant.schedule.coverage().stretches().len());
        }
        let seen: Vec<f64> = tenant.late.iter().filter_map(Late::delay).collect();
        let in_time = seen.iter().filter(|delay| **delay <= 1.0).count();
        Self {
            service,
            rows_per_day,
            second_day,
            in_time: number(in_time as u64) / number(seen.len() as u64),
            slowest: most(seen.iter().copied()),
            never_seen: tenant.late.len() - seen.len(),
            intervals,
        }
    }

    /// The part of all requests that may be made.
    fn part(&self) -> f64 {
        let share = f64::from(self.service.2) / 0.9;
        number(self.second_day.settling) / (share * DAY as f64 / 300.0)
    }
}

pub(crate) async fn measure() -> anyhow::Result<Outcome> {
    say("The schedule of settling ...");
    let tenants = SERVICES.map(|service| TENANTS.map(|rows| (service, rows)));
    let of = |(service, rows): &(Service, f64)| Ok(Case::of(*service, *rows));
    let cases = side_by_side(&tenants.concat(), of).await?;
    let table = table(
        "Service | Rows a day | Live requests a day | Settling requests a day | of all that may be made | \
         An instant is read | Late rows in time | Slowest | Never seen | Intervals",
        cases.iter().map(|case| {
            format!(
                "{} | {} | {} | {} | {:.1} % | {:.0} times | {:.2} % | {:.1} times the promise | {} | {}",
                case.service.0,
                case.rows_per_day,
                case.second_day.live,
                case.second_day.settling,
                case.part() * 100.0,
                case.second_day.rows / case.rows_per_day,
                case.in_time * 100.0,
                case.slowest,
                case.never_seen,
                case.intervals,
            )
        }),
    );
    let of = |range: RangeInclusive<f64>| {
        let cases = cases.iter();
        cases.filter(move |case| range.contains(&case.rows_per_day))
    };
    let in_time = |range| of(range).map(|case| case.in_time).fold(1.0, f64::min);
    let (promised, three, ten) = (in_time(PROMISED), in_time(3e6..=3e6), in_time(1e7..=1e7));
    let part = most(of(PROMISED).map(Case::part));
    let all_seen = cases.iter().all(|case| case.never_seen == 0);
    Ok(Outcome {
        figures: vec![
            Figure {
                name: "settling, up to a million rows a day: late rows in time; part of the quota",
                target: "at least 99 %; at most 25 %",
                measured: format!("{:.2} %; {:.1} %", promised * 100.0, part * 100.0),
                met: promised >= 0.99 && part <= 0.25 && all_seen,
            },
            Figure {
                name: "settling, 3 and 10 million rows a day: late rows in time",
                target: "at least 98 %; 50 %",
                measured: format!("{:.2} %; {:.2} %", three * 100.0, ten * 100.0),
                met: three >= 0.98 && ten >= 0.5,
            },
        ],
        section: format!("## Settling\n\n`docs/settling.md` explains it.\n\n{table}"),
        ..Outcome::default()
    })
}

/// Requests of the live edge and of settling, and the rows that they and all others brought.
#[derive(Clone, Copy, Debug, Default)]
struct Read {
    live: u64,
    settling: u64,
    rows: f64,
}

struct Late {
    received: DateTime<Utc>,
    visible: DateTime<Utc>,
    seen: Option<DateTime<Utc>>,
}

impl Late {
    /// How many times later than promised it was seen; none when it never was.
    fn delay(&self) -> Option<f64> {
        let delay = (self.seen? - self.visible).as_seconds_f64();
        let lateness = (self.visible - self.received).as_seconds_f64();
        Some(delay / (0.25 * lateness + 60.0))
    }
}

struct Tenant {
    rows_per_day: f64,
    rows_per_page: f64,
    late: Vec<Late>,
    schedule: Schedule,
    read: Read,
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + second)
}

impl Tenant {
    fn new(rows_per_day: f64, (_, rows_per_page, share): Service) -> Self {
        let settings = ScheduleSettings {
            frequency: TimeDelta::seconds(60),
            delay: TimeDelta::zero(),
            settle_time: TimeDelta::hours(24),
            limits: SourceLimits {
                longest_window: TimeDelta::days(10),
                retention: TimeDelta::days(30),
                rows_per_window: 20 * rows_per_page,
                rows_per_page,
                share,
                pages_per_window: u32::MAX,
                recipients_shown: 0,
                latency: Duration::ZERO,
            },
        };
        let coverage = Coverage::new(at(-3600));
        Self {
            rows_per_day,
            rows_per_page: f64::from(rows_per_page),
            late: late_rows(),
            schedule: Schedule::new(settings, coverage, collect::lateness::Lateness::default()),
            read: Read::default(),
        }
    }

    /// More mail by day than by night.
    fn rows(&self, window: Window) -> f64 {
        let days = |span: TimeDelta| span.as_seconds_f64() / DAY as f64;
        let turn = days(window.start() + window.span() / 2 - at(0)) * TAU;
        self.rows_per_day * days(window.span()) * (1.0 + 0.5 * turn.sin())
    }

    fn read(&mut self, lane: Lane, window: Window, now: DateTime<Utc>) {
        let rows = self.rows(window);
        let pages = (rows / self.rows_per_page).ceil().max(1.0) as u64;
        match lane {
            Lane::Live => self.read.live += pages,
            Lane::Settle => self.read.settling += pages,
            Lane::Backlog | Lane::Backfill | Lane::Verify => {}
        }
        self.read.rows += rows;
        (0..pages).for_each(|_| self.schedule.paged(lane));
        let late = &mut self.late;
        let first = late.partition_point(|row| row.received < window.start());
        let rest = late.iter_mut().skip(first);
        for row in rest.take_while(|row| row.received < window.end()) {
            if row.seen.is_none() && row.visible <= now {
                row.seen = Some(now);
                self.schedule.first_seen(row.received, now);
            }
        }
        self.schedule.learn(lane, window, rows as u64);
        let completed = Completed {
            window,
            began: now,
            until: now,
            rows: rows as u64,
        };
        _ = self.schedule.complete(completed, now);
    }

    fn turn(&mut self, now: DateTime<Utc>) {
        if let Some(window) = self.schedule.live(now) {
            self.read(Lane::Live, window, now);
        }
        while let Some((lane, window)) = self.schedule.beside(now, Instant::now()) {
            self.read(lane, window, now);
        }
    }
}

/// The same rows in every run.
fn late_rows() -> Vec<Late> {
    let mut random = StdRng::seed_from_u64(1);
    let lateness = Lateness::realistic();
    let row = |_| {
        let received = at(random.random_range(DAY..3 * DAY));
        Late {
            received,
            visible: received + lateness.length(random.random()),
            seen: None,
        }
    };
    let mut rows: Vec<Late> = (0..WATCHED).map(row).collect();
    rows.sort_by_key(|row| row.received);
    rows
}
