//! The intake's `/batch` (contract rows J-05, J-09, W-02 to W-05).

use std::{io::Read, time::Duration};

use axum::http::{Method, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::AcceptedEvent;
use crate::{
    Emulator, Fault, IntakeSettings, RejectionShape, Secret,
    answer::{Answer, Call, Receipt},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    intake_key: String,
    jsons: Vec<String>,
}

fn refused(status: u16, error: &str, message: &str) -> Answer {
    Answer::json(status, &json!({ "error": error, "message": message }))
}

pub(super) fn batch(emulator: &Emulator, call: &Call, fault: Option<&Fault>) -> Answer {
    if call.method != Method::POST {
        return refused(405, "METHOD_NOT_ALLOWED", "only POST is allowed");
    }
    let settings = emulator.settings().intake;
    let body = match decoded(call, settings.max_body_bytes) {
        Ok(body) => body,
        Err(refused) => return *refused,
    };
    let batch: Batch = match serde_json::from_slice(&body) {
        Ok(batch) => batch,
        Err(error) => return refused(400, "BAD_REQUEST", &error.to_string()),
    };
    if !settings
        .keys
        .iter()
        .any(|key| key.expose() == batch.intake_key)
    {
        let message = "the intake key is not known";
        return refused(422, "INTAKE_KEY_ERROR", message);
    }
    let (rejected, shape) = verdicts(&batch, &settings, fault);
    if shape == RejectionShape::UnknownWords {
        return unknown_words(emulator, batch, &rejected, &settings);
    }
    if !batch.jsons.is_empty() && rejected.iter().all(|rejected| *rejected) {
        let status = if oversize(&batch, &settings) {
            413
        } else {
            422
        };
        return refused(status, "EVENTS_REJECTED", "no event was accepted");
    }
    let ids: Vec<Option<String>> = rejected
        .iter()
        .map(|rejected| (!rejected).then(|| Uuid::new_v4().to_string()))
        .collect();
    let receipt = book(emulator, batch, &rejected);
    let mut answer = Answer::json(200, &told(&ids, shape));
    // Where the answer does not say which events are accepted, nobody can know it.
    let is_told = shape != RejectionShape::ShortIds || ids.iter().all(Option::is_some);
    answer.receipt = Some(receipt).filter(|_| is_told);
    answer.latency = Duration::from_millis(settings.latency_ms);
    answer
}

/// All events are accepted, and of some of them the answer says so in a word that nobody knows.
fn unknown_words(
    emulator: &Emulator,
    batch: Batch,
    odd: &[bool],
    settings: &IntakeSettings,
) -> Answer {
    let id = |odd: &bool| {
        let id = Uuid::new_v4().to_string();
        if *odd {
            json!({ "status": "in quarantine", "event_id": id })
        } else {
            json!(id)
        }
    };
    let ids: Vec<Value> = odd.iter().map(id).collect();
    let accepted = vec![false; odd.len()];
    let mut receipt = book(emulator, batch, &accepted);
    // Nobody can know that the odd ones are accepted.
    let told = receipt.accepted.into_iter().zip(odd);
    let told = told.filter_map(|(one, odd)| (!odd).then_some(one));
    receipt.accepted = told.collect();
    let mut answer = Answer::json(200, &json!({ "event_ids": ids }));
    answer.receipt = Some(receipt);
    answer.latency = Duration::from_millis(settings.latency_ms);
    answer
}

/// The body, uncompressed; the refusal of one that is too large.
fn decoded(call: &Call, most: usize) -> Result<Bytes, Box<Answer>> {
    let too_large = || Box::new(refused(413, "PAYLOAD_TOO_LARGE", "the body is too large"));
    if call.body.len() > most {
        return Err(too_large());
    }
    match call.header(header::CONTENT_ENCODING) {
        "" | "identity" => Ok(call.body.clone()),
        "gzip" => {
            let mut body = Vec::new();
            let mut reader = MultiGzDecoder::new(call.body.as_ref()).take(most as u64 + 1);
            reader
                .read_to_end(&mut body)
                .map_err(|error| Box::new(refused(400, "BAD_REQUEST", &error.to_string())))?;
            if body.len() > most {
                return Err(too_large());
            }
            Ok(body.into())
        }
        other => {
            let message = format!("the content encoding {other} is not supported");
            Err(Box::new(refused(415, "UNSUPPORTED_ENCODING", &message)))
        }
    }
}

fn oversize(batch: &Batch, settings: &IntakeSettings) -> bool {
    let mut events = batch.jsons.iter();
    events.all(|event| event.len() > settings.max_event_bytes)
}

/// For each event whether it is rejected, and how this is told.
fn verdicts(
    batch: &Batch,
    settings: &IntakeSettings,
    fault: Option<&Fault>,
) -> (Vec<bool>, RejectionShape) {
    let mut rejected: Vec<bool> = batch
        .jsons
        .iter()
        .map(|event| event.len() > settings.max_event_bytes)
        .collect();
    let Some(Fault::RejectEvents {
        containing,
        every,
        shape,
    }) = fault
    else {
        return (rejected, RejectionShape::Errors);
    };
    let mut matching = 0;
    for (event, rejected) in batch.jsons.iter().zip(&mut rejected) {
        if event.contains(containing.as_str()) {
            *rejected |= matching % (*every).max(1) == 0;
            matching += 1;
        }
    }
    (rejected, *shape)
}

/// Enters the events into the ledger.
fn book(emulator: &Emulator, batch: Batch, rejected: &[bool]) -> Receipt {
    let (at, now) = (emulator.clock().now(), emulator.ticks());
    let key = batch.intake_key;
    let world = &mut *emulator.world();
    let request = world.ledger.next_request();
    let mut accepted = Vec::with_capacity(batch.jsons.len());
    for (text, rejected) in batch.jsons.into_iter().zip(rejected) {
        if *rejected {
            let discretion = &world.settings.discretion;
            world
                .ledger
                .reject(&key, &text, &mut world.rows, discretion, now);
            continue;
        }
        accepted.extend(world.ledger.accept(
            (&key, request),
            &text,
            &mut world.rows,
            &world.settings.discretion,
            (world.started, now),
        ));
        world.keep(AcceptedEvent {
            at,
            intake_key: Secret::new(key.as_str()),
            text,
        });
    }
    Receipt {
        emulator: emulator.clone(),
        key,
        request,
        accepted,
    }
}

/// The body of the answer.
fn told(ids: &[Option<String>], shape: RejectionShape) -> Value {
    let accepted: Vec<&String> = ids.iter().flatten().collect();
    if accepted.len() == ids.len() {
        return json!({ "event_ids": accepted });
    }
    let message = "the event was rejected";
    match shape {
        RejectionShape::NullIds | RejectionShape::UnknownWords => json!({ "event_ids": ids }),
        RejectionShape::ShortIds => json!({ "event_ids": accepted }),
        RejectionShape::Errors => {
            let errors: Vec<Value> = (0..ids.len())
                .filter(|index| ids[*index].is_none())
                .map(|index| json!({ "index": index, "status": 413, "message": message }))
                .collect();
            json!({ "event_ids": accepted, "errors": errors })
        }
        RejectionShape::Statuses => {
            let status = |id: &Option<String>| if id.is_some() { 200 } else { 413 };
            let statuses: Vec<u16> = ids.iter().map(status).collect();
            json!({ "event_ids": ids, "statuses": statuses })
        }
        RejectionShape::Results => {
            let results: Vec<Value> = ids
                .iter()
                .map(|id| match id {
                    Some(id) => json!({ "status": "accepted", "event_id": id }),
                    None => json!({ "status": "rejected", "error": message }),
                })
                .collect();
            json!({ "event_ids": accepted, "results": results })
        }
    }
}
