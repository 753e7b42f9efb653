//! How many requests settling may make: a quarter of the tenant's quota, and up to three quarters while
//! nobody else needs them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::decide::spans::seconds;

/// The part of our share that is settling's own: 25 of 90 requests, where the tenant may make 100.
const OWN: f64 = 25.0 / 90.0;

/// The part of it that settling uses at most, with what nobody needs.
const MOST: f64 = 75.0 / 90.0;

/// The quota counts requests in this time.
const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// What is not used of its own is kept for this long: by night for the day.
const KEPT: TimeDelta = TimeDelta::hours(6);

/// What is not used of the rest was left to others, and is kept for a tick only.
const SPARE_KEPT: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    own: Bucket,
    /// With what nobody needs.
    most: Bucket,
    filled: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_second: f64,
    left: f64,
    room: f64,
}

impl Bucket {
    /// A little may be used at once.
    fn of(requests: f64, kept: TimeDelta) -> Self {
        let per_second = requests / seconds(PERIOD);
        let room = per_second * seconds(kept);
        Self {
            per_second,
            left: requests.min(room),
            room,
        }
    }

    fn refill(&mut self, passed: f64) {
        self.left = (self.left + self.per_second * passed).min(self.room);
    }
}

impl Budget {
    /// A part of `share`, which is in requests in five minutes.
    pub(crate) fn of(share: u32) -> Self {
        let share = f64::from(share);
        Self {
            own: Bucket::of(share * OWN, KEPT),
            most: Bucket::of(share * MOST, SPARE_KEPT),
            filled: None,
        }
    }

    pub(crate) fn refill(&mut self, now: DateTime<Utc>) {
        let passed = now - *self.filled.get_or_insert(now);
        self.filled = Some(now);
        let passed = seconds(passed.max(TimeDelta::zero()));
        self.own.refill(passed);
        self.most.refill(passed);
    }

    /// Whether to wait before more is begun, where nobody else needs what is left of the quota
    /// (`is_spare`) or somebody does. What has begun is finished, and paid for later.
    pub(crate) fn is_exhausted(&self, is_spare: bool) -> bool {
        let bucket = if is_spare { self.most } else { self.own };
        bucket.left <= 0.0
    }

    /// What was spare costs nothing of its own but what was kept: when others need the quota again,
    /// settling goes on with its quarter at once.
    pub(crate) fn spend(&mut self, is_spare: bool) {
        self.most.left -= 1.0;
        if !is_spare || self.own.left > 0.0 {
            self.own.left -= 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is spent in a day by windows of three pages, as long as each second is spare or not.
    fn spent(is_spare: impl Fn(i64) -> bool) -> i32 {
        let mut budget = Budget::of(90);
        let mut spent = 0;
        for second in 0..86_400 {
            let is_spare = is_spare(second);
            budget.refill(DateTime::from_timestamp(second, 0).unwrap());
            while !budget.is_exhausted(is_spare) {
                (0..3).for_each(|_| budget.spend(is_spare));
                spent += 3;
            }
        }
        spent
    }

    #[test]
    fn spends_its_part_and_no_more() {
        let spent = spent(|_| false);
        assert!((7_200..=7_230).contains(&spent), "{spent}");
    }

    #[test]
    fn spends_three_quarters_where_nobody_needs_them() {
        let spent = spent(|_| true);
        assert!((21_600..=21_680).contains(&spent), "{spent}");
    }

    #[test]
    fn what_was_spare_is_not_owed_when_others_need_the_quota_again() {
        let spent = spent(|second| second < 43_200);
        assert!((14_400..=14_480).contains(&spent), "{spent}");
    }
}
