//! A stand-in of the Playbook API: what the tool uses of it, kept in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use serde_json::Value;

pub(crate) const API_KEY: &str = "key-of-the-playbook-api";

/// A call of the tool.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) request: String,
    pub(crate) body: Value,
}

/// What was created and changed, and the calls that did it.
#[derive(Debug, Default)]
pub(crate) struct PlaybookApi {
    pub(crate) objects: BTreeMap<String, Value>,
    pub(crate) calls: Vec<Call>,
}

pub(crate) type Shared = Arc<Mutex<PlaybookApi>>;

impl PlaybookApi {
    fn answer(&mut self, method: &Method, path: &str, body: Value) -> Response {
        self.calls.push(Call {
            request: format!("{method} {path}"),
            body: body.clone(),
        });
        match *method {
            Method::GET => match self.objects.get(path) {
                Some(object) => Json(object).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            Method::POST => {
                let uuid = body["uuid"].as_str().expect("uuid");
                self.objects.insert(format!("{path}/{uuid}"), body);
                StatusCode::OK.into_response()
            }
            Method::PATCH => {
                let object = self.objects.get_mut(path).and_then(Value::as_object_mut);
                let changes = body.as_object().expect("object").clone();
                object.expect("a known object").extend(changes);
                StatusCode::OK.into_response()
            }
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }
}

async fn handle(
    State(api): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let bearer = format!("Bearer {API_KEY}");
    if headers
        .get("authorization")
        .is_none_or(|value| value.as_bytes() != bearer.as_bytes())
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = serde_json::from_slice(&body).unwrap_or_default();
    api.lock().expect("lock").answer(&method, uri.path(), body)
}

pub(crate) async fn start() -> (Shared, SocketAddr) {
    let api = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("address");
    let router = Router::new().fallback(handle).with_state(Arc::clone(&api));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (api, address)
}
