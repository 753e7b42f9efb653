//! Instants as counts of 100 ns since 1970, the resolution of the services' dates.

use chrono::{DateTime, TimeDelta, Utc};

/// An instant in ticks of 100 ns since 1970-01-01T00:00:00Z.
pub(crate) type Ticks = i64;

/// Ticks in a millisecond.
pub(crate) const MILLISECOND: Ticks = 10_000;
/// Ticks in a second.
pub(crate) const SECOND: Ticks = 1_000 * MILLISECOND;
/// Ticks in a day.
pub(crate) const DAY: Ticks = 86_400 * SECOND;

/// The tick in which `instant` lies.
pub(crate) fn ticks(instant: DateTime<Utc>) -> Ticks {
    instant.timestamp() * SECOND + i64::from(instant.timestamp_subsec_nanos() / 100)
}

/// The instant at which a tick begins.
pub(crate) fn instant(ticks: Ticks) -> DateTime<Utc> {
    let nanos = u32::try_from(ticks.rem_euclid(SECOND) * 100).unwrap_or(0);
    DateTime::from_timestamp(ticks.div_euclid(SECOND), nanos).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A length of time in ticks.
pub(crate) fn span(length: TimeDelta) -> Ticks {
    length.num_microseconds().unwrap_or(i64::MAX / 10) * 10
}

/// Lengths of time as whole seconds in JSON.
pub(crate) mod seconds {
    use chrono::TimeDelta;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(
        length: &TimeDelta,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(length.num_seconds())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TimeDelta, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        TimeDelta::try_seconds(seconds)
            .ok_or_else(|| D::Error::custom(format!("{seconds} seconds are too many")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_survive_the_round_trip() {
        for text in [
            "2026-11-22T10:00:00.1234567Z",
            "1969-12-31T23:59:59.9999999Z",
        ] {
            let at: DateTime<Utc> = text.parse().unwrap();
            assert_eq!(instant(ticks(at)), at);
        }
        assert_eq!(ticks("1970-01-01T00:00:01Z".parse().unwrap()), SECOND);
    }
}
