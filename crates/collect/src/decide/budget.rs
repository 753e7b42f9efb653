//! How many requests settling may make: a bucket that fills with a quarter of the tenant's quota.

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::coverage::seconds;

/// The part of our share that settling may use: 25 of 90 requests, where the tenant may make 100.
const PART: f64 = 25.0 / 90.0;

/// The quota counts requests in this time.
const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// What is not used is kept for this long: by night for the day.
const KEPT: TimeDelta = TimeDelta::hours(6);

/// Requests that may be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    per_second: f64,
    left: f64,
    filled: Option<DateTime<Utc>>,
}

impl Budget {
    /// A part of `share`, which is in requests in five minutes. A little may be used at once.
    pub(crate) fn of(share: u32) -> Self {
        let per_second = f64::from(share) * PART / seconds(PERIOD);
        Self {
            per_second,
            left: per_second * seconds(PERIOD),
            filled: None,
        }
    }

    pub(crate) fn refill(&mut self, now: DateTime<Utc>) {
        let passed = now - *self.filled.get_or_insert(now);
        self.filled = Some(now);
        let more = self.per_second * seconds(passed.max(TimeDelta::zero()));
        self.left = (self.left + more).min(self.per_second * seconds(KEPT));
    }

    /// Whether to wait before more is begun. What has begun is finished, and paid for later.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left <= 0.0
    }

    pub(crate) fn spend(&mut self) {
        self.left -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spends_its_part_and_no_more() {
        let mut budget = Budget::of(90);
        let mut spent = 0;
        for second in 0..86_400 {
            budget.refill(DateTime::from_timestamp(second, 0).unwrap());
            while !budget.is_exhausted() {
                // A window of three pages.
                (0..3).for_each(|_| budget.spend());
                spent += 3;
            }
        }
        assert!((7_200..=7_230).contains(&spent), "{spent}");
    }
}
