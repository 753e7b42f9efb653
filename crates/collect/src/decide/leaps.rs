//! Jumps of the source's time: of which readings it is not known when they were.
//!
//! While a wrong clock is believed that runs ahead, windows are read before they have happened, and
//! readings count as later than they were. When the time goes back, what was read since it had leapt
//! ahead is doubted. What another process has read is told by lying in the future alone.

use chrono::{DateTime, TimeDelta, Utc};

use super::evidence::Moment;

/// Times that differ by no more are the same: services differ by some seconds.
const SAME: TimeDelta = TimeDelta::seconds(10);

/// Notices that the time jumps.
#[derive(Debug, Default)]
pub(crate) struct Leaps {
    seen: Option<Moment>,
    /// When the time leapt ahead, by its new clock, and by how much.
    ahead: Option<(DateTime<Utc>, TimeDelta)>,
}

impl Leaps {
    /// It is `now`. When the time had leapt ahead, if it has gone back by most of that.
    pub(crate) fn look(&mut self, now: Moment) -> Option<DateTime<Utc>> {
        let seen = self.seen.replace(now)?;
        let passed = now.instant.saturating_duration_since(seen.instant);
        let expected = TimeDelta::from_std(passed)
            .ok()
            .and_then(|passed| seen.time.checked_add_signed(passed))?;
        let jump = now.time - expected;
        if jump > SAME {
            let (since, by) = self.ahead.unwrap_or((now.time, TimeDelta::zero()));
            self.ahead = Some((since, by + jump));
        }
        let (since, _) = self
            .ahead
            .filter(|(_, by)| -jump > SAME && -jump * 2 >= *by)?;
        self.ahead = None;
        Some(since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    /// What is doubted after each look: seconds of the source's time and of ours.
    fn doubted(looks: &[(i64, u64)]) -> Vec<Option<i64>> {
        let (mut leaps, start) = (Leaps::default(), Instant::now());
        let looks = looks.iter().map(|(time, passed)| {
            let now = Moment {
                time: DateTime::from_timestamp(*time, 0).unwrap(),
                instant: start + Duration::from_secs(*passed),
            };
            leaps.look(now).map(|since| since.timestamp())
        });
        looks.collect()
    }

    #[test]
    fn what_was_read_while_the_time_ran_ahead_is_doubted_when_it_goes_back() {
        let ahead = [
            (1000, 0),
            (1060, 60),
            (4720, 120),
            (5320, 720),
            (1780, 780),
            (1840, 840),
        ];
        assert_eq!(doubted(&ahead), [None, None, None, None, Some(4720), None]);
        let twice = [(1000, 0), (2000, 10), (9000, 20), (1030, 30)];
        assert_eq!(doubted(&twice), [None, None, None, Some(2000)]);
    }

    #[test]
    fn small_jumps_and_those_back_alone_are_no_leaps() {
        assert_eq!(doubted(&[(1000, 0), (1070, 60), (1120, 120)]), [None; 3]);
        assert_eq!(doubted(&[(9000, 0), (1000, 60)]), [None; 2]);
        // A clock was set right, by an hour, and then goes back by seconds.
        assert_eq!(doubted(&[(1000, 0), (4600, 0), (4640, 60)]), [None; 3]);
    }
}
