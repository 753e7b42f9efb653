//! What is looked at in the text of an event, of either service.

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
