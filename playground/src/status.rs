//! The line that stays: how far the module is.

use std::{collections::VecDeque, fmt, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::HumanCount;
use tokio::time::Instant;

use crate::page::view::words::span;

/// Over how much time the rate is taken: rows come in bursts, one for each query.
const SPAN: Duration = Duration::from_secs(20);

/// How far the module is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    /// Rows that the intake has accepted.
    pub(crate) delivered: u64,
    /// Rows per second, of late.
    pub(crate) rate: f64,
    /// How far behind now everything has been delivered; none before the first window is done.
    pub(crate) lag: Option<TimeDelta>,
    /// The window that was asked for last.
    pub(crate) window: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows delivered | {:.1} rows/s | ",
            HumanCount(self.delivered),
            self.rate
        )?;
        match self.lag {
            None => write!(f, "first window under way")?,
            Some(lag) => write!(f, "{} behind now", span(lag))?,
        }
        match self.window {
            None => Ok(()),
            Some((start, end)) => {
                write!(
                    f,
                    " | last window {} to {} UTC",
                    start.format("%T"),
                    end.format("%T")
                )
            }
        }
    }
}

/// Tells the present rate from a growing count.
#[derive(Debug)]
pub(crate) struct Meter(VecDeque<(Instant, u64)>);

impl Meter {
    /// A meter that starts at this count, now.
    pub(crate) fn start(count: u64) -> Self {
        Self(VecDeque::from([(Instant::now(), count)]))
    }

    /// Notes the count and returns its growth per second over the last seconds.
    pub(crate) fn rate(&mut self, count: u64) -> f64 {
        let now = Instant::now();
        self.0.push_back((now, count));
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= SPAN) {
            self.0.pop_front();
        }
        let Some(&(since, before)) = self.0.front() else {
            return 0.0;
        };
        let seconds = (now - since).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
        let growth = count.saturating_sub(before) as f64;
        if seconds > 0.0 { growth / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_readable_line() {
        let at = |text: &str| text.parse().unwrap();
        let mut status = Status {
            delivered: 0,
            rate: 0.0,
            lag: None,
            window: None,
        };
        assert_eq!(
            status.to_string(),
            "0 rows delivered | 0.0 rows/s | first window under way"
        );
        status = Status {
            delivered: 1_234_567,
            rate: 5.04,
            lag: Some(TimeDelta::seconds(72)),
            window: Some((at("2026-11-22T09:59:58Z"), at("2026-11-22T10:00:08Z"))),
        };
        assert_eq!(
            status.to_string(),
            "1,234,567 rows delivered | 5.0 rows/s | 1 min 12 s behind now | \
             last window 09:59:58 to 10:00:08 UTC"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_forgets_what_is_long_past() {
        let mut meter = Meter::start(0);
        assert_eq!(meter.rate(0), 0.0);
        let mut count = 0;
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            count += 100;
            assert_eq!(meter.rate(count), 100.0);
        }
        for _ in 0..21 {
            tokio::time::advance(Duration::from_secs(1)).await;
            meter.rate(count);
        }
        assert_eq!(meter.rate(count), 0.0);
    }
}
