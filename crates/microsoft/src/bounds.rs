//! The bounds of a query.

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use rows::Window;

/// How far below a window's start is asked. Whether a service includes its bounds, and at what
/// precision it compares, is not known for certain; asked like this, no answer to that loses a
/// row, and rows seen twice are known by their keys.
pub(super) const START_MARGIN: TimeDelta = TimeDelta::seconds(1);

/// The lower and the upper bound to ask for: whole seconds, or with the fraction they need. Both
/// services are known to accept 6 digits, more are not certain.
pub(super) fn of(window: Window) -> (String, String) {
    let start = window.start() - START_MARGIN;
    let end = window.end() + TimeDelta::nanoseconds(999);
    (text(start), text(end))
}

fn text(at: DateTime<Utc>) -> String {
    at.trunc_subsecs(6)
        .to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn have_the_digits_they_need() {
        let at = |nanos| DateTime::from_timestamp_nanos(nanos);
        let bounds = |start, end| of(Window::new(at(start), at(end)).unwrap());
        let expected = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        assert_eq!(
            bounds(2_000_000_000, 3_000_000_000),
            expected("1970-01-01T00:00:01Z", "1970-01-01T00:00:03Z")
        );
        assert_eq!(
            bounds(2_500_000_999, 2_700_000_001),
            expected("1970-01-01T00:00:01.500Z", "1970-01-01T00:00:02.700001Z"),
            "never narrower than the window"
        );
    }
}
