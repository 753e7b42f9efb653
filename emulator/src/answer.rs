//! A request that has been read, and the answer to it, before either meets a fault.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::Value;

use crate::{Emulator, ledger::Accepted};

/// A request, read to its end.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// As it was sent.
    pub(crate) path: String,
    /// As it was sent, without the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// As it was sent, perhaps compressed.
    pub(crate) body: Bytes,
}

impl Call {
    /// A header's value; empty when it is absent.
    pub(crate) fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether a text stands in the body.
    pub(crate) fn contains(&self, text: &str) -> bool {
        std::str::from_utf8(&self.body).is_ok_and(|body| body.contains(text))
    }

    /// An option in the query, decoded.
    pub(crate) fn option(&self, name: &str) -> Option<String> {
        option(&self.query, name)
    }

    /// The bearer token of the request.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header(header::AUTHORIZATION).split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    /// Name and password of the request.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let (scheme, token) = self.header(header::AUTHORIZATION).split_once(' ')?;
        let decoded = STANDARD.decode(token.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (name, password) = text.split_once(':')?;
        scheme
            .eq_ignore_ascii_case("basic")
            .then(|| (name.to_owned(), password.to_owned()))
    }
}

/// An option in a query, decoded.
pub(crate) fn option(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What becomes of the ledger once the answer has left.
    pub(crate) receipt: Option<Receipt>,
    /// How long it takes to come.
    pub(crate) latency: Duration,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let answer = Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: HeaderMap::new(),
            body: body.into(),
            receipt: None,
            latency: Duration::ZERO,
        };
        if content_type.is_empty() {
            answer
        } else {
            answer.with("content-type", content_type)
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    /// Sets a header; one that cannot be sent is left out.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// Tells the ledger that the answer to a delivery has left.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) emulator: Emulator,
    pub(crate) key: String,
    /// Which request it was.
    pub(crate) request: u64,
    pub(crate) accepted: Vec<Accepted>,
}

impl Receipt {
    pub(crate) fn confirm(self) {
        let now = self.emulator.ticks();
        self.emulator
            .world()
            .ledger
            .acknowledge((&self.key, self.request), &self.accepted, now);
    }
}
