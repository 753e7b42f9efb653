//! The one way out: every HTTP request of the program passes [`Http`].
//!
//! Behind it stands either a real client ([`Http::client`]) or, in tests, a router called in
//! memory. Limits of time and size are enforced here, so no caller can forget them.

mod client;
mod connections;
mod error;
mod gzip;
mod proxy;
mod reason;
#[cfg(test)]
mod tests;
mod trust;
mod within;

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use self::client::{CONNECT_TIMEOUT, ReqwestService};
pub use self::{
    client::ClientOptions,
    error::{HttpError, HttpErrorKind, SetupError},
    proxy::{PROXY_VARIABLES, Via},
    reason::Reason,
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

    /// The next request to a server goes over a new connection.
    fn renew(&self, _server: &::http::Uri) {}

    /// The next request to a server goes over a new connection when the last one may be old.
    fn leave_old(&self, _server: &::http::Uri) {}

    /// The proxy on the way to a server.
    fn via(&self, _server: &::http::Uri) -> Option<Via> {
        None
    }
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
    /// When the certificates that are to be trusted cannot be read.
    pub fn client(options: &ClientOptions) -> Result<Self, SetupError> {
        let service = ReqwestService::with_connect_timeout(options, CONNECT_TIMEOUT)?;
        Ok(Self::new(service))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is no whole answer within the limits. Any status is an answer.
    pub async fn send(&self, request: Request, limits: Limits) -> Result<Response, HttpError> {
        self.0.call(request, limits).await
    }

    /// Has the next request to a server go over a new connection, as when its answer turns out to be
    /// broken off. After answers that are broken off or refused for the connection's sake it does so
    /// by itself.
    pub fn renew(&self, server: &::http::Uri) {
        self.0.renew(server);
    }

    /// Has the next request to a server go over a new connection when the last one may be two minutes old:
    /// the machine that it leads to may lag behind the others without a fault in its answers.
    pub fn leave_old(&self, server: &::http::Uri) {
        self.0.leave_old(server);
    }

    /// The proxy that requests to a server pass.
    pub fn via(&self, server: &::http::Uri) -> Option<Via> {
        self.0.via(server)
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
