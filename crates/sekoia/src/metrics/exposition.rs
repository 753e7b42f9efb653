//! The two text formats of Prometheus.

use std::{
    collections::HashSet,
    fmt::{self, Write as _},
};

use prometheus_client::{encoding::text::encode, registry::Registry};

/// The metrics of a registry in the format that an `Accept` header asks for, and its content type.
///
/// The encoder knows OpenMetrics only. In the plain format a counter's family is called like its
/// samples, with `_total`, and there is no closing mark. Help texts lose the full stop that the
/// registry adds, so that they read as the contract's (I-02).
pub(super) fn render(
    registry: &Registry,
    accept: &str,
) -> Result<(&'static str, String), fmt::Error> {
    let (is_plain, content_type) = match accept.contains("application/openmetrics-text") {
        true => (
            false,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        false => (true, "text/plain; version=0.0.4; charset=utf-8"),
    };
    let mut encoded = String::new();
    encode(&mut encoded, registry)?;
    let counters = encoded.lines();
    let counters: HashSet<&str> = counters
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(encoded.len());
    for line in encoded.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match *words {
            ["#", "EOF"] if is_plain => {}
            ["#", keyword, name, rest] => {
                let is_renamed = is_plain && counters.contains(name);
                let total = if is_renamed { "_total" } else { "" };
                let rest = match keyword {
                    "HELP" => rest.trim_end_matches('.'),
                    _ => rest,
                };
                writeln!(text, "# {keyword} {name}{total} {rest}")?;
            }
            _ => writeln!(text, "{line}")?,
        }
    }
    Ok((content_type, text))
}
