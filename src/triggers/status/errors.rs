//! What fails.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sekoia::ProcessProbe;
use serde_json::json;

use super::{Line, line, span};

/// What went wrong lately, or in an earlier life.
pub(super) fn errors(probe: &ProcessProbe, now: DateTime<Utc>) -> Line {
    let process = probe.process.as_ref();
    let count = process.map(|process| process.errors.count);
    let sides = process.map(|process| &process.errors.sides);
    let failing = sides.map_or_else(String::new, failing);
    let own = process.and_then(|process| process.errors.last());
    let last = own.or(probe.kept_error.as_ref());
    let told = last.map(|line| {
        let age = span(now - line.time.and_utc());
        (age, flat(&line.text))
    });
    let text = match (count, &told) {
        (Some(0), None) => "none since its start".to_owned(),
        (Some(0), Some((age, text))) if own.is_some() => {
            format!("none now; the last one was {age} ago: {text}")
        }
        (Some(0), Some((age, text))) => {
            format!("none since its start; the last one before was {age} ago: {text}")
        }
        (Some(count), None) => format!("{count} since the last success{failing}"),
        (Some(count), Some((age, text))) => {
            format!("{count} since the last success{failing}, the last one {age} ago: {text}")
        }
        (None, Some((age, text))) => format!("the last one was {age} ago: {text}"),
        (None, None) => "none kept: see its log, in Sekoia.io or on its standard error".to_owned(),
    };
    let facts = json!({
        "since_last_success": count,
        "by_side": sides,
        "last": last.map(|line| line.time.and_utc()),
        "text": told.map(|(_, text)| text),
    });
    line("errors", text, facts, count.is_some_and(|count| count > 0))
}

/// Which sides fail, in brackets.
fn failing(sides: &BTreeMap<String, u64>) -> String {
    let sides: Vec<String> = sides
        .iter()
        .map(|(side, count)| format!("{side} {count}"))
        .collect();
    match sides.is_empty() {
        true => String::new(),
        false => format!(" ({})", sides.join(", ")),
    }
}

/// A text of the log in one line.
fn flat(text: &str) -> String {
    let parts = text.split(char::is_control).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use sekoia::{LogLine, MemoryBackend, Storage};

    use super::*;
    use crate::triggers::{Subject, status, status::SeenLetters, tenant::Origin};

    fn probe(storage: Storage) -> ProcessProbe {
        ProcessProbe {
            storage,
            place: "here".to_owned(),
            root: None,
            in_use: true,
            port: 8000,
            process: None,
            other_answers: false,
            is_untold: false,
            kept_error: None,
        }
    }

    /// As while it waits for the lease of an object store: another port would help nothing.
    #[tokio::test]
    async fn a_trigger_that_does_not_tell_its_files_is_not_taken_for_another_one() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        for is_untold in [true, false] {
            let probe = ProcessProbe {
                other_answers: true,
                is_untold,
                ..probe(Storage::new(MemoryBackend::default()))
            };
            let report = status(&probe, None, now, &mut SeenLetters::default()).await;
            let line = report.lines.iter().find(|line| line.name == "process");
            let text = &line.unwrap().text;
            assert_eq!(text.contains("it may wait for them"), is_untold, "{text}");
            assert_eq!(text.contains("liveness_port"), !is_untold, "{text}");
        }
    }

    #[tokio::test]
    async fn a_tenant_that_is_not_collected_has_no_error_of_another_one() {
        let (one, other) = (
            "11111111-aaaa-4aaa-8aaa-111111111111",
            "22222222-aaaa-4aaa-8aaa-222222222222",
        );
        let storage = Storage::new(MemoryBackend::default());
        let binding = json!({"version": 1, "tenant": one, "tenant_id": one, "service": "graph"});
        storage
            .write("tenant.json", binding.to_string())
            .await
            .unwrap();
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let probe = ProcessProbe {
            kept_error: Some(LogLine {
                time: now.naive_utc(),
                text: "its secret has expired".to_owned(),
            }),
            ..probe(storage)
        };
        for (tenant, is_told) in [(one, true), (other, false)] {
            let subject = Subject::new(tenant, Origin::Graph);
            let report = status(&probe, Some(&subject), now, &mut SeenLetters::default()).await;
            let line = report.lines.iter().find(|line| line.name == "errors");
            let text = &line.unwrap().text;
            assert_eq!(text.contains("has expired"), is_told, "{text}");
        }
    }
}
