//! The emulator as the module's HTTP client, in memory, and virtual time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base::http::{Http, HttpError, HttpErrorKind, HttpService, Limits, Request, Response};
use chrono::{DateTime, TimeDelta, Utc};
use emulator::Emulator;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// The host of the platform; every other one is Microsoft's.
pub(super) const PLATFORM: &str = "sekoia.test";

/// The emulator called in memory, with the limits of a real client.
#[derive(Debug)]
struct InMemory {
    microsoft: axum::Router,
    sekoia: axum::Router,
}

/// A client that reaches nothing but this emulator.
pub(super) fn http(emulator: &Emulator) -> Http {
    Http::new(InMemory {
        microsoft: emulator.microsoft_router(),
        sekoia: emulator.sekoia_router(),
    })
}

impl HttpService for InMemory {
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let error = |kind| HttpError::new(kind, host.clone());
            let router = if host == PLATFORM {
                &self.sekoia
            } else {
                &self.microsoft
            };
            let exchange = async {
                let mut request = request.map(axum::body::Body::from);
                let value = host.parse().map_err(|_| error(HttpErrorKind::Setup))?;
                request.headers_mut().insert(http::header::HOST, value);
                let (head, body) = match router.clone().oneshot(request).await {
                    Ok(answer) => answer.into_parts(),
                    Err(never) => match never {},
                };
                if head
                    .extensions
                    .get::<emulator::ConnectionDropped>()
                    .is_some()
                {
                    return Err(error(HttpErrorKind::Interrupted));
                }
                let body = body
                    .collect()
                    .await
                    .map_err(|_| error(HttpErrorKind::Interrupted))?;
                Ok(Response::from_parts(head, body.to_bytes()))
            };
            let limited = tokio::time::timeout(limits.total, exchange).await;
            limited.map_err(|_| error(HttpErrorKind::Timeout))?
        })
    }
}

/// Time that goes on from one life of the module to the next: each has a runtime of its own, so that
/// a kill ends all that the module has started.
#[derive(Clone)]
pub(super) struct Time(Arc<Mutex<(DateTime<Utc>, Option<tokio::time::Instant>)>>);

impl Time {
    /// Time that stands still at `start`.
    pub(super) fn at(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new((start, None))))
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        let (at, running) = *self.0.lock().unwrap();
        let elapsed = running.map_or(Duration::ZERO, |since| since.elapsed());
        at + TimeDelta::from_std(elapsed).unwrap()
    }

    /// Lets time pass in which nothing runs.
    pub(super) fn pass(&self, length: Duration) {
        self.0.lock().unwrap().0 += length;
    }

    /// Runs something in a runtime of its own, on virtual time, and drops all that it leaves.
    pub(super) fn spend<F: Future>(&self, work: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            self.0.lock().unwrap().1 = Some(tokio::time::Instant::now());
            let output = work.await;
            let now = self.now();
            *self.0.lock().unwrap() = (now, None);
            output
        })
    }
}
