//! The events of an answer, in every dialect of both services.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use percent_encoding::percent_decode_str;
use rows::{RowKeyer, RowSpan, date};
use serde::{Deserialize, Serialize};

use crate::{
    errors::Unreadable,
    page::{self, Envelope, not_a_page},
};

/// An event: read under the names of either service, written under those of Graph.
#[derive(Deserialize, Serialize)]
struct Told {
    #[serde(
        rename = "dateTime",
        alias = "Date",
        skip_serializing_if = "Option::is_none"
    )]
    date: Option<String>,
    #[serde(alias = "Event", skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(alias = "Action", skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(alias = "Detail", skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(alias = "Data", skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

/// The events of an answer as a JSON list, the oldest first; none when there is none.
/// An error when it is not certain to be a whole list of events.
pub(super) fn read(
    body: &[u8],
    keyer: &RowKeyer,
    secrets: &[&str],
) -> Result<Option<String>, Unreadable> {
    // It has the form of a page, whose rows are events.
    let Envelope { rows, next } = Envelope::read(body, keyer, secrets)?;
    if next.is_some() {
        return Err(Unreadable::NotAll);
    }
    let text = page::text(body)?;
    let mut events = Vec::with_capacity(rows.spans.len());
    for place in rows.spans.iter().map(RowSpan::range) {
        let event = text.get(place.clone()).unwrap_or_default();
        let told = serde_json::from_str(event).map_err(|_| not_a_page(text, place.start))?;
        events.push(shown(told));
    }
    // The services do not order what happened in the same second.
    events.sort_by_key(|(at, _)| *at);
    let events: Vec<Told> = events.into_iter().map(|(_, event)| event).collect();
    if events.is_empty() {
        return Ok(None);
    }
    // Such a list can always be written.
    Ok(serde_json::to_string(&events).ok())
}

fn shown(told: Told) -> (Option<DateTime<Utc>>, Told) {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let at = told
        .date
        .as_ref()
        .and_then(|date| date::instant(date.as_bytes()));
    let date = match at {
        Some(at) => Some(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        None => filled(told.date),
    };
    let event = Told {
        date,
        event: filled(told.event),
        action: filled(told.action),
        description: filled(told.description),
        data: filled(told.data).map(unescaped),
    };
    (at, event)
}

/// XML, which the Reporting Web Service escapes as in an address.
fn unescaped(data: String) -> String {
    match percent_decode_str(&data).decode_utf8() {
        Ok(Cow::Owned(decoded)) if decoded.starts_with('<') && !data.starts_with('<') => decoded,
        _ => data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<Option<String>, Unreadable> {
        super::read(body, &RowKeyer::new([1; 16]), &[])
    }

    fn events(body: &str) -> Option<String> {
        read(body.as_bytes()).unwrap()
    }

    #[test]
    fn every_dialect_has_the_same_form() {
        let expected = r#"[{"dateTime":"2026-11-22T12:00:00Z","event":"Receive","description":"Message received."},{"dateTime":"2026-11-22T12:00:01.500Z","event":"Fail","action":"x","data":"<root a=\"%20\"/>"}]"#;
        let graph = r#"{"@odata.context":"x","value":[
            {"id":"7","messageId":"<a@b>","dateTime":"2026-11-22T12:00:01.5Z","event":"Fail","action":"x","description":"","data":"<root a=\"%20\"/>"},
            {"id":"7","messageId":"<a@b>","dateTime":"2026-11-22T12:00:00Z","event":"Receive","action":null,"description":"Message received.","data":null}]}"#;
        assert_eq!(events(graph).unwrap(), expected);
        let rows = r#"[
            {"MessageTraceId":"7","Date":"/Date(1795348801500)/","Event":"Fail","Action":"x","Detail":null,"Data":"%3Croot%20a%3D%22%2520%22%2F%3E"},
            {"MessageTraceId":"7","Date":"2026-11-22T12:00:00","Event":"Receive","Detail":"Message received."}]"#;
        for body in [
            format!(r#"{{"value":{rows}}}"#),
            format!("\u{feff}{{\"d\":{{\"results\":{rows}}}}}"),
            format!(r#"{{"d":{rows}}}"#),
        ] {
            assert_eq!(events(&body).unwrap(), expected, "{body}");
        }
        for none in [
            r#"{"value":[]}"#,
            r#"{"value":[],"@odata.nextLink":null}"#,
            r#"{"d":{"results":[],"__next":""}}"#,
        ] {
            assert_eq!(events(none), None);
        }
        assert_eq!(
            events(r#"{"value":[{"event":"Odd","dateTime":"?"}]}"#).unwrap(),
            r#"[{"dateTime":"?","event":"Odd"}]"#
        );
    }

    #[test]
    fn what_is_no_list_of_events_is_an_error() {
        for body in [
            "",
            r#"{"value":[{"event":"Fail"}"#,
            r#"{"value":["Fail"]}"#,
            r#"{"value":[],"error":{}}"#,
            "{}",
            r#"{"d":{}}"#,
            r#"{"value":[],"@odata.nextLink":"x"}"#,
            r#"{"d":{"results":[],"__next":"x"}}"#,
            r#"{"d":[],"odata.nextLink":"x"}"#,
            "<html>",
            "[]",
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
        assert!(read(b"\xff").is_err());
    }
}
