//! What the running module says of itself: `/health`, `/metrics`, `status --json` and its files.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;

use super::asked::Asked;

/// The names of its own metrics begin with this.
const OWN: &str = "symphony_module_common_";

/// The lanes of a collection.
pub(crate) const LANES: [&str; 5] = ["live", "settle", "backlog", "backfill", "verify"];

/// The bounds of the histogram of lateness, in seconds, and their names.
pub(crate) const LATENESS: [(&str, &str); 10] = [
    ("1.0", "1 s"),
    ("10.0", "10 s"),
    ("30.0", "30 s"),
    ("60.0", "1 min"),
    ("120.0", "2 min"),
    ("300.0", "5 min"),
    ("600.0", "10 min"),
    ("1800.0", "30 min"),
    ("3600.0", "1 h"),
    ("7200.0", "2 h"),
];

/// What a look at the module found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    /// The body of `/health`, and whether it said 200; none while nothing answers.
    pub(crate) health: Option<(bool, Value)>,
    /// The metrics; none while nothing answers, or when it was not asked.
    pub(crate) metrics: Option<Metrics>,
    /// `status --json`; none when it was not asked.
    pub(crate) status: Option<Value>,
}

/// Metrics by their name with labels, as they are exposed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(HashMap<String, f64>);

impl Metrics {
    fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((
                name.strip_prefix(OWN).unwrap_or(name).to_owned(),
                value.parse().ok()?,
            ))
        });
        Self(samples.collect())
    }

    /// A sample; 0 for one that is not there.
    pub(crate) fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// Pages that were read, by lane.
    pub(crate) fn lanes(&self) -> [f64; LANES.len()] {
        LANES.map(|lane| self.get(&format!("lane_requests_total{{lane=\"{lane}\"}}")))
    }

    /// Rows by lateness: as many as were late by the bound at most, and more than by the one before;
    /// the last is what was later.
    pub(crate) fn lateness(&self) -> Vec<f64> {
        let mut before = 0.0;
        let mut counts = Vec::with_capacity(LATENESS.len() + 1);
        for (bound, _) in LATENESS {
            let until = self.get(&format!("lateness_seconds_bucket{{le=\"{bound}\"}}"));
            counts.push((until - before).max(0.0));
            before = until.max(before);
        }
        counts.push((self.get("lateness_seconds_count") - before).max(0.0));
        counts
    }
}

/// Looks at the module: at its health, and at everything else where `all` is asked.
pub(crate) async fn look(
    client: reqwest::Client,
    health: u16,
    metrics: u16,
    asked: Option<Asked>,
) -> Probe {
    let mut probe = Probe::default();
    if let Some((status, text)) = get(&client, health, "health").await
        && let Ok(body) = serde_json::from_str(&text)
    {
        probe.health = Some((status, body));
    }
    if let Some(asked) = asked {
        let answer = get(&client, metrics, "metrics").await;
        probe.metrics = answer.map(|(_, text)| Metrics::read(&text));
        probe.status = asked.status().await.ok();
    }
    probe
}

async fn get(client: &reqwest::Client, port: u16, path: &str) -> Option<(bool, String)> {
    let url = format!("http://127.0.0.1:{port}/{path}");
    let request = client.get(url).timeout(Duration::from_secs(1)).send();
    let answer = request.await.ok()?;
    Some((answer.status().is_success(), answer.text().await.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_as_they_are_exposed() {
        let metrics = Metrics::read(
            "# HELP x\nsymphony_module_common_lane_requests_total{lane=\"live\"} 3\n\
             symphony_module_common_lateness_seconds_bucket{le=\"1.0\"} 2\n\
             symphony_module_common_lateness_seconds_bucket{le=\"10.0\"} 5\n\
             symphony_module_common_lateness_seconds_count 9\n\
             ",
        );
        assert_eq!(metrics.lanes(), [3.0, 0.0, 0.0, 0.0, 0.0]);
        let lateness = metrics.lateness();
        assert_eq!((lateness[0], lateness[1], lateness[10]), (2.0, 3.0, 4.0));
    }
}
