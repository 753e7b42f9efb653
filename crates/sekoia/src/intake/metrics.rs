//! What an intake counts (I-02), for one intake key.

use std::sync::atomic::AtomicU64;

use chrono::{DateTime, Utc};
use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};

use crate::metrics::{Freshness, Metrics};

/// The buckets of the Python client, which dashboards know.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

type Labels = Vec<(&'static str, String)>;
type Seconds = Counter<f64, AtomicU64>;

pub(super) struct IntakeMetrics {
    key: String,
    requests: Family<Labels, Counter>,
    freshness: Freshness,
    pub(super) forwarded: Counter,
    /// Successes that proved nothing.
    pub(super) uncertain: Counter,
    pub(super) doubled: Counter,
    pub(super) discarded: Counter,
    /// Time from the first request of a batch to its acceptance.
    pub(super) duration: Histogram,
    pub(super) retries: Counter,
    pub(super) waiting: Seconds,
}

impl IntakeMetrics {
    pub(super) fn new(metrics: &Metrics, key: &str) -> Self {
        let labels: Labels = vec![("intake_key", key.to_owned())];
        let counter = |name, help| {
            let family: Family<Labels, Counter> = metrics.figure(name, help);
            family.get_or_create_owned(&labels)
        };
        let duration = metrics.register(
            "forward_events_duration",
            "Duration of the forward events",
            Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS)),
        );
        let waiting: Family<Labels, Seconds> = metrics.figure(
            "intake_waiting_seconds",
            "Time spent waiting before a request to the intake is sent again",
        );
        Self {
            forwarded: counter(
                "forwarded_events",
                "Number of events forwarded to Sekoia.io",
            ),
            discarded: counter(
                "discarded_events",
                "Number of events discarded from the collect",
            ),
            uncertain: counter("intake_uncertain_answers", "Uncertain answers"),
            doubled: counter(
                "intake_maybe_doubled_events",
                "Number of events sent again that the intake may hold already",
            ),
            retries: counter(
                "intake_retries",
                "Number of requests sent to the intake again",
            ),
            requests: metrics.figure(
                "intake_requests",
                "Number of requests sent to the intake, by status or failure",
            ),
            duration: duration.get_or_create_owned(&labels),
            waiting: waiting.get_or_create_owned(&labels),
            freshness: metrics.freshness(),
            key: key.to_owned(),
        }
    }

    /// A request was answered with this status, or failed in this way.
    pub(super) fn request(&self, status: &str) {
        let labels = vec![
            ("intake_key", self.key.clone()),
            ("status", status.to_owned()),
        ];
        self.requests.get_or_create(&labels).inc();
    }

    pub(super) fn accepted_up_to(&self, newest: DateTime<Utc>) {
        self.freshness.accepted(&self.key, newest);
    }
}
