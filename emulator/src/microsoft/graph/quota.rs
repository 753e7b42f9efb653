//! How many requests a tenant may send, counted over all of its clients.

use std::collections::VecDeque;

use crate::{
    settings::QuotaSettings,
    time::{SECOND, Ticks},
};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    List,
    Details,
}

/// The requests of the latest window.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    lists: Counter,
    details: Counter,
    /// When the other consumer sends its next request.
    other: Option<Ticks>,
}

#[derive(Debug, Default)]
struct Counter(VecDeque<Ticks>);

impl Counter {
    fn forget(&mut self, before: Ticks) {
        while self.0.front().is_some_and(|at| *at <= before) {
            self.0.pop_front();
        }
    }

    fn count(&mut self, at: Ticks, limit: usize) {
        // More than this changes nothing but the wait.
        if self.0.len() < limit * 10 {
            self.0.push_back(at);
        }
    }
}

impl Quota {
    /// Counts a request; when it is refused, how long until the next one would not be.
    pub(crate) fn admit(
        &mut self,
        settings: &QuotaSettings,
        kind: Kind,
        now: Ticks,
    ) -> Result<(), Ticks> {
        self.let_other_consume(settings, now);
        let window = i64::from(settings.seconds) * SECOND;
        let limit = settings.requests as usize;
        let counter = match kind {
            Kind::Details if !settings.details_shared => &mut self.details,
            _ => &mut self.lists,
        };
        counter.forget(now - window);
        if counter.0.len() < limit {
            counter.count(now, limit);
            return Ok(());
        }
        if settings.refused_count {
            counter.count(now, limit);
        }
        let decisive = counter.0.get(counter.0.len() - limit).copied();
        Err(decisive.map_or(window, |at| at + window - now))
    }

    /// Counts requests that somebody else sends now.
    pub(crate) fn consume(&mut self, settings: &QuotaSettings, requests: u32, now: Ticks) {
        self.lists
            .forget(now - i64::from(settings.seconds) * SECOND);
        for _ in 0..requests {
            self.lists.count(now, settings.requests as usize);
        }
    }

    /// How many requests are counted at present.
    pub(crate) fn used(&mut self, settings: &QuotaSettings, now: Ticks) -> usize {
        self.let_other_consume(settings, now);
        self.lists
            .forget(now - i64::from(settings.seconds) * SECOND);
        self.lists.0.len()
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
            self.lists.forget(next - window);
            if self.lists.0.len() < settings.requests as usize {
                self.lists.0.push_back(next);
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
        let mut admit = |second: i64| quota.admit(&settings, Kind::List, second * SECOND);
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
        assert!(quota.admit(&settings, Kind::List, 6 * SECOND).is_ok());
        assert_eq!(
            quota.admit(&settings, Kind::Details, 7 * SECOND),
            Err(8 * SECOND)
        );
        quota.consume(&settings, 5, 100 * SECOND);
        assert!(quota.admit(&settings, Kind::List, 100 * SECOND).is_err());
    }
}
