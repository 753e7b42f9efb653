//! How `object_store` sends its requests: over our one way out, so that proxy, trust and limits are
//! the same as everywhere. Here its answers are sorted, as it does not show their headers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base::{
    Clock,
    http::{Http, Limits, Request, Response},
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};

use super::error::{self, Problem, code};

/// The longest object that is read. What is written here is far shorter.
const MAX_OBJECT: usize = 64 << 20;

/// The longest answer that is no object.
const MAX_ANSWER: usize = 16 << 20;

/// A request without much to carry takes no longer.
const CALL: Duration = Duration::from_secs(15);

/// An upload or download may take [`CALL`], and a second for each of these more.
const BYTES_A_SECOND: usize = 256 << 10;

/// How old an object is by the store's clock, which an answer carries with it when the store tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age(pub(super) Duration);

/// Why a request has failed, on its way through `object_store`.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Failure(pub(super) Arc<Problem>);

/// Our way out, as `object_store` wants it.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) http: Http,
    pub(super) clock: Clock,
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        // A proxy that compresses an object gives it another ETag, which no condition of a write would meet.
        let accepted = head.headers.entry(header::ACCEPT_ENCODING);
        accepted.or_insert(HeaderValue::from_static("identity"));
        let asked = Asked::of(&head.method, head.uri.query());
        let limits = asked.limits(body.len());
        let answer = self.http.send(Request::from_parts(head, body), limits);
        let answer = answer
            .await
            .map_err(|error| failure(Problem::Exchange(error)))?;
        let skew = date(answer.headers(), header::DATE).map(|theirs| self.clock.now() - theirs);
        asked.sort(answer, skew)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Read,
    Look,
    List,
    Write,
    Delete,
}

impl Asked {
    fn of(method: &Method, query: Option<&str>) -> Self {
        match *method {
            Method::GET if query.is_some_and(|query| query.contains("list-type=")) => Self::List,
            Method::HEAD => Self::Look,
            Method::PUT => Self::Write,
            Method::DELETE => Self::Delete,
            _ => Self::Read,
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Read | Self::Look => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Delete => "delete",
        }
    }

    /// For a request that carries so many bytes.
    fn limits(self, bytes: usize) -> Limits {
        match self {
            Self::Read => Limits {
                first_byte: CALL,
                total: CALL + time_for(MAX_OBJECT),
                max_body: MAX_OBJECT,
            },
            _ => {
                let total = CALL + time_for(bytes);
                Limits {
                    first_byte: total,
                    total,
                    max_body: MAX_ANSWER,
                }
            }
        }
    }

    /// What `object_store` is to make of an answer. What tells that an object is absent, or another
    /// version than expected, is left to it.
    fn sort(self, answer: Response, skew: Option<TimeDelta>) -> Result<HttpResponse, HttpError> {
        let status = answer.status();
        let is_absent = status == StatusCode::NOT_FOUND
            // Any server answers 404; only one that knows what it speaks of is believed.
            && (self == Self::Look || code(&answer) == "NoSuchKey");
        if self == Self::Delete && is_absent {
            return Ok(readable(Response::new(Bytes::new())));
        }
        if status.is_success() && !self.is_of_a_store(&answer) {
            let verb = self.verb();
            return Err(failure(Problem::Foreign { verb, status }));
        }
        if status.is_success() || status == StatusCode::PRECONDITION_FAILED || is_absent {
            return Ok(readable(answer));
        }
        Err(failure(error::explain(self.verb(), &answer, skew)))
    }

    /// Whether a success is one that a store gives: the page of a proxy is one, too, and read as an
    /// object or an empty list it would replace what is there.
    fn is_of_a_store(self, answer: &Response) -> bool {
        match self {
            Self::Read | Self::Look | Self::Write => answer.headers().contains_key(header::ETAG),
            Self::List => is_list(answer.body()),
            Self::Delete => answer.body().is_empty(),
        }
    }
}

/// Whether it is a list of objects that says how it goes on. The older form of this request, which some
/// servers answer in its place, goes on in another way.
fn is_list(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.contains("<ListBucketResult")
        && (!text.contains("<IsTruncated>true") || text.contains("<NextContinuationToken>"))
}

/// A failure that `object_store` tries again when that may help. It need not know whether the store has
/// carried a write out: the condition of the next try is refused then, and the caller reads what is there.
fn failure(problem: Problem) -> HttpError {
    let kind = if problem.is_transient() {
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Unknown
    };
    HttpError::new(kind, Failure(problem.into()))
}

/// An answer with the headers that `object_store` insists on, and the age of the object.
fn readable(answer: Response) -> HttpResponse {
    let (mut head, body) = answer.into_parts();
    if let Some(age) = age(&head.headers) {
        head.extensions.insert(Age(age));
    }
    // It is strict about the form, and nobody reads it there.
    head.headers.remove(header::LAST_MODIFIED);
    if !body.is_empty() || !head.headers.contains_key(header::CONTENT_LENGTH) {
        let length = HeaderValue::from(body.len());
        head.headers.insert(header::CONTENT_LENGTH, length);
    }
    HttpResponse::from_parts(head, body.into())
}

fn time_for(bytes: usize) -> Duration {
    Duration::from_secs((bytes / BYTES_A_SECOND) as u64)
}

fn age(headers: &HeaderMap) -> Option<Duration> {
    let (now, then) = (
        date(headers, header::DATE)?,
        date(headers, header::LAST_MODIFIED)?,
    );
    (now - then).max(TimeDelta::zero()).to_std().ok()
}

fn date(headers: &HeaderMap, name: header::HeaderName) -> Option<DateTime<Utc>> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(httpdate::parse_http_date(text).ok()?.into())
}
