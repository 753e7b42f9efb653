//! Trying again: with which pauses, and what a server asks for.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use chrono::{DateTime, Utc};
use http::{HeaderMap, header::RETRY_AFTER};

/// The longest `Retry-After` that is believed; a server that asks for more is asked again after it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// The shortest pause after a first failure, even when the server asks for none.
const SHORTEST: Duration = Duration::from_secs(1);

/// Growing, jittered pauses without end, none of which is longer than `max`: each is drawn between a
/// length that doubles until it is half of `max`, and twice that length, so that many clients do not
/// come back at once.
#[derive(Debug)]
pub struct Backoff {
    builder: ExponentialBuilder,
    pauses: ExponentialBackoff,
    max: Duration,
    /// Whether there was a failure since the last success.
    failed: bool,
}

impl Backoff {
    /// Pauses from `min`, or half of `max` when that is less, growing to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let builder = ExponentialBuilder::default()
            .with_min_delay(min.min(max / 2))
            // The jitter adds as much again at most.
            .with_max_delay(max / 2)
            .without_max_times()
            .with_jitter();
        Self {
            builder,
            pauses: builder.build(),
            max,
            failed: false,
        }
    }

    /// The next pause. What the server asked for counts after the first failure, and later when it
    /// is longer than the pause would be: a server that asks for no pause at all and fails again is
    /// not believed.
    pub fn next_pause(&mut self, retry_after: Option<Duration>) -> Duration {
        let pause = self.pauses.next().unwrap_or(self.max).min(self.max);
        let is_first = !std::mem::replace(&mut self.failed, true);
        match retry_after {
            Some(asked) if is_first => asked.max(pause.min(SHORTEST)),
            Some(asked) => asked.max(pause),
            None => pause,
        }
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.pauses = self.builder.build();
        self.failed = false;
    }
}

/// A pause drawn between two lengths, of which the first is the shorter one.
pub fn drawn(least: Duration, most: Duration) -> Duration {
    let span = most.saturating_sub(least);
    let drawn = ExponentialBuilder::default()
        .with_min_delay(span)
        .with_max_delay(span)
        .with_jitter()
        .build()
        .next();
    // From once to twice the span.
    (least + drawn.unwrap_or(span).saturating_sub(span)).min(most)
}

/// What the `Retry-After` header asks for: seconds or an HTTP date, seen from `now`.
///
/// None when the header is absent. A date in the past is no wait, and neither is what cannot be read, which is
/// a wish for one all the same; never more than five minutes.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers
        .get(RETRY_AFTER)?
        .to_str()
        .unwrap_or_default()
        .trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let wait = match text.get(..digits) {
        Some("") | None => {
            let date = httpdate::parse_http_date(text)
                .ok()
                .map(DateTime::<Utc>::from);
            // A date is cut to whole seconds.
            let wait = date.and_then(|date| (date - now).to_std().ok());
            wait.map_or(Duration::ZERO, |wait| wait + Duration::from_secs(1))
        }
        Some(seconds) => seconds.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_start_over() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(60));
        for _ in 0..50 {
            let mut backoff = Backoff::new(min, max);
            let first = backoff.next_pause(None);
            assert!(first >= min && first <= 2 * min, "{first:?}");
            let late = (0..10).map(|_| backoff.next_pause(None)).last().unwrap();
            assert!(late >= max / 2 && late <= max, "{late:?}");
            backoff.reset();
            assert!(backoff.next_pause(None) <= 2 * min);
        }
        let mut short = Backoff::new(max, max);
        assert!(short.next_pause(None) <= max, "the limit counts");
    }

    #[test]
    fn the_server_s_wish_counts() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(5), seconds(60));
        assert_eq!(backoff.next_pause(Some(seconds(100))), seconds(100));
        assert_eq!(backoff.next_pause(Some(seconds(100))), seconds(100));
        backoff.reset();
        let none = Some(Duration::ZERO);
        assert_eq!(backoff.next_pause(none), seconds(1), "never a hot loop");
        for _ in 0..4 {
            assert!(backoff.next_pause(none) >= seconds(10), "asked too often");
        }
        assert!(backoff.next_pause(none) >= seconds(30));
        backoff.reset();
        assert_eq!(backoff.next_pause(none), seconds(1));
    }

    #[test]
    fn a_pause_is_drawn_between_its_bounds() {
        let (least, most) = (Duration::from_secs(10), Duration::from_secs(15));
        let pauses: Vec<_> = (0..200).map(|_| drawn(least, most)).collect();
        let (shortest, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*shortest >= least && *longest <= most);
        assert!(*longest - *shortest > Duration::from_secs(2), "{pauses:?}");
        assert_eq!(drawn(most, most), most);
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = DateTime::from_timestamp(784_111_777, 0).unwrap();
        let ask = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(ask("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            ask("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(31))
        );
        assert_eq!(ask("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(ask("999999999"), Some(RETRY_AFTER_MAX));
        // A wish that cannot be read is one all the same.
        for (text, seconds) in [("soon", 0), ("", 0), ("-1", 0), ("1.5", 1), ("60, 120", 60)] {
            assert_eq!(ask(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(ask(&"9".repeat(30)), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
