//! How old the newest accepted event is, told at the time of the scrape (I-04, departure).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use base::Clock;
use chrono::{DateTime, Utc};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::NAMESPACE;

/// The date of the newest accepted event of each intake.
#[derive(Clone, Debug)]
pub(crate) struct Freshness {
    clock: Clock,
    newest: Arc<Mutex<BTreeMap<String, DateTime<Utc>>>>,
}

impl Freshness {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            newest: Arc::default(),
        }
    }

    /// Events up to this date were accepted; an older date than before changes nothing.
    pub(crate) fn accepted(&self, intake_key: &str, newest: DateTime<Utc>) {
        let mut dates = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match dates.get_mut(intake_key) {
            Some(date) => *date = newest.max(*date),
            None => {
                dates.insert(intake_key.to_owned(), newest);
            }
        }
    }
}

impl Collector for Freshness {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let dates = self
            .newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if dates.is_empty() {
            return Ok(());
        }
        let name = format!("{NAMESPACE}_events_lags");
        let help = "The delay (seconds) from the date of the last event";
        let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        let now = self.clock.now();
        for (intake_key, date) in dates {
            let age = (now - date).to_std().unwrap_or_default();
            let labels = [("intake_key", intake_key.as_str())];
            ConstGauge::new(age.as_secs_f64()).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
