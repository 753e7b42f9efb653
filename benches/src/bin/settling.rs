//! Measures the schedule of settling: a tenant whose rows surface late, over days of simulated
//! time, against the real [`Schedule`] and a service that answers at once.
//!
//! ```text
//! cargo run --release -p benchmark --bin settling
//! ```

#![allow(
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a measurement"
)]

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use message_trace::{
    Window,
    collect::{
        Lane,
        coverage::Coverage,
        lateness::Lateness,
        schedule::{Schedule, ScheduleSettings},
    },
};

const DAY: i64 = 86_400;

/// Late rows that are watched, spread over the second and third day.
const WATCHED: usize = 60_000;

/// How late rows are: the share of rows, and the seconds within which it is visible.
const LATENESS: [(f64, f64); 6] = [
    (0.0, 20.0),
    (0.5, 120.0),
    (0.9, 600.0),
    (0.99, 3600.0),
    (0.999, 6.0 * 3600.0),
    (1.0, 86_400.0),
];

/// A row that is watched.
struct Late {
    received: DateTime<Utc>,
    visible: DateTime<Utc>,
    seen: Option<DateTime<Utc>>,
}

/// A source, as far as the schedule knows it.
struct Service {
    name: &'static str,
    rows_per_page: u32,
    share: u32,
}

/// A tenant and its collection.
struct Tenant {
    rows_per_day: f64,
    page: f64,
    schedule: Schedule,
    late: Vec<Late>,
    requests: HashMap<Lane, u64>,
    rows_read: f64,
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + second)
}

impl Tenant {
    fn new(rows_per_day: f64, service: &Service) -> Self {
        let settings = ScheduleSettings {
            frequency: TimeDelta::seconds(60),
            delay: TimeDelta::zero(),
            settle_time: TimeDelta::hours(24),
            longest: TimeDelta::days(10),
            retention: TimeDelta::days(30),
            rows_per_window: 20 * service.rows_per_page,
            rows_per_page: service.rows_per_page,
            share: service.share,
        };
        let coverage = Coverage::new(at(-3600));
        Self {
            rows_per_day,
            page: f64::from(service.rows_per_page),
            schedule: Schedule::new(settings, coverage, Lateness::default()),
            late: late_rows(),
            requests: HashMap::new(),
            rows_read: 0.0,
        }
    }

    /// More mail by day than by night.
    fn rows(&self, window: Window) -> f64 {
        let middle = window.start() + window.span() / 2 - at(0);
        let turn = middle.as_seconds_f64() / DAY as f64 * std::f64::consts::TAU;
        self.rows_per_day * window.span().as_seconds_f64() / DAY as f64 * (1.0 + 0.5 * turn.sin())
    }

    fn read(&mut self, lane: Lane, window: Window, now: DateTime<Utc>) {
        let rows = self.rows(window);
        let pages = (rows / self.page).ceil().max(1.0) as u64;
        *self.requests.entry(lane).or_default() += pages;
        self.rows_read += rows;
        (0..pages).for_each(|_| self.schedule.paged(lane));
        let first = self
            .late
            .partition_point(|row| row.received < window.start());
        let rest = self.late.iter_mut().skip(first);
        for row in rest.take_while(|row| row.received < window.end()) {
            if row.seen.is_none() && row.visible <= now {
                row.seen = Some(now);
                self.schedule.first_seen(row.received, now);
            }
        }
        self.schedule.learn(lane, window, rows as u64);
        self.schedule.complete(window, now, rows as u64, now);
    }

    fn turn(&mut self, now: DateTime<Utc>) {
        if let Some(window) = self.schedule.live(now) {
            self.read(Lane::Live, window, now);
        }
        while let Some((lane, window)) = self.schedule.beside(now) {
            self.read(lane, window, now);
        }
    }

    /// How many times later than promised each row was seen; none when it never was.
    fn delays(&self) -> Vec<Option<f64>> {
        let delay = |row: &Late| {
            let delay = (row.seen? - row.visible).as_seconds_f64();
            let lateness = (row.visible - row.received).as_seconds_f64();
            Some(delay / (0.25 * lateness + 60.0))
        };
        self.late.iter().map(delay).collect()
    }
}

fn late_rows() -> Vec<Late> {
    let mut draw = 0x9e37_79b9_7f4a_7c15_u64;
    let mut unit = || {
        // xorshift: the same rows in every run.
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        (draw >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut rows: Vec<Late> = (0..WATCHED)
        .map(|_| {
            let received = at(DAY + (unit() * 2.0 * DAY as f64) as i64);
            let lateness = lateness(unit());
            let visible = received + TimeDelta::milliseconds((lateness * 1000.0) as i64);
            Late {
                received,
                visible,
                seen: None,
            }
        })
        .collect();
    rows.sort_by_key(|row| row.received);
    rows
}

fn lateness(quantile: f64) -> f64 {
    for pair in LATENESS.windows(2) {
        if let [(from, short), (to, long)] = pair
            && quantile <= *to
        {
            return short * (long / short).powf((quantile - from) / (to - from));
        }
    }
    0.0
}

fn main() {
    println!(
        "| Service | Rows a day | Live requests a day | Settling requests a day | of all that may \
         be made | An instant is read | Late rows in time | Slowest | Never seen | Intervals |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let services = [
        Service {
            name: "Graph",
            rows_per_page: 5000,
            share: 90,
        },
        Service {
            name: "Reporting Web Service",
            rows_per_page: 2000,
            share: 270,
        },
    ];
    for service in &services {
        for rows_per_day in [1e3, 1e5, 3e5, 1e6, 3e6, 1e7] {
            report(service, rows_per_day);
        }
    }
}

fn report(service: &Service, rows_per_day: f64) {
    let mut tenant = Tenant::new(rows_per_day, service);
    let mut requests = HashMap::new();
    let (mut rows_before, mut rows_after, mut intervals) = (0.0, 0.0, 0);
    for minute in 0..6 * DAY / 60 {
        if minute == DAY / 60 {
            requests.clone_from(&tenant.requests);
            rows_before = tenant.rows_read;
        }
        if minute == 2 * DAY / 60 {
            for (lane, before) in &mut requests {
                *before = tenant.requests.get(lane).copied().unwrap_or(0) - *before;
            }
            rows_after = tenant.rows_read;
        }
        tenant.turn(at(minute * 60));
        intervals = intervals.max(tenant.schedule.coverage().stretches().len());
    }
    let delays = tenant.delays();
    let seen: Vec<f64> = delays.iter().copied().flatten().collect();
    let in_time = seen.iter().filter(|delay| **delay <= 1.0).count();
    let settling = requests.get(&Lane::Settle).copied().unwrap_or(0);
    let quota = f64::from(service.share) / 0.9 * DAY as f64 / 300.0;
    println!(
        "| {} | {rows_per_day} | {} | {settling} | {:.1} % | {:.0} times | {:.2} % | {:.1} times \
         the promise | {} | {intervals} |",
        service.name,
        requests.get(&Lane::Live).copied().unwrap_or(0),
        settling as f64 / quota * 100.0,
        (rows_after - rows_before) / rows_per_day,
        in_time as f64 / seen.len() as f64 * 100.0,
        seen.iter().copied().fold(0.0, f64::max),
        delays.len() - seen.len(),
    );
}
