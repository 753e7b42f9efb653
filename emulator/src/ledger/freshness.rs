//! How soon what could be seen was delivered.

use std::fmt;

use chrono::TimeDelta;
use serde::Serialize;

use crate::time::{SECOND, Ticks, span};

/// How long after its reception something could be seen, and how much longer it took until it was
/// delivered; in tenths of a second, for as long as 13 years.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    lateness: u32,
    delay: u32,
}

impl Arrival {
    pub(super) fn new(received: Ticks, visible: Ticks, delivered: Ticks) -> Self {
        let tenths = |length: Ticks| u32::try_from(length.max(0) / (SECOND / 10));
        Self {
            lateness: tenths(visible - received).unwrap_or(u32::MAX),
            delay: tenths(delivered - visible).unwrap_or(u32::MAX),
        }
    }
}

/// How soon rows and statuses were delivered that could not be seen before the emulator started.
///
/// What was never delivered is not in it, but in the [`Verdict`](crate::Verdict).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Freshness {
    /// Whether faults were injected, which delay rows for any collector.
    pub disturbed: bool,
    /// Rows that were visible later than one period after their reception.
    pub late: Delays,
    /// By how many seconds the slowest delivery took longer than half of the lateness of what it brought:
    /// the lateness of a row, or how long after the reception a status changed.
    pub slowest: f64,
    /// All rows, by how late they were visible.
    pub rows: Vec<Delays>,
    /// Changed statuses, by how long after the reception they changed.
    pub changes: Vec<Delays>,
}

/// How long it took to deliver what was as late as this. All lengths are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delays {
    /// The least lateness.
    pub from: u64,
    /// The lateness before which it ends; none for no end.
    pub to: Option<u64>,
    /// How many there were.
    pub count: usize,
    /// Half of them were delivered as soon as this.
    pub median: f64,
    /// 90 % of them were delivered as soon as this.
    pub p90: f64,
    /// 99 % of them were delivered as soon as this.
    pub p99: f64,
    /// The longest delay.
    pub longest: f64,
    /// The share, from 0 to 1, that was delivered within a quarter of its lateness and one period;
    /// 1 when there was nothing to deliver.
    pub in_time: f64,
}

impl Freshness {
    pub(super) fn new(rows: &[Arrival], changes: &[Arrival], frequency: TimeDelta) -> Self {
        let period = u64::try_from(frequency.num_seconds()).unwrap_or(0);
        let all = rows.iter().chain(changes);
        let slowest = all.map(|arrival| arrival.delay.saturating_sub(arrival.lateness / 2));
        Self {
            disturbed: false,
            late: Delays::new(rows, period, None, frequency),
            slowest: f64::from(slowest.max().unwrap_or(0)) / 10.0,
            rows: bands(rows, frequency, period),
            changes: bands(changes, frequency, period),
        }
    }
}

/// The delays by lateness: within a period, and from then to 10 minutes, an hour, 6 hours, a day.
fn bands(arrivals: &[Arrival], frequency: TimeDelta, period: u64) -> Vec<Delays> {
    let mut edges = vec![0, period];
    edges.extend(
        [600, 3600, 6 * 3600, 24 * 3600]
            .into_iter()
            .filter(|edge| *edge > period),
    );
    let ends = edges.iter().skip(1).copied().map(Some).chain([None]);
    edges
        .iter()
        .zip(ends)
        .map(|(from, to)| Delays::new(arrivals, *from, to, frequency))
        .filter(|delays| delays.count > 0)
        .collect()
}

impl Delays {
    fn new(arrivals: &[Arrival], from: u64, to: Option<u64>, frequency: TimeDelta) -> Self {
        let period = span(frequency) / (SECOND / 10);
        let within = |arrival: &&Arrival| {
            let lateness = u64::from(arrival.lateness);
            lateness >= from * 10 && to.is_none_or(|to| lateness < to * 10)
        };
        let arrivals: Vec<&Arrival> = arrivals.iter().filter(within).collect();
        let in_time = |arrival: &&&Arrival| {
            i64::from(arrival.delay) <= i64::from(arrival.lateness / 4) + period
        };
        let mut delays: Vec<u32> = arrivals.iter().map(|arrival| arrival.delay).collect();
        delays.sort_unstable();
        let at = |share: f64| {
            let last = delays.len().saturating_sub(1);
            let delay = delays.get((last as f64 * share).ceil() as usize);
            f64::from(delay.copied().unwrap_or(0)) / 10.0
        };
        Self {
            from,
            to,
            count: delays.len(),
            median: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            longest: at(1.0),
            in_time: match arrivals.len() {
                0 => 1.0,
                all => arrivals.iter().filter(in_time).count() as f64 / all as f64,
            },
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "freshness: {:.2} % of {} late rows came within 25 % of their lateness and one period",
            self.late.in_time * 100.0,
            self.late.count
        )?;
        if self.disturbed {
            writeln!(
                f,
                "  (faults were injected: rows that had to wait for their end count, too)"
            )?;
        }
        for (name, bands) in [
            ("rows by lateness", &self.rows),
            ("statuses by age", &self.changes),
        ] {
            if bands.is_empty() {
                continue;
            }
            writeln!(
                f,
                "  {name:<18} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
                "count", "median", "90 %", "99 %", "longest", "in time"
            )?;
            bands
                .iter()
                .try_for_each(|delays| writeln!(f, "  {delays}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.to {
            Some(to) => format!("{} to {}", length(self.from), length(to)),
            None => format!("from {}", length(self.from)),
        };
        let [median, p90, p99, longest] = [self.median, self.p90, self.p99, self.longest]
            .map(|seconds| format!("{seconds:.0} s"));
        write!(
            f,
            "{name:<18} {:>9} {median:>9} {p90:>9} {p99:>9} {longest:>9} {:>7.2} %",
            self.count,
            self.in_time * 100.0
        )
    }
}

fn length(seconds: u64) -> String {
    match seconds {
        0 => String::from("0"),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_told_by_lateness_and_judged_by_it() {
        let arrival =
            |lateness, delay| Arrival::new(0, lateness * SECOND, (lateness + delay) * SECOND);
        let rows: Vec<Arrival> = (1..=100)
            .map(|second| arrival(10, second % 60))
            .chain([arrival(3600, 900), arrival(3600, 961), arrival(7200, 1860)])
            .collect();
        let freshness = Freshness::new(&rows, &[], TimeDelta::seconds(60));
        assert_eq!((freshness.late.count, freshness.rows.len()), (3, 2));
        // A row of 10 seconds has taken 59; those of hours have taken less than half of them.
        assert!((freshness.slowest - 54.0).abs() < 1e-9);
        assert!((freshness.late.in_time - 2.0 / 3.0).abs() < 1e-9);
        let early = &freshness.rows[0];
        assert_eq!(
            (early.count, early.to, early.longest, early.in_time),
            (100, Some(60), 59.0, 1.0)
        );
        assert_eq!(freshness.rows[1].longest, 1860.0);
        let text = freshness.to_string();
        assert!(!text.contains("faults were injected"));
        let disturbed = Freshness {
            disturbed: true,
            ..Freshness::new(&rows, &[], TimeDelta::seconds(60))
        };
        assert!(disturbed.to_string().contains("(faults were injected: "));
        assert!(text.contains("66.67 % of 3 late rows"), "{text}");
        assert!(text.contains("1 h to 6 h"), "{text}");
    }
}
