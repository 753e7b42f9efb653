//! A span of time to read.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A half-open interval of time, `[start, end)`, that is never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Window {
    /// The interval from `start` (included) to `end` (excluded); none when it would be empty.
    pub fn new(start: DateTime<Utc>, end: DateTime<Utc>) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The first instant inside.
    pub fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// The first instant after it.
    pub fn end(&self) -> DateTime<Utc> {
        self.end
    }

    /// Its length, always positive.
    pub fn span(&self) -> TimeDelta {
        self.end - self.start
    }

    /// Whether `instant` lies inside.
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to {}",
            self.start.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            self.end.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn is_half_open_and_never_empty() {
        assert_eq!(Window::new(at(5), at(5)), None);
        assert_eq!(Window::new(at(6), at(5)), None);
        let window = Window::new(at(5), at(7)).unwrap();
        assert!(window.contains(at(5)) && window.contains(at(6)));
        assert!(!window.contains(at(7)) && !window.contains(at(4)));
        assert_eq!(window.span(), TimeDelta::seconds(2));
        assert_eq!(
            window.to_string(),
            "1970-01-01T00:00:05Z to 1970-01-01T00:00:07Z"
        );
    }
}
