//! What happened at which time of the contestant.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// How much of something there was, instant by instant, in milliseconds since 1970.
#[derive(Debug, Default)]
pub struct Timeline(Mutex<Vec<(i64, u64)>>);

impl Timeline {
    /// So much of it happened at this instant, which is none before the ones that are known.
    pub(super) fn add(&self, at: i64, count: u64) {
        let mut known = self.known();
        let before = known.last().copied().unwrap_or_default();
        known.push((at.max(before.0), before.1 + count));
    }

    /// How much there was until an instant.
    pub fn until(&self, instant: DateTime<Utc>) -> u64 {
        let known = self.known();
        let after = known.partition_point(|(at, _)| *at <= instant.timestamp_millis());
        let last = after.checked_sub(1).and_then(|last| known.get(last));
        last.map_or(0, |(_, all)| *all)
    }

    /// When there was so much of it; none when there was less.
    pub fn reached(&self, count: u64) -> Option<DateTime<Utc>> {
        let known = self.known();
        let first = known.partition_point(|(_, all)| *all < count);
        DateTime::from_timestamp_millis(known.get(first)?.0)
    }

    /// The most that there was in any stretch of so much time.
    pub fn most_within(&self, span: TimeDelta) -> u64 {
        let known = self.known();
        let within = known.iter().map(|(end, all)| {
            let before = known.partition_point(|(at, _)| *at <= end - span.num_milliseconds());
            let last = before.checked_sub(1).and_then(|last| known.get(last));
            all - last.map_or(0, |(_, all)| *all)
        });
        within.max().unwrap_or(0)
    }

    fn known(&self) -> MutexGuard<'_, Vec<(i64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn sums_are_found_by_instant_and_instants_by_sum() {
        let timeline = Timeline::default();
        for (seconds, count) in [(10, 5), (20, 1), (20, 1), (60, 4)] {
            timeline.add(seconds * 1000, count);
        }
        assert_eq!(
            [9, 10, 20, 99].map(|seconds| timeline.until(at(seconds))),
            [0, 5, 7, 11]
        );
        assert_eq!(timeline.reached(6), Some(at(20)));
        assert_eq!(timeline.reached(12), None);
        assert_eq!(timeline.most_within(TimeDelta::seconds(10)), 5);
        assert_eq!(timeline.most_within(TimeDelta::seconds(11)), 7);
        assert_eq!(timeline.most_within(TimeDelta::seconds(51)), 11);
    }
}
