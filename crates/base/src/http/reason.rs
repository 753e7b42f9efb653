//! What is behind a failed exchange, and what to do about it.

use std::{error::Error, fmt, io, iter, time::Duration};

use rustls::{
    AlertDescription, CertificateError as Bad, Error as TlsError, InvalidMessage, PeerIncompatible,
};

use super::Via;

/// Why an exchange failed, where that is understood. Its text is displayed as a part of
/// [`HttpError`](super::HttpError), since some of it depends on the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The name has no address.
    UnknownName,
    /// The connection is refused.
    Refused,
    /// No connection stood within this time.
    ConnectTimeout(Duration),
    /// The proxy cannot be reached.
    ProxyUnreachable,
    /// The proxy is named with `https://`, but does not speak TLS.
    ProxyNoTls,
    /// The proxy wants credentials, or others (status 407).
    ProxyCredentials,
    /// The proxy does not connect to the host: it refuses, for example with status 403, or cannot, for
    /// example with status 502. Which of them it is, the library does not tell.
    ProxyRefused,
    /// The server's certificate comes from an authority that is not trusted.
    UnknownAuthority,
    /// The server's certificate is no longer valid.
    Expired,
    /// The server's certificate is not yet valid.
    NotYetValid,
    /// The server's certificate is for other names.
    OtherName,
    /// The server does not offer TLS 1.2 or later.
    OldTls,
    /// The server does not speak TLS.
    NoTls,
    /// The head of the answer did not come within this time.
    FirstByte(Duration),
    /// The answer was not whole within this time.
    Total(Duration),
}

impl Reason {
    /// What the causes of a failed connection show.
    pub(super) fn of_connect(
        error: &(dyn Error + 'static),
        via: Option<&Via>,
        limit: Duration,
    ) -> Option<Self> {
        let mut at_the_proxy = false;
        for cause in causes(error) {
            if let Some(tls) = cause.downcast_ref::<TlsError>() {
                return match Self::of_tls(tls) {
                    Some(Self::NoTls) if at_the_proxy => Some(Self::ProxyNoTls),
                    reason => reason,
                };
            }
            if let Some(io) = cause.downcast_ref::<io::Error>()
                && io.kind() == io::ErrorKind::ConnectionRefused
            {
                return Some(via.map_or(Self::Refused, |_| Self::ProxyUnreachable));
            }
            // The types of these are private.
            match cause.to_string().as_str() {
                "tunnel error: proxy authorization required" => {
                    return Some(Self::ProxyCredentials);
                }
                "tunnel error: unsuccessful" | "tunnel error: unexpected end of file" => {
                    return Some(Self::ProxyRefused);
                }
                "tunnel error: failed to create underlying connection" => at_the_proxy = true,
                "dns error" => return Some(Self::UnknownName),
                "operation timed out" => return Some(Self::ConnectTimeout(limit)),
                _ => {}
            }
        }
        at_the_proxy.then_some(Self::ProxyUnreachable)
    }

    fn of_tls(error: &TlsError) -> Option<Self> {
        Some(match error {
            TlsError::InvalidCertificate(certificate) => match certificate {
                // A bad signature is that of an authority with the same name, but another key.
                Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownAuthority,
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::OtherName,
                _ => return None,
            },
            TlsError::AlertReceived(AlertDescription::ProtocolVersion)
            | TlsError::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
                Self::OldTls
            }
            TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NoTls,
            _ => return None,
        })
    }

    /// What happened and what to do.
    pub(super) fn write(self, f: &mut fmt::Formatter<'_>, via: Option<&Via>) -> fmt::Result {
        let variable = via.map_or("HTTPS_PROXY", |via| via.variable);
        match self {
            Self::UnknownName if via.is_some() => write!(
                f,
                "the proxy's name cannot be resolved: check it in {variable}"
            ),
            Self::UnknownName => f.write_str(
                "its name cannot be resolved: check the spelling and this machine's DNS; where \
                 only a proxy resolves names, set HTTPS_PROXY",
            ),
            Self::Refused => f.write_str(
                "the connection is refused: check the address and the port, and what a firewall \
                 lets through",
            ),
            Self::ConnectTimeout(limit) if via.is_some() => write!(
                f,
                "no connection within {limit:?}: check the proxy's address in {variable}, and \
                 whether the proxy can reach the host"
            ),
            Self::ConnectTimeout(limit) => write!(
                f,
                "no connection within {limit:?}: let the firewall pass it, or set HTTPS_PROXY \
                 where the network has a proxy"
            ),
            Self::ProxyUnreachable => write!(
                f,
                "the proxy accepts no connection: check its address in {variable}"
            ),
            Self::ProxyNoTls => write!(
                f,
                "the proxy speaks no TLS: write http:// before its address in {variable}"
            ),
            Self::ProxyCredentials if via.is_some_and(|via| via.credentials) => write!(
                f,
                "the proxy does not accept the user and the password in {variable}: correct them; \
                 reserved characters are written as %XX"
            ),
            Self::ProxyCredentials => write!(
                f,
                "the proxy wants a user and a password: add them to {variable} as \
                 http://user:password@host:port"
            ),
            Self::ProxyRefused => f.write_str(
                "the proxy refuses to connect to the host, or cannot reach it itself: allow it there, \
                 and see what the proxy says; or add the host to NO_PROXY if it can be reached directly",
            ),
            Self::UnknownAuthority => f.write_str(
                "its certificate is from an authority that is not trusted here: add the \
                 authority's certificate as ca_cert; where a proxy inspects the traffic, that is \
                 the proxy's authority",
            ),
            Self::Expired => f.write_str(
                "its certificate has expired: have it renewed, or correct this machine's clock",
            ),
            Self::NotYetValid => {
                f.write_str("its certificate is not yet valid: correct this machine's clock")
            }
            Self::OtherName => f.write_str(
                "its certificate is for another name: check the address, and what answers in the \
                 host's place",
            ),
            Self::OldTls => f.write_str(
                "it offers nothing better than TLS 1.1, which is not safe: update the server",
            ),
            Self::NoTls => f.write_str(
                "it speaks no TLS there: check the port, and whether the address begins with \
                 http://",
            ),
            Self::FirstByte(limit) => write!(f, "nothing came within {limit:?}"),
            Self::Total(limit) => write!(f, "the answer was not whole within {limit:?}"),
        }
    }
}

/// The error and what is below it, down to what I/O errors wrap.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
