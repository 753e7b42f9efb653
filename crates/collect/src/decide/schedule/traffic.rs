//! How backlogs of tenants with different traffic are read.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::decide::{
    schedule::{
        tests::{SETTINGS, at, complete},
        *,
    },
    spans::{scaled, seconds},
};

const PAGE: f64 = 5000.0;
const WANTED: f64 = 100_000.0;
const MINUTES_A_DAY: usize = 1440;

/// The mail of some days, minute by minute.
struct Mail {
    /// How many rows there are before each minute.
    before: Vec<f64>,
}

impl Mail {
    /// `shape` is how much there is at an hour of the day.
    fn new(days: usize, rows_per_day: f64, shape: impl Fn(f64) -> f64) -> Self {
        let minutes = (0..days * MINUTES_A_DAY).map(|minute| {
            let hour = (minute % MINUTES_A_DAY) as f64 / 60.0;
            shape(hour)
        });
        let sums = minutes.scan(0.0, |sum, rows| {
            *sum += rows;
            Some(*sum)
        });
        let sums: Vec<f64> = sums.collect();
        let scale = rows_per_day * days as f64 / sums.last().unwrap();
        let before = sums.iter().map(|sum| sum * scale);
        Self {
            before: [0.0].into_iter().chain(before).collect(),
        }
    }

    /// With one wave in the morning and one after noon, and little by night.
    fn of_an_office(rows_per_day: f64) -> Self {
        let rises = |hour: f64, steepness: f64| 1.0 / (1.0 + (-hour * steepness).exp());
        Self::new(4, rows_per_day, |hour| {
            let noon = 1.0 - 0.25 * (-((hour - 12.7) / 0.6).powi(2)).exp();
            0.15 + 2.0 * rises(hour - 8.0, 1.8) * rises(17.5 - hour, 1.3) * noon
        })
    }

    /// As much as the benchmark's.
    fn that_swings(rows_per_day: f64) -> Self {
        Self::new(4, rows_per_day, |hour| {
            1.0 + 0.5 * (hour / 24.0 * std::f64::consts::TAU).sin()
        })
    }

    fn before(&self, instant: DateTime<Utc>) -> f64 {
        let minutes = seconds(instant - at(0)) / 60.0;
        let (first, part) = (minutes.floor() as usize, minutes.fract());
        match (self.before.get(first), self.before.get(first + 1)) {
            (Some(one), Some(next)) => one + (next - one) * part,
            _ => *self.before.last().unwrap(),
        }
    }

    /// When so many rows were there.
    fn instant(&self, rows: f64) -> DateTime<Utc> {
        let after = self.before.partition_point(|before| *before <= rows);
        let first = after.saturating_sub(1);
        let (one, next) = (self.before[first], self.before.get(after));
        let part = next.map_or(0.0, |next| (rows - one) / (next - one));
        at(0) + scaled(TimeDelta::minutes(1), first as f64 + part)
    }

    fn end(&self) -> DateTime<Utc> {
        at(0) + TimeDelta::minutes(self.before.len() as i64 - 1)
    }
}

/// What became of a backlog.
#[derive(Debug, Default)]
struct Reading {
    /// Rows of each window that was read.
    windows: Vec<f64>,
    requests: usize,
    shortened: usize,
}

impl Reading {
    /// Reads all mail from an instant on with two readers, page by page, newest first.
    fn of(mail: &Mail, from: DateTime<Utc>) -> Self {
        let settings = ScheduleSettings {
            limits: SourceLimits {
                rows_per_window: WANTED as u32,
                ..SETTINGS.limits
            },
            settle_time: TimeDelta::zero(),
            ..SETTINGS
        };
        let mut schedule = Schedule::new(settings, Coverage::new(from), Lateness::default());
        let now = mail.end();
        schedule.live(now).unwrap();
        let mut reading = Self::default();
        let mut readers = VecDeque::new();
        loop {
            while readers.len() < 2
                && let Some((lane, window)) = schedule.beside(now, Instant::now())
            {
                readers.push_back((lane, window, window.end()));
            }
            let Some((lane, window, end)) = readers.pop_front() else {
                return reading;
            };
            reading.requests += 1;
            let rows = |end| mail.before(end) - mail.before(window.start());
            let left = rows(end) - PAGE;
            let is_last = left <= 0.0;
            let oldest = if is_last {
                window.start()
            } else {
                mail.instant(mail.before(end) - PAGE).max(window.start())
            };
            let all = rows(window.end());
            let newest = Newest {
                within: Window::new(oldest, window.end()).unwrap(),
                rows: (all - left.max(0.0)) as u64,
            };
            schedule.see(lane, newest);
            let is_first = end == window.end();
            if is_first && !is_last && schedule.shorten(lane, window, newest) {
                reading.shortened += 1;
            } else if is_last {
                schedule.learn(lane, window, all as u64);
                complete(&mut schedule, window, now, all as u64, now);
                reading.windows.push(all);
            } else {
                readers.push_back((lane, window, oldest));
            }
        }
    }

    fn most(&self) -> f64 {
        self.windows.iter().copied().fold(0.0, f64::max)
    }

    /// Windows with more than so many times the rows they should have.
    fn beyond(&self, times: f64) -> usize {
        let beyond = self.windows.iter().filter(|rows| **rows > WANTED * times);
        beyond.count()
    }
}

/// Whenever a stop began, and however large the tenant is.
#[test]
fn windows_have_about_as_many_rows_as_they_should() {
    for rows_per_day in [1e5, 1e6, 2.4e6, 1e7] {
        for (mail, most) in [
            (Mail::that_swings(rows_per_day), 4.0),
            (Mail::of_an_office(rows_per_day), 4.5),
        ] {
            for hour in 0..24 {
                let reading = Reading::of(&mail, at(hour * 3600));
                let case = format!("{rows_per_day} rows a day from {hour}:00: {reading:?}");
                // It was fourteen times as many when only the rows of the window before were counted.
                assert!(reading.most() <= WANTED * most, "{case}");
                assert!(reading.beyond(1.5) * 9 <= reading.windows.len(), "{case}");
                // Most requests give a full page.
                let rows: f64 = reading.windows.iter().sum();
                let fullness = rows / PAGE / reading.requests as f64;
                assert!(fullness >= 0.88, "{fullness} {case}");
                assert!(reading.shortened <= 7, "{case}");
            }
        }
    }
}
