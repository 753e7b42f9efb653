//! One request for a token, and its answer.

use std::{iter, path::Path};

use base::{
    Clock, Secret, files,
    http::{Http, Request, Response},
    retry::retry_after,
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{
    StatusCode,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    Credential, Identity, Resource, aadsts, assertion, cache::Token, claims::Claims,
    errors::SignInError,
};
use crate::{
    TOKEN_LIMITS, below,
    complaint::{Complaint, without_mark},
    redirect,
};

const MAX_TOKEN_FILE: usize = 64 * 1024;

/// The lifetime of a token whose answer does not tell it, in seconds.
const DEFAULT_LIFETIME: i64 = 300;

/// A token counts for so long at least, in seconds: a lifetime of nothing, or less, would be a sign-in before
/// each page.
const SHORTEST_LIFETIME: i64 = 60;

/// Asks for a token and checks that it can serve.
pub(super) async fn token(
    http: &Http,
    clock: &Clock,
    identity: &Identity,
    resource: &Resource,
) -> Result<Token, SignInError> {
    let asked = clock.now();
    let (value, expires) = match identity {
        Identity::App {
            login,
            tenant,
            client,
            credential,
        } => {
            let url = endpoint(login, tenant);
            let (name, proof) = proof(credential, client, &url, asked).await?;
            let kind = (name == "client_assertion").then_some((
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ));
            let proven = kind.into_iter().chain([(name, proof.expose())]);
            let request = form(&url, "client_credentials", client, resource, proven)?;
            let (answer, url) = redirect::send(http, request, url, TOKEN_LIMITS)
                .await
                .map_err(SignInError::NoAnswer)?;
            read(&answer, asked)
                .ok_or_else(|| refused(&url, &answer, identity, &[proof.expose()], clock.now()))?
        }
        Identity::User {
            login,
            tenant,
            client,
            secret,
            account,
            password,
            guard,
        } => {
            let attempt = guard.admit()?;
            let url = endpoint(login, tenant);
            let names = [
                ("username", account.as_str()),
                ("password", password.expose()),
            ];
            let own = secret.as_ref().map(|own| ("client_secret", own.expose()));
            let fields = names.into_iter().chain(own);
            let request = form(&url, "password", client, resource, fields)?;
            let (answer, url) = redirect::send(http, request, url, TOKEN_LIMITS)
                .await
                .map_err(SignInError::NoAnswer)?;
            let Some(token) = read(&answer, asked) else {
                let secrets = iter::once(password).chain(secret).map(Secret::expose);
                let secrets = Vec::from_iter(secrets);
                let refusal = refused(&url, &answer, identity, &secrets, clock.now());
                if aadsts::refuses_the_account(&answer) {
                    attempt.refused();
                    guard.note(refusal.to_string());
                }
                return Err(refusal);
            };
            attempt.accepted();
            token
        }
        Identity::Managed { endpoint, client } => {
            let request = metadata_request(endpoint, client.as_deref(), resource)?;
            let answer = http
                .send(request, TOKEN_LIMITS)
                .await
                .map_err(SignInError::NoMetadata)?;
            let is_success = answer.status().is_success();
            read(&answer, asked).ok_or_else(|| {
                match is_success && !aadsts::is_refusal(&answer) {
                    true => no_token(&answer, &[], clock.now()),
                    false => aadsts::metadata_refusal(&answer, clock.now()),
                }
            })?
        }
    };
    let claims = Claims::read(value.expose());
    if let Some(claims) = &claims {
        claims.check(resource, identity)?;
    }
    Ok(Token {
        value,
        expires,
        permitted: claims.map(|_| resource.permission),
    })
}

/// Why an answer of the sign-in service holds no token.
fn refused(
    url: &Url,
    answer: &Response,
    identity: &Identity,
    secrets: &[&str],
    now: DateTime<Utc>,
) -> SignInError {
    match answer.status() == StatusCode::OK && !aadsts::is_refusal(answer) {
        true => no_token(answer, secrets, now),
        false => aadsts::refusal(url, answer, identity, secrets, now),
    }
}

/// A success without a token: what it says instead, such as the title of a page to sign in.
fn no_token(answer: &Response, secrets: &[&str], now: DateTime<Utc>) -> SignInError {
    SignInError::NoToken {
        said: Complaint::read(answer.body(), secrets).quoted(),
        lasts: false,
        after: retry_after(answer.headers(), now),
    }
}

fn endpoint(login: &Url, tenant: &str) -> Url {
    below(login, &[tenant, "oauth2", "v2.0", "token"])
}

/// The form field that proves the app to be itself, and its value.
async fn proof(
    credential: &Credential,
    client: &str,
    url: &Url,
    now: DateTime<Utc>,
) -> Result<(&'static str, Secret), SignInError> {
    Ok(match credential {
        Credential::ClientSecret(secret) => ("client_secret", secret.clone()),
        Credential::Certificate(certificate) => (
            "client_assertion",
            assertion::signed(certificate, client, url.as_str(), now)?,
        ),
        Credential::Federated { token_file } => ("client_assertion", federated(token_file).await?),
    })
}

async fn federated(path: &Path) -> Result<Secret, SignInError> {
    let failed = |source| SignInError::TokenFile {
        path: path.to_owned(),
        source,
    };
    let file = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || files::read_text(&file, MAX_TOKEN_FILE));
    let text = reading.await.map_err(std::io::Error::other).flatten();
    let text = text.map_err(failed)?;
    if text.trim().is_empty() {
        let what = std::io::Error::new(std::io::ErrorKind::InvalidData, "it holds no token");
        return Err(failed(what));
    }
    Ok(Secret::new(text.trim()))
}

/// A request for a token by a form, with the fields of its `grant` at the end.
fn form<'a>(
    url: &Url,
    grant: &str,
    client: &str,
    resource: &Resource,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Request, SignInError> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", grant)
        .append_pair("client_id", client)
        .append_pair("scope", &format!("{}/.default", resource.audience))
        .extend_pairs(fields)
        .finish();
    http::Request::post(url.as_str())
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into())
        .map_err(SignInError::Request)
}

fn metadata_request(
    endpoint: &Url,
    client: Option<&str>,
    resource: &Resource,
) -> Result<Request, SignInError> {
    let mut url = below(endpoint, &["metadata", "identity", "oauth2", "token"]);
    url.query_pairs_mut()
        .clear()
        .append_pair("api-version", "2018-02-01")
        .append_pair("resource", &format!("{}/", resource.audience))
        .extend_pairs(client.map(|client| ("client_id", client)));
    http::Request::get(url.as_str())
        .header("Metadata", "true")
        .body(Bytes::new())
        .map_err(SignInError::Request)
}

/// The token of a success, and when it expires by our clock; the metadata service writes numbers as text.
fn read(answer: &Response, asked: DateTime<Utc>) -> Option<(Secret, DateTime<Utc>)> {
    #[derive(Deserialize)]
    struct Body {
        access_token: Secret,
        expires_in: Option<Value>,
    }
    if !answer.status().is_success() {
        return None;
    }
    let body: Body = serde_json::from_slice(without_mark(answer.body())).ok()?;
    let token = body.access_token.expose();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let told = match body.expires_in {
        Some(Value::Number(seconds)) => seconds.as_i64(),
        Some(Value::String(seconds)) => seconds.trim().parse().ok(),
        _ => None,
    };
    let seconds = told.unwrap_or_else(|| {
        let expires = Claims::read(token).and_then(|claims| claims.exp);
        expires.map_or(DEFAULT_LIFETIME, |expires| expires - asked.timestamp())
    });
    let lifetime = TimeDelta::seconds(seconds.clamp(SHORTEST_LIFETIME, 86_400));
    Some((body.access_token, asked + lifetime))
}
