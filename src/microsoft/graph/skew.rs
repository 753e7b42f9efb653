//! How far the service's clock is from ours.

use chrono::{DateTime, TimeDelta, Utc};

/// The resolution of the `Date` header.
const TICK: TimeDelta = TimeDelta::seconds(1);

/// What is known of the service's clock minus ours, from below: the service's clock shows at
/// least ours plus this.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skew(Option<TimeDelta>);

impl Skew {
    /// Learns from an answer's `Date`, which the service wrote between `sent` and `received`.
    ///
    /// Each answer gives a lower bound; the highest is the best, until an answer contradicts it
    /// because one of the clocks has been set.
    pub(super) fn learn(
        &mut self,
        date: DateTime<Utc>,
        sent: DateTime<Utc>,
        received: DateTime<Utc>,
    ) {
        let (lower, upper) = (date - received, date + TICK - sent);
        self.0 = match self.0 {
            Some(known) if known <= upper => Some(known.max(lower)),
            _ => Some(lower),
        };
    }

    /// The lower bound; zero while nothing is known.
    pub(super) fn known(self) -> TimeDelta {
        self.0.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + millis).unwrap()
    }

    #[test]
    fn bounds_get_better_until_they_are_contradicted() {
        let mut skew = Skew::default();
        assert_eq!(skew.known(), TimeDelta::zero());
        skew.learn(at(0), at(500), at(2500));
        assert_eq!(skew.known(), TimeDelta::milliseconds(-2500));
        skew.learn(at(10_000), at(10_000), at(10_100));
        assert_eq!(skew.known(), TimeDelta::milliseconds(-100));
        skew.learn(at(20_000), at(20_500), at(23_000));
        assert_eq!(
            skew.known(),
            TimeDelta::milliseconds(-100),
            "a slow answer tells less"
        );
        skew.learn(at(30_000), at(90_000), at(90_100));
        assert_eq!(
            skew.known(),
            TimeDelta::milliseconds(-60_100),
            "our clock was set"
        );
        skew.learn(at(40_000), at(35_000), at(35_100));
        assert_eq!(skew.known(), TimeDelta::milliseconds(4900));
    }
}
