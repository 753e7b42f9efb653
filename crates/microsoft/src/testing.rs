//! A service in memory that gives prepared answers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use base::{
    Clock, Secret,
    http::{Http, HttpError, HttpService, Limits, Request, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::json;

use crate::{Credential, Identity, Resource, TokenCache};

/// Gives one prepared answer after the other, and keeps what it was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Fake {
    answers: Arc<Mutex<VecDeque<Result<Response, HttpError>>>>,
    requests: Arc<Mutex<Vec<Request>>>,
    delay: Arc<Mutex<Duration>>,
    renewals: Arc<Mutex<usize>>,
    left_when_old: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(super) fn http(&self) -> Http {
        Http::new(self.clone())
    }

    pub(super) fn answer(&self, status: u16, body: impl Into<Bytes>) -> &Self {
        self.answer_with(status, &[], body)
    }

    pub(super) fn answer_with(
        &self,
        status: u16,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> &Self {
        let mut response = Response::new(body.into());
        *response.status_mut() = status.try_into().unwrap();
        for (name, value) in headers {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        self.answers.lock().unwrap().push_back(Ok(response));
        self
    }

    pub(super) fn fail(&self, error: HttpError) -> &Self {
        self.answers.lock().unwrap().push_back(Err(error));
        self
    }

    /// Makes every answer take this long.
    pub(super) fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How often a new connection was wished for.
    pub(super) fn renewals(&self) -> usize {
        *self.renewals.lock().unwrap()
    }

    /// Hosts whose old connections were to be left, in turn.
    pub(super) fn left_when_old(&self) -> Vec<String> {
        self.left_when_old.lock().unwrap().clone()
    }
}

impl HttpService for Fake {
    fn call(&self, request: Request, _: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        self.requests.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().expect("an answer");
        let delay = *self.delay.lock().unwrap();
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            answer
        })
    }

    fn renew(&self, _server: &http::Uri) {
        *self.renewals.lock().unwrap() += 1;
    }

    fn leave_old(&self, server: &http::Uri) {
        let host = server.host().unwrap().to_owned();
        self.left_when_old.lock().unwrap().push(host);
    }
}

/// Tokens of an app for a resource, each fetched from `fake`.
pub(super) fn tokens_of_an_app(fake: &Fake, clock: Clock, resource: Resource) -> Arc<TokenCache> {
    let identity = Identity::App {
        login: "https://login.test".parse().unwrap(),
        tenant: "corp.test".to_owned(),
        client: "app".to_owned(),
        credential: Credential::ClientSecret(Secret::new("hunter2")),
    };
    Arc::new(TokenCache::new(fake.http(), clock, identity, resource))
}

/// A token for `audience` with these roles, told from others by `id`.
pub(super) fn token(audience: &str, roles: &[&str], id: &str) -> String {
    let claims = json!({ "aud": audience, "roles": roles, "uti": id });
    let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
    format!("{}.{}.c2ln", encode("{}"), encode(&claims.to_string()))
}
