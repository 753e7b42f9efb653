//! Delivery of events to an intake, for as long as it takes (section J of the contract).
//!
//! [`answer`] says what an answer proves, [`given`] whether it is one to other events, [`gate`] who may send at
//! present, [`case`] what speaks against single events, [`aside`] when a batch lets others past, [`patience`] when
//! it has too many events for one request, and [`allowance`] how long an answer may take. [`deliver`] and [`hand`]
//! are the shell around these decisions.

mod allowance;
mod answer;
mod aside;
mod batch;
mod case;
mod deliver;
mod gate;
mod given;
mod hand;
mod metrics;
mod outcome;
mod patience;
mod probe;
mod report;
mod sizes;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use base::{
    Secret,
    buffers::Buffers,
    http::{HttpError, HttpErrorKind, Limits, chain},
    lock,
    retry::retry_after,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{
    HeaderValue, StatusCode, Uri,
    header::{CONTENT_TYPE, USER_AGENT},
};
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

use self::{
    allowance::Allowance,
    answer::{Cause, identifiers, judge, refusal},
    batch::{BatchLimits, MAX_EVENT_BYTES, Parcel},
    gate::{Acceptances, Gate, Mood},
    given::{Given, Whose},
    metrics::IntakeMetrics,
    outcome::{Outcome, Unaccepted},
    report::Report,
    sizes::{LARGE_EVENT, Sizes, is_of_size},
};
pub use self::{batch::Batch, hand::InHand, probe::Probed};
use super::{Context, platform::LIMITS, redirect};

/// When the process ends, a request under way gets this long: an answer that still comes spares sending
/// the same events again later.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// And what waits for these requests so long: what they have brought is still kept.
const DRAIN: Duration = Duration::from_millis(2500);

/// Beside the time for any request, one gets a second for each of these bytes that it carries. A line that
/// carries less is better off with smaller requests.
const BYTES_A_SECOND: usize = 16 << 10;

/// Buffers for bodies that are kept: for those that are under way and the one that is being filled.
const KEPT_BUFFERS: usize = 5;

/// The stop came before the intake had accepted everything: what was not accepted has to be sent
/// again after the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before the intake had accepted all events")]
pub struct Stopped;

/// What became of the events of a batch: those that stay in hand are to be
/// [insisted](Intake::insist) on.
pub(super) type Receipt = base::delivery::Receipt<InHand>;

/// Handle on one intake; cheap to clone. Several batches may be under way at once.
#[derive(Clone)]
pub struct Intake(Arc<Inner>);

struct Inner {
    around: Context,
    url: Uri,
    tail: Bytes,
    limits: BatchLimits,
    /// Bytes of the last bodies: the next is about as long, and need not grow.
    last_body: AtomicUsize,
    buffers: Buffers,
    metrics: IntakeMetrics,
    gate: Mutex<Gate>,
    /// Wakes those who wait for the gate when something is accepted.
    opened: Notify,
    /// Held by the one whose turn it is while the gate is not open.
    turn: tokio::sync::Mutex<()>,
    /// Held by the one of the events in hand that is tried.
    hand: tokio::sync::Mutex<()>,
    sizes: Mutex<Sizes>,
    /// The same of events instead of bytes: an intake that asks for patience may count either.
    counts: Mutex<Sizes>,
    allowance: Mutex<Allowance>,
    given: Mutex<Given>,
    report: Mutex<Report>,
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

/// What a request with a body that is sent in this time may cost.
fn limits(upload: Duration, allowance: Allowance) -> Limits {
    Limits {
        first_byte: allowance.of(LIMITS.first_byte) + upload,
        total: allowance.of(LIMITS.total) + upload,
        ..LIMITS
    }
}

impl Intake {
    /// One whose batches hold so many events at most.
    pub(super) fn new(around: Context, url: Uri, key: &Secret, events: usize) -> Self {
        around.log.hide(key);
        let quoted = serde_json::Value::from(key.expose());
        Self(Arc::new(Inner {
            metrics: IntakeMetrics::new(&around.metrics, key.expose()),
            around,
            url,
            tail: Bytes::from(format!(r#"],"intake_key":{quoted}}}"#)),
            limits: BatchLimits::events(events),
            last_body: AtomicUsize::new(0),
            buffers: Buffers::new(KEPT_BUFFERS),
            gate: Mutex::default(),
            opened: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            hand: tokio::sync::Mutex::default(),
            sizes: Mutex::default(),
            counts: Mutex::default(),
            allowance: Mutex::default(),
            given: Mutex::default(),
            report: Mutex::default(),
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
        let mut limits = self.0.limits;
        limits.body_bytes = limits.body_bytes.min(lock(&self.0.sizes).most());
        limits.events = limits.events.min(lock(&self.0.counts).most());
        Batch::within(
            self.0.buffers.take(self.0.last_body.load(Relaxed)),
            limits,
            self.0.tail.clone(),
            self.0.metrics.discarded.clone(),
        )
    }

    /// The newest event that was accepted has this date: from here on the metric `events_lags`
    /// tells how old it is.
    pub fn accepted_up_to(&self, newest: DateTime<Utc>) {
        self.0.metrics.accepted_up_to(newest);
    }

    /// After a stop: ends when what is on its way is given up.
    pub async fn gives_up(&self) {
        self.0.around.given_up(DRAIN).await;
    }

    async fn attempt(&self, parcel: &Parcel) -> Result<Outcome, Stopped> {
        let outcome = self.request(parcel).await?;
        if matches!(&outcome, Outcome::Failed(unaccepted) if unaccepted.cause == Cause::Uncertain) {
            self.0.metrics.uncertain.inc();
        }
        if parcel.unsure {
            // A refusal adds none, however often it is asked again.
            let again = outcome.at_most_accepted(parcel.len());
            self.0.metrics.doubled.inc_by(again as u64);
            lock(&self.0.report).sent_again(again);
        }
        Ok(outcome)
    }

    async fn request(&self, parcel: &Parcel) -> Result<Outcome, Stopped> {
        let around = &self.0.around;
        if around.stop.is_cancelled() {
            return Err(Stopped);
        }
        let mut exchange = std::pin::pin!(self.exchange(parcel.body.clone()));
        let result = tokio::select! {
            result = &mut exchange => result,
            () = around.stop.cancelled() => tokio::select! {
                biased;
                result = &mut exchange => result,
                () = around.given_up(STOP_GRACE) => return Err(Stopped),
            },
        };
        Ok(match result {
            Ok(sent) => self.answered(parcel, sent),
            Err(error) => self.unanswered(parcel, &error),
        })
    }

    /// What follows from a request without an answer, or with the head of one alone.
    fn unanswered(&self, parcel: &Parcel, error: &HttpError) -> Outcome {
        let refused = error.status.filter(StatusCode::is_client_error);
        let label = refused.as_ref().map(StatusCode::as_str);
        let label = label.unwrap_or(error.kind.label());
        self.0.metrics.request(label);
        let broken_off = error.status.filter(StatusCode::is_success);
        let is_slow = error.kind == HttpErrorKind::Timeout;
        // The answer to fewer events is shorter: it may come to its end.
        if is_slow && parcel.body.len() > LARGE_EVENT || broken_off.is_some() {
            self.seems_too_large(parcel);
        }
        // A success whose text is broken off proves as little as one with another text.
        if let Some(status) = broken_off {
            return Outcome::uncertain(format!(
                "the intake {} answers {status}, but not to its end: {}",
                self.host(),
                chain(error)
            ));
        }
        // A refusal is one without its text, too: nothing is accepted.
        if let Some(status) = refused {
            let (cause, sentence) = refusal(self.host(), status, &[], &parcel.body);
            if is_of_size(cause, status, parcel.body.len()) {
                self.seems_too_large(parcel);
            }
            let sentence = format!("{sentence} ({})", chain(error));
            return Outcome::failed(cause, sentence, false);
        }
        let never_sent = matches!(error.kind, HttpErrorKind::Connect | HttpErrorKind::Setup);
        let sentence = probe::unreachable(error);
        Outcome::failed(Cause::Outage, sentence, !never_sent)
    }

    /// What an answer says of the events of a request.
    fn answered(&self, parcel: &Parcel, sent: redirect::Sent) -> Outcome {
        let around = &self.0.around;
        let answer = sent.answer;
        let status = answer.status();
        self.0.metrics.request(status.as_str());
        let mut outcome = judge(self.host(), &answer, parcel.len(), &parcel.body);
        if outcome.accepts_some(parcel.len()) && self.is_to_others(parcel, answer.body()) {
            outcome = Outcome::uncertain(format!(
                "the intake {} answers {status} with the identifiers of other events, which does not say that \
                 these are accepted",
                self.host()
            ));
        }
        if outcome.may_be_of_an_ill_machine() {
            around.http.renew(&self.0.url);
        }
        match &mut outcome {
            Outcome::Told(fates) => {
                lock(&self.0.sizes).accepted(parcel.body.len());
                lock(&self.0.counts).accepted(parcel.len());
                if fates.accepted(parcel.len()) == 0 {
                    let unsure = !fates.unclear.is_empty();
                    return Outcome::failed(Cause::Refused, fates.refusal(), unsure);
                }
            }
            // Its answers may name so many at most: each larger batch would come twice.
            Outcome::Short(_) => self.seems_too_large(parcel),
            Outcome::Failed(unaccepted) => {
                let cause = unaccepted.cause;
                if is_of_size(cause, status, parcel.body.len()) {
                    self.seems_too_large(parcel);
                }
                if cause != Cause::Uncertain {
                    unaccepted.asked = retry_after(answer.headers(), around.clock.now());
                }
                if cause == Cause::Busy
                    && let Some(asked) = unaccepted.asked
                {
                    self.gate().waits_until(Instant::now() + asked);
                }
                unaccepted.sentence += &sent.astray.unwrap_or_default();
            }
        }
        outcome
    }

    /// Whether an answer that accepts events was given to others before.
    fn is_to_others(&self, parcel: &Parcel, answer: &[u8]) -> bool {
        let Some(ids) = identifiers(answer) else {
            return false;
        };
        let is_long = self.gate().doubts_for_a_while(Instant::now());
        let whose = lock(&self.0.given).judge(&ids, parcel.mark(), is_long);
        if whose == Whose::Nobodys {
            Report::counts_alone(&self.0.around.log);
        }
        whose == Whose::Others
    }

    /// The next bodies may have to be smaller.
    fn seems_too_large(&self, parcel: &Parcel) {
        if parcel.len() > 1 {
            lock(&self.0.sizes).refused(parcel.body.len());
        }
    }

    async fn exchange(&self, body: Bytes) -> Result<redirect::Sent, HttpError> {
        let Inner { around, url, .. } = &*self.0;
        let bytes = body.len();
        // An instance that slept may have been replaced meanwhile: it sends nothing before it knows.
        around.storage.held().await;
        let mut request = http::Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = url.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, around.agent.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let upload = Duration::from_secs((bytes / BYTES_A_SECOND) as u64);
        let given = *lock(&self.0.allowance);
        let begun = Instant::now();
        let sent = redirect::send(&around.http, request, limits(upload, given)).await;
        let mut allowance = lock(&self.0.allowance);
        match &sent {
            Ok(sent) if sent.answer.status().is_success() => {
                let half = given.of(LIMITS.total) / 2 + upload;
                allowance.answered(begun.elapsed() <= half);
            }
            // A longer body may not have arrived: smaller ones are sent next, and tell.
            Err(error)
                if error.kind == HttpErrorKind::Timeout
                    && (bytes <= LARGE_EVENT || error.status.is_some()) =>
            {
                allowance.timed_out(given);
            }
            Ok(_) | Err(_) => {}
        }
        drop(allowance);
        sent
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        lock(&self.0.gate)
    }

    /// Events are accepted of the request before which requests had come so far.
    fn accepted(&self, events: usize, before: Acceptances) {
        if events == 0 {
            return;
        }
        self.0.metrics.forwarded.inc_by(events as u64);
        self.0.around.heartbeat.delivered();
        self.gate().accepted(before);
        self.0.opened.notify_waiters();
        lock(&self.0.report).accepted(&self.0.around.log);
    }

    async fn until_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        let done = self.0.around.stop.run_until_cancelled(work).await;
        done.ok_or(Stopped)
    }

    /// Waits as a batch does; what waits beside the batches only sleeps, as the collection does not wait for it.
    async fn pause(&self, pause: Duration) -> Result<(), Stopped> {
        let started = Instant::now();
        let done = self.until_stopped(time::sleep(pause)).await;
        let waited = started.elapsed().as_secs_f64();
        self.0.metrics.waiting.inc_by(waited);
        done
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intake({})", self.0.url)
    }
}

#[cfg(test)]
mod tests;
