//! The JWT with which an app proves that it holds its certificate's key.
//!
//! The form is that of
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>.

use base::Secret;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::certificate::{Certificate, CertificateError};

/// How long an assertion is valid, in seconds; it is used at once.
const LIFETIME: i64 = 600;

/// An assertion of `client` for the token endpoint `audience`.
pub(super) fn signed(
    certificate: &Certificate,
    client: &str,
    audience: &str,
    now: DateTime<Utc>,
) -> Result<Secret, CertificateError> {
    let header = json!({
        "alg": "PS256",
        "typ": "JWT",
        "x5t#S256": certificate.thumbprint(),
    });
    let claims = json!({
        "aud": audience,
        "iss": client,
        "sub": client,
        "jti": Uuid::new_v4(),
        "iat": now.timestamp(),
        "nbf": now.timestamp(),
        "exp": now.timestamp() + LIFETIME,
    });
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let content = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = certificate.sign(content.as_bytes())?;
    Ok(Secret::new(format!("{content}.{}", encode(&signature))))
}
