//! How many requests a tenant may send, counted over all of its clients.

use std::collections::VecDeque;

use crate::{
    settings::QuotaSettings,
    time::{SECOND, Ticks},
};

/// The requests of the latest window, refused ones too.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    requests: VecDeque<Ticks>,
    /// When the other consumer sends its next request.
    other: Option<Ticks>,
}

impl Quota {
    fn forget(&mut self, before: Ticks) {
        while self.requests.front().is_some_and(|at| *at <= before) {
            self.requests.pop_front();
        }
    }

    fn count(&mut self, at: Ticks, limit: usize) {
        // More than this changes nothing but the wait.
        if self.requests.len() < limit * 10 {
            self.requests.push_back(at);
        }
    }

    /// Counts a request; when it is refused, how long until the next one would not be.
    pub(crate) fn admit(&mut self, settings: &QuotaSettings, now: Ticks) -> Result<(), Ticks> {
        self.let_other_consume(settings, now);
        let window = i64::from(settings.seconds) * SECOND;
        let limit = settings.requests as usize;
        self.forget(now - window);
        let admitted = self.requests.len() < limit;
        self.count(now, limit);
        if admitted {
            return Ok(());
        }
        let decisive = self.requests.get(self.requests.len() - limit).copied();
        Err(decisive.map_or(window, |at| at + window - now))
    }

    /// Counts requests that somebody else sends now.
    pub(crate) fn consume(&mut self, settings: &QuotaSettings, requests: u32, now: Ticks) {
        self.forget(now - i64::from(settings.seconds) * SECOND);
        for _ in 0..requests {
            self.count(now, settings.requests as usize);
        }
    }

    /// How many requests are counted at present.
    pub(crate) fn used(&mut self, settings: &QuotaSettings, now: Ticks) -> usize {
        self.let_other_consume(settings, now);
        self.forget(now - i64::from(settings.seconds) * SECOND);
        self.requests.len()
    }

    /// Sends the requests of the other consumer that are due, as far as the quota allows.
    fn let_other_consume(&mut self, settings: &QuotaSettings, now: Ticks) {
        if settings.other_consumer <= 0.0 {
            self.other = None;
            return;
        }
        let window = i64::from(settings.seconds) * SECOND;
        let pause = ((60.0 * SECOND as f64 / settings.other_consumer) as Ticks).max(1);
        let mut next = self.other.unwrap_or(now).max(now - window);
        while next <= now {
            self.forget(next - window);
            if self.requests.len() < settings.requests as usize {
                self.requests.push_back(next);
            }
            next += pause;
        }
        self.other = Some(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> QuotaSettings {
        QuotaSettings {
            requests: 3,
            seconds: 10,
            ..QuotaSettings::default()
        }
    }

    #[test]
    fn the_window_rolls_and_refusals_count() {
        let (mut quota, settings) = (Quota::default(), settings());
        let mut admit = |second: i64| quota.admit(&settings, second * SECOND);
        assert!(admit(0).is_ok() && admit(1).is_ok() && admit(2).is_ok());
        // The refused one counts too: 1, 2 and 5 are in the window until 11.
        assert_eq!(admit(5), Err(6 * SECOND));
        assert!(admit(10).is_err());
        assert!(admit(30).is_ok());
    }

    #[test]
    fn another_consumer_takes_its_part() {
        let mut quota = Quota::default();
        let settings = QuotaSettings {
            other_consumer: 12.0,
            ..settings()
        };
        assert_eq!(quota.used(&settings, 0), 1);
        assert_eq!(quota.used(&settings, 5 * SECOND), 2);
        assert!(quota.admit(&settings, 6 * SECOND).is_ok());
        assert_eq!(quota.admit(&settings, 7 * SECOND), Err(8 * SECOND));
        quota.consume(&settings, 5, 100 * SECOND);
        assert!(quota.admit(&settings, 100 * SECOND).is_err());
    }
}
