//! How long after its reception a row becomes visible.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::time::{Ticks, span};

/// A distribution of lateness, given by its quantiles: in JSON `[[0.5, 120], [1.0, 3600]]`, with
/// lengths in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(f64, i64)>", into = "Vec<(f64, i64)>")]
pub struct Lateness(Vec<(f64, TimeDelta)>);

impl Lateness {
    /// Every row is visible at once.
    pub fn none() -> Self {
        Self::default()
    }

    /// A distribution with these quantiles, in ascending order: `(0.5, 2 min)` says that half of
    /// the rows are visible within two minutes. Between two quantiles it grows geometrically;
    /// below the first and above the last it stays at theirs.
    pub fn quantiles(points: impl Into<Vec<(f64, TimeDelta)>>) -> Self {
        Self(points.into())
    }

    /// Minutes for most rows, an hour for one in a hundred, a day for the very last.
    pub fn realistic() -> Self {
        Self::quantiles([
            (0.0, TimeDelta::seconds(20)),
            (0.5, TimeDelta::minutes(2)),
            (0.9, TimeDelta::minutes(10)),
            (0.99, TimeDelta::hours(1)),
            (0.999, TimeDelta::hours(6)),
            (1.0, TimeDelta::hours(24)),
        ])
    }

    /// The longest lateness.
    pub(crate) fn longest(&self) -> Ticks {
        self.0.last().map_or(0, |(_, length)| span(*length))
    }

    /// The length at this quantile.
    pub fn length(&self, quantile: f64) -> TimeDelta {
        TimeDelta::microseconds(self.at(quantile) / 10)
    }

    /// The lateness at this quantile.
    pub(crate) fn at(&self, quantile: f64) -> Ticks {
        let above = self.0.partition_point(|(at, _)| *at <= quantile);
        match (
            above.checked_sub(1).map(|below| self.0[below]),
            self.0.get(above),
        ) {
            (None, None) => 0,
            (Some((_, length)), None) | (None, Some(&(_, length))) => span(length),
            (Some((from, short)), Some(&(to, long))) => {
                let share = (quantile - from) / (to - from);
                let (short, long) = (span(short).max(1) as f64, span(long).max(1) as f64);
                (short * (long / short).powf(share)) as Ticks
            }
        }
    }
}

impl TryFrom<Vec<(f64, i64)>> for Lateness {
    type Error = &'static str;

    fn try_from(points: Vec<(f64, i64)>) -> Result<Self, Self::Error> {
        let lengths = points.iter().map(|(at, seconds)| {
            let length =
                TimeDelta::try_seconds(*seconds).filter(|length| *length >= TimeDelta::zero());
            length.map(|length| (*at, length))
        });
        let lengths: Option<Vec<_>> = lengths.collect();
        let lengths = lengths.ok_or("a lateness is negative or too long")?;
        let shares = points.iter().all(|(at, _)| (0.0..=1.0).contains(at));
        let ascending = points
            .windows(2)
            .all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
        if shares && ascending {
            Ok(Self(lengths))
        } else {
            Err("the quantiles of lateness are not from 0 to 1 in ascending order")
        }
    }
}

impl From<Lateness> for Vec<(f64, i64)> {
    fn from(lateness: Lateness) -> Self {
        let points = lateness.0.into_iter();
        points
            .map(|(at, length)| (at, length.num_seconds()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    #[test]
    fn quantiles_are_met_and_grow_in_between() {
        let lateness = Lateness::realistic();
        assert!((lateness.at(0.5) - 120 * SECOND).abs() < SECOND);
        assert!((lateness.at(0.99) - 3600 * SECOND).abs() < SECOND);
        assert!(lateness.at(0.7) > 120 * SECOND && lateness.at(0.7) < 600 * SECOND);
        assert_eq!(lateness.longest(), 86_400 * SECOND);
        assert_eq!(Lateness::none().at(0.5), 0);
    }
}
