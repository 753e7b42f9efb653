//! What happened to a message on its way to one recipient.

use std::ops::RangeInclusive;

use chrono::SecondsFormat;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Emulator, Status, TraceRow,
    rows::Life,
    time::{SECOND, Ticks, instant},
};

/// The data of an event, as both services write it; the Reporting Web Service escapes it besides.
const DATA: &str = "<root><MEP Name=\"Emulated\" String=\"\"/></root>";

/// The events of a message and recipient as Graph shows them; none for unknown ones.
pub(super) fn of_graph(emulator: &Emulator, id: &str, recipient: &str) -> Vec<Value> {
    let Some((row, steps)) = find(emulator, id, recipient) else {
        return Vec::new();
    };
    let event = |(at, event, description)| {
        json!({
            "id": row.trace_id,
            "messageId": row.message_id,
            "dateTime": instant(at).to_rfc3339_opts(SecondsFormat::Secs, true),
            "event": event,
            "action": "",
            "description": description,
            "data": DATA,
        })
    };
    steps.into_iter().map(event).collect()
}

/// The events of a message and recipient in a time, as the Reporting Web Service shows them.
pub(super) fn of_report(
    emulator: &Emulator,
    id: &str,
    recipient: &str,
    window: &RangeInclusive<Ticks>,
) -> Vec<Value> {
    let Some((row, steps)) = find(emulator, id, recipient) else {
        return Vec::new();
    };
    let steps = steps.into_iter().filter(|(at, ..)| window.contains(at));
    let event = |(at, event, description)| {
        json!({
            "MessageTraceId": row.trace_id,
            "MessageId": row.message_id,
            "Date": format!("/Date({})/", instant(at).timestamp_millis()),
            "Event": event,
            // May be blank or null.
            "Action": null,
            "Detail": description,
            "Data": utf8_percent_encode(DATA, NON_ALPHANUMERIC).to_string(),
        })
    };
    steps.map(event).collect()
}

/// When it happened, its name, and a sentence.
pub(crate) type Step = (Ticks, &'static str, &'static str);

fn find(emulator: &Emulator, id: &str, recipient: &str) -> Option<(TraceRow, Vec<Step>)> {
    let now = emulator.ticks();
    let id = Uuid::parse_str(id).ok()?;
    let (life, row) = emulator.world().rows.find(id, recipient, now)?;
    if life.visible > now {
        return None;
    }
    let mut steps = steps(&life, now);
    // The service does not order what happened in the same second.
    steps.swap(0, 1);
    Some((row, steps))
}

/// What has happened to a row by now.
pub(crate) fn steps(life: &Life, now: Ticks) -> Vec<Step> {
    let mut steps = vec![
        (life.received, "Receive", "Message received by: EMULATED"),
        (
            life.received + SECOND / 1000,
            "Submit",
            "The message was submitted.",
        ),
    ];
    for (since, status) in life.timeline.steps() {
        let event = match status {
            Status::Pending => ("Defer", "The message was deferred."),
            Status::Delivered => ("Deliver", "The message was delivered."),
            Status::Expanded => ("Expand distribution list", "The group was expanded."),
            Status::Failed => ("Fail", "The message could not be delivered."),
            Status::Quarantined => ("Quarantine", "The message was quarantined."),
            Status::FilteredAsSpam => ("Spam", "The message was marked as spam."),
            Status::Recalled => ("Recall", "The message was recalled."),
            Status::Resolved => ("Resolve", "The recipient was resolved to another address."),
            Status::None | Status::GettingStatus => continue,
        };
        if *since <= now {
            steps.push((*since, event.0, event.1));
        }
    }
    steps
}
