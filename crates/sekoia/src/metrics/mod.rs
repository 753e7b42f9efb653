//! Prometheus metrics, of the contract and of the triggers (I-01 to I-04).

mod exposition;
mod process;

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use base::{Clock, lock};
use chrono::{DateTime, TimeDelta, Utc};
use http::{Response, StatusCode, header::ACCEPT, request::Parts};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::{Metric, Registry},
};

use super::serve::text;

/// Every metric's name starts with this (I-02).
pub(super) const NAMESPACE: &str = "symphony_module_common";

/// Handle on the metrics of the process; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Inner>>);

struct Inner {
    registry: Registry,
    known: HashMap<&'static str, Box<dyn Any + Send>>,
    freshness: Freshness,
}

impl Metrics {
    /// Metrics of the process itself; `clock` tells how old the newest event is.
    pub fn new(clock: Clock) -> Self {
        let process = process::Process::new(clock.now());
        let freshness = Freshness::new(clock);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(freshness.clone()));
        registry.register_collector(Box::new(process));
        Self(Arc::new(Mutex::new(Inner {
            registry,
            known: HashMap::new(),
            freshness,
        })))
    }

    /// Exposes a metric as `symphony_module_common_<name>`; counters get `_total` after it.
    ///
    /// The metric that was first registered under a name stays: it is what every later call gives
    /// back, so that a trigger that is run again goes on counting where it was.
    pub fn register<M: Metric + Clone>(&self, name: &'static str, help: &str, metric: M) -> M {
        let mut inner = lock(&self.0);
        let known = inner
            .known
            .get(name)
            .and_then(|any| any.downcast_ref::<M>());
        if let Some(metric) = known {
            return metric.clone();
        }
        debug_assert!(
            !inner.known.contains_key(name),
            "{name} is a metric of another type"
        );
        let full = format!("{NAMESPACE}_{name}");
        inner.registry.register(full, help, metric.clone());
        inner.known.insert(name, Box::new(metric.clone()));
        metric
    }

    /// The same of a metric that begins with nothing.
    pub fn figure<M: Metric + Clone + Default>(&self, name: &'static str, help: &str) -> M {
        self.register(name, help, M::default())
    }

    /// The clock that dates events is ahead of that of this machine by so much: they are as old as it says.
    pub fn events_are_dated_ahead(&self, by: TimeDelta) {
        *lock(&self.freshness().ahead) = by;
    }

    pub(super) fn freshness(&self) -> Freshness {
        lock(&self.0).freshness.clone()
    }

    /// The answer of the metrics server, the same for each path (I-01).
    pub(super) fn answer(&self, request: &Parts) -> Response<String> {
        let accept = request
            .headers
            .get(ACCEPT)
            .and_then(|value| value.to_str().ok());
        match exposition::render(&lock(&self.0).registry, accept.unwrap_or("")) {
            Ok((content_type, body)) => text(StatusCode::OK, content_type, body),
            Err(fmt::Error) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain",
                "cannot encode the metrics\n".to_owned(),
            ),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// The key of an intake, and the date of the newest event that it has accepted.
type Newest = (String, DateTime<Utc>);

/// The key of the intake that has accepted events last, and the date of the newest of them. A process
/// has one at a time: the age of what one has accepted that nothing goes to any more would only grow.
#[derive(Clone, Debug)]
pub(crate) struct Freshness {
    clock: Clock,
    newest: Arc<Mutex<Option<Newest>>>,
    /// How far the clock that dates events is ahead of ours.
    ahead: Arc<Mutex<TimeDelta>>,
}

impl Freshness {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            newest: Arc::default(),
            ahead: Arc::default(),
        }
    }

    /// Events up to this date were accepted; an older date than before changes nothing, unless another
    /// intake has accepted that.
    pub(crate) fn accepted(&self, intake_key: &str, newest: DateTime<Utc>) {
        let mut kept = lock(&self.newest);
        match kept.as_mut() {
            Some((key, date)) if key.as_str() == intake_key => *date = newest.max(*date),
            _ => *kept = Some((intake_key.to_owned(), newest)),
        }
    }
}

impl Collector for Freshness {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some((intake_key, date)) = lock(&self.newest).clone() else {
            return Ok(());
        };
        let name = format!("{NAMESPACE}_events_lags");
        let help = "The delay (seconds) from the date of the last event";
        let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        let now = self.clock.now().checked_add_signed(*lock(&self.ahead));
        let age = now.and_then(|now| (now - date).to_std().ok());
        let age = age.unwrap_or_default();
        let labels = [("intake_key", intake_key.as_str())];
        let encoder = family.encode_family(&labels)?;
        ConstGauge::new(age.as_secs_f64()).encode(encoder)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use prometheus_client::metrics::{counter::Counter, family::Family};

    use super::*;

    /// The exposition a scraper gets with this `Accept` header.
    pub(crate) fn scrape(metrics: &Metrics, accept: &str) -> (String, String) {
        let request = http::Request::get("/any").header(ACCEPT, accept);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let answer = metrics.answer(&parts);
        let kind = answer.headers()[http::header::CONTENT_TYPE]
            .to_str()
            .unwrap();
        (kind.to_owned(), answer.body().clone())
    }

    fn metrics() -> Metrics {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        Metrics::new(Clock::virtual_from(start))
    }

    #[tokio::test(start_paused = true)]
    async fn both_formats_are_well_formed() {
        let metrics = metrics();
        let new = Family::<Vec<(&str, &str)>, Counter>::default;
        let rows = metrics.register("rows", "Number of rows", new());
        rows.get_or_create(&vec![("kind", "a")]).inc();
        let again = metrics.register("rows", "Number of rows", new());
        again.get_or_create(&vec![("kind", "a")]).inc();
        assert_eq!(
            rows.get_or_create(&vec![("kind", "a")]).get(),
            2,
            "the same metric"
        );

        let (kind, body) = scrape(&metrics, "*/*");
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        let block = "# HELP symphony_module_common_rows_total Number of rows\n\
             # TYPE symphony_module_common_rows_total counter\n\
             symphony_module_common_rows_total{kind=\"a\"} 2\n";
        assert!(body.contains(block), "{body}");
        assert!(!body.contains("# EOF"), "{body}");
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
        ] {
            let line = body.lines().find(|line| line.starts_with(name)).unwrap();
            let value = line.split(' ').nth(1).unwrap().parse::<f64>().unwrap();
            assert!(value > 0.0 || name.contains("cpu"), "{line}");
        }

        let (kind, body) = scrape(&metrics, "application/openmetrics-text; version=1.0.0");
        assert_eq!(
            kind,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        assert!(
            body.contains("# TYPE symphony_module_common_rows counter\n"),
            "{body}"
        );
        assert!(body.ends_with("# EOF\n"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn freshness_ages_by_itself_and_is_never_negative() {
        let metrics = metrics();
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let lag = || {
            let (_, body) = scrape(&metrics, "");
            let name = "symphony_module_common_events_lags{intake_key=\"k\"} ";
            let value = body
                .lines()
                .find_map(|line| line.strip_prefix(name).map(str::to_owned));
            value.map(|value| value.parse::<f64>().unwrap())
        };
        assert_eq!(lag(), None);
        metrics
            .freshness()
            .accepted("k", start + TimeDelta::seconds(30));
        metrics
            .freshness()
            .accepted("k", start - TimeDelta::seconds(30));
        assert_eq!(lag(), Some(0.0));
        tokio::time::advance(std::time::Duration::from_secs(90)).await;
        assert_eq!(lag(), Some(60.0));
    }

    /// Else a clock that is wrong hides that nothing comes, or says so while all does.
    #[tokio::test(start_paused = true)]
    async fn freshness_goes_by_the_clock_that_dates_events() {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let days = TimeDelta::days;
        for ahead in [2, -2] {
            let metrics = metrics();
            let newest = start + days(ahead) - TimeDelta::seconds(30);
            metrics.freshness().accepted("k", newest);
            metrics.events_are_dated_ahead(days(ahead));
            let (_, body) = scrape(&metrics, "");
            let told = "\nsymphony_module_common_events_lags{intake_key=\"k\"} 30.0\n";
            assert!(body.contains(told), "{body}");
        }
    }

    /// As when the key of the intake is changed while the process runs.
    #[tokio::test(start_paused = true)]
    async fn freshness_is_of_the_intake_that_has_accepted_last() {
        let metrics = metrics();
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        metrics.freshness().accepted("old", start);
        tokio::time::advance(std::time::Duration::from_secs(90)).await;
        metrics
            .freshness()
            .accepted("new", start - TimeDelta::seconds(30));
        let (_, body) = scrape(&metrics, "");
        let told: Vec<&str> = body
            .lines()
            .filter_map(|line| line.strip_prefix("symphony_module_common_events_lags"))
            .collect();
        assert_eq!(told, ["{intake_key=\"new\"} 120.0"]);
    }
}
