//! How long to wait after a failure, and when to call for help: a pure state machine.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Remedy;
use crate::http::Backoff;

/// Pauses after failures that pass by themselves.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Pauses after failures that a person must mend.
const SLOW: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(150));

/// A failure that a person must mend is critical when it has lasted this long.
const CRITICAL_AFTER: TimeDelta = TimeDelta::minutes(15);

/// Counts failures in a row.
#[derive(Debug)]
pub(super) struct Patience {
    retry: Backoff,
    slow: Backoff,
    failures: u32,
    refused_since: Option<DateTime<Utc>>,
    called: bool,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// How long to wait.
    pub(super) pause: Duration,
    /// Whether now is the time to call for help.
    pub(super) call: bool,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            retry: Backoff::new(RETRY.0, RETRY.1),
            slow: Backoff::new(SLOW.0, SLOW.1),
            failures: 0,
            refused_since: None,
            called: false,
        }
    }

    /// A failure happened.
    pub(super) fn failed(&mut self, remedy: Remedy, now: DateTime<Utc>) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        let pause = match remedy {
            Remedy::Retry { after } | Remedy::Throttled { after } => self.retry.next_pause(after),
            Remedy::Outage | Remedy::Narrow | Remedy::TooOld { .. } => self.retry.next_pause(None),
            Remedy::Refused | Remedy::Person => self.slow.next_pause(None),
        };
        let mut call = false;
        if remedy.needs_a_person() {
            let since = *self.refused_since.get_or_insert(now);
            call = !self.called && now - since >= CRITICAL_AFTER;
            self.called |= call;
        }
        Verdict { pause, call }
    }

    /// Whether the last attempt failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether a person must mend what is failing.
    pub(super) fn is_refused(&self) -> bool {
        self.refused_since.is_some()
    }

    /// It worked. How many failures there were before it.
    pub(super) fn succeeded(&mut self) -> u32 {
        let failures = self.failures;
        if failures > 0 {
            *self = Self::new();
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).unwrap()
    }

    #[test]
    fn calls_for_help_once_after_a_quarter_of_an_hour() {
        let mut patience = Patience::new();
        assert!(!patience.failed(Remedy::Person, at(0)).call);
        assert!(!patience.failed(Remedy::Retry { after: None }, at(5)).call);
        assert!(!patience.failed(Remedy::Person, at(14)).call);
        assert!(patience.failed(Remedy::Person, at(15)).call);
        assert!(!patience.failed(Remedy::Person, at(60)).call, "once");
        assert_eq!(patience.succeeded(), 5);
        assert!(
            !patience.failed(Remedy::Person, at(90)).call,
            "a new failure begins anew"
        );
        assert!(patience.failed(Remedy::Person, at(105)).call);
    }

    #[test]
    fn outages_do_not_call_a_person() {
        let mut patience = Patience::new();
        let called = (0..100).any(|n| patience.failed(Remedy::Retry { after: None }, at(n)).call);
        assert!(!called);
    }
}
