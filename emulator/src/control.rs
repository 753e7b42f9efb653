//! The control interface under `/_emulator`, for people who play with the binary.

use std::{error::Error, fmt::Display};

use axum::http::Method;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Action, Emulator, Endpoint, FaultRule, Scope, Settings,
    added::Added,
    answer::{Answer, Call},
};

const HELP: &str = "\
GET    /_emulator/verdict            what was never delivered, twice, or unasked
GET    /_emulator/verdict?format=json
GET    /_emulator/freshness          how soon what is new was delivered; ?frequency=60&format=json
GET    /_emulator/stats              requests by endpoint and status
GET    /_emulator/requests           the latest 100 requests; or those ?after=0, oldest first
POST   /_emulator/ledger/forget      forgets every delivery, for a collector that begins anew
GET    /_emulator/accepted           what the intake has accepted since the event number
                                     ?after=0, the newest ?most=100 of it
GET    /_emulator/logs               the same of the log entries of the platform
GET    /_emulator/quota              how much of the tenant's quota is used, by everybody
POST   /_emulator/rows               adds a row: {\"recipient\":\"a@contoso.example\",
                                     \"visible_in\":60}; see the README
GET    /_emulator/settings           every switch
PATCH  /_emulator/settings           turns switches: {\"report\":{\"permitted\":false}}
GET    /_emulator/faults             the faults in force
POST   /_emulator/faults             adds one: {\"endpoint\":\"report\",\"kind\":\"answer\",
                                     \"status\":503,\"times\":3}
DELETE /_emulator/faults             clears them; ?endpoint=report for those of one endpoint
POST   /_emulator/traffic/stop       no further mail is received
POST   /_emulator/traffic/resume
";

#[derive(Deserialize)]
struct NewFault {
    endpoint: Endpoint,
    #[serde(flatten)]
    rule: FaultRule,
}

pub(crate) fn answer(emulator: &Emulator, rest: &str, call: &Call) -> Answer {
    let done = || Answer::json(200, &json!({ "done": true }));
    carry_out(emulator, rest, call).map_or_else(
        |error| Answer::json(400, &json!({ "error": error.to_string() })),
        |answer| answer.unwrap_or_else(done),
    )
}

/// The answer; none for an order that was carried out.
fn carry_out(
    emulator: &Emulator,
    rest: &str,
    call: &Call,
) -> Result<Option<Answer>, Box<dyn Error>> {
    let body: &[u8] = &call.body;
    let answer = match (&call.method, rest.trim_matches('/')) {
        (&Method::GET, "") => Answer::new(200, "text/plain; charset=utf-8", HELP),
        (&Method::GET, "verdict") => report(call, &emulator.verdict(&Scope::default())),
        (&Method::GET, "freshness") => freshness(emulator, call),
        (&Method::GET, "stats") => Answer::json(200, &stats(emulator)),
        (&Method::GET, "requests") if call.option("after").is_some() => {
            let (after, most) = since(call);
            Answer::json(200, &json!(emulator.requests_since(after, most).items))
        }
        (&Method::GET, "requests") => {
            let world = emulator.world();
            let latest: Vec<_> = world.journal.all().rev().take(100).collect();
            Answer::json(200, &json!(latest))
        }
        (&Method::GET, "accepted") => {
            let (after, most) = since(call);
            let new = emulator.accepted_since(after, most);
            let events = new.items.iter();
            let events = events.map(|event| json!({ "at": event.at, "text": event.text }));
            let events: Vec<_> = events.collect();
            Answer::json(200, &json!({ "number": new.number, "events": events }))
        }
        (&Method::GET, "logs") => {
            let (after, most) = since(call);
            let new = emulator.logs_since(after, most);
            Answer::json(200, &json!({ "number": new.number, "logs": new.items }))
        }
        (&Method::GET, "quota") => Answer::json(200, &json!(emulator.quota_use())),
        (&Method::GET, "settings") => Answer::json(200, &json!(emulator.settings())),
        (&Method::GET, "faults") => Answer::json(200, &json!(emulator.world().faults.rules())),
        (&Method::POST, "rows") => {
            let rows = serde_json::from_slice::<Added>(body)?.add(emulator)?;
            Answer::json(200, &json!({ "rows": rows }))
        }
        (method, rest) => {
            match (method, rest) {
                (&Method::POST, "ledger/forget") => emulator.forget_deliveries(),
                (&Method::PATCH, "settings") => {
                    let changes = serde_json::from_slice(body)?;
                    let settings = emulator.settings().merged(&changes)?;
                    emulator.configure(|present| *present = settings);
                }
                (&Method::POST, "faults") => {
                    let new: NewFault = serde_json::from_slice(body)?;
                    emulator.fault(new.endpoint, new.rule);
                }
                (&Method::DELETE, "faults") => {
                    let endpoint = call.option("endpoint").map(Value::String);
                    let endpoint = endpoint.map(serde_json::from_value).transpose()?;
                    emulator.world().faults.clear(endpoint);
                }
                (&Method::POST, "traffic/stop") => emulator.stop_traffic(),
                (&Method::POST, "traffic/resume") => emulator.act(Action::ResumeTraffic),
                _ => return Ok(Some(Answer::new(404, "text/plain; charset=utf-8", HELP))),
            }
            return Ok(None);
        }
    };
    Ok(Some(answer))
}

/// After which number, and how many at most.
fn since(call: &Call) -> (u64, usize) {
    let number = |name| call.option(name).and_then(|text| text.parse::<u64>().ok());
    let most = number("most").unwrap_or(100).min(10_000);
    (
        number("after").unwrap_or(0),
        usize::try_from(most).unwrap_or(100),
    )
}

fn freshness(emulator: &Emulator, call: &Call) -> Answer {
    let frequency = call.option("frequency");
    let frequency = frequency.and_then(|seconds| seconds.parse().ok());
    let frequency = TimeDelta::try_seconds(frequency.unwrap_or(60));
    report(
        call,
        &emulator.freshness(None, frequency.unwrap_or_default()),
    )
}

/// A report as text, or as JSON for who asks for that.
fn report(call: &Call, report: &(impl Serialize + Display)) -> Answer {
    if call.option("format").as_deref() == Some("json") {
        Answer::json(200, &json!(report))
    } else {
        Answer::new(200, "text/plain; charset=utf-8", report.to_string())
    }
}

/// How many of the remembered requests there were, by endpoint and status.
fn stats(emulator: &Emulator) -> Value {
    let mut counts = serde_json::Map::new();
    for request in emulator.world().journal.all() {
        let status = request
            .status
            .map_or_else(|| String::from("none"), |status| status.to_string());
        let by_status = counts
            .entry(request.endpoint.to_string())
            .or_insert_with(|| json!({}));
        let count = by_status[&status].as_u64().unwrap_or(0);
        by_status[&status] = json!(count + 1);
    }
    Value::Object(counts)
}

/// Settings that are not shown, and how to keep them.
type Keep = (&'static str, fn(&mut Settings, &Settings));

const SECRETS: [Keep; 7] = [
    ("/report/accounts", |new, old| {
        new.report.accounts.clone_from(&old.report.accounts)
    }),
    ("/identity/apps", |new, old| {
        new.identity.apps.clone_from(&old.identity.apps)
    }),
    ("/intake/keys", |new, old| {
        new.intake.keys.clone_from(&old.intake.keys)
    }),
    ("/discretion/hash_key", |new, old| {
        new.discretion.hash_key.clone_from(&old.discretion.hash_key);
    }),
    ("/platform/token", |new, old| {
        new.platform.token.clone_from(&old.platform.token)
    }),
    ("/platform/secrets", |new, old| {
        new.platform.secrets.clone_from(&old.platform.secrets)
    }),
    ("/platform/node_secrets", |new, old| {
        new.platform
            .node_secrets
            .clone_from(&old.platform.node_secrets);
    }),
];

impl Settings {
    /// These settings with `changes` laid over them.
    pub(crate) fn merged(&self, changes: &Value) -> Result<Self, serde_json::Error> {
        let mut all = json!(self);
        merge(&mut all, changes);
        let mut merged: Self = serde_json::from_value(all)?;
        // What is secret was masked on the way, unless it is what changes.
        for (path, keep) in SECRETS {
            if changes.pointer(path).is_none() {
                keep(&mut merged, self);
            }
        }
        Ok(merged)
    }
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (name, value) in changes {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}
