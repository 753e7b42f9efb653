//! The two text formats of Prometheus.

use std::fmt;

use prometheus_client::{encoding::text::encode, registry::Registry};

/// What a scraper understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The plain text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for.
    pub(super) fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes the metrics of a registry.
///
/// The encoder knows OpenMetrics only. In the plain format a counter's family is called like its
/// samples, with `_total`, and there is no closing mark. Help texts lose the full stop that the
/// registry adds, so that they read as the contract's (I-02).
pub(super) fn render(registry: &Registry, format: Format) -> Result<String, fmt::Error> {
    let mut encoded = String::new();
    encode(&mut encoded, registry)?;
    let mut text = String::with_capacity(encoded.len());
    let mut lines = encoded.lines().peekable();
    while let Some(line) = lines.next() {
        let total = match format {
            Format::OpenMetrics => "",
            Format::Text if line == "# EOF" => continue,
            Format::Text => {
                let is_counter =
                    |kind: &str| kind.starts_with("# TYPE ") && kind.ends_with(" counter");
                let kind = lines.peek().filter(|_| line.starts_with("# HELP "));
                if is_counter(kind.unwrap_or(&line)) {
                    "_total"
                } else {
                    ""
                }
            }
        };
        match line.strip_prefix("# ").and_then(|rest| {
            let (keyword, rest) = rest.split_once(' ')?;
            let (name, rest) = rest.split_once(' ')?;
            Some((keyword, name, rest))
        }) {
            Some((keyword, name, rest)) => {
                let rest = if keyword == "HELP" {
                    rest.trim_end_matches('.')
                } else {
                    rest
                };
                text.push_str(&format!("# {keyword} {name}{total} {rest}\n"));
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(text)
}
