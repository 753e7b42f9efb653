//! The real HTTP client: reqwest on rustls.

use std::{error::Error as _, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;

use super::{HttpError, HttpErrorKind, HttpService, Limits, Request, Response};

/// Time until a connection, TLS included, must stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept; below the idle limits of common load balancers.
const POOL_IDLE: Duration = Duration::from_secs(90);

/// What the real client is built from.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// PEM text of certificate authorities to trust beside the system's.
    pub ca_cert: Option<String>,
    /// Whether to leave out any proxy of the environment.
    pub direct: bool,
}

#[derive(Debug)]
pub(super) struct ReqwestService {
    client: reqwest::Client,
}

impl ReqwestService {
    pub(super) fn new(options: &ClientOptions) -> Result<Self, HttpError> {
        let builder = || {
            let builder = reqwest::Client::builder();
            let builder = if options.direct {
                builder.no_proxy()
            } else {
                builder
            };
            builder
                .user_agent(concat!("message-trace/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(POOL_IDLE)
                .tls_version_min(reqwest::tls::Version::TLS_1_2)
                .redirect(reqwest::redirect::Policy::none())
        };
        let own = options
            .ca_cert
            .as_deref()
            .map(|pem| reqwest::Certificate::from_pem_bundle(pem.as_bytes()))
            .transpose()
            .map_err(|error| setup(error.without_url()))?
            .unwrap_or_default();
        let client = builder().tls_certs_merge(own.clone()).build().or_else(|_| {
            // A system without certificates: trust the bundled ones of Mozilla instead.
            let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS
                .iter()
                .filter_map(|der| reqwest::Certificate::from_der(der).ok());
            builder()
                .tls_certs_merge(own.into_iter().chain(bundled))
                .build()
        });
        Ok(Self {
            client: client.map_err(|error| setup(error.without_url()))?,
        })
    }
}

fn setup(source: reqwest::Error) -> HttpError {
    HttpError::new(HttpErrorKind::Setup, "none").with_source(source)
}

impl HttpService for ReqwestService {
    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            let host = request
                .uri()
                .authority()
                .map_or("none", |a| a.host())
                .to_owned();
            let timeout = |_| HttpError::new(HttpErrorKind::Timeout, host.clone());
            let exchange = async {
                let request = reqwest::Request::try_from(request)
                    .map_err(|error| failed(error, &host, HttpErrorKind::Setup))?;
                let mut answer =
                    tokio::time::timeout(limits.first_byte, self.client.execute(request))
                        .await
                        .map_err(timeout)?
                        .map_err(|error| failed(error, &host, HttpErrorKind::Interrupted))?;
                let mut response = ::http::Response::new(());
                *response.status_mut() = answer.status();
                *response.headers_mut() = std::mem::take(answer.headers_mut());
                let body = read_body(&mut answer, &host, limits.max_body).await?;
                Ok(response.map(|()| body))
            };
            tokio::time::timeout(limits.total, exchange)
                .await
                .map_err(timeout)?
        })
    }
}

async fn read_body(
    answer: &mut reqwest::Response,
    host: &str,
    max_body: usize,
) -> Result<Bytes, HttpError> {
    let announced = answer
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > max_body) {
        return Err(HttpError::new(HttpErrorKind::TooLarge, host));
    }
    let mut body = BytesMut::with_capacity(announced.unwrap_or(0));
    while let Some(part) = answer
        .chunk()
        .await
        .map_err(|error| failed(error, host, HttpErrorKind::Interrupted))?
    {
        if body.len() + part.len() > max_body {
            return Err(HttpError::new(HttpErrorKind::TooLarge, host));
        }
        body.extend_from_slice(&part);
    }
    Ok(body.freeze())
}

/// Sorts reqwest's errors; `otherwise` is the kind when it does not say.
fn failed(error: reqwest::Error, host: &str, otherwise: HttpErrorKind) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() && error.source().is_some_and(is_damaged) {
        HttpErrorKind::Decode
    } else if error.is_builder() {
        HttpErrorKind::Setup
    } else {
        otherwise
    };
    HttpError::new(kind, host).with_source(error.without_url())
}

/// Whether the decompressor complained, rather than the connection.
fn is_damaged(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|io| {
        matches!(
            io.kind(),
            std::io::ErrorKind::InvalidInput
                | std::io::ErrorKind::InvalidData
                | std::io::ErrorKind::UnexpectedEof
        )
    })
}
