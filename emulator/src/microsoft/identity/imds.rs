//! The instance metadata service of Azure, which hands out the machine's own identity.

use axum::http::Method;
use serde_json::json;

use super::known_resource;
use crate::{
    Emulator, IdentitySettings,
    answer::{Answer, Call},
};

fn refused(error: &str, description: &str) -> Answer {
    let body = json!({ "error": error, "error_description": description });
    Answer::json(400, &body)
}

/// `GET /metadata/identity/oauth2/token`
pub(in super::super) fn answer(
    emulator: &Emulator,
    settings: &IdentitySettings,
    call: &Call,
) -> Answer {
    if call.method != Method::GET {
        return Answer::new(405, "", "");
    }
    if call.header("metadata") != "true" {
        return refused("bad_request_102", "Required metadata header not specified");
    }
    if !call.header("x-forwarded-for").is_empty() {
        return refused("invalid_request", "Requests through proxies are refused");
    }
    if call.option("api-version").as_deref() != Some("2018-02-01") {
        return refused("invalid_request", "The api-version is not supported");
    }
    let asked = call.option("resource").unwrap_or_default();
    let Some(resource) = known_resource(&asked) else {
        return refused(
            "invalid_resource",
            "AADSTS500011: The resource was not found",
        );
    };
    let client_id = call.option("client_id");
    let app = settings
        .managed_identity
        .as_deref()
        .filter(|own| client_id.as_deref().is_none_or(|asked| asked == *own))
        .and_then(|own| settings.app(own).ok());
    let Some(app) = app else {
        return refused("invalid_request", "Identity not found");
    };
    let now = emulator.clock().now();
    let claims = settings.claims_of(app);
    let token = settings.issue(&emulator.world().key, app, &resource, claims, now);
    let until = now.timestamp() + i64::from(settings.token_seconds);
    Answer::json(
        200,
        &json!({
            "access_token": token,
            "refresh_token": "",
            "expires_in": settings.token_seconds.to_string(),
            "expires_on": until.to_string(),
            "not_before": now.timestamp().to_string(),
            "resource": asked,
            "token_type": "Bearer",
        }),
    )
}
