//! A span of time to read, and what is asked for of it.

use std::{fmt, sync::Arc};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A half-open interval of time, `[start, end)`, that is never empty.
///
/// Its stored form is the list of both instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bounds", into = "Bounds")]
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

    /// What lies in both; none when that is nothing.
    pub fn intersection(&self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// Its length, always positive.
    pub fn span(&self) -> TimeDelta {
        self.end - self.start
    }

    /// Whether `instant` lies inside.
    #[inline]
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }
}

type Bounds = (DateTime<Utc>, DateTime<Utc>);

impl TryFrom<Bounds> for Window {
    type Error = &'static str;

    fn try_from((start, end): Bounds) -> Result<Self, Self::Error> {
        Self::new(start, end).ok_or("a window of time that ends before it starts")
    }
}

impl From<Window> for Bounds {
    fn from(window: Window) -> Self {
        (window.start, window.end)
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

/// Which rows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Those received in this window.
    pub window: Window,
    /// Only those of the message with this id in the trace; none for all messages.
    pub message: Option<Arc<str>>,
}

impl From<Window> for Question {
    fn from(window: Window) -> Self {
        let message = None;
        Self { window, message }
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
            window.intersection(Window::new(at(7), at(9)).unwrap()),
            None
        );
        assert_eq!(
            window.intersection(Window::new(at(6), at(9)).unwrap()),
            Window::new(at(6), at(7))
        );
        assert_eq!(
            window.to_string(),
            "1970-01-01T00:00:05Z to 1970-01-01T00:00:07Z"
        );
        let stored = serde_json::to_string(&window).unwrap();
        assert_eq!(stored, r#"["1970-01-01T00:00:05Z","1970-01-01T00:00:07Z"]"#);
        assert_eq!(serde_json::from_str::<Window>(&stored).unwrap(), window);
        let reversed = r#"["1970-01-01T00:00:07Z","1970-01-01T00:00:05Z"]"#;
        assert!(serde_json::from_str::<Window>(reversed).is_err());
    }
}
