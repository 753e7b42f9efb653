//! `reporting.svc/MessageTraceDetail`.

use serde_json::json;

use super::{Refusal, dialect, query::query};
use crate::{
    Emulator, ReportSettings,
    answer::{Answer, Call},
    microsoft::{
        details,
        render::{ATOM, ATOM_TYPE},
    },
    settings::Dialect,
    time::ticks,
};

/// What happened to the message and recipient that the filter names, within its window.
pub(super) fn message_trace_detail(
    emulator: &Emulator,
    settings: &ReportSettings,
    call: &Call,
) -> Result<Answer, Refusal> {
    let query = query(settings, call, emulator.clock().now())?;
    let named = |property: &str| {
        let mut conditions = query.conditions.iter();
        let condition = conditions.find(|condition| condition.property == property)?;
        (condition.operator == "eq").then(|| condition.value.text())
    };
    let (Some(id), Some(recipient)) = (named("MessageTraceId"), named("RecipientAddress")) else {
        return Err(Refusal::bad(
            "MessageTraceId and RecipientAddress must be specified.",
        ));
    };
    let window = ticks(query.start)..=ticks(query.end);
    let events = details::of_report(emulator, id, recipient, &window);
    Ok(match dialect(settings, call) {
        Dialect::Verbose => Answer::json(200, &json!({ "d": { "results": events } })),
        Dialect::Light => Answer::json(200, &json!({ "value": events })),
        Dialect::Atom => Answer::new(200, ATOM_TYPE, ATOM),
    })
}
