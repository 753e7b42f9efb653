//! When what is missing will be read, at the pace of late.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

/// The pace is that of so much time.
const LATELY: TimeDelta = TimeDelta::minutes(10);

/// Less than that says nothing about a pace.
const LEAST: TimeDelta = TimeDelta::seconds(30);

/// When nothing was read for as long, as while all requests are held back, there is no pace.
const RESTS: TimeDelta = TimeDelta::minutes(5);

/// Remembers how much was missing of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Eta(VecDeque<(DateTime<Utc>, TimeDelta)>);

impl Eta {
    /// So much is missing now. When that will be none; none when the pace does not tell.
    pub(super) fn observe(
        &mut self,
        missing: TimeDelta,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let is_of_late = |at: DateTime<Utc>| at <= now && now - at <= LATELY;
        let is_old = |(at, _): &mut (DateTime<Utc>, TimeDelta)| !is_of_late(*at);
        while self.0.pop_front_if(is_old).is_some() {}
        // A clock that was set back.
        self.0.retain(|(at, _)| *at <= now);
        self.0.push_back((now, missing));
        let (since, before) = *self.0.front()?;
        let (took, read) = (now - since, before - missing);
        let mut latest_first = self.0.iter().rev();
        let was_more = latest_first.find(|(_, before)| *before > missing);
        let rests = was_more.is_none_or(|(at, _)| now - *at > RESTS);
        let tells =
            missing > TimeDelta::zero() && took >= LEAST && read > TimeDelta::zero() && !rests;
        if !tells {
            return None;
        }
        let left = missing.as_seconds_f64() * took.as_seconds_f64() / read.as_seconds_f64();
        // More than a year is no answer.
        let left = Some(left).filter(|left| *left < 31_536_000.0)?;
        #[allow(clippy::cast_possible_truncation, reason = "less than a year")]
        now.checked_add_signed(TimeDelta::seconds(left as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn the_pace_of_late_tells() {
        let mut eta = Eta::default();
        let mut observe = |minutes, seconds| {
            let done = eta.observe(TimeDelta::minutes(minutes), at(seconds));
            done.map(|done| (done - at(seconds)).num_seconds())
        };
        assert_eq!(observe(1000, 0), None);
        assert_eq!(observe(990, 20), None, "too soon");
        assert_eq!(observe(900, 60), Some(540));
        assert_eq!(observe(900, 120), Some(1080), "a rest");
        assert_eq!(observe(1200, 180), None, "more than before");
        assert_eq!(
            observe(1200, 1000),
            None,
            "what was long ago does not count"
        );
        assert_eq!(observe(600, 1060), Some(60));
        assert_eq!(observe(0, 1120), None, "nothing is missing");
        assert_eq!(observe(10, 500), None, "the clock was set");
    }

    #[test]
    fn when_nothing_was_read_for_long_there_is_no_pace() {
        let mut eta = Eta::default();
        let mut tells = |minutes, seconds| {
            let done = eta.observe(TimeDelta::minutes(minutes), at(seconds));
            done.is_some()
        };
        assert!(!tells(1000, 0));
        assert!(tells(900, 60) && tells(900, 300));
        assert!(!tells(900, 301));
        assert!(tells(890, 302), "it goes on");
    }
}
