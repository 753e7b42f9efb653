//! The platform's endpoints against the contract, and the ledger.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use crate::support::{TRACE, deliver, emulator, events, now, post, report, send};
use axum::{
    body::{Body, to_bytes},
    http::{Request, Response},
};
use chrono::TimeDelta;
use emulator::{
    Action, Backlog, Clock, Discretion, Emulator, Endpoint, Fault, Lateness, NewRow, Options,
    RejectionShape, Scope, Status, Traffic,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tower::ServiceExt;

const TOKEN: (&str, &str) = ("authorization", "Bearer emulated-token");

async fn page(emulator: &Emulator) -> Vec<String> {
    let url = format!("{TRACE}?$format=json");
    events(&report(emulator, &url, "*/*").await.json())
}

#[tokio::test]
async fn rows_that_are_delivered_once_give_a_clean_verdict() {
    let emulator = emulator(500);
    let rows = page(&emulator).await;
    let missing = emulator.verdict(&Scope::default());
    assert_eq!((missing.missing.count, missing.expected), (500, 500));
    assert_eq!(
        missing.missing.examples[0].note,
        "was shown to the collector"
    );
    let answer = deliver(&emulator, &rows).await;
    assert_eq!(answer.json()["event_ids"].as_array().unwrap().len(), 500);
    let verdict = emulator.verdict(&Scope::default());
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(
        (verdict.delivered, emulator.accepted_count(None)),
        (500, 500)
    );
    assert_eq!(emulator.accepted()[0].text, rows[0]);
}

#[tokio::test]
async fn the_ledger_finds_what_is_doubled_altered_or_invented() {
    let emulator = emulator(10);
    let rows = page(&emulator).await;
    deliver(&emulator, &rows).await;
    let altered = rows[1].replace("\"Size\":", "\"Size\":1");
    let invented = rows[2].replace("\"MessageTraceId\":\"", "\"MessageTraceId\":\"f00");
    let strings = [rows[0].clone(), altered, invented, String::from("not json")];
    deliver(&emulator, &strings).await;
    let verdict = emulator.verdict(&Scope::default());
    assert_eq!((verdict.doubled.count, verdict.unasked.count), (1, 3));
    let reasons: Vec<_> = verdict
        .unasked
        .examples
        .iter()
        .map(|one| &one.reason)
        .collect();
    assert_eq!(reasons[0], "altered: Size");
    assert!(reasons[2].starts_with("no JSON object"));
    let row: Value = serde_json::from_str(&rows[0]).unwrap();
    let times = emulator.times_delivered(
        row["MessageTraceId"].as_str().unwrap().parse().unwrap(),
        row["RecipientAddress"].as_str().unwrap(),
        Status::parse(row["Status"].as_str().unwrap()).unwrap(),
    );
    assert_eq!(times, 2);
    assert!(verdict.to_string().contains("NOT CLEAN"));
}

#[tokio::test]
async fn a_repetition_after_a_lost_answer_is_told_from_a_doubled_row() {
    let emulator = emulator(10);
    let rows = page(&emulator).await;
    emulator.fault(Endpoint::Intake, Fault::ResetAfter.times(1));
    assert!(deliver(&emulator, &rows).await.dropped);
    assert_eq!(deliver(&emulator, &rows).await.status, 200);
    let verdict = emulator.verdict(&Scope::default());
    assert!(verdict.is_clean(), "{verdict}");
    assert_eq!(verdict.doubled_unacknowledged.count, 10);
    deliver(&emulator, &rows[..1]).await;
    assert_eq!(emulator.verdict(&Scope::default()).doubled.count, 1);
}

#[tokio::test]
async fn a_row_that_one_request_has_twice_is_doubled() {
    let emulator = emulator(3);
    let rows = page(&emulator).await;
    let twice = [rows.as_slice(), &rows[..1]].concat();
    // The loss of the answer is no excuse.
    emulator.fault(Endpoint::Intake, Fault::ResetAfter.times(1));
    assert!(deliver(&emulator, &twice).await.dropped);
    let verdict = emulator.verdict(&Scope::default());
    let counts = (verdict.doubled.count, verdict.doubled_unacknowledged.count);
    assert_eq!(counts, (1, 0), "{verdict}");
    assert!(!verdict.is_clean());
}

#[tokio::test]
async fn details_of_another_message_are_told_from_its_own() {
    let emulator = emulator(0);
    let wishes = json!({ "details": ["delivered"] });
    let discretion = Discretion::of_trigger(wishes.as_object().unwrap()).unwrap();
    emulator.configure(|settings| settings.discretion = discretion);
    let at = now() - TimeDelta::minutes(10);
    emulator.add_row(NewRow::new(at, "a@corp.example"));
    let rows = page(&emulator).await;
    let with = |event: &str, at: chrono::DateTime<chrono::Utc>| {
        let mut row: Value = serde_json::from_str(&rows[0]).unwrap();
        row["details"] = json!([{ "dateTime": at, "event": event }]);
        row.to_string()
    };
    let minute = TimeDelta::minutes(1);
    let events = [
        with("Receive", at),
        with("Receive", at + minute),
        with("Fail", at),
    ];
    deliver(&emulator, &events).await;
    let verdict = emulator.verdict(&Scope::default());
    assert_eq!((verdict.delivered, verdict.unasked.count), (1, 2));
    let reason = &verdict.unasked.examples[0].reason;
    assert_eq!(reason, "altered: details (of another message)");
}

#[tokio::test]
async fn an_answer_that_is_no_longer_than_a_cut_excuses_nothing() {
    for (bytes, doubled) in [(20, 0), (100_000, 3)] {
        let emulator = emulator(3);
        let rows = page(&emulator).await;
        emulator.fault(Endpoint::Intake, Fault::Cut { bytes }.times(1));
        deliver(&emulator, &rows).await;
        deliver(&emulator, &rows).await;
        assert_eq!(emulator.verdict(&Scope::default()).doubled.count, doubled);
    }
}

/// Delivers events. The answer leaves when its body is read.
async fn begin(emulator: &Emulator, events: &[String]) -> Response<Body> {
    let body = json!({ "intake_key": "emulated-intake-key", "jsons": events });
    let request = Request::post("/intake/batch").body(Body::from(body.to_string()));
    let router = emulator.sekoia_router();
    router.oneshot(request.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_row_in_two_requests_at_once_is_doubled_as_soon_as_the_first_is_answered() {
    let read = async |answer: Response<Body>| {
        to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    };
    for second_leaves in [false, true] {
        let emulator = emulator(3);
        let counts = || {
            let verdict = emulator.verdict(&Scope::default());
            let repeated = &verdict.doubled_unacknowledged;
            assert_eq!(repeated.examples.len() as u64, repeated.count);
            (verdict.doubled.count, repeated.count)
        };
        let rows = page(&emulator).await;
        let first = begin(&emulator, &rows).await;
        let second = begin(&emulator, &rows[..1]).await;
        assert_eq!(counts(), (0, 1));
        if second_leaves {
            read(second).await;
            assert_eq!(counts(), (0, 1), "the first may be lost still");
        }
        read(first).await;
        assert_eq!(counts(), (1, 0));
        deliver(&emulator, &rows[..1]).await;
        assert_eq!(counts(), (2, 0));
    }
}

#[tokio::test]
async fn late_rows_and_changed_statuses_are_expected_once_they_could_be_seen() {
    let time = Arc::new(Mutex::new(now()));
    let shown = Arc::clone(&time);
    let emulator = Emulator::new(Options {
        clock: Clock::new(move || *shown.lock().unwrap()),
        ..Options::default()
    });
    let pass = |minutes| *time.lock().unwrap() += TimeDelta::minutes(minutes);
    let received = now() - TimeDelta::minutes(30);
    emulator.add_row(
        NewRow::new(received, "a@corp.example")
            .status(Status::Pending)
            .visible_from(now() + TimeDelta::minutes(10))
            .then(now() + TimeDelta::minutes(20), Status::Failed),
    );
    assert_eq!(emulator.verdict(&Scope::default()).expected, 0);
    pass(15);
    assert_eq!(emulator.verdict(&Scope::default()).missing.count, 1);
    let visible_for = TimeDelta::minutes(6);
    let scope = Scope {
        visible_for,
        ..Scope::default()
    };
    assert_eq!(emulator.verdict(&scope).expected, 0);
    let pending = page(&emulator).await;
    assert!(pending[0].contains("Pending"));
    deliver(&emulator, &pending).await;
    pass(15);
    let verdict = emulator.verdict(&Scope::default());
    assert_eq!(
        (verdict.expected, verdict.missing.count, verdict.superseded),
        (1, 1, 0)
    );
    let both = Scope {
        superseded_for: Some(TimeDelta::minutes(5)),
        ..Scope::default()
    };
    assert_eq!(emulator.verdict(&both).delivered, 1);
    deliver(&emulator, &page(&emulator).await).await;
    assert_eq!(emulator.verdict(&both).delivered, 2);
    assert!(emulator.verdict(&both).is_clean());
}

/// The property tests judge by both: what was late before all was well, and what a kill excuses.
#[tokio::test]
async fn freshness_begins_when_it_is_told_and_answers_count_when_they_leave() {
    let time = Arc::new(Mutex::new(now()));
    let shown = Arc::clone(&time);
    let emulator = Emulator::new(Options {
        clock: Clock::new(move || *shown.lock().unwrap()),
        ..Options::default()
    });
    let at = |seconds| now() + TimeDelta::seconds(seconds);
    let pass = |seconds| *time.lock().unwrap() = at(seconds);
    let slowest = || emulator.freshness(None, TimeDelta::seconds(60)).slowest;
    let deliver_of = async |recipient: &str| {
        let mut rows = page(&emulator).await;
        rows.retain(|row| row.contains(recipient));
        assert_eq!(rows.len(), 1, "{recipient}");
        deliver(&emulator, &rows).await;
    };
    emulator.add_row(NewRow::new(at(0), "first@corp.example"));
    emulator.add_row(NewRow::new(at(0), "second@corp.example"));
    pass(600);
    deliver_of("first@").await;
    assert_eq!(slowest(), 600.0);
    emulator.act(Action::BeginFreshness);
    assert_eq!(slowest(), 0.0);
    // It could be seen before, the next one could not.
    pass(660);
    deliver_of("second@").await;
    assert_eq!(slowest(), 0.0);
    emulator.add_row(NewRow::new(at(650), "third@corp.example"));
    pass(730);
    deliver_of("third@").await;
    assert_eq!(slowest(), 80.0);
    let counts = [0, 600, 601, 661, 731].map(|since| emulator.acknowledged_since(at(since)));
    assert_eq!(counts, [3, 3, 2, 1, 0]);
    let lost = Fault::ResetAfter.times(1);
    emulator.fault(Endpoint::Intake, lost);
    deliver_of("third@").await;
    assert_eq!(emulator.acknowledged_since(at(0)), 3);
}

#[tokio::test]
async fn the_intake_enforces_its_limits() {
    let emulator = emulator(2);
    let send = async |body: Value| {
        let answer = post(&emulator, "/batch", body.to_string().into_bytes(), &[]).await;
        (answer.status.as_u16(), answer.text())
    };
    let key = "emulated-intake-key";
    let (status, text) = send(json!({ "intake_key": "other", "jsons": [] })).await;
    assert!(status == 422 && text.contains("INTAKE_KEY_ERROR"));
    assert_eq!(
        send(json!({ "intake_key": key, "jsons": [{"a": 1}] }))
            .await
            .0,
        400
    );
    assert_eq!(send(json!({ "intake_key": key })).await.0, 400);
    let large = "x".repeat(11 * 1024 * 1024);
    assert_eq!(
        send(json!({ "intake_key": key, "jsons": [large] })).await.0,
        413
    );
    let over = "x".repeat(250 * 1024 + 1);
    assert_eq!(
        send(json!({ "intake_key": key, "jsons": [over] })).await.0,
        413
    );
    let (status, text) = send(json!({ "intake_key": key, "jsons": [over, "{}"] })).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["errors"][0]["index"]), (200, &json!(0)));
    assert_eq!(answer["event_ids"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_intake_takes_gzip() {
    let emulator = emulator(3);
    let body = json!({ "intake_key": "emulated-intake-key", "jsons": page(&emulator).await });
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.to_string().as_bytes()).unwrap();
    let compressed = encoder.finish().unwrap();
    let headers = [("content-encoding", "gzip")];
    assert_eq!(
        post(&emulator, "/batch", compressed, &headers).await.status,
        200
    );
    assert!(emulator.verdict(&Scope::default()).is_clean());
}

#[tokio::test]
async fn rejected_events_are_told_in_every_shape_and_clean_where_they_are_expected() {
    for (shape, ids, key) in [
        (RejectionShape::NullIds, 3, "event_ids"),
        (RejectionShape::ShortIds, 1, "event_ids"),
        (RejectionShape::Errors, 1, "errors"),
        (RejectionShape::Statuses, 3, "statuses"),
        (RejectionShape::Results, 1, "results"),
    ] {
        let emulator = emulator(3);
        let rejection = Fault::RejectEvents {
            containing: String::new(),
            every: 2,
            shape,
        };
        emulator.fault(Endpoint::Intake, rejection.times(1));
        let answer = deliver(&emulator, &page(&emulator).await).await.json();
        assert_eq!(answer["event_ids"].as_array().unwrap().len(), ids);
        assert!(answer[key].is_array());
        for (rejected, clean) in [(0, false), (1, false), (2, true)] {
            let verdict = emulator.verdict(&Scope {
                rejected,
                ..Scope::default()
            });
            assert_eq!(verdict.is_clean(), clean, "{verdict}");
            assert_eq!((verdict.rejected.count, verdict.missing.count), (2, 0));
            assert_eq!(verdict.delivered, 1);
        }
    }
}

#[tokio::test]
async fn logs_and_secrets_want_the_token() {
    let emulator = emulator(0);
    emulator.configure(|settings| {
        settings
            .platform
            .secrets
            .insert("api_key".into(), json!("resolved"));
    });
    let logs = json!({ "logs": [
        { "date": "2026-05-04T09:08:07.123456", "level": "info", "message": "hello" },
    ] })
    .to_string();
    assert_eq!(
        post(&emulator, "/api/logs", logs.clone().into(), &[])
            .await
            .status,
        401
    );
    assert_eq!(
        post(&emulator, "/api/logs", logs.into(), &[TOKEN])
            .await
            .status,
        200
    );
    assert_eq!(emulator.logs()[0].message, "hello");
    let request = Request::get("/api/secrets").header(TOKEN.0, TOKEN.1);
    let answer = send(
        emulator.sekoia_router(),
        request.body(Body::empty()).unwrap(),
    )
    .await;
    assert_eq!(answer.json(), json!({ "value": { "api_key": "resolved" } }));
    let request = &emulator.requests(Endpoint::Secrets)[0];
    assert_eq!(request.header("authorization"), Some("Bearer ***"));
    assert_eq!(request.status, Some(200));
    let body = b"{}\n{}".to_vec();
    assert_eq!(
        post(&emulator, "/api/1/envelope/", body.clone(), &[])
            .await
            .status,
        200
    );
    assert_eq!(emulator.envelopes()[0], body);
}

#[tokio::test]
async fn a_living_tenant_is_the_same_for_everybody_who_asks() {
    let traffic = Traffic {
        backlog: Backlog::span(TimeDelta::hours(3)),
        lateness: Lateness::realistic(),
        ..Traffic::living(0.5)
    };
    let build = || {
        let traffic = traffic.clone();
        Emulator::new(Options {
            clock: Clock::new(now),
            traffic,
            ..Options::default()
        })
    };
    let (one, other) = (build(), build());
    let rows = one.rows(now() - TimeDelta::days(1), now());
    assert_eq!(rows, other.rows(now() - TimeDelta::days(1), now()));
    assert!(rows.iter().any(|row| row.status == Status::Pending));
    assert!(rows.len() > 1_000 && one.verdict(&Scope::default()).expected == rows.len() as u64);
}
