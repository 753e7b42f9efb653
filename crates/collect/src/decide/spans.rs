//! Spans and instants, scaled and rounded.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// A span in seconds, with their fraction.
pub(crate) fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64()
}

/// A span so many times as long, in whole milliseconds; the longest one when it would be longer.
pub(crate) fn scaled(span: TimeDelta, factor: f64) -> TimeDelta {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a fraction of a millisecond does not matter"
    )]
    let milliseconds = (span.num_milliseconds() as f64 * factor) as i64;
    TimeDelta::try_milliseconds(milliseconds).unwrap_or(TimeDelta::MAX)
}

/// The last whole second of an instant.
pub(crate) fn whole_second(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.trunc_subsecs(0)
}

/// A span without its fraction of a second.
pub(crate) fn whole_seconds(span: TimeDelta) -> TimeDelta {
    TimeDelta::seconds(span.num_seconds())
}
