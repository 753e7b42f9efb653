//! The record of requests, with secrets masked.

use std::collections::VecDeque;

use axum::http::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{Endpoint, Since, answer::option, world};

/// Requests that are remembered.
const KEPT_REQUESTS: usize = 20_000;
/// Bytes of bodies that are remembered.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// A request as it came in.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// When, by the emulator's clock.
    pub at: DateTime<Utc>,
    /// To which endpoint.
    pub endpoint: Endpoint,
    /// The HTTP method.
    pub method: String,
    /// Path and query, as they were sent.
    pub url: String,
    /// Headers in lower case; of `authorization` only the scheme.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body, as they were sent.
    pub size: usize,
    /// The body of logs, envelopes and (without its secrets) of token requests, when it
    /// is not too old; otherwise empty.
    #[serde(skip)]
    pub body: Bytes,
    /// The status of the answer; none while there is none.
    pub status: Option<u16>,
    /// When there was one.
    pub answered: Option<DateTime<Utc>>,
    /// The fault that struck it.
    pub fault: Option<String>,
}

impl RecordedRequest {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of an option in the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        option(self.url.split_once('?')?.1, name)
    }
}

/// The latest requests.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    requests: VecDeque<RecordedRequest>,
    bytes: usize,
    /// The number of the oldest request that is kept.
    first: u64,
}

impl Journal {
    /// Remembers a request and returns its number.
    pub(crate) fn add(&mut self, request: RecordedRequest) -> u64 {
        self.bytes += request.body.len();
        self.requests.push_back(request);
        if self.requests.len() > KEPT_REQUESTS
            && let Some(oldest) = self.requests.pop_front()
        {
            self.bytes -= oldest.body.len();
            self.first += 1;
        }
        let mut bodies = self.requests.iter_mut();
        while self.bytes > KEPT_BYTES
            && let Some(request) = bodies.next()
        {
            self.bytes -= std::mem::take(&mut request.body).len();
        }
        self.first + self.requests.len() as u64 - 1
    }

    /// Notes how a request was answered, and when.
    pub(crate) fn answered(&mut self, number: u64, status: u16, at: DateTime<Utc>) {
        let index = number.checked_sub(self.first).map(|index| index as usize);
        if let Some(request) = index.and_then(|index| self.requests.get_mut(index)) {
            (request.status, request.answered) = (Some(status), Some(at));
        }
    }

    pub(crate) fn of(&self, endpoint: Endpoint) -> Vec<RecordedRequest> {
        let all = self.requests.iter();
        all.filter(|request| request.endpoint == endpoint)
            .cloned()
            .collect()
    }

    /// The requests after the one with this number: the newest `most` of them, oldest first.
    pub(crate) fn since(&self, after: u64, most: usize) -> Since<RecordedRequest> {
        let number = self.first + self.requests.len() as u64;
        world::since(&self.requests, number, after, most)
    }

    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &RecordedRequest> {
        self.requests.iter()
    }
}

/// Headers as text, without what would let somebody sign in.
pub(crate) fn masked(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = match (name.as_str(), value.split_once(' ')) {
                ("authorization" | "proxy-authorization", Some((scheme, _))) => {
                    format!("{scheme} ***")
                }
                ("authorization" | "proxy-authorization", None) => String::from("***"),
                _ => value.into_owned(),
            };
            (name.as_str().to_owned(), value)
        })
        .collect()
}

/// A form without what would let somebody sign in.
pub(crate) fn masked_form(form: &Bytes) -> Bytes {
    let mut masked = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(form) {
        let secret = matches!(
            name.as_ref(),
            "client_secret" | "client_assertion" | "password"
        );
        masked.append_pair(&name, if secret { "***" } else { &value });
    }
    masked.finish().into()
}
