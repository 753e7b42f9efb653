//! A tenant whose rows surface late, and its collection: the real [`Schedule`] over simulated time
//! and a service that answers at once.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a measurement"
)]

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    Lane,
    coverage::Coverage,
    lateness::Lateness,
    schedule::{Completed, Schedule, ScheduleSettings},
};
use rows::Window;
use tokio::time::Instant;

pub(super) const DAY: i64 = 86_400;

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) rows_per_page: u32,
    pub(super) share: u32,
}

/// A tenant and its collection.
pub(super) struct Tenant {
    rows_per_day: f64,
    page: f64,
    late: Vec<Late>,
    pub(super) schedule: Schedule,
    pub(super) requests: HashMap<Lane, u64>,
    pub(super) rows_read: f64,
}

pub(super) fn at(second: i64) -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(1_800_000_000 + second)
}

impl Tenant {
    pub(super) fn new(rows_per_day: f64, service: &Service) -> Self {
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
        let completed = Completed {
            window,
            began: now,
            until: now,
            rows: rows as u64,
        };
        _ = self.schedule.complete(completed, now);
    }

    pub(super) fn turn(&mut self, now: DateTime<Utc>) {
        if let Some(window) = self.schedule.live(now) {
            self.read(Lane::Live, window, now);
        }
        while let Some((lane, window)) = self.schedule.beside(now, Instant::now()) {
            self.read(lane, window, now);
        }
    }

    /// How many times later than promised each row was seen; none when it never was.
    pub(super) fn delays(&self) -> Vec<Option<f64>> {
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
