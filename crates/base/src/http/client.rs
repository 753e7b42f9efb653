//! The real HTTP client: reqwest on rustls.

use std::time::Duration;

use ::http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{
    HttpError, HttpErrorKind, HttpService, Limits, Reason, Request, Response, SetupError, Via,
    connections::Connections,
    gzip::{Fault, GZIP, Gunzip, OLD_GZIP},
    proxy::Proxies,
    trust::{Shown, Trust},
    within::within,
};
use crate::{Secret, buffers::Buffers};

/// Time until a connection, TLS included, must stand.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Buffers for answers that are kept: for the page that is taken in, the one that comes, and one that
/// another reader has.
const KEPT_BUFFERS: usize = 3;

/// What the real client is built from. The default trusts what the system trusts, and passes no
/// proxy.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    trust: Trust,
    proxies: Proxies,
}

impl ClientOptions {
    /// Trusts the authorities of `ca_cert` (PEM text, contract C-29) too, and does what the
    /// environment says: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` in either case,
    /// `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE` (contract C).
    ///
    /// # Errors
    /// When a variable names no usable proxy.
    pub fn read<'a>(
        ca_cert: Option<String>,
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            trust: Trust::read(ca_cert, &variable),
            proxies: Proxies::read(variable)?,
        })
    }

    /// Shows this certificate to servers that ask for one; both as PEM text.
    #[must_use]
    pub fn showing(mut self, certificate: String, key: Secret) -> Self {
        self.trust.shown = Some(Shown { certificate, key });
        self
    }
}

#[derive(Debug)]
pub(super) struct ReqwestService {
    connections: Connections,
    buffers: Buffers,
}

impl ReqwestService {
    pub(super) fn with_connect_timeout(
        options: &ClientOptions,
        connect_timeout: Duration,
    ) -> Result<Self, SetupError> {
        let tls = options.trust.config()?;
        Ok(Self {
            connections: Connections::new(tls, options.proxies.clone(), connect_timeout)?,
            buffers: Buffers::new(KEPT_BUFFERS),
        })
    }

    async fn exchange(
        &self,
        request: Request,
        limits: Limits,
        way: &Way,
        client: &reqwest::Client,
        head: &mut Option<StatusCode>,
    ) -> Result<Response, HttpError> {
        let mut request = reqwest::Request::try_from(request)
            .map_err(|error| self.failed(error, way, HttpErrorKind::Setup))?;
        let accepted = request.headers_mut().entry(ACCEPT_ENCODING);
        accepted.or_insert(HeaderValue::from_static(GZIP));
        let answer = client.execute(request);
        let mut answer = within(limits.first_byte, answer)
            .await
            .map_err(|_| way.late(Reason::FirstByte(limits.first_byte)))?
            .map_err(|error| self.failed(error, way, HttpErrorKind::Interrupted))?;
        // It is the proxy that answers so: to a request that is not in a tunnel.
        if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED && way.via.is_some() {
            return Err(way.because(HttpErrorKind::Connect, Some(Reason::ProxyCredentials)));
        }
        *head = Some(answer.status());
        let mut response = ::http::Response::new(());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let gunzip = is_packed(response.headers()).then(Gunzip::new);
        if gunzip.is_some() {
            // They are of what came, not of what is handed on.
            response.headers_mut().remove(CONTENT_ENCODING);
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let max_body = limits.max_body;
        let body = self.read_body(&mut answer, gunzip, way, max_body).await?;
        Ok(response.map(|()| body))
    }

    async fn read_body(
        &self,
        answer: &mut reqwest::Response,
        mut gunzip: Option<Gunzip>,
        way: &Way,
        max_body: usize,
    ) -> Result<Bytes, HttpError> {
        let fault = |fault| match fault {
            Fault::TooLarge => way.because(HttpErrorKind::TooLarge, None),
            Fault::Damaged(kind) => way
                .because(HttpErrorKind::Decode, None)
                .with_source(std::io::Error::from(kind)),
        };
        let announced = answer
            .content_length()
            .filter(|_| gunzip.is_none())
            .and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > max_body) {
            return Err(fault(Fault::TooLarge));
        }
        let mut body = match announced {
            Some(length) => self.buffers.take(length),
            None => self.buffers.take_any(),
        };
        while let Some(part) = answer
            .chunk()
            .await
            .map_err(|error| self.failed(error, way, HttpErrorKind::Interrupted))?
        {
            match &mut gunzip {
                Some(gunzip) => gunzip.add(&part, &mut body, max_body).map_err(fault)?,
                None if body.len() + part.len() > max_body => return Err(fault(Fault::TooLarge)),
                None => body.push(&part),
            }
        }
        if let Some(gunzip) = gunzip {
            gunzip.end().map_err(fault)?;
        }
        Ok(body.freeze())
    }

    /// Sorts reqwest's errors; `otherwise` is the kind when it does not say.
    fn failed(&self, error: reqwest::Error, way: &Way, otherwise: HttpErrorKind) -> HttpError {
        let kind = if error.is_connect() {
            HttpErrorKind::Connect
        } else if error.is_timeout() {
            HttpErrorKind::Timeout
        } else if error.is_builder() {
            HttpErrorKind::Setup
        } else {
            otherwise
        };
        let limit = self.connections.connect_timeout;
        let reason = match kind {
            HttpErrorKind::Connect => Reason::of_connect(&error, way.via.as_ref(), limit),
            _ => None,
        };
        way.because(kind, reason).with_source(error.without_url())
    }
}

impl HttpService for ReqwestService {
    fn via(&self, server: &Uri) -> Option<Via> {
        let proxy = self.connections.proxies.on_the_way_to(server)?;
        Some(proxy.via.clone())
    }

    fn renew(&self, server: &Uri) {
        self.connections.give_up(server, None);
    }

    fn leave_old(&self, server: &Uri) {
        self.connections.give_up_old(server);
    }

    fn call(&self, request: Request, limits: Limits) -> BoxFuture<'_, Result<Response, HttpError>> {
        Box::pin(async move {
            let server = request.uri().clone();
            let way = Way {
                host: server.host().unwrap_or("none").to_owned(),
                via: self.via(&server),
            };
            let client = self
                .connections
                .to(&server)
                .map_err(|error| way.because(HttpErrorKind::Setup, None).with_source(error))?;
            let mut head = None;
            let exchange = self.exchange(request, limits, &way, &client, &mut head);
            let result = within(limits.total, exchange)
                .await
                .unwrap_or_else(|_| Err(way.late(Reason::Total(limits.total))));
            let result = result.map_err(|error| HttpError {
                status: head,
                ..error
            });
            if is_ill(&result) {
                self.connections.give_up(&server, Some(&client));
            }
            result
        })
    }
}

/// Whether another connection may lead to a machine that does better: Graph asks for one after a 503
/// (its best practices), a 421 says that the server does not answer for the name on this one, a 408 that what
/// was sent did not arrive on it, any 5xx that what stands at its end fails or does not reach the service, and
/// an answer that breaks off that something on the way is ill.
fn is_ill(result: &Result<Response, HttpError>) -> bool {
    match result {
        Ok(answer) => {
            let status = answer.status();
            status.is_server_error() || matches!(status.as_u16(), 408 | 421)
        }
        Err(error) => matches!(
            error.kind,
            HttpErrorKind::Interrupted | HttpErrorKind::Decode | HttpErrorKind::Timeout
        ),
    }
}

/// Where a request goes, for its errors.
struct Way {
    host: String,
    via: Option<Via>,
}

impl Way {
    fn because(&self, kind: HttpErrorKind, reason: Option<Reason>) -> HttpError {
        HttpError {
            via: self.via.clone(),
            reason,
            ..HttpError::new(kind, self.host.clone())
        }
    }

    fn late(&self, reason: Reason) -> HttpError {
        self.because(HttpErrorKind::Timeout, Some(reason))
    }
}

/// Whether an answer is compressed. Other ways to do so were not offered.
fn is_packed(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING);
    encoding.is_some_and(|encoding| {
        let name = encoding.as_bytes().trim_ascii();
        let mut names = [GZIP, OLD_GZIP].into_iter();
        names.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_compressed_however_that_is_spelled() {
        let is_packed = |encoding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, encoding.parse().unwrap());
            is_packed(&headers)
        };
        for encoding in ["gzip", "GZIP", "Gzip ", "x-gzip", "X-GZip"] {
            assert!(is_packed(encoding), "{encoding}");
        }
        for encoding in ["", "identity", "br", "gzip, br", "gzipped"] {
            assert!(!is_packed(encoding), "{encoding}");
        }
        assert!(!super::is_packed(&HeaderMap::new()));
    }
}
