//! A service in memory that gives prepared answers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::http::{Http, HttpError, HttpService, Limits, Request, Response};

/// Gives one prepared answer after the other, and keeps what it was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Fake {
    answers: Arc<Mutex<VecDeque<Result<Response, HttpError>>>>,
    requests: Arc<Mutex<Vec<Request>>>,
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

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl HttpService for Fake {
    fn call(&self, request: Request, _: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        self.requests.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front().expect("an answer");
        Box::pin(async move { answer })
    }
}
