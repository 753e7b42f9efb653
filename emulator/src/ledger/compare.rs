//! Compares a delivered event with the row that it is about.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{Discretion, Status, TraceRow, microsoft::details::Step, time::instant};

/// Fields that belong to the query, not to the row.
const OF_THE_QUERY: [&str; 5] = ["__metadata", "StartDate", "EndDate", "Index", "@odata.type"];

/// Nanoseconds of a thousandth of a second.
const THOUSANDTH: i64 = 1_000_000;

/// What happened to the message, if the module was told to ask.
pub(super) const DETAILS: &str = "details";

/// What a field must hold.
enum Expected {
    Text(String),
    /// A status as Graph spells it.
    Status(Status),
    Optional(Option<String>),
    Number(u32),
    /// A time, cut to the precision in which it is given.
    Time(DateTime<Utc>),
}

/// The fields of `event` that do not say what is true of `row` with `status`.
pub(super) fn altered(
    event: &Map<String, Value>,
    graph: bool,
    row: &TraceRow,
    status: Status,
    discretion: &Discretion,
) -> Vec<String> {
    let expected = if graph {
        graph_fields(row, status)
    } else {
        report_fields(event, row, status)
    };
    let wrong = expected
        .iter()
        .filter(|(name, expected)| !event.get(*name).is_some_and(|value| expected.is(value)))
        .map(|(name, _)| (*name).to_owned());
    let unknown = event
        .keys()
        .filter(|name| !OF_THE_QUERY.contains(&name.as_str()))
        .filter(|name| *name != DETAILS || !discretion.wants_details(status))
        .filter(|name| !expected.iter().any(|(known, _)| known == name))
        .map(|name| format!("{name} (unknown)"));
    let details = event
        .get(DETAILS)
        .filter(|details| !are_details(details, discretion));
    let details = details.map(|_| DETAILS.to_owned());
    wrong.chain(unknown).chain(details).collect()
}

/// Whether it is a list of what happened to a message, with nothing that must not leave.
fn are_details(details: &Value, discretion: &Discretion) -> bool {
    let names: &[&str] = match discretion.hides_nothing() {
        true => &["dateTime", "event", "action", "description", "data"],
        false => &["dateTime", "event", "action"],
    };
    let is_event = |event: &Value| {
        let members = event.as_object().into_iter().flatten();
        let mut members =
            members.map(|(name, value)| names.contains(&name.as_str()) && value.is_string());
        event.get("event").is_some()
            && event.get("dateTime").is_some()
            && members.all(|is_well| is_well)
    };
    let events = details.as_array();
    events.is_some_and(|events| !events.is_empty() && events.iter().all(is_event))
}

/// Whether each of these details is among what happened to their message: those of another are no better
/// than invented ones.
pub(super) fn happened(details: &Value, steps: &[Step]) -> bool {
    let is_step = |detail: &Value| {
        let [date, event] = ["dateTime", "event"]
            .map(|name| detail.get(name).and_then(Value::as_str).unwrap_or_default());
        let mut steps = steps.iter();
        steps.any(|(at, name, _)| *name == event && is_time(date, instant(*at)))
    };
    let details = details.as_array();
    details.is_some_and(|details| details.iter().all(is_step))
}

fn report_fields(
    event: &Map<String, Value>,
    row: &TraceRow,
    status: Status,
) -> Vec<(&'static str, Expected)> {
    // A row that comes from Graph in this form cannot know the organization.
    let organization = match event.get("Organization").and_then(Value::as_str) {
        Some("") | None => Expected::Optional(None),
        Some(_) => Expected::Text(row.organization.clone()),
    };
    let date = format!("/Date({})/", row.received.timestamp_millis());
    vec![
        ("Organization", organization),
        ("MessageId", Expected::Optional(row.message_id.clone())),
        ("Received", Expected::Text(date)),
        ("SenderAddress", Expected::Text(row.sender.clone())),
        ("RecipientAddress", Expected::Text(row.recipient.clone())),
        ("Subject", Expected::Optional(row.subject.clone())),
        ("Status", Expected::Text(status.to_string())),
        ("ToIP", Expected::Optional(row.to_ip.clone())),
        ("FromIP", Expected::Optional(row.from_ip.clone())),
        ("Size", Expected::Number(row.size)),
        ("MessageTraceId", Expected::Text(row.trace_id.to_string())),
    ]
}

fn graph_fields(row: &TraceRow, status: Status) -> Vec<(&'static str, Expected)> {
    vec![
        ("id", Expected::Text(row.trace_id.to_string())),
        ("senderAddress", Expected::Text(row.sender.clone())),
        ("recipientAddress", Expected::Text(row.recipient.clone())),
        ("messageId", Expected::Optional(row.message_id.clone())),
        ("receivedDateTime", Expected::Time(row.received)),
        ("subject", Expected::Optional(row.subject.clone())),
        ("size", Expected::Number(row.size)),
        ("fromIP", Expected::Optional(row.from_ip.clone())),
        ("toIP", Expected::Optional(row.to_ip.clone())),
        ("status", Expected::Status(status)),
    ]
}

impl Expected {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Status(status) => value.as_str().is_some_and(|text| {
                text == status.camel() || status.is_future() && text == "unknownFutureValue"
            }),
            Self::Text(text) => value.as_str() == Some(text),
            Self::Optional(Some(text)) => value.as_str() == Some(text),
            Self::Optional(None) => value.is_null() || value.as_str() == Some(""),
            Self::Number(number) => value.as_u64() == Some(u64::from(*number)),
            Self::Time(time) => value.as_str().is_some_and(|text| is_time(text, *time)),
        }
    }
}

/// Whether `text` is `time`, as far as its digits go. Graph shows thousandths of a second, also with more digits.
fn is_time(text: &str, time: DateTime<Utc>) -> bool {
    let digits = match text.split_once('.') {
        Some((_, fraction)) => fraction.trim_end_matches('Z').len() as u32,
        None => 0,
    };
    let grain = 10_i64.pow(9_u32.saturating_sub(digits));
    let nanos = i64::from(time.timestamp_subsec_nanos());
    text.parse::<DateTime<Utc>>().is_ok_and(|given| {
        given.timestamp() == time.timestamp()
            && [grain, THOUSANDTH]
                .map(|grain| nanos - nanos % grain)
                .contains(&i64::from(given.timestamp_subsec_nanos()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_as_far_as_they_are_given() {
        let time = "2026-11-22T10:00:00.1234567Z".parse().unwrap();
        assert!(is_time("2026-11-22T10:00:00Z", time));
        assert!(is_time("2026-11-22T10:00:00.123Z", time));
        assert!(is_time("2026-11-22T10:00:00.1234567Z", time));
        assert!(!is_time("2026-11-22T10:00:00.124Z", time));
        assert!(!is_time("2026-11-22T10:00:01Z", time));
    }
}
