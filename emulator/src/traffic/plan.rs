//! How many rows are received when: time is cut into buckets of known size, so that any of them
//! can be generated on its own.

use chrono::{DateTime, Utc};

use super::{Traffic, draw::mix};
use crate::time::{DAY, MILLISECOND, SECOND, Ticks, span, ticks};

/// Rows that a bucket should have.
const BUCKET_ROWS: f64 = 4096.0;
/// How much the traffic differs from its average at its height.
const SWING: f64 = 0.7;

/// The buckets of the whole traffic.
#[derive(Debug)]
pub(crate) struct Plan {
    segments: Vec<Segment>,
}

/// A stretch of time with the same rate and length of buckets.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: Ticks,
    /// The first tick after it.
    end: Ticks,
    bucket: Ticks,
    first: u32,
    /// Rows per tick.
    rate: f64,
    swing: f64,
    /// The exact number of rows, where it was asked for.
    rows: Option<u64>,
}

/// A bucket: its time and number of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slice {
    pub(crate) id: u32,
    pub(crate) start: Ticks,
    /// The first tick after it.
    pub(crate) end: Ticks,
    pub(crate) rows: u32,
}

impl Plan {
    pub(crate) fn new(traffic: &Traffic, start: DateTime<Utc>) -> Self {
        let start = ticks(start).div_euclid(MILLISECOND) * MILLISECOND;
        let swing = if traffic.daily_shape { SWING } else { 0.0 };
        let mut segments = Vec::new();
        let length = span(traffic.backlog.span).max(0) / MILLISECOND * MILLISECOND;
        let mut shape = Segment {
            start: start - length,
            end: start,
            bucket: SECOND,
            first: 0,
            rate: traffic.rate / SECOND as f64,
            swing,
            rows: traffic.backlog.rows,
        };
        if length > 0 {
            let rate = match traffic.backlog.rows {
                Some(rows) => rows as f64 / shape.weight(length),
                None => shape.rate,
            };
            let backlog = shape.with_rate(rate);
            shape.first = backlog.buckets();
            segments.push(backlog);
        }
        if traffic.rate > 0.0 {
            let live = Segment {
                start,
                end: Ticks::MAX,
                rows: None,
                ..shape
            };
            segments.push(live.with_rate(shape.rate));
        }
        segments.retain(|segment| segment.rate > 0.0);
        Self { segments }
    }

    /// The buckets that touch the time from `from` to `to` (both included), oldest first.
    pub(crate) fn slices(&self, from: Ticks, to: Ticks) -> Vec<Slice> {
        let mut slices = Vec::new();
        for segment in &self.segments {
            let low = from.max(segment.start);
            let high = to.min(segment.end - 1);
            if low > high {
                continue;
            }
            let index = |at: Ticks| ((at - segment.start) / segment.bucket) as u32;
            slices.extend((index(low)..=index(high)).map(|index| segment.slice(index)));
        }
        slices
    }

    /// The bucket with this number.
    pub(crate) fn slice(&self, id: u32) -> Option<Slice> {
        let segment = self.segments.iter().rev().find(|one| one.first <= id)?;
        let index = id - segment.first;
        (index < segment.buckets()).then(|| segment.slice(index))
    }
}

impl Segment {
    fn with_rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        let length = BUCKET_ROWS / rate;
        let length = length.clamp(SECOND as f64, 3600.0 * SECOND as f64) as Ticks;
        self.bucket = length / MILLISECOND * MILLISECOND;
        self
    }

    fn buckets(&self) -> u32 {
        if self.end == Ticks::MAX {
            return u32::MAX - self.first;
        }
        u32::try_from((self.end - self.start + self.bucket - 1) / self.bucket).unwrap_or(u32::MAX)
    }

    fn slice(&self, index: u32) -> Slice {
        let start = self.start + i64::from(index) * self.bucket;
        let end = (start + self.bucket).min(self.end);
        let rows = self.until(end - self.start) - self.until(start - self.start);
        Slice {
            id: self.first + index,
            start,
            end,
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
        }
    }

    /// Rows received in the first `elapsed` of the segment.
    fn until(&self, elapsed: Ticks) -> u64 {
        match self.rows {
            Some(rows) if elapsed >= self.end - self.start => rows,
            _ => (self.rate * self.weight(elapsed)) as u64,
        }
    }

    /// The integral of the shape of a day over the first `elapsed` of the segment.
    fn weight(&self, elapsed: Ticks) -> f64 {
        let turn = std::f64::consts::TAU / DAY as f64;
        let phase = self.start.rem_euclid(DAY) as f64 * turn;
        let elapsed = elapsed as f64;
        // Lowest at 02:00, highest at 14:00.
        let peak = 8.0 / 24.0 * std::f64::consts::TAU;
        elapsed - self.swing / turn * ((phase + elapsed * turn - peak).cos() - (phase - peak).cos())
    }
}

impl Slice {
    /// What the draws of this bucket start from.
    pub(crate) fn key(&self, seed: u64) -> u64 {
        mix(seed, u64::from(self.id))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::Backlog;

    fn plan(traffic: &Traffic) -> (Plan, Ticks) {
        let start = DateTime::from_timestamp(1_790_000_000, 0).unwrap();
        (Plan::new(traffic, start), ticks(start))
    }

    #[test]
    fn a_backlog_has_exactly_the_rows_asked_for() {
        for daily_shape in [false, true] {
            let (plan, start) = plan(&Traffic {
                backlog: Backlog::rows(TimeDelta::days(3), 123_457),
                daily_shape,
                ..Traffic::default()
            });
            let slices = plan.slices(0, start + DAY);
            assert_eq!(
                slices
                    .iter()
                    .map(|slice| u64::from(slice.rows))
                    .sum::<u64>(),
                123_457
            );
            assert_eq!(slices[0].start, start - 3 * DAY);
            assert_eq!(slices.last().unwrap().end, start);
        }
    }

    #[test]
    fn a_day_has_the_average_rate_and_buckets_are_found_by_number() {
        let (plan, start) = plan(&Traffic {
            rate: 10.0,
            backlog: Backlog::span(TimeDelta::hours(1)),
            daily_shape: true,
            ..Traffic::default()
        });
        let day = plan.slices(start, start + DAY - 1);
        let rows: i64 = day.iter().map(|slice| i64::from(slice.rows)).sum();
        assert!((rows - 864_000).abs() < 9_000, "{rows}");
        for slice in day {
            assert_eq!(plan.slice(slice.id), Some(slice));
        }
    }
}
