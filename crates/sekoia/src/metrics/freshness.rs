//! How old the newest accepted event is, told at the time of the scrape (I-04, departure).

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use base::{Clock, lock};
use chrono::{DateTime, Utc};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::NAMESPACE;

/// The key of an intake, and the date of the newest event that it has accepted.
type Newest = (String, DateTime<Utc>);

/// The key of the intake that has accepted events last, and the date of the newest of them. A process
/// has one at a time: the age of what one has accepted that nothing goes to any more would only grow.
#[derive(Clone, Debug)]
pub(crate) struct Freshness {
    clock: Clock,
    newest: Arc<Mutex<Option<Newest>>>,
}

impl Freshness {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            newest: Arc::default(),
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
        let age = (self.clock.now() - date).to_std().unwrap_or_default();
        let labels = [("intake_key", intake_key.as_str())];
        let encoder = family.encode_family(&labels)?;
        ConstGauge::new(age.as_secs_f64()).encode(encoder)
    }
}
