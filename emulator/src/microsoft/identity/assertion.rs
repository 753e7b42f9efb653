//! Client assertions: signed with the application's certificate, or by another issuer.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::Value;
use webpki::{
    EndEntityCert,
    aws_lc_rs::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY},
};

use super::{
    ISSUER,
    jwt::{SigningKey, Token},
    refusal::Refusal,
};
use crate::settings::App;

/// Audience of a federated assertion.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Checks an assertion in which `app` says who it is.
pub(super) fn check(
    app: &App,
    assertion: &str,
    key: &SigningKey,
    audiences: &[String],
    now: i64,
) -> Result<(), Refusal> {
    let token = Token::read(assertion).ok_or(Refusal(700_027))?;
    if token.claims["iss"] == ISSUER {
        return federated(app, assertion, key, now);
    }
    certified(app, &token)?;
    for claim in ["iss", "sub"] {
        if token.claims[claim] != app.client_id.as_str() {
            return Err(Refusal(700_021));
        }
    }
    let audience = token.claims["aud"].as_str().unwrap_or_default();
    if !audiences.iter().any(|known| known == audience) {
        return Err(Refusal(700_023));
    }
    if token.claims["jti"].as_str().is_none_or(str::is_empty) {
        return Err(Refusal(700_027));
    }
    in_time(&token.claims, now)
}

fn in_time(claims: &Value, now: i64) -> Result<(), Refusal> {
    let from = claims["nbf"].as_i64().or(claims["iat"].as_i64());
    match (from, claims["exp"].as_i64()) {
        // The real service allows clocks to differ by five minutes.
        (from, Some(to)) if from.is_none_or(|from| from <= now + 300) && now < to + 300 => Ok(()),
        _ => Err(Refusal(700_024)),
    }
}

fn federated(app: &App, assertion: &str, key: &SigningKey, now: i64) -> Result<(), Refusal> {
    let claims = key.verify(assertion).ok_or(Refusal(700_211))?;
    let subject = claims["sub"].as_str();
    if subject.is_none() || subject != app.federated_subject.as_deref() {
        return Err(Refusal(700_213));
    }
    if claims["aud"] != EXCHANGE {
        return Err(Refusal(700_023));
    }
    in_time(&claims, now)
}

/// Verifies the signature with the application's certificate that the header names.
fn certified(app: &App, token: &Token<'_>) -> Result<(), Refusal> {
    let refused = || Refusal(700_027);
    let algorithm = match token.header["alg"].as_str() {
        Some("PS256") => RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        Some("RS256") => RSA_PKCS1_2048_8192_SHA256,
        _ => return Err(refused()),
    };
    let named = |header: &str, algorithm, der: &[u8]| {
        let hash = digest::digest(algorithm, der);
        token.header[header] == URL_SAFE_NO_PAD.encode(hash)
    };
    let der = app
        .certificates
        .iter()
        .filter_map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok())
        .find(|der| {
            named("x5t#S256", &digest::SHA256, der)
                || named("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY, der)
        })
        .ok_or_else(refused)?;
    EndEntityCert::try_from(&der)
        .and_then(|certificate| {
            certificate.verify_signature(algorithm, token.signed.as_bytes(), &token.signature)
        })
        .map_err(|_| refused())
}
