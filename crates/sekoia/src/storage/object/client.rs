//! Single requests to one folder of a bucket: signed, bounded in time, answers sorted.

use std::{fmt, time::Duration};

use base::{
    Clock,
    http::{Backoff, Http, HttpError, HttpErrorKind, Limits, Request, Response, retry_after},
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method, StatusCode, header};
use rusty_s3::{
    Bucket, Credentials, S3Action,
    actions::{DeleteObject, GetObject, HeadObject, ListObjectsV2, PutObject},
};
use tokio::time::{Instant, sleep};

use super::{
    error::{self, ObjectError, Problem, code},
    settings::ObjectSettings,
};

/// How long a signature counts. Short of Amazon's tolerance for clocks that run ahead, so that both
/// directions are alike.
const SIGNED_FOR: Duration = Duration::from_secs(900);

/// The longest object that is read. What is written here is far shorter.
const MAX_OBJECT: usize = 64 << 20;

/// The longest answer that is no object.
const MAX_ANSWER: usize = 16 << 20;

/// A request without much to carry takes no longer.
pub(super) const CALL: Duration = Duration::from_secs(15);

/// An upload or download may take [`CALL`], and a second for each of these more.
const BYTES_A_SECOND: usize = 256 << 10;

/// Since the first try of a request, another try begins no later than this. A lease is renewed in time
/// for all that.
const TRYING: Duration = Duration::from_secs(12);

/// The same for somebody who waits for an answer at a screen.
const TRYING_BRIEFLY: Duration = Duration::from_secs(2);

/// Carries the [generation](super::files) of an object.
const GENERATION: &str = "x-amz-meta-generation";

/// What must be true of an object for a write to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Nothing.
    None,
    /// There is no such object.
    Absent,
    /// It is the version with this ETag.
    Matches(String),
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// Done; the ETag of the new version.
    Done(String),
    /// The condition was not met.
    Refused,
}

/// What is known of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) etag: String,
    pub(super) length: u64,
    /// None when another program has written it.
    pub(super) generation: Option<String>,
    /// By the store's clock; none when it does not tell.
    pub(super) age: Option<Duration>,
}

/// One folder of a bucket. Keys are below the folder.
#[derive(Clone)]
pub(super) struct Client {
    bucket: Bucket,
    credentials: Credentials,
    folder: String,
    http: Http,
    clock: Clock,
    place: String,
    trying: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.place)
    }
}

impl Client {
    pub(super) fn new(settings: ObjectSettings, http: Http, clock: Clock) -> Self {
        Self {
            place: settings.place(),
            bucket: settings.bucket,
            credentials: settings.credentials,
            folder: settings.folder,
            http,
            clock,
            trying: TRYING,
        }
    }

    /// The same for a look: it says soon that the store does not answer.
    #[must_use]
    pub(super) fn briefly(self) -> Self {
        Self {
            trying: TRYING_BRIEFLY,
            ..self
        }
    }

    /// Bucket and endpoint in words.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn error(&self, problem: Problem) -> ObjectError {
        ObjectError {
            place: self.place.clone(),
            problem: problem.into(),
        }
    }

    /// An object; None when there is none.
    pub(super) async fn get(&self, key: &str) -> Result<Option<(Head, Bytes)>, ObjectError> {
        let key = self.full(key);
        let action = GetObject::new(&self.bucket, Some(&self.credentials), &key);
        let limits = Limits {
            first_byte: CALL,
            total: CALL + time_for(MAX_OBJECT),
            max_body: MAX_OBJECT,
        };
        let answer = self.send(action, Method::GET, &[], Bytes::new(), limits);
        let answer = answer.await?;
        match answer.status() {
            StatusCode::OK => {
                let head = head(answer.headers(), answer.body().len() as u64);
                Ok(Some((head, answer.into_body())))
            }
            // Any server answers 404; only one that knows what it speaks of is believed.
            StatusCode::NOT_FOUND if code(&answer) == "NoSuchKey" => Ok(None),
            _ => Err(self.explain("read", &answer)),
        }
    }

    /// What is known of an object; None when there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<Head>, ObjectError> {
        let key = self.full(key);
        let action = HeadObject::new(&self.bucket, Some(&self.credentials), &key);
        let answer = self.send(action, Method::HEAD, &[], Bytes::new(), limits(0));
        let answer = answer.await?;
        let length = || {
            let length = answer.headers().get(header::CONTENT_LENGTH)?;
            length.to_str().ok()?.parse().ok()
        };
        match answer.status() {
            StatusCode::OK => Ok(Some(head(answer.headers(), length().unwrap_or_default()))),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.explain("read", &answer)),
        }
    }

    /// Writes an object when the condition is met.
    pub(super) async fn put(
        &self,
        key: &str,
        content: Bytes,
        condition: &Condition,
        generation: Option<&str>,
    ) -> Result<Put, ObjectError> {
        let key = self.full(key);
        let action = PutObject::new(&self.bucket, Some(&self.credentials), &key);
        let mut headers = Vec::new();
        match condition {
            Condition::None => {}
            Condition::Absent => headers.push(("if-none-match", "*")),
            Condition::Matches(etag) => headers.push(("if-match", etag)),
        }
        headers.extend(generation.map(|generation| (GENERATION, generation)));
        let limits = limits(content.len());
        let answer = self.send(action, Method::PUT, &headers, content, limits);
        let answer = answer.await?;
        match answer.status() {
            status if status.is_success() => Ok(Put::Done(etag(answer.headers()))),
            StatusCode::PRECONDITION_FAILED => Ok(Put::Refused),
            // With If-Match, the object is gone.
            StatusCode::NOT_FOUND if code(&answer) == "NoSuchKey" => Ok(Put::Refused),
            _ => Err(self.explain("write", &answer)),
        }
    }

    /// Takes an object away; no error when it is not there.
    pub(super) async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let key = self.full(key);
        let action = DeleteObject::new(&self.bucket, Some(&self.credentials), &key);
        let answer = self.send(action, Method::DELETE, &[], Bytes::new(), limits(0));
        let answer = answer.await?;
        if answer.status().is_success() || code(&answer) == "NoSuchKey" {
            Ok(())
        } else {
            Err(self.explain("delete", &answer))
        }
    }

    /// The keys that start with a prefix, sorted.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let mut keys = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut action = ListObjectsV2::new(&self.bucket, Some(&self.credentials));
            action.with_prefix(self.full(prefix));
            if let Some(token) = token.take() {
                action.with_continuation_token(token);
            }
            let answer = self.send(action, Method::GET, &[], Bytes::new(), limits(0));
            let answer = answer.await?;
            if !answer.status().is_success() {
                return Err(self.explain("list", &answer));
            }
            let text = String::from_utf8_lossy(answer.body());
            let page =
                ListObjectsV2::parse_response(&text).map_err(|_| self.explain("list", &answer))?;
            let below = |key: String| key.strip_prefix(&self.folder).map(str::to_owned);
            keys.extend(
                page.contents
                    .into_iter()
                    .filter_map(|object| below(object.key)),
            );
            match page.next_continuation_token {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.folder)
    }

    /// Signs and sends, again and again while the store has no answer or is busy, for a while. A write
    /// may have been done although no answer came. Its condition is refused then, and the caller reads
    /// what is there.
    async fn send<'a>(
        &'a self,
        mut action: impl S3Action<'a>,
        method: Method,
        headers: &[(&'static str, &str)],
        body: Bytes,
        limits: Limits,
    ) -> Result<Response, ObjectError> {
        for (name, value) in headers {
            action.headers_mut().insert(*name, (*value).to_owned());
        }
        let begun = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
        loop {
            let answer = self
                .send_once(&action, method.clone(), headers, body.clone(), limits)
                .await;
            let asked = match &answer {
                Ok(answer) if error::is_busy(answer) => {
                    retry_after(answer.headers(), self.clock.now())
                }
                Err(error) if error.is_transient() => None,
                _ => return answer,
            };
            let pause = backoff.next_pause(asked);
            if begun.elapsed() + pause > self.trying {
                return answer;
            }
            sleep(pause).await;
        }
    }

    /// The signature covers the headers, and the host and path of the URL.
    async fn send_once<'a>(
        &'a self,
        action: &impl S3Action<'a>,
        method: Method,
        headers: &[(&'static str, &str)],
        body: Bytes,
        limits: Limits,
    ) -> Result<Response, ObjectError> {
        let now = jiff::Timestamp::from_second(self.clock.now().timestamp()).unwrap_or_default();
        let url = action.sign_with_time(SIGNED_FOR, &now);
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|_| self.malformed())?;
        for (name, value) in headers {
            let value = value.parse().map_err(|_| self.malformed())?;
            request.headers_mut().insert(*name, value);
        }
        let answer = self.http.send(request, limits).await;
        answer.map_err(|error| self.error(Problem::Exchange(error)))
    }

    fn malformed(&self) -> ObjectError {
        let host = self.bucket.base_url().host_str().unwrap_or_default();
        self.error(Problem::Exchange(HttpError::new(
            HttpErrorKind::Setup,
            host,
        )))
    }

    fn explain(&self, verb: &'static str, answer: &Response) -> ObjectError {
        let skew = date(answer.headers(), header::DATE).map(|theirs| self.clock.now() - theirs);
        self.error(error::explain(verb, answer, skew))
    }
}

fn time_for(bytes: usize) -> Duration {
    Duration::from_secs((bytes / BYTES_A_SECOND) as u64)
}

/// For a request that carries so many bytes.
fn limits(bytes: usize) -> Limits {
    let total = CALL + time_for(bytes);
    Limits {
        first_byte: total,
        total,
        max_body: MAX_ANSWER,
    }
}

fn etag(headers: &HeaderMap) -> String {
    let etag = headers
        .get(header::ETAG)
        .and_then(|etag| etag.to_str().ok());
    etag.unwrap_or_default().to_owned()
}

fn head(headers: &HeaderMap, length: u64) -> Head {
    let age = match (
        date(headers, header::DATE),
        date(headers, header::LAST_MODIFIED),
    ) {
        (Some(now), Some(then)) => Some((now - then).max(TimeDelta::zero())),
        _ => None,
    };
    let generation = headers.get(GENERATION).and_then(|text| text.to_str().ok());
    Head {
        etag: etag(headers),
        length,
        generation: generation.map(str::to_owned),
        age: age.and_then(|age| age.to_std().ok()),
    }
}

fn date(headers: &HeaderMap, name: header::HeaderName) -> Option<DateTime<Utc>> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(httpdate::parse_http_date(text).ok()?.into())
}
