//! A stand-in of the platform and the intake that records what it is asked and answers as told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) header: Option<(&'static str, &'static str)>,
    pub(crate) body: &'static str,
}

/// Instead of a body: one identifier for each event of the request.
pub(crate) const IDS: &str = "ids";

impl Answer {
    pub(crate) const fn new(status: u16, body: &'static str) -> Self {
        Self {
            status,
            header: None,
            body,
        }
    }

    pub(crate) const fn with(self, name: &'static str, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }
}

/// What is answered, one after the other; the last one again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    pub(crate) intake: &'static [Answer],
    pub(crate) logs: &'static [Answer],
    pub(crate) secrets: &'static [Answer],
}

/// A request, and what was answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) status: u16,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("none", |value| value.to_str().expect("a header of text"))
    }
}

pub(crate) const INTAKE: &str = "/intake/batch";
pub(crate) const LOGS: &str = "/api/logs";
pub(crate) const SECRETS: &str = "/api/secrets";

/// What redirects point to.
pub(crate) const MOVED: &str = "/moved";

#[derive(Debug)]
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    inner: Shared,
}

#[derive(Debug)]
struct Inner {
    answers: Answers,
    asked: Vec<Asked>,
}

type Shared = Arc<Mutex<Inner>>;

impl StandIn {
    pub(crate) async fn start(answers: Answers) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            answers,
            asked: Vec::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("address");
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, inner }
    }

    /// The requests so far to an address.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        let inner = self.inner.lock().expect("lock");
        let asked = inner.asked.iter();
        asked
            .filter(|asked| asked.path.starts_with(path))
            .cloned()
            .collect()
    }
}

async fn handle(
    State(inner): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = uri.path().to_owned();
    let mut inner = inner.lock().expect("lock");
    let answers = match path.as_str() {
        INTAKE => inner.answers.intake,
        LOGS => inner.answers.logs,
        SECRETS => inner.answers.secrets,
        _ if path.starts_with(MOVED) => &[Answer::new(200, IDS)],
        _ => &[Answer::new(404, "{}")],
    };
    let earlier = inner.asked.iter().filter(|asked| asked.path == path);
    let turn = earlier.count().min(answers.len() - 1);
    let answer = answers[turn];
    let text = match answer.body {
        IDS => {
            let count = body["jsons"].as_array().map_or(0, Vec::len);
            // Those of two requests differ.
            let request = inner.asked.len();
            let ids = (0..count).map(|n| format!("id-{request}-{n}"));
            let ids: Vec<_> = ids.collect();
            json!({ "event_ids": ids }).to_string()
        }
        text => text.to_owned(),
    };
    inner.asked.push(Asked {
        method,
        path,
        headers,
        body,
        status: answer.status,
    });
    let status = StatusCode::from_u16(answer.status).expect("a status");
    let kind = if text.starts_with('<') {
        "text/html"
    } else {
        "application/json"
    };
    let mut response = (status, [("content-type", kind)], text).into_response();
    if let Some((name, value)) = answer.header {
        let value = value.parse().expect("a value");
        response.headers_mut().insert(name, value);
    }
    response
}
