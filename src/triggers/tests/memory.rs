//! The emulator as the module's HTTP client, in memory, and virtual time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use base::http::{Http, HttpError, HttpErrorKind, HttpService, Limits, Request, Response};
use chrono::{DateTime, TimeDelta, Utc};
use emulator::Emulator;
use futures_util::future::BoxFuture;

/// The host of the platform; every other one is Microsoft's.
pub(super) const PLATFORM: &str = "sekoia.test";

/// The emulator called in memory, with the limits of a real client.
#[derive(Debug)]
struct InMemory(Emulator);

/// A client that reaches nothing but this emulator.
pub(super) fn http(emulator: &Emulator) -> Http {
    Http::new(InMemory(emulator.clone()))
}

impl HttpService for InMemory {
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        Box::pin(async move {
            let answer = async {
                match host.as_str() {
                    PLATFORM => self.0.sekoia_answer(request).await,
                    _ => self.0.microsoft_answer(request).await,
                }
            };
            match tokio::time::timeout(limits.total, answer).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(HttpError::new(HttpErrorKind::Interrupted, host)),
                Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, host)),
            }
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
