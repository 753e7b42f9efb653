//! The forms in which the services write an instant.

use chrono::{DateTime, NaiveDateTime, Utc};

/// The instant in either form: `/Date(milliseconds)/` or ISO 8601.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    verbose(text).or_else(|| iso(text))
}

/// The instant of ISO 8601 text with any number of fraction digits; without a zone it is UTC.
pub fn iso(text: &str) -> Option<DateTime<Utc>> {
    // Most dates are in the other form, and this is found out here much sooner.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    match DateTime::parse_from_rfc3339(text) {
        Ok(zoned) => Some(zoned.to_utc()),
        Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .ok()
            .map(|local| local.and_utc()),
    }
}

/// `/Date(milliseconds)/` of an instant; finer parts are cut off.
pub fn verbose_text(at: DateTime<Utc>) -> String {
    format!("/Date({})/", at.timestamp_millis())
}

/// The instant of `/Date(milliseconds)/`. An offset after the number (`+0200`) tells a zone to
/// show the instant in and does not move it.
fn verbose(text: &str) -> Option<DateTime<Utc>> {
    let inside = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let end = inside
        .char_indices()
        .skip(1)
        .find(|(_, sign)| matches!(sign, '+' | '-'))
        .map_or(inside.len(), |(at, _)| at);
    DateTime::from_timestamp_millis(inside.get(..end)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        instant(text).map(|at| at.timestamp_millis())
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(millis("/Date(1659020996164)/"), Some(1_659_020_996_164));
        assert_eq!(
            millis("/Date(1659020996164+0200)/"),
            Some(1_659_020_996_164)
        );
        assert_eq!(millis("/Date(-5)/"), Some(-5));
        assert_eq!(millis("1970-01-01T00:00:01.4907658"), Some(1490));
        assert_eq!(millis("1970-01-01T00:00:01.4999999Z"), Some(1499));
        assert_eq!(millis("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(millis("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(millis("1970-01-01T00:00:01"), Some(1000));
    }

    #[test]
    fn anything_else_is_no_instant() {
        for text in [
            "",
            "/Date()/",
            "/Date(x)/",
            "/Date(1)",
            "yesterday",
            "2022-09-05",
            "1659020996164",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}
