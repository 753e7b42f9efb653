//! An HTTP service and files in memory for the tests of this layer.

use std::{
    fmt, io,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use base::{
    Store,
    http::{Http, HttpError, HttpErrorKind, HttpService, Limits, Request, Response},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{self, Instant};

use crate::storage::MemoryBackend;

type Answer = dyn Fn(&Request) -> (u16, String) + Send + Sync;

/// Records requests and answers them with a function; status 0 means a broken connection, a text
/// `header: name=value` before a blank line in the body becomes a header.
#[derive(Clone)]
pub(crate) struct Fake {
    answer: Arc<Answer>,
    /// Each with the status of its answer.
    requests: Arc<Mutex<Vec<(Request, u16)>>>,
    renewals: Arc<Mutex<usize>>,
}

impl Fake {
    pub(crate) fn answering(
        answer: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        Self {
            answer: Arc::new(answer),
            requests: Arc::default(),
            renewals: Arc::default(),
        }
    }

    /// Gives the answers one after the other; the last one again and again.
    pub(crate) fn in_turn(answers: Vec<(u16, String)>) -> Self {
        let turn = Mutex::new(0);
        Self::answering(move |_| {
            let mut turn = turn.lock().unwrap();
            let answer = answers[(*turn).min(answers.len() - 1)].clone();
            *turn += 1;
            answer
        })
    }

    pub(crate) fn http(&self) -> Http {
        Http::new(self.clone())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|(one, _)| one.clone()).collect()
    }

    /// How often a new connection was wished for.
    pub(crate) fn renewals(&self) -> usize {
        *self.renewals.lock().unwrap()
    }

    /// The bodies of the requests that were answered with a success, as JSON.
    pub(crate) fn accepted(&self) -> Vec<serde_json::Value> {
        let requests = self.requests.lock().unwrap();
        let accepted = requests
            .iter()
            .filter(|(_, status)| (200..300).contains(status));
        accepted
            .map(|(one, _)| serde_json::from_slice(one.body()).unwrap())
            .collect()
    }

    /// The bodies of the requests to paths with this end, as JSON.
    pub(crate) fn bodies(&self, path_end: &str) -> Vec<serde_json::Value> {
        let requests = self.requests();
        let matching = requests
            .iter()
            .filter(|request| request.uri().path().ends_with(path_end));
        matching
            .map(|request| serde_json::from_slice(request.body()).unwrap())
            .collect()
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl HttpService for Fake {
    fn call(&self, request: Request, _: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        let (status, body) = (self.answer)(&request);
        self.requests.lock().unwrap().push((request, status));
        Box::pin(async move {
            if status == 0 {
                return Err(HttpError::new(HttpErrorKind::Interrupted, "h"));
            }
            let (header, body) = match body
                .strip_prefix("header: ")
                .and_then(|b| b.split_once("\n\n"))
            {
                Some((header, rest)) => (header.split_once('='), rest.to_owned()),
                None => (None, body.clone()),
            };
            let mut response = http::Response::builder().status(status);
            if let Some((name, value)) = header {
                response = response.header(name, value);
            }
            Ok(response.body(Bytes::from(body)).unwrap())
        })
    }

    fn renew(&self, _: &http::Uri) {
        *self.renewals.lock().unwrap() += 1;
    }
}

/// Files of which nobody knows before this instant whose they are.
#[derive(Debug)]
pub(crate) struct Doubtful(pub(crate) MemoryBackend, pub(crate) Instant);

#[async_trait]
impl Store for Doubtful {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        self.0.read(name).await
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.0.write(name, content).await
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.0.append(name, content).await
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.0.list(prefix).await
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        self.0.delete(name).await
    }

    async fn held(&self) {
        time::sleep_until(self.1).await;
    }
}
