//! Faults, in memory and on real sockets.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::{Answer, TRACE, basic, emulator, report, send};
use axum::{body::Body, http::Request};
use emulator::{Emulator, Endpoint, Fault, Running};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

const URL: &str = "/ecp/reportingwebservice/reporting.svc/MessageTrace?$format=json";

#[tokio::test(start_paused = true)]
async fn answers_are_broken_as_told() {
    let emulator = emulator(100);
    let ask = async |fault: Fault| {
        emulator.fault(Endpoint::Report, fault.times(1));
        report(&emulator, URL, "*/*").await
    };
    let answer = ask(Fault::answer(503, &[("Retry-After", "7")], "busy")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "7")
    );
    assert!(ask(Fault::Reset).await.dropped);
    assert!(ask(Fault::ResetMidBody { bytes: 50 }).await.body.is_none());
    assert_eq!(ask(Fault::Cut { bytes: 99 }).await.body.unwrap().len(), 99);
    let garbled = ask(Fault::Garble).await.body.unwrap();
    assert!(serde_json::from_slice::<Value>(&garbled).is_err());
    let other = ask(Fault::ContentType {
        value: "text/html".into(),
    })
    .await;
    assert_eq!(other.header("content-type"), "text/html");
    let before = tokio::time::Instant::now();
    assert_eq!(ask(Fault::DelayAnswer { ms: 60_000 }).await.status, 200);
    assert_eq!(
        ask(Fault::Stall {
            bytes: 10,
            ms: 60_000
        })
        .await
        .status,
        200
    );
    assert!(before.elapsed() >= Duration::from_secs(120));
    assert_eq!(report(&emulator, URL, "*/*").await.status, 200);
    let recorded = emulator.requests(Endpoint::Report);
    assert_eq!(recorded[1].fault.as_deref(), Some("reset"));
    assert_eq!(recorded[0].query("$format").as_deref(), Some("json"));
}

#[tokio::test]
async fn compressed_answers_can_be_cut() {
    let emulator = emulator(100);
    let ask = async || {
        let request = Request::get(URL)
            .header("authorization", basic(&emulator))
            .header("accept-encoding", "gzip");
        let request = request.body(Body::empty()).unwrap();
        let answer = send(emulator.microsoft_router(), request).await;
        assert_eq!(answer.header("content-encoding"), "gzip");
        let mut text = String::new();
        let body = answer.body.unwrap();
        GzDecoder::new(body.as_slice()).read_to_string(&mut text)
    };
    assert!(ask().await.is_ok());
    emulator.fault(Endpoint::Report, Fault::CutGzip.times(1));
    assert!(ask().await.is_err());
}

/// Asks the control interface.
async fn control(emulator: &Emulator, method: &str, path: &str, body: Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/_emulator/{path}"));
    let request = request.body(Body::from(body.to_string())).unwrap();
    send(emulator.sekoia_router(), request).await
}

#[tokio::test]
async fn the_control_interface_turns_switches_and_adds_faults() {
    let emulator = emulator(1);
    let control = |method, path, body| control(&emulator, method, path, body);
    let patch = json!({ "report": { "permitted": false } });
    assert_eq!(control("PATCH", "settings", patch).await.status, 200);
    assert_eq!(report(&emulator, TRACE, "*/*").await.status, 403);
    let shown = control("GET", "settings", json!(null)).await.text();
    assert!(!shown.contains("horse") && shown.contains("\"permitted\":false"));
    let (patched, default) = (emulator.settings(), emulator::Settings::default());
    assert_eq!(
        patched.identity.apps[0].secrets[0].value,
        default.identity.apps[0].secrets[0].value
    );
    assert_eq!(patched.platform.token, default.platform.token);
    let fault = json!({ "endpoint": "report", "kind": "answer", "status": 503, "times": 1 });
    assert_eq!(control("POST", "faults", fault).await.status, 200);
    assert_eq!(report(&emulator, TRACE, "*/*").await.status, 503);
    assert!(
        control("GET", "verdict", json!(null))
            .await
            .text()
            .contains("missing")
    );
    assert_eq!(
        control("GET", "stats", json!(null)).await.json()["report"]["403"],
        1
    );
    assert_eq!(
        control("POST", "faults", json!({"endpoint": "x"}))
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn the_control_interface_shows_what_is_new_and_takes_rows() {
    let emulator = emulator(0);
    let control = |method, path, body| control(&emulator, method, path, body);
    let wave = json!({ "recipient": "u{}@contoso.example", "recipients": 3, "visible_in": 60,
                       "then": [{ "in": 90, "status": "failed" }] });
    let added = control("POST", "rows", wave).await;
    assert_eq!(added.status, 200);
    assert_eq!(added.json()["rows"], 3);
    let now = json!({ "recipient": "a@contoso.example", "subject": "now" });
    assert_eq!(control("POST", "rows", now).await.status, 200);
    let seen = report(&emulator, URL, "*/*").await.text();
    assert!(seen.contains("a@contoso.example") && !seen.contains("u0@"));
    for wrong in [
        json!({ "recipient": "a", "recipients": 0 }),
        json!({ "subject": "x" }),
    ] {
        assert_eq!(control("POST", "rows", wrong).await.status, 400);
    }

    let batch = json!({ "intake_key": "emulated-intake-key", "jsons": ["{}", "[]"] });
    let request = Request::post("/intake/batch").body(Body::from(batch.to_string()));
    send(emulator.sekoia_router(), request.unwrap()).await;
    let new = control("GET", "accepted?after=1", json!(null)).await.json();
    assert_eq!(
        (new["number"].as_u64(), new["events"][0]["text"].as_str()),
        (Some(2), Some("[]"))
    );
    assert_eq!(new["events"].as_array().unwrap().len(), 1);
    let none = emulator.accepted_since(2, 10);
    assert_eq!((none.number, none.items.len()), (2, 0));
    assert_eq!(
        emulator.accepted_since(0, 1).items[0].text,
        "[]",
        "the newest"
    );

    let logs = control("GET", "logs", json!(null)).await.json();
    assert_eq!(logs["number"], 0);
    let quota = control("GET", "quota", json!(null)).await.json();
    assert_eq!(
        (quota["used"].as_u64(), quota["limit"].as_u64()),
        (Some(0), Some(100))
    );
    let requests = control("GET", "requests?after=1", json!(null)).await.json();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    assert_eq!(requests[0]["endpoint"], "intake");
    assert_eq!(
        emulator.verdict(&emulator::Scope::default()).unasked.count,
        2
    );
    assert_eq!(
        control("POST", "ledger/forget", json!(null)).await.status,
        200
    );
    assert_eq!(
        emulator.verdict(&emulator::Scope::default()).unasked.count,
        0
    );
}

/// Sends a request over a real socket and reads until the connection ends.
async fn raw(emulator: &Emulator, running: &Running) -> Result<String, ErrorKind> {
    let port = running.microsoft().port().unwrap();
    let request = format!(
        "GET {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
        basic(emulator)
    );
    let exchange = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        read.map(|_| text).map_err(|error| error.kind())
    });
    exchange.await.unwrap()
}

#[tokio::test]
async fn connections_are_really_dropped() {
    let emulator = emulator(50);
    let running = emulator.serve().await.unwrap();
    let whole = raw(&emulator, &running).await.unwrap();
    assert!(whole.starts_with("HTTP/1.1 200 OK") && whole.ends_with("]}}"));
    for fault in [Fault::Reset, Fault::ResetAfter] {
        emulator.fault(Endpoint::Report, fault.times(1));
        assert_eq!(
            raw(&emulator, &running).await,
            Err(ErrorKind::ConnectionReset)
        );
    }
    emulator.fault(Endpoint::Report, Fault::ResetMidBody { bytes: 40 }.times(1));
    let part = raw(&emulator, &running).await.unwrap_or_default();
    assert!(!part.ends_with("]}}"));
    let port = running.microsoft().port().unwrap();
    drop(running);
    for _ in 0..6_000 {
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the port is still open");
}
