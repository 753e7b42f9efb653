//! What the contract tests share.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Backlog, Clock, Emulator, Options, Traffic};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const TRACE: &str = "/ecp/reportingwebservice/reporting.svc/MessageTrace";

pub(crate) fn now() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

/// An emulator whose clock stands still at [`now`], with this many rows in the last two hours.
pub(crate) fn emulator(rows: u64) -> Emulator {
    Emulator::new(Options {
        clock: Clock::new(now),
        traffic: Traffic {
            backlog: Backlog::rows(TimeDelta::hours(2), rows),
            ..Traffic::default()
        },
        ..Options::default()
    })
}

/// An answer, read to its end; `body` is none when it broke off.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) dropped: bool,
    pub(crate) body: Option<Vec<u8>>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone().unwrap()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_ref().unwrap()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

pub(crate) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response: Response<Body> = router.oneshot(request).await.unwrap();
    let dropped = response.extensions().get::<emulator::ConnectionDropped>();
    let (status, headers, dropped) = (
        response.status(),
        response.headers().clone(),
        dropped.is_some(),
    );
    let body = to_bytes(response.into_body(), usize::MAX).await;
    Answer {
        status,
        headers,
        dropped,
        body: body.ok().map(Vec::from),
    }
}

pub(crate) fn basic(emulator: &Emulator) -> String {
    let account = emulator.settings().report.accounts.remove(0);
    let pair = format!("{}:{}", account.name, account.password.expose());
    format!("Basic {}", STANDARD.encode(pair))
}

/// Asks the Reporting Web Service; blanks in `url` are escaped.
pub(crate) async fn report(emulator: &Emulator, url: &str, accept: &str) -> Answer {
    let request = Request::get(url.replace(' ', "%20"))
        .header("authorization", basic(emulator))
        .header("accept", accept)
        .body(Body::empty())
        .unwrap();
    send(emulator.microsoft_router(), request).await
}

/// Delivers events to the intake.
pub(crate) async fn deliver(emulator: &Emulator, events: &[String]) -> Answer {
    let body = json!({ "intake_key": "emulated-intake-key", "jsons": events });
    post(
        emulator,
        "/intake/batch",
        body.to_string().into_bytes(),
        &[],
    )
    .await
}

pub(crate) async fn post(
    emulator: &Emulator,
    path: &str,
    body: Vec<u8>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::post(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap();
    send(emulator.sekoia_router(), request).await
}

/// The rows of a verbose page as events.
pub(crate) fn events(page: &Value) -> Vec<String> {
    let rows = page["d"]["results"].as_array().unwrap();
    rows.iter().map(Value::to_string).collect()
}

pub(crate) const TRACES: &str = "/v1.0/admin/exchange/tracing/messageTraces";
pub(crate) const HOST: &str = "graph.emulated.example";

/// Asks the token endpoint.
pub(crate) async fn token_request(
    emulator: &Emulator,
    tenant: &str,
    form: &[(&str, &str)],
) -> Answer {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
        .header("host", HOST)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body.finish()))
        .unwrap();
    send(emulator.microsoft_router(), request).await
}

/// A token for `resource`, by client secret.
pub(crate) async fn token(emulator: &Emulator, resource: &str) -> String {
    let identity = emulator.settings().identity;
    let app = &identity.apps[0];
    let scope = format!("{resource}/.default");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", app.client_id.as_str()),
        ("client_secret", app.secrets[0].value.expose()),
        ("scope", scope.as_str()),
    ];
    let answer = token_request(emulator, &identity.tenant_id, &form).await;
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// Asks Graph with a bearer token and further headers.
pub(crate) async fn graph(
    emulator: &Emulator,
    url: &str,
    token: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::get(url.replace(' ', "%20"))
        .header("host", HOST)
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(
        emulator.microsoft_router(),
        request.body(Body::empty()).unwrap(),
    )
    .await
}
