//! What is allowed of the quota, for dashboards.

use chrono::{DateTime, Utc};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use sekoia::Metrics;

/// A figure without labels that is gone while there is nothing to tell.
type Passing = Family<[(&'static str, &'static str); 0], Gauge>;

/// Metrics outlive a run, and the next one may read another service, of which no quota is known.
#[derive(Clone, Debug)]
pub(super) struct QuotaFigures {
    allowed: Passing,
    restored: Passing,
}

impl QuotaFigures {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            allowed: metrics.figure(
                "quota_allowed_requests",
                "Requests to the message trace in 5 minutes that are allowed at present",
            ),
            restored: metrics.figure(
                "quota_restored_timestamp_seconds",
                "When all of `quota` is allowed again; 0 when it is",
            ),
        }
    }

    /// So many requests are allowed, and all of them again from then on.
    pub(super) fn tell(&self, allowed: u32, restored: Option<DateTime<Utc>>) {
        self.allowed.get_or_create(&[]).set(allowed.into());
        let restored = restored.map_or(0, |at| at.timestamp());
        self.restored.get_or_create(&[]).set(restored);
    }

    /// What the run before has told does not hold any more.
    pub(super) fn forget(&self) {
        self.allowed.clear();
        self.restored.clear();
    }
}

#[cfg(test)]
mod tests {
    use base::Clock;

    use super::*;

    /// As when the settings change from Microsoft Graph to the Reporting Web Service.
    #[test]
    fn the_next_run_tells_nothing_of_the_quota_of_the_one_before() {
        let metrics = Metrics::new(Clock::system());
        let before = QuotaFigures::new(&metrics);
        before.tell(60, DateTime::from_timestamp(1_800_000_000, 0));
        assert_eq!(before.allowed.get_or_create(&[]).get(), 60);
        QuotaFigures::new(&metrics).forget();
        assert!(before.allowed.get(&[]).is_none() && before.restored.get(&[]).is_none());
        before.tell(90, None);
        assert_eq!(before.restored.get_or_create(&[]).get(), 0);
    }
}
