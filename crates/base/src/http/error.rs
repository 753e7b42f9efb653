//! Why there is no answer, or no client.

use std::fmt;

use ::http::StatusCode;

use super::{Reason, Via};

/// Why an exchange gave no answer. Never shows the path or query of the URL, nor the credentials
/// of a proxy.
#[derive(Debug)]
pub struct HttpError {
    /// What failed.
    pub kind: HttpErrorKind,
    /// The host that was asked.
    pub host: String,
    /// The proxy on the way to it.
    pub via: Option<Via>,
    /// Why, where it is understood.
    pub reason: Option<Reason>,
    /// The status, when the head of the answer came and the rest of it did not.
    pub status: Option<StatusCode>,
    /// The failure below, when there is one.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl HttpError {
    /// An error with no other cause.
    pub fn new(kind: HttpErrorKind, host: impl Into<String>) -> Self {
        Self {
            kind,
            host: host.into(),
            via: None,
            reason: None,
            status: None,
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

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.host)?;
        if let Some(via) = &self.via {
            write!(f, " through the proxy {via}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": ")?;
            reason.write(f, self.via.as_ref())?;
        }
        Ok(())
    }
}

impl std::error::Error for HttpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source: &(dyn std::error::Error + 'static) = self.source.as_deref()?;
        Some(source)
    }
}

/// The kinds of [`HttpError`]. All but [`Setup`](Self::Setup) may pass when tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HttpErrorKind {
    /// No connection: name resolution, refused, proxy or TLS.
    #[error("cannot connect to host")]
    Connect,
    /// No answer within the time.
    #[error("no answer in time from host")]
    Timeout,
    /// The connection broke before the answer was whole.
    #[error("connection broke before the answer was whole, host")]
    Interrupted,
    /// The answer is longer than allowed.
    #[error("answer longer than allowed, host")]
    TooLarge,
    /// The answer's compression is damaged.
    #[error("answer with damaged compression, host")]
    Decode,
    /// The request could not be built; trying again does not help.
    #[error("request cannot be made, host")]
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

/// Why there can be no client. Never shows a value.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The contract's `ca_cert` is no list of certificates.
    #[error(
        "ca_cert holds no usable certificate: write the authority's certificate as PEM text, \
         which begins with -----BEGIN CERTIFICATE-----"
    )]
    Authority,
    /// The contract's `client_cert` and `client_key` are no pair.
    #[error(
        "client_cert and client_key hold no usable certificate with its private key: write both as \
         PEM text, without a password"
    )]
    Shown,
    /// The file of trusted authorities that a variable names cannot be used.
    #[error("{variable} must name a readable file of certificates in PEM format")]
    Bundle {
        /// The environment variable.
        variable: &'static str,
        /// The failure below.
        source: rustls_pki_types::pem::Error,
    },
    /// A variable names no usable proxy.
    #[error(
        "{variable} names no usable proxy: write http://host:port, or http://user:password@host:port"
    )]
    Proxy {
        /// The environment variable.
        variable: &'static str,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
    /// The client cannot be made.
    #[error("cannot make a client")]
    Client(#[source] reqwest::Error),
}
