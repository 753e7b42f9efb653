//! How late the rows of this tenant surface: measured, to steer when the past is read again.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::decide::spans::seconds;

/// The upper end of the first zone of age; each further zone reaches to twice the age.
const FIRST_ZONE: TimeDelta = TimeDelta::minutes(1);

/// As many zones, the last of which is open: from 34 hours on.
pub(crate) const ZONES: usize = 13;

/// What was seen counts half after this time, so that the measure follows the tenant.
const HALF_LIFE: TimeDelta = TimeDelta::hours(24);

/// Fewer late rows than this prove nothing.
const EVIDENCE: f64 = 1000.0;

/// A zone in which fewer of the late rows surface may be read more rarely. All zones together are
/// then below the one in a hundred that may come later than promised.
const RARE: f64 = 0.000_7;

/// How much more rarely.
const RELAXED: f64 = 2.0;

/// Before anything was seen of a tenant: the share of late rows that surface in each zone, of as many
/// rows. Half within two minutes, nine in ten within ten minutes, one in a hundred after an hour.
const USUAL: [f64; ZONES] = [
    30.0, 20.0, 17.0, 17.0, 8.0, 4.0, 2.5, 0.7, 0.4, 0.2, 0.1, 0.08, 0.02,
];

/// Counts of rows that surfaced late or changed, by the age at which that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lateness {
    counts: [f64; ZONES],
    #[serde(default)]
    changes: [f64; ZONES],
    counted_at: Option<DateTime<Utc>>,
}

impl Lateness {
    /// A row was first seen at `seen`, by a query that was not the first to ask for its time: `before`
    /// was the last that did not show it.
    pub fn observe(&mut self, received: DateTime<Utc>, before: DateTime<Utc>, seen: DateTime<Utc>) {
        self.fade(seen);
        spread(&mut self.counts, before - received, seen - received);
    }

    /// Another status of a row was seen at `seen`, and not yet at `before`.
    pub fn changed(&mut self, received: DateTime<Utc>, before: DateTime<Utc>, seen: DateTime<Utc>) {
        self.fade(seen);
        spread(&mut self.changes, before - received, seen - received);
    }

    /// About how many of a thousand rows are news, late or with another status, that came when they
    /// were older than `from` and not older than `to`. Only fit to be compared with others of its kind.
    pub(crate) fn news(&self, from: TimeDelta, to: TimeDelta) -> f64 {
        let counts = self.counts.iter().zip(&self.changes).zip(USUAL);
        let parts = parts(from, to);
        let news = counts.zip(parts);
        news.map(|(((late, changed), usual), part)| (late + changed + usual) * part)
            .sum()
    }

    /// How much more rarely than usual the rows of a zone may be looked for: 1 for no more rarely.
    pub(crate) fn relaxation(&self, zone: usize) -> f64 {
        let all: f64 = self.counts.iter().sum();
        // What surfaces in a zone is found when its rows are a little older: both count.
        let here: f64 = self.counts.iter().skip(zone).take(2).sum();
        if all >= EVIDENCE && here / all < RARE {
            RELAXED
        } else {
            1.0
        }
    }

    /// The share of late rows that surfaced at this age or later, when there is evidence.
    pub fn beyond(&self, age: TimeDelta) -> Option<f64> {
        let all: f64 = self.counts.iter().sum();
        let beyond: f64 = self.counts.iter().skip(zone(age)).sum();
        (all >= EVIDENCE).then(|| beyond / all)
    }

    fn fade(&mut self, now: DateTime<Utc>) {
        let since = *self.counted_at.get_or_insert(now);
        let passed = now - since;
        if passed < HALF_LIFE / 24 {
            return;
        }
        let factor = 0.5_f64.powf(seconds(passed) / seconds(HALF_LIFE));
        for count in self.counts.iter_mut().chain(&mut self.changes) {
            *count *= factor;
        }
        self.counted_at = Some(now);
    }
}

/// Counts one over the zones between two ages: nobody knows when it happened between two readings. A
/// count at the later one would make ages that are seldom read seem to bring nothing.
fn spread(counts: &mut [f64; ZONES], from: TimeDelta, to: TimeDelta) {
    let from = from.max(TimeDelta::zero());
    let (first, last) = (zone(from), zone(to.max(from)));
    if first == last {
        if let Some(count) = counts.get_mut(first) {
            *count += 1.0;
        }
        return;
    }
    let parts: [f64; ZONES] = parts(from, to);
    let all: f64 = parts.iter().sum();
    for (count, part) in counts.iter_mut().zip(parts) {
        *count += part / all;
    }
}

/// Which part of each zone lies between two ages.
fn parts(from: TimeDelta, to: TimeDelta) -> [f64; ZONES] {
    std::array::from_fn(|zone| {
        let start = begin(zone);
        let end = match zone + 1 {
            // As long as the one before.
            ZONES => start * 2,
            next => begin(next),
        };
        let common = to.min(end) - from.max(start);
        (seconds(common) / seconds(end - start)).max(0.0)
    })
}

pub(crate) fn zone(age: TimeDelta) -> usize {
    let mut others = (1..ZONES).rev();
    others.find(|zone| age >= begin(*zone)).unwrap_or(0)
}

pub(crate) fn begin(zone: usize) -> TimeDelta {
    match u32::try_from(zone) {
        Ok(0) | Err(_) => TimeDelta::zero(),
        Ok(zone) => FIRST_ZONE * 2_i32.saturating_pow(zone - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at_minute as at;

    #[test]
    fn zones_double() {
        for (minutes, expected) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (1440, 11)] {
            assert_eq!(zone(TimeDelta::minutes(minutes)), expected, "{minutes}");
        }
        assert_eq!(zone(TimeDelta::days(30)), ZONES - 1);
        for zone_number in 0..ZONES {
            assert_eq!(zone(begin(zone_number)), zone_number);
        }
    }

    #[test]
    fn zones_without_late_rows_relax_once_there_is_evidence() {
        let mut lateness = Lateness::default();
        for _ in 0..999 {
            lateness.observe(at(0), at(2), at(3));
        }
        assert!((lateness.relaxation(9) - 1.0).abs() < 1e-9, "no evidence");
        lateness.observe(at(0), at(2), at(3));
        assert!((lateness.relaxation(9) - RELAXED).abs() < 1e-9);
        assert!((lateness.relaxation(2) - 1.0).abs() < 1e-9);
        for _ in 0..3 {
            lateness.observe(at(-297), at(2), at(3));
        }
        let zone = zone(TimeDelta::minutes(300));
        assert!((lateness.relaxation(zone) - 1.0).abs() < 1e-9, "seen again");
        let beyond = lateness.beyond(TimeDelta::minutes(250)).unwrap();
        assert!((0.002..0.004).contains(&beyond), "{beyond}");
    }

    #[test]
    fn a_row_counts_for_all_ages_at_which_it_may_have_come() {
        let mut lateness = Lateness::default();
        lateness.observe(at(0), at(4), at(16));
        assert!((lateness.counts[3] - 0.5).abs() < 1e-9, "4 to 8 minutes");
        assert!((lateness.counts[4] - 0.5).abs() < 1e-9, "8 to 16 minutes");
        lateness.changed(at(0), at(5), at(6));
        assert!((lateness.changes[3] - 1.0).abs() < 1e-9);
        // A clock that was set back.
        lateness.observe(at(9), at(8), at(7));
        assert!((lateness.counts[0] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn news_are_expected_where_they_came_from() {
        let minutes = TimeDelta::minutes;
        let mut lateness = Lateness::default();
        let usual = lateness.news(minutes(1), minutes(2));
        assert!(usual > lateness.news(minutes(60), minutes(75)) * 10.0);
        for _ in 0..1000 {
            lateness.changed(at(0), at(61), at(70));
        }
        assert!(lateness.news(minutes(60), minutes(75)) > usual);
        let whole = lateness.news(minutes(0), minutes(1 << 13));
        assert!((whole - 1100.0).abs() < 1e-6, "{whole}");
    }

    #[test]
    fn old_observations_fade() {
        let mut lateness = Lateness::default();
        for _ in 0..2000 {
            lateness.observe(at(0), at(2), at(3));
        }
        lateness.observe(at(3 * 1440), at(3 * 1440 + 2), at(3 * 1440 + 3));
        assert_eq!(
            lateness.beyond(TimeDelta::zero()),
            None,
            "a quarter is left"
        );
    }
}
