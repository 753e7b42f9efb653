//! What happened to a message on its way to one recipient.

use chrono::SecondsFormat;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Emulator, Status,
    rows::Life,
    time::{SECOND, Ticks, instant},
};

/// The events of a message and recipient; none for unknown ones.
pub(super) fn events(emulator: &Emulator, id: &str, recipient: &str) -> Vec<Value> {
    let now = emulator.ticks();
    let found = Uuid::parse_str(id)
        .ok()
        .and_then(|id| emulator.world().rows.find(id, recipient, now))
        .filter(|(life, _)| life.visible <= now);
    let Some((life, row)) = found else {
        return Vec::new();
    };
    let mut events: Vec<Value> = steps(&life, now)
        .into_iter()
        .map(|(at, event, description)| {
            json!({
                "id": row.trace_id,
                "messageId": row.message_id,
                "dateTime": instant(at).to_rfc3339_opts(SecondsFormat::Secs, true),
                "event": event,
                "action": "",
                "description": description,
                "data": "<root><MEP Name=\"Emulated\" String=\"\"/></root>",
            })
        })
        .collect();
    // The service does not order what happened in the same second.
    events.swap(0, 1);
    events
}

fn steps(life: &Life, now: Ticks) -> Vec<(Ticks, &'static str, &'static str)> {
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
