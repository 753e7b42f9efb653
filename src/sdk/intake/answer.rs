//! What an intake's answer means (J-09, J-11, W-02, W-04).

use std::collections::BTreeMap;

use http::StatusCode;
use rows::json::Scanner;
use serde_json::Value;

/// The meaning of one answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The events are in, but for the ones rejected.
    Accepted(Confirmation),
    /// Too many bytes at once: ask again with less.
    TooLarge,
    /// Asking again soon may help: the intake is busy or down.
    Unavailable(String),
    /// Somebody has to do something; the sentence says what.
    Refused(String),
}

/// What an accepting answer says about single events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Confirmation {
    /// Reasons by index in the request.
    pub(super) rejected: BTreeMap<usize, String>,
    /// Events that the answer does not mention, when it does not say which.
    pub(super) unclear: usize,
}

/// Reads an answer to a request with `count` events.
pub(super) fn verdict(host: &str, status: StatusCode, body: &[u8], count: usize) -> Verdict {
    if status.is_success() {
        return Verdict::Accepted(confirmation(body, count));
    }
    let said = String::from_utf8_lossy(body);
    let what = format!("the intake {host} answers {status}");
    let detail = match said.trim() {
        "" => String::new(),
        text => format!(" ({})", text.chars().take(200).collect::<String>()),
    };
    let refused = |advice: &str| Verdict::Refused(format!("{what}{detail}: {advice}"));
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Verdict::TooLarge,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY => {
            Verdict::Unavailable(what + &detail)
        }
        _ if status.is_server_error() => Verdict::Unavailable(what + &detail),
        StatusCode::UNPROCESSABLE_ENTITY if said.contains("INTAKE_KEY_ERROR") => refused(
            "it does not know the intake key. A new intake takes some minutes to be ready; \
             otherwise compare intake_key with the key on the intake's page in Sekoia.io",
        ),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused(
            "it refuses the intake key: compare intake_key with the key on the intake's page in \
             Sekoia.io, and intake_server with your region",
        ),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => refused(
            "there is no intake at this address: compare intake_server with the address of your region",
        ),
        _ if status.is_redirection() => refused(
            "it points elsewhere, which is not followed: compare intake_server with the address of \
             your region",
        ),
        _ => refused(
            "it does not take the request: compare intake_key with the key on the intake's page in \
             Sekoia.io, and if that is right, report this to the maintainers",
        ),
    }
}

/// Reads the body of an accepting answer. Its shape for rejected events is not documented, so
/// every plausible one is understood; what is no JSON says nothing.
fn confirmation(body: &[u8], count: usize) -> Confirmation {
    let mut confirmation = Confirmation::default();
    if let Some(ids) = identifiers_alone(body) {
        if ids > 0 {
            confirmation.unclear = count.saturating_sub(ids);
        }
        return confirmation;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return confirmation;
    };
    let rejected = &mut confirmation.rejected;
    match &answer {
        Value::Array(items) if items.len() == count => per_event(items, rejected),
        Value::Object(fields) => {
            for (name, value) in fields {
                let Value::Array(items) = value else { continue };
                let about_failures =
                    matches!(name.as_str(), "errors" | "rejected" | "failed" | "failures");
                if about_failures && items.iter().any(|item| position(item).is_some()) {
                    listed(items, count, rejected);
                } else if items.len() == count {
                    per_event(items, rejected);
                } else if about_failures {
                    confirmation.unclear = items.len().min(count);
                }
            }
            let ids = fields
                .get("event_ids")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            if ids > 0 && ids + rejected.len() < count {
                confirmation.unclear = confirmation.unclear.max(count - ids - rejected.len());
            }
        }
        _ => {}
    }
    confirmation
}

/// How many identifiers an answer has that has nothing else, as nearly all have.
fn identifiers_alone(body: &[u8]) -> Option<usize> {
    let mut ids = 0;
    let mut scanner = Scanner::new(simdutf8::basic::from_utf8(body).ok()?);
    scanner.object(|scanner, name| {
        ids += scanner.strings().filter(|_| name == "event_ids")?;
        Some(())
    })?;
    scanner.peek().is_none().then_some(ids)
}

/// One item for each event, in order: an identifier, null, or an object with its fate.
fn per_event(items: &[Value], rejected: &mut BTreeMap<usize, String>) {
    for (index, item) in items.iter().enumerate() {
        if let Some(reason) = failure(item) {
            // A list of failures knows more than a missing identifier.
            rejected.entry(index).or_insert(reason);
        }
    }
}

/// One item for each failed event, with its index.
fn listed(items: &[Value], count: usize, rejected: &mut BTreeMap<usize, String>) {
    for item in items {
        if let Some(index) = position(item).filter(|index| *index < count) {
            let reason = failure(item).or_else(|| reason(item));
            rejected.insert(
                index,
                reason.unwrap_or_else(|| "no reason given".to_owned()),
            );
        }
    }
}

fn position(item: &Value) -> Option<usize> {
    let number = match item {
        Value::Object(fields) => ["index", "position", "event_index"]
            .iter()
            .find_map(|name| fields.get(*name))?,
        other => other,
    };
    usize::try_from(number.as_u64()?).ok()
}

/// Why the event behind this item was not taken; None when it was.
fn failure(item: &Value) -> Option<String> {
    match item {
        Value::Null => Some("no identifier was given to it".to_owned()),
        Value::Object(fields) => {
            let refused = match fields.get("status") {
                Some(Value::Number(code)) => code.as_u64().is_some_and(|code| code >= 400),
                Some(Value::String(word)) => {
                    let word = word.to_ascii_lowercase();
                    ["error", "fail", "reject", "refus", "invalid", "drop", "too"]
                        .iter()
                        .any(|bad| word.contains(bad))
                }
                _ => fields.get("error").is_some_and(|error| !error.is_null()),
            };
            refused.then(|| reason(item).unwrap_or_else(|| "no reason given".to_owned()))
        }
        _ => None,
    }
}

fn reason(item: &Value) -> Option<String> {
    let said = ["error", "reason", "message", "detail", "status"]
        .iter()
        .find_map(|name| item.get(*name).filter(|value| !value.is_null()))?;
    let text = said
        .as_str()
        .map_or_else(|| said.to_string(), str::to_owned);
    Some(text.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rejected(body: &Value, count: usize) -> Vec<(usize, String)> {
        let body = body.to_string();
        match verdict("h", StatusCode::OK, body.as_bytes(), count) {
            Verdict::Accepted(confirmation) => confirmation.rejected.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn full_acceptance() {
        for body in [
            json!({"event_ids": ["a", "b"]}),
            json!({}),
            json!({"event_ids": []}),
            json!("ok"),
            json!(null),
        ] {
            assert_eq!(rejected(&body, 2), [], "{body}");
        }
        let answer = verdict("h", StatusCode::OK, b"<html>", 2);
        assert_eq!(answer, Verdict::Accepted(Confirmation::default()));
    }

    #[test]
    fn rejected_events_in_every_plausible_shape() {
        let big = "too large".to_owned();
        for body in [
            json!({"event_ids": ["a", null, "c"], "errors": [{"index": 1, "error": "too large"}]}),
            json!({"event_ids": ["a", {"status": 413, "message": "too large"}, "c"]}),
            json!({"statuses": [{"status": "ok"}, {"status": "rejected", "reason": "too large"}, {"status": 200}]}),
            json!({"rejected": [{"position": 1, "detail": "too large"}]}),
            json!({"failed": [{"index": 1, "status": 413, "error": "too large"}]}),
            json!([{"id": "a"}, {"error": "too large"}, {"id": "c", "error": null}]),
        ] {
            assert_eq!(rejected(&body, 3), [(1, big.clone())], "{body}");
        }
        assert_eq!(rejected(&json!({"event_ids": ["a", null]}), 2).len(), 1);
        assert_eq!(rejected(&json!({"failed": [0, 2, 9]}), 3).len(), 2);
    }

    #[test]
    fn missing_confirmations_are_noticed() {
        let body = json!({"event_ids": ["a"]}).to_string();
        let Verdict::Accepted(confirmation) = verdict("h", StatusCode::OK, body.as_bytes(), 3)
        else {
            panic!()
        };
        assert_eq!(
            confirmation,
            Confirmation {
                rejected: BTreeMap::new(),
                unclear: 2
            }
        );
    }

    #[test]
    fn statuses_are_sorted_by_what_helps() {
        let ask = |status: u16, body: &str| {
            verdict(
                "h",
                StatusCode::from_u16(status).unwrap(),
                body.as_bytes(),
                1,
            )
        };
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(
                matches!(ask(status, ""), Verdict::Unavailable(_)),
                "{status}"
            );
        }
        for (status, word) in [
            (400, "maintainers"),
            (401, "intake_key"),
            (403, "intake_key"),
            (404, "intake_server"),
            (302, "intake_server"),
        ] {
            let Verdict::Refused(sentence) = ask(status, "") else {
                panic!("{status}")
            };
            assert!(sentence.contains(word), "{sentence}");
        }
        let Verdict::Refused(sentence) = ask(422, r#"{"error":"INTAKE_KEY_ERROR"}"#) else {
            panic!()
        };
        assert!(sentence.contains("takes some minutes"), "{sentence}");
        assert_eq!(ask(413, "x"), Verdict::TooLarge);
    }
}
