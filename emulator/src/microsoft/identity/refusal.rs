//! The refusals of Microsoft Entra.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{ErrorCodes, IdentitySettings, answer::Answer};

/// A code of Microsoft Entra.
pub(super) struct Refusal(pub(super) u32);

/// Code, error, status and text. Where the real status is unknown, it is 400.
#[rustfmt::skip]
const KNOWN: [(u32, &str, u16, &str); 48] = [
    (7_000_215, "invalid_client", 401, "Invalid client secret provided."),
    (7_000_222, "invalid_client", 401, "The provided client secret keys are expired."),
    (700_016, "unauthorized_client", 400, "Application was not found in the directory."),
    (7_000_229, "invalid_client", 401, "The client application is missing service principal."),
    (90_002, "invalid_request", 400, "Tenant not found."),
    (700_027, "invalid_client", 401, "The certificate or key of the assertion is not registered."),
    (700_024, "invalid_client", 401, "Client assertion is not within its valid time range."),
    (700_025, "invalid_client", 401, "Client is public: neither assertion nor secret is allowed."),
    (700_021, "invalid_client", 401, "The assertion is about another client."),
    (700_023, "invalid_client", 401, "The assertion is meant for another audience."),
    (700_211, "invalid_request", 400, "No federated identity record for this issuer."),
    (700_213, "invalid_request", 400, "No federated identity record for this subject."),
    (500_011, "invalid_resource", 400, "The resource principal was not found in the tenant."),
    (50_001, "invalid_resource", 400, "The resource is disabled or does not exist."),
    (70_011, "invalid_scope", 400, "The provided value for the scope is not valid."),
    (28_002, "invalid_scope", 400, "The scope belongs to several resources."),
    (53_003, "access_denied", 400, "Blocked by Conditional Access policies."),
    (50_034, "invalid_grant", 400, "The user account does not exist in the directory."),
    (9_001_023, "invalid_request", 400, "The grant type is not supported over this endpoint."),
    (900_144, "invalid_request", 400, "The request body lacks a required parameter."),
    (70_003, "unsupported_grant_type", 400, "The grant type is not supported."),
    (90_094, "access_denied", 400, "Admin consent is required for the permissions requested by this application."),
    (900_023, "invalid_request", 400, "Specified tenant identifier is neither a valid DNS name nor a valid external domain."),
    (5_000_224, "invalid_request", 400, "We are sorry, this resource is not available."),
    (5_000_225, "invalid_request", 400, "This tenant has been blocked due to inactivity."),
    (500_022, "access_denied", 400, "Access to the tenant is denied by its policy."),
    (500_014, "invalid_resource", 400, "The service principal for the resource is disabled."),
    (50_196, "invalid_request", 400, "The server terminated an operation because it encountered a client request loop."),
    (53_000, "access_denied", 400, "Device is not in required device state."),
    (530_004, "access_denied", 400, "The access policy does not allow this sign-in."),
    (50_087, "invalid_grant", 400, "A transient error has occurred. Please try again."),
    (7_000_218, "invalid_client", 401, "The request body must contain the parameter client_assertion or client_secret."),
    (50_126, "invalid_grant", 400, "Error validating credentials due to invalid username or password."),
    (50_053, "invalid_grant", 400, "The account is locked, too many attempts to sign in."),
    (50_055, "invalid_grant", 400, "The password is expired."),
    (50_056, "invalid_grant", 400, "Invalid or null password: password does not exist in the directory for this user."),
    (50_057, "invalid_grant", 400, "The user account is disabled."),
    (50_076, "invalid_grant", 400, "You must use multi-factor authentication."),
    (50_079, "invalid_grant", 400, "You must enroll in multi-factor authentication."),
    (50_158, "invalid_grant", 400, "External security challenge not satisfied."),
    (65_001, "invalid_grant", 400, "The user or administrator has not consented to use the application."),
    (50_020, "invalid_grant", 400, "User account from identity provider does not exist in tenant."),
    (51_004, "invalid_grant", 400, "The user account does not exist in the directory."),
    (50_107, "invalid_grant", 400, "The requested federation realm object does not exist."),
    (50_105, "invalid_grant", 400, "The signed in user is not assigned to a role for the application."),
    (90_033, "temporarily_unavailable", 503, "A transient error has occurred."),
    (90_055, "temporarily_unavailable", 429, "There are too many requests."),
    (90_006, "server_error", 500, "The service is temporarily unavailable."),
];

impl Refusal {
    pub(super) fn answer(&self, now: DateTime<Utc>, settings: &IdentitySettings) -> Answer {
        let code = self.0;
        let (error, status, text) = KNOWN
            .iter()
            .find(|known| known.0 == code)
            .map_or(("invalid_request", 400, "Refused."), |known| {
                (known.1, known.2, known.3)
            });
        let timestamp = now.format("%Y-%m-%d %H:%M:%SZ").to_string();
        let (trace, correlation) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
        let description = format!(
            "AADSTS{code}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\n\
             Timestamp: {timestamp}"
        );
        let uri = format!("https://login.microsoftonline.com/error?code={code}");
        let mut body = json!({
            "error": error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": uri,
        });
        match settings.error_codes {
            ErrorCodes::Numbers => {}
            ErrorCodes::Texts => body["error_codes"] = json!([code.to_string()]),
            ErrorCodes::Words => body["error_codes"] = json!(["unknown"]),
            ErrorCodes::Null => body["error_codes"] = Value::Null,
            ErrorCodes::Absent => {
                body.as_object_mut().map(|body| body.remove("error_codes"));
            }
        }
        if settings.null_ids {
            body["trace_id"] = Value::Null;
            body["correlation_id"] = Value::Null;
        }
        Answer::json(settings.refusal_status.unwrap_or(status), &body)
            .with("cache-control", "no-store, no-cache")
    }
}
