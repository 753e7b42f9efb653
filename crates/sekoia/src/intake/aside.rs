//! When a batch of which nothing is accepted lets others past: a pure state machine that is told the
//! time.
//!
//! The reason may be in each of its events. Were all batches on their way of such events, no other
//! could ever be accepted. To let others past is no evidence and can be taken back: the batch stays in
//! hand.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::Cause;

/// After so many failures in a row, over so long, of all that is left of a batch and of single events
/// of it.
const AFTER: (u32, Duration) = (4, Duration::from_secs(300));

/// The same of a key or address that is refused, which no event should be the reason of.
const BARRED: (u32, Duration) = (4, Duration::from_secs(3600));

/// Whether a batch lets others past. Of what follows from each of several failures the last here counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Yielding {
    /// It is tried again.
    #[default]
    No,
    /// The reason may be in its events.
    Yes,
    /// If the intake answers a request without events.
    IfAnswered,
    /// If the intake accepts a request without events, and so the key and the address.
    IfAccepted,
}

/// Failures in a row that may be for the events, without another answer between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Streak {
    since: Option<Instant>,
    times: u32,
    /// What follows when it lasts.
    yielding: Yielding,
}

impl Streak {
    /// A request of the batch accepted nothing. After a condition it begins anew.
    pub(super) fn failed(&mut self, cause: Cause, now: Instant) -> Yielding {
        let yielding = match cause {
            Cause::Refused | Cause::TooLarge => Yielding::Yes,
            // No answer, or a 5xx, which says little of the events.
            Cause::Outage => Yielding::IfAnswered,
            Cause::Barred => Yielding::IfAccepted,
            Cause::Busy | Cause::Uncertain => {
                *self = Self::default();
                return Yielding::No;
            }
        };
        let is_barred = yielding == Yielding::IfAccepted;
        if is_barred != (self.yielding == Yielding::IfAccepted) {
            *self = Self::default();
        }
        self.yielding = self.yielding.max(yielding);
        self.times += 1;
        let since = *self.since.get_or_insert(now);
        let (times, over) = if is_barred { BARRED } else { AFTER };
        if self.times < times || now.saturating_duration_since(since) < over {
            return Yielding::No;
        }
        std::mem::take(self).yielding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows from these failures, one every so many seconds.
    fn follows(seconds: u64, failures: &[Cause]) -> Vec<Yielding> {
        let (mut streak, begun) = (Streak::default(), Instant::now());
        let times = (0..).map(|n| begun + Duration::from_secs(n * seconds));
        let failures = times.zip(failures);
        failures
            .map(|(now, cause)| streak.failed(*cause, now))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_lets_others_past_after_four_failures_over_five_minutes() {
        use Cause::{Barred, Busy, Outage, Refused, TooLarge, Uncertain};
        use Yielding::{IfAccepted, IfAnswered, No, Yes};
        assert_eq!(
            follows(100, &[Refused, TooLarge, Refused, Refused]),
            [No, No, No, Yes]
        );
        assert!(
            follows(99, &[Refused; 4])
                .iter()
                .all(|yielding| *yielding == No)
        );
        assert_eq!(follows(300, &[Refused; 3]), [No; 3]);
        // What is no answer of the intake needs one without events.
        for unsaid in 0..4 {
            let mut failures = [Refused; 4];
            failures[unsaid] = Outage;
            assert_eq!(follows(100, &failures), [No, No, No, IfAnswered]);
        }
        assert_eq!(
            follows(100, &[Outage; 8]),
            [No, No, No, IfAnswered, No, No, No, IfAnswered],
            "it is asked seldom"
        );
        for other in [Busy, Barred, Uncertain] {
            let failures = [Refused, Outage, Refused, other, Refused, Refused, Refused];
            assert_eq!(follows(300, &failures), [No; 7], "{other:?}");
        }
        assert_eq!(
            follows(1200, &[Refused, Barred, Barred, Barred, Barred, Barred]),
            [No, No, No, No, IfAccepted, No]
        );
        assert_eq!(follows(1199, &[Barred; 4]), [No; 4]);
    }
}
