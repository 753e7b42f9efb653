//! What can go wrong with an object store, and what to do about it.

use std::{io, sync::Arc};

use base::http::{HttpError, HttpErrorKind, Response};
use chrono::TimeDelta;
use http::StatusCode;

/// A clock that is off by more than this is the likely reason of a refusal: Amazon's limit is 15
/// minutes.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Why an object store did not do what it was asked. Shows bucket and endpoint, never a key.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ObjectError {
    /// Bucket and endpoint.
    pub place: String,
    #[source]
    pub problem: Arc<Problem>,
}

impl ObjectError {
    /// Whether the lease is no more.
    pub(super) fn is_end(&self) -> bool {
        matches!(*self.problem, Problem::Lost { .. } | Problem::Released)
    }

    /// Whether another instance may have changed a file while it was read.
    pub(super) fn is_change(&self) -> bool {
        matches!(*self.problem, Problem::Part { .. } | Problem::Changed)
    }
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        match *error.problem {
            Problem::TooLong { .. } => Self::new(io::ErrorKind::InvalidData, error),
            _ => Self::other(error),
        }
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("no answer: check aws_s3_endpoint_url and the network")]
    Exchange(#[source] HttpError),
    #[error("the access key is not known there: check aws_access_key_id")]
    AccessKey,
    /// The signature is wrong, most likely because the secret key is.
    #[error("the signature is refused: check aws_secret_access_key")]
    SecretKey,
    /// The session token is wrong or has expired.
    #[error("the session token is refused: renew aws_session_token and the keys that belong to it")]
    SessionToken,
    /// Another region was expected.
    #[error("the region is refused: set aws_default_region to the region of the bucket{}",
        .expected.as_ref().map(|region| format!(", which is {region}")).unwrap_or_default())]
    Region {
        /// The bucket's region, when the store tells it.
        expected: Option<String>,
    },
    #[error("there is no such bucket: create it, or check aws_bucket_name")]
    NoBucket,
    #[error(
        "the access key may not {verb} objects: allow it s3:ListBucket on the bucket, and \
         s3:GetObject, s3:PutObject and s3:DeleteObject on the objects in it"
    )]
    Denied { verb: &'static str },
    #[error(
        "the clock of this machine is {minutes} minutes {direction} of the store's: set it right"
    )]
    Clock {
        minutes: i64,
        /// Ahead or behind.
        direction: &'static str,
    },
    #[error("it cannot answer at the moment (status {status}{})", with(.code))]
    Busy { status: StatusCode, code: String },
    #[error("it has no conditional writes")]
    Unconditional,
    /// An answer that is none of these.
    #[error(
        "an unexpected answer to the request to {verb} an object (status {status}{}): check that \
         aws_s3_endpoint_url is the address of an S3 service", with(.code))]
    Unexpected {
        verb: &'static str,
        status: StatusCode,
        code: String,
    },
    /// A success that no store gives: something else has answered.
    #[error(
        "a success (status {status}) to the request to {verb} an object that no S3 service gives: check \
         that no proxy answers in its place, and that aws_s3_endpoint_url is the address of an S3 service"
    )]
    Foreign {
        verb: &'static str,
        status: StatusCode,
    },
    /// An answer that the protocol does not know.
    #[error(
        "an answer of it is not as S3 has it: check that aws_s3_endpoint_url is the address of an S3 service"
    )]
    Protocol(#[from] object_store::Error),
    /// A file is not whole.
    #[error(
        "the object {key} is missing, which is a part of {name}: put it back, or delete the object \
         {name} to go on without what was in it"
    )]
    Part { key: String, name: String },
    /// No file of a state is as long.
    #[error("it has {length} bytes, more than the {most} that it may have")]
    TooLong { length: usize, most: usize },
    #[error("an object was changed by another program at the same time")]
    Changed,
    #[error(
        "another instance{} works on the same files: stop that one, or give this one a sub_folder \
         of its own", on(.host))]
    InUse { host: String },
    #[error(
        "another instance{} has taken over, as this one could not renew its lease in time: this one \
         writes nothing more", on(.host))]
    Lost { host: String },
    #[error("the lease was given back, nothing more is written")]
    Released,
}

impl Problem {
    /// Whether it may pass when tried again.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Exchange(error) => error.kind != HttpErrorKind::Setup,
            Self::Busy { .. } | Self::Foreign { .. } | Self::Changed => true,
            _ => false,
        }
    }
}

fn with(code: &str) -> String {
    if code.is_empty() {
        String::new()
    } else {
        format!(", {code}")
    }
}

/// The name of a machine, where it is known, as the middle of a sentence.
pub(super) fn on(host: &str) -> String {
    if host.is_empty() {
        String::new()
    } else {
        format!(" on {host}")
    }
}

/// What an answer that is no success says. `skew` is how far our clock is ahead.
pub(super) fn explain(verb: &'static str, answer: &Response, skew: Option<TimeDelta>) -> Problem {
    let status = answer.status();
    let code = code(answer);
    match (status.as_u16(), code.as_str()) {
        (_, "NoSuchBucket") => Problem::NoBucket,
        (_, "InvalidAccessKeyId" | "NotSignedUp") => Problem::AccessKey,
        (_, "InvalidToken" | "ExpiredToken" | "TokenRefreshRequired") => Problem::SessionToken,
        (301 | 307, _)
        | (
            _,
            "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError"
            | "IllegalLocationConstraintException",
        ) => Problem::Region {
            expected: region(answer),
        },
        // A refusal of a HEAD has no word. One with another word tells the region, too, and is not about it.
        (400, "") if region(answer).is_some() => Problem::Region {
            expected: region(answer),
        },
        (501, _) | (_, "NotImplemented") => Problem::Unconditional,
        (403, _) if skew.is_some_and(|skew| skew.abs() > SKEW) => off(skew.unwrap_or_default()),
        (_, "RequestTimeTooSkewed") => off(skew.unwrap_or_default()),
        (_, "SignatureDoesNotMatch") => Problem::SecretKey,
        (401 | 403, _) => Problem::Denied { verb },
        (408 | 409 | 429 | 500 | 502..=599, _)
        | (_, "SlowDown" | "InternalError" | "ServiceUnavailable" | "RequestTimeout") => {
            Problem::Busy { status, code }
        }
        _ => Problem::Unexpected { verb, status, code },
    }
}

fn off(skew: TimeDelta) -> Problem {
    Problem::Clock {
        minutes: skew.num_minutes().abs(),
        direction: if skew < TimeDelta::zero() {
            "behind"
        } else {
            "ahead"
        },
    }
}

/// The region that the store expects, when it says so.
fn region(answer: &Response) -> Option<String> {
    let header = answer.headers().get("x-amz-bucket-region")?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    header.chars().all(plain).then(|| header.to_owned())
}

/// The word for the error, from the XML of the answer: one of letters, digits and dots.
pub(super) fn code(answer: &Response) -> String {
    let text = String::from_utf8_lossy(answer.body());
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code.trim());
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    if code.len() <= 80 && code.chars().all(plain) {
        code.to_owned()
    } else {
        String::new()
    }
}
