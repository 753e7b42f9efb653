//! Delivery of events to an intake, for as long as it takes (section J of the contract).

mod answer;
mod batch;
mod metrics;
mod probe;

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{
    HeaderValue, StatusCode, Uri,
    header::{CONTENT_TYPE, USER_AGENT},
};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

use self::{
    answer::{Confirmation, Verdict, verdict},
    batch::Parcel,
    metrics::IntakeMetrics,
};
pub use self::{
    batch::{Batch, BatchLimits, DEFAULT_BODY_BYTES, MAX_EVENT_BYTES, Pushed},
    probe::Probed,
};
use super::{
    health::{Heartbeat, Side},
    log::Log,
    metrics::Metrics,
    platform::LIMITS,
    storage::Storage,
};
use crate::{
    Clock, Secret,
    buffers::Buffers,
    http::{Backoff, Http, HttpError, Response, retry_after},
};

/// A refusal that lasts this long becomes a critical log line.
const CRITICAL_AFTER: Duration = Duration::from_secs(900);

/// After a stop, a request under way gets this long: an answer that still comes spares sending the
/// same events again later.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Outages of fewer attempts are warnings, longer ones errors.
const PATIENCE: u32 = 3;

/// While it is unclear whether this instance may send, the loop says so often that it turns.
const HOLDING: Duration = Duration::from_secs(10);

/// Buffers for bodies that are kept: for those that are under way and the one that is being filled.
const KEPT_BUFFERS: usize = 5;

/// What an intake needs from its surroundings.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) http: Http,
    pub(super) clock: Clock,
    pub(super) log: Log,
    pub(super) heartbeat: Heartbeat,
    /// Says whether this instance alone has what is delivered.
    pub(super) storage: Storage,
    pub(super) stop: CancellationToken,
    pub(super) agent: HeaderValue,
    pub(super) metrics: Metrics,
}

/// The stop came before the intake had accepted everything: what was not accepted has to be sent
/// again after the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the intake had accepted all events")]
pub struct Stopped;

/// The intake's answer to a batch. Every event is either accepted or rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// How many events the intake accepted.
    pub accepted: usize,
    /// Events that it will never take.
    pub rejected: Vec<Rejected>,
}

/// An event that the intake will never take. It is counted as discarded.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its index in the batch.
    pub index: usize,
    /// Its text.
    pub event: String,
    /// What the intake says.
    pub reason: String,
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rejected({}: {})", self.index, self.reason)
    }
}

/// Handle on one intake; cheap to clone. Several batches may be under way at once.
#[derive(Clone)]
pub struct Intake(Arc<Inner>);

struct Inner {
    around: Surroundings,
    url: Uri,
    tail: Bytes,
    limits: BatchLimits,
    /// Bytes of the last bodies: the next is about as long, and need not grow.
    last_body: AtomicUsize,
    buffers: Buffers,
    metrics: IntakeMetrics,
    trouble: Mutex<Option<Trouble>>,
}

/// What stands between us and the intake at the moment.
struct Trouble {
    /// The refusal, or None for an outage.
    refusal: Option<StatusCode>,
    since: Instant,
}

/// Why a request has to be sent again.
struct Failure {
    reason: String,
    refusal: Option<StatusCode>,
    asked: Option<Duration>,
}

enum Outcome {
    Accepted(Confirmation),
    TooLarge,
    Failed(Failure),
}

/// The address of an intake: base and `/batch`, with one slash between them (J-01).
pub(super) fn address(base: &str) -> Option<Uri> {
    let parsed = url::Url::parse(base).ok()?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return None;
    }
    let slash = if base.ends_with('/') { "" } else { "/" };
    format!("{base}{slash}batch").parse().ok()
}

impl Intake {
    pub(super) fn new(around: Surroundings, url: Uri, key: &Secret, limits: BatchLimits) -> Self {
        around.log.hide(key);
        let quoted = serde_json::Value::from(key.expose());
        Self(Arc::new(Inner {
            metrics: IntakeMetrics::new(&around.metrics, key.expose()),
            around,
            url,
            tail: Bytes::from(format!(r#"],"intake_key":{quoted}}}"#)),
            limits,
            last_body: AtomicUsize::new(0),
            buffers: Buffers::new(KEPT_BUFFERS),
            trouble: Mutex::default(),
        }))
    }

    /// The address that takes the events.
    pub fn address(&self) -> &Uri {
        &self.0.url
    }

    /// The host that takes the events.
    pub fn host(&self) -> &str {
        self.0.url.host().unwrap_or_default()
    }

    /// An empty batch for this intake.
    pub fn batch(&self) -> Batch {
        Batch::within(
            self.0.buffers.take(self.0.last_body.load(Relaxed)),
            self.0.limits,
            self.0.tail.clone(),
            self.0.metrics.discarded.clone(),
        )
    }

    /// The newest event that was accepted has this date: from here on the metric `events_lags`
    /// tells how old it is.
    pub fn accepted_up_to(&self, newest: DateTime<Utc>) {
        self.0.metrics.accepted_up_to(newest);
    }

    /// Delivers a batch, again and again until the intake has accepted or rejected each event.
    ///
    /// Outages are waited out with growing pauses, refusals at a slow pace, and both are said in
    /// the log; a refusal that lasts a quarter of an hour is critical (E-06). A batch that is too
    /// large is split. An empty batch is accepted at once.
    ///
    /// # Errors
    /// Only when the stop comes first. Parts of the batch may have been accepted then.
    pub async fn push(&self, batch: Batch) -> Result<Receipt, Stopped> {
        let mut receipt = Receipt::default();
        if batch.is_empty() {
            return Ok(receipt);
        }
        // Some room to spare, for events a little longer; and the last batch of a window may be short.
        let last = self.0.last_body.load(Relaxed);
        let expected = (batch.body_bytes() / 16 * 17).max(last / 8 * 7);
        self.0.last_body.store(expected, Relaxed);
        let started = Instant::now();
        let mut parcels = VecDeque::from([batch.seal()]);
        while let Some(parcel) = parcels.pop_front() {
            if let Some(confirmation) = self.deliver(&parcel).await? {
                self.enter(&parcel, confirmation, &mut receipt);
            } else if let Some((left, right)) = parcel.split() {
                let count = parcel.len();
                self.0
                    .around
                    .log
                    .debug(format!("{count} events are too large: split in two"));
                parcels.push_front(right);
                parcels.push_front(left);
            } else {
                let reason = "the intake answers 413: the event is too large".to_owned();
                let rejected = [(0, reason)].into();
                self.enter(
                    &parcel,
                    Confirmation {
                        rejected,
                        unclear: 0,
                    },
                    &mut receipt,
                );
            }
        }
        self.0
            .metrics
            .duration
            .observe(started.elapsed().as_secs_f64());
        Ok(receipt)
    }

    /// Enters the fate of a parcel's events into receipt and metrics.
    fn enter(&self, parcel: &Parcel, confirmation: Confirmation, receipt: &mut Receipt) {
        let Confirmation { rejected, unclear } = confirmation;
        let (count, rejected_count) = (parcel.len(), rejected.len());
        let accepted = count.saturating_sub(rejected_count);
        if unclear > 0 {
            self.0.around.log.warning(format!(
                "The intake accepted a batch of {count} events, but its answer leaves the fate of \
                 {unclear} of them open; they count as accepted"
            ));
        }
        if accepted > 0 {
            self.0.around.heartbeat.delivered();
        }
        receipt.accepted += accepted;
        receipt
            .rejected
            .extend(rejected.into_iter().map(|(index, reason)| Rejected {
                index: parcel.first + index,
                event: parcel.event(index).unwrap_or_default(),
                reason,
            }));
        self.0.metrics.forwarded.inc_by(accepted as u64);
        self.0.metrics.discarded.inc_by(rejected_count as u64);
    }

    /// Sends one body until it is accepted; None when it is too large.
    async fn deliver(&self, parcel: &Parcel) -> Result<Option<Confirmation>, Stopped> {
        let around = &self.0.around;
        let mut quick = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        let mut slow = Backoff::new(Duration::from_secs(15), Duration::from_secs(150));
        // Until this parcel is through: that others are accepted does not hide that it is not.
        let mut attempts = around.heartbeat.attempts(Side::Intake);
        let mut attempt = 1;
        loop {
            if around.stop.is_cancelled() {
                return Err(Stopped);
            }
            around.heartbeat.beat(LIMITS.total);
            let failure = match self.attempt(parcel).await? {
                Outcome::Accepted(confirmation) => {
                    self.recovered();
                    return Ok(Some(confirmation));
                }
                Outcome::TooLarge => return Ok(None),
                Outcome::Failed(failure) => failure,
            };
            attempts.failed();
            self.report(&failure, parcel.len(), attempt);
            let backoff = if failure.refusal.is_some() {
                &mut slow
            } else {
                &mut quick
            };
            self.pause(backoff.next_pause(failure.asked)).await?;
            self.0.metrics.retries.inc();
            attempt += 1;
        }
    }

    async fn attempt(&self, parcel: &Parcel) -> Result<Outcome, Stopped> {
        let Inner {
            around,
            url,
            metrics,
            ..
        } = &*self.0;
        let mut exchange = std::pin::pin!(self.exchange(parcel.body.clone()));
        let result = tokio::select! {
            result = &mut exchange => result,
            () = around.stop.cancelled() => {
                time::timeout(STOP_GRACE, exchange).await.map_err(|_| Stopped)?
            }
        };
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                metrics.request(error.kind.label());
                let reason = probe::unreachable(&error);
                return Ok(Outcome::Failed(Failure {
                    reason,
                    refusal: None,
                    asked: None,
                }));
            }
        };
        let status = answer.status();
        metrics.request(status.as_str());
        let host = url.host().unwrap_or_default();
        let (reason, refusal) = match verdict(host, status, answer.body(), parcel.len()) {
            Verdict::Accepted(confirmation) => return Ok(Outcome::Accepted(confirmation)),
            Verdict::TooLarge => return Ok(Outcome::TooLarge),
            Verdict::Unavailable(reason) => (reason, None),
            Verdict::Refused(reason) => (reason, Some(status)),
        };
        let asked = retry_after(answer.headers(), around.clock.now());
        Ok(Outcome::Failed(Failure {
            reason,
            refusal,
            asked,
        }))
    }

    /// Sends one body.
    async fn exchange(&self, body: Bytes) -> Result<Response, HttpError> {
        let Inner { around, url, .. } = &*self.0;
        // An instance that slept may have been replaced meanwhile: it sends nothing before it knows.
        while time::timeout(HOLDING, around.storage.held()).await.is_err() {
            around.heartbeat.beat(LIMITS.total);
        }
        let mut request = http::Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, around.agent.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        around.http.send(request, LIMITS).await
    }

    /// Says what is wrong. Equal texts are limited by the log.
    fn report(&self, failure: &Failure, count: usize, attempt: u32) {
        let log = &self.0.around.log;
        let since = {
            let mut trouble = self
                .0
                .trouble
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let kept = trouble
                .take()
                .filter(|known| known.refusal == failure.refusal);
            let now = Trouble {
                refusal: failure.refusal,
                since: Instant::now(),
            };
            trouble.insert(kept.unwrap_or(now)).since
        };
        let text = format!(
            "Failed to forward {count} events\n{}; the events are kept and sent again",
            failure.reason
        );
        match failure.refusal {
            None if attempt <= PATIENCE => log.warning(text),
            Some(_) if since.elapsed() >= CRITICAL_AFTER && !log.has_been_critical() => {
                log.critical(text);
            }
            _ => log.error(text),
        }
    }

    fn recovered(&self) {
        let trouble = self
            .0
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if trouble.is_some() {
            self.0.around.log.info("The intake accepts events again");
        }
    }

    async fn pause(&self, pause: Duration) -> Result<(), Stopped> {
        let around = &self.0.around;
        around.heartbeat.beat(pause);
        let started = Instant::now();
        let stopped = time::timeout(pause, around.stop.cancelled()).await.is_ok();
        self.0
            .metrics
            .waiting
            .inc_by(started.elapsed().as_secs_f64());
        if stopped { Err(Stopped) } else { Ok(()) }
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intake({})", self.0.url)
    }
}

#[cfg(test)]
mod tests;
