//! What is looked at in the text of an event, of either service.

use std::sync::Arc;

use collect::{RowText, verify::RowName};
use rows::json::{Raw, Scanner};
use serde::Deserialize;

/// What a person finds the message by, in rows of either service.
pub(super) fn message_id(event: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Ids {
        #[serde(alias = "MessageId", alias = "messageId")]
        message_id: Option<String>,
        #[serde(alias = "MessageTraceId", alias = "id")]
        trace_id: Option<String>,
    }
    let ids = serde_json::from_str::<Ids>(event).ok();
    ids.and_then(|ids| ids.message_id.or(ids.trace_id))
}

/// No id in the trace is longer: it is a GUID.
const LONGEST_ID: usize = 64;

/// Reads rows of either service.
#[derive(Debug)]
pub(super) struct TraceText;

impl RowText for TraceText {
    fn name(&self, event: &[u8]) -> RowName {
        #[derive(Default, Deserialize)]
        struct Names {
            #[serde(alias = "MessageTraceId", alias = "id")]
            trace_id: Option<String>,
            #[serde(alias = "RecipientAddress", alias = "recipientAddress")]
            recipient: Option<String>,
        }
        let names = serde_json::from_slice::<Names>(event).unwrap_or_default();
        RowName {
            message_trace_id: names.trace_id,
            recipient: names.recipient,
        }
    }

    fn message_of(&self, event: &[u8]) -> Option<Arc<str>> {
        let id = self.name(event).message_trace_id?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_id = !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(is_plain);
        is_id.then(|| id.into())
    }

    fn shorten(&self, event: &str, most: usize) -> Option<String> {
        shorten(event, most)
    }
}

/// The names of a subject, in either service.
const SUBJECTS: [&str; 2] = ["Subject", "subject"];

/// So much of a subject is left when it is cut, in characters.
const SUBJECT: usize = 1000;

/// The event with its subject cut, which says so; none when it has no long subject, or is longer than
/// `most` bytes nevertheless. All else stays byte for byte, and is not taken apart: a hostile row would
/// need far more memory than its text.
fn shorten(event: &str, most: usize) -> Option<String> {
    let mut found: Option<(usize, Raw<'_>)> = None;
    let mut scanner = Scanner::new(event);
    scanner.object(|scanner, name| {
        scanner.peek()?;
        let start = scanner.position();
        let value = scanner.value()?;
        let is_longest = found.is_none_or(|(_, other)| other.json.len() < value.json.len());
        if SUBJECTS.contains(&name) && is_longest {
            found = Some((start, value));
        }
        Some(())
    })?;
    if scanner.peek().is_some() {
        return None;
    }
    let (start, value) = found?;
    // Null and numbers are no text.
    let subject = value.string()?;
    let left: String = subject.chars().take(SUBJECT).collect();
    let cut = subject.len() - left.len();
    if cut == 0 {
        return None;
    }
    let text = format!("{left} [cut by message-trace: {cut} bytes of the subject are left out]");
    let text = serde_json::to_string(&text).ok()?;
    let (before, after) = (event.get(..start)?, event.get(start + value.json.len()..)?);
    let fits = before.len() + text.len() + after.len() <= most;
    fits.then(|| [before, &text, after].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_subject_is_cut_when_that_makes_the_event_fit() {
        for name in ["Subject", "subject"] {
            let long = "é".repeat(150_000);
            let event = json!({"MessageId": "<m>", name: long, "Size": 5});
            let cut = shorten(&event.to_string(), 250_000).unwrap();
            let cut: Value = serde_json::from_str(&cut).unwrap();
            let subject = cut[name].as_str().unwrap();
            assert!(subject.starts_with(&"é".repeat(1000)));
            assert!(
                subject
                    .ends_with(" [cut by message-trace: 298000 bytes of the subject are left out]")
            );
            assert_eq!(
                (&cut["MessageId"], &cut["Size"]),
                (&json!("<m>"), &json!(5))
            );
        }
        let other = json!({"Subject": "s", "To": "x".repeat(300_000)}).to_string();
        assert_eq!(shorten(&other, 250_000), None, "another member is long");
        let both = json!({"Subject": "s".repeat(9000), "To": "x".repeat(300_000)}).to_string();
        assert_eq!(shorten(&both, 250_000), None, "it does not fit");
        let first = json!({"Subject": "s".repeat(9000)}).to_string();
        for damaged in [
            "no json",
            &format!("{first}x"),
            first.trim_start_matches('{'),
        ] {
            assert_eq!(shorten(damaged, 250_000), None);
        }
        for other in [json!(null), json!(5), json!(["s".repeat(9000)]), json!("s")] {
            let event = json!({"Subject": other}).to_string();
            assert_eq!(shorten(&event, 250_000), None, "{other}");
        }
    }

    #[test]
    fn a_row_is_named_in_events_of_either_service() {
        let rows = [
            json!({"MessageTraceId": "a", "RecipientAddress": "b@c", "Size": 1}),
            json!({"id": "a", "recipientAddress": "b@c", "subject": null}),
        ];
        for row in rows {
            let name = TraceText.name(row.to_string().as_bytes());
            assert_eq!(name.message_trace_id.as_deref(), Some("a"));
            assert_eq!(name.recipient.as_deref(), Some("b@c"));
        }
        assert_eq!(TraceText.name(b"[]"), RowName::default());
    }

    #[test]
    fn the_message_is_found_in_events_of_either_service() {
        let id = |event: Value| message_id(&event.to_string());
        assert_eq!(
            id(json!({"MessageId": "<a>", "MessageTraceId": "b"})).unwrap(),
            "<a>"
        );
        assert_eq!(id(json!({"messageId": null, "id": "b"})).unwrap(), "b");
        assert_eq!(id(json!({"subject": "s"})), None);
    }
}
