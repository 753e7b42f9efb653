//! What is said in several places, as people read it.

use chrono::{DateTime, TimeDelta, Utc};
use collect::verify::{Finding, RowName, Verdict};

pub(super) fn moment(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// So many things, of which `one` is the word for a single one.
pub(crate) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

/// A count, which may be more where several processes have counted.
pub(crate) fn least(count: u64, at_least: bool) -> String {
    match at_least {
        true => format!("at least {count}"),
        false => count.to_string(),
    }
}

/// A span, roughly. One that is over before it begins, as a clock was set back, is none.
pub(super) fn span(span: TimeDelta) -> String {
    match span.num_seconds().max(0) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", (seconds + 30) / 60),
        seconds @ 7200..172_800 => format!("{} h", (seconds + 1800) / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// A span in its two largest units, of which minutes are the smallest.
pub(crate) fn in_two_units(span: TimeDelta) -> String {
    let (days, hours, minutes) = (
        span.num_days(),
        span.num_hours() % 24,
        span.num_minutes() % 60,
    );
    match (days, hours, minutes) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A row by what a person finds it by.
pub(crate) fn named(row: &RowName) -> String {
    let parts = [&row.message_trace_id, &row.recipient];
    let [id, recipient] = parts.map(|part| part.as_deref().unwrap_or("unknown"));
    format!("{id} to {recipient}")
}

/// What rules have to do with rows of an hour that seem to be missing, as a part of a sentence; empty when
/// that is nothing.
pub(crate) fn excluded_then(verdict: &Verdict) -> String {
    let is_about_missing = matches!(
        verdict.finding,
        Finding::Delivered | Finding::Gone | Finding::Many
    );
    match verdict.notes.excluded {
        excluded if is_about_missing && excluded > 0 => format!(
            "; rules left out about {} of it when it was collected, which count as missing where such a \
             rule is gone",
            counted(excluded, "row")
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_roughly() {
        let told = [119, 120, 7199, 7200, 172_800].map(|seconds| span(TimeDelta::seconds(seconds)));
        assert_eq!(told, ["119 s", "2 min", "120 min", "2 h", "2 days"]);
        assert_eq!(span(TimeDelta::seconds(-7200)), "0 s");
        assert_eq!(
            [0, 1, 2].map(|count| counted(count, "row")),
            ["0 rows", "1 row", "2 rows"]
        );
    }
}
