//! The one way out: every HTTP request of the program passes [`Http`].
//!
//! Behind it stands either a real client ([`Http::client`]) or, in tests, a router called in
//! memory. Limits of time and size are enforced here, so no caller can forget them.

mod client;
mod retry;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use self::{
    client::ClientOptions,
    retry::{Backoff, retry_after},
};

/// A request with its whole body.
pub type Request = ::http::Request<Bytes>;

/// An answer with its whole body, decompressed.
pub type Response = ::http::Response<Bytes>;

/// What one exchange may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the head of the answer is there.
    pub first_byte: Duration,
    /// Until the whole answer is there.
    pub total: Duration,
    /// Bytes of the answer's body after decompression.
    pub max_body: usize,
}

/// Performs exchanges.
pub trait HttpService: fmt::Debug + Send + Sync {
    /// Sends a request and reads the whole answer within the limits. Redirects are not followed:
    /// they are answers like any other.
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>>;
}

/// Handle on an [`HttpService`]; cheap to clone.
#[derive(Clone, Debug)]
pub struct Http(Arc<dyn HttpService>);

impl Http {
    /// A handle on any service.
    pub fn new(service: impl HttpService + 'static) -> Self {
        Self(Arc::new(service))
    }

    /// The real client.
    ///
    /// # Errors
    /// When the TLS set-up fails, e.g. for an unreadable certificate.
    pub fn client(options: &ClientOptions) -> Result<Self, HttpError> {
        Ok(Self::new(client::ReqwestService::new(options)?))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer within the limits. Any status is an answer.
    pub async fn send(&self, request: Request, limits: Limits) -> Result<Response, HttpError> {
        self.0.call(request, limits).await
    }
}

/// Why an exchange gave no answer. Never shows the path or query of the URL.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {host}")]
pub struct HttpError {
    /// What failed.
    pub kind: HttpErrorKind,
    /// The host that was asked.
    pub host: String,
    /// The failure below, when there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl HttpError {
    /// An error with no other cause.
    pub fn new(kind: HttpErrorKind, host: impl Into<String>) -> Self {
        Self {
            kind,
            host: host.into(),
            source: None,
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// The kinds of [`HttpError`]. All but [`Setup`](Self::Setup) may pass when tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// No connection: name resolution, refused, proxy or TLS.
    Connect,
    /// No answer within the time.
    Timeout,
    /// The connection broke before the answer was whole.
    Interrupted,
    /// The answer is longer than allowed.
    TooLarge,
    /// The answer's compression is damaged.
    Decode,
    /// The request or the client could not be built; trying again does not help.
    Setup,
}

impl HttpErrorKind {
    /// A word for metrics labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::TooLarge => "too_large",
            Self::Decode => "decode",
            Self::Setup => "setup",
        }
    }
}

impl fmt::Display for HttpErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "cannot connect to host",
            Self::Timeout => "no answer in time from host",
            Self::Interrupted => "connection broke before the answer was whole, host",
            Self::TooLarge => "answer longer than allowed, host",
            Self::Decode => "answer with damaged compression, host",
            Self::Setup => "request cannot be made, host",
        })
    }
}

/// The error and all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
