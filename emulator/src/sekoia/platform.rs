//! Logs and secrets of the platform, and a stand-in of Sentry.

use axum::http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    Emulator, LogEntry,
    answer::{Answer, Call},
};

#[derive(Deserialize)]
struct Logs {
    logs: Vec<LogEntry>,
}

fn refused(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({ "message": message }))
}

/// The refusal of a request with the wrong method or token.
fn check(emulator: &Emulator, call: &Call, method: &Method) -> Result<(), Box<Answer>> {
    if call.method != *method {
        return Err(Box::new(refused(405, "method not allowed")));
    }
    let world = emulator.world();
    if call.bearer() != Some(world.settings.platform.token.expose()) {
        return Err(Box::new(refused(401, "the token is not accepted")));
    }
    Ok(())
}

/// `POST url_logs` (contract row G-01).
pub(super) fn logs(emulator: &Emulator, call: &Call) -> Answer {
    if let Err(refused) = check(emulator, call, &Method::POST) {
        return *refused;
    }
    match serde_json::from_slice::<Logs>(&call.body) {
        Ok(Logs { logs }) => {
            let mut world = emulator.world();
            let settings = &world.settings.platform;
            let longest = settings.longest_log_request;
            if longest.is_some_and(|longest| call.body.len() > longest) {
                return refused(413, "the request is too long");
            }
            let is_refused = |entry: &LogEntry| {
                let mut texts = settings.refused_log_texts.iter();
                texts.any(|text| entry.message.contains(text))
            };
            if logs.iter().any(is_refused) {
                return refused(422, "a message is not accepted");
            }
            logs.into_iter().for_each(|entry| world.logs.push(entry));
            Answer::json(200, &json!({}))
        }
        Err(error) => refused(400, &error.to_string()),
    }
}

/// `GET url_secrets` (contract rows D-03, D-04).
pub(super) fn secrets(emulator: &Emulator, call: &Call) -> Answer {
    if let Err(refused) = check(emulator, call, &Method::GET) {
        return *refused;
    }
    let settings = &emulator.world().settings.platform;
    let mut body = json!({ "value": settings.secrets });
    if !settings.node_secrets.is_empty() {
        body["node_value"] = Value::Object(settings.node_secrets.clone());
    }
    Answer::json(200, &body)
}

/// `POST /api/1/envelope/` of Sentry.
pub(super) fn envelope(emulator: &Emulator, call: &Call) -> Answer {
    emulator.world().envelopes.push(call.body.clone());
    Answer::json(200, &json!({ "id": Uuid::new_v4().simple().to_string() }))
}
