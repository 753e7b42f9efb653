//! Refusals of the identity platform as sentences.
//!
//! Codes and texts are the platform's to change, so whether asking again helps follows from the
//! status and `error` alone wherever they tell; codes make the sentence helpful. They are
//! explained at <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::errors::SignInError;
use crate::{
    http::{Response, retry_after},
    microsoft::{
        Class,
        advice::redirect,
        complaint::{Complaint, one_line},
    },
};

/// The body of a refusal (RFC 6749, section 5.2, and Microsoft's additions).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    error: String,
    error_description: String,
    error_codes: Vec<u64>,
    trace_id: String,
    correlation_id: String,
}

impl Body {
    /// The code, from its list or else from the description.
    fn code(&self) -> Option<u64> {
        self.error_codes.first().copied().or_else(|| {
            let (_, rest) = self.error_description.split_once("AADSTS")?;
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
    }

    /// The description without the lines that repeat what other fields say.
    fn said(&self) -> &str {
        let said = self.error_description.as_str();
        said.split_once("Trace ID:").map_or(said, |(text, _)| text)
    }
}

/// What a refusal of the token endpoint means. `secrets` do not appear in it.
pub(super) fn refusal(answer: &Response, secrets: &[&str], now: DateTime<Utc>) -> SignInError {
    let status = answer.status();
    let body: Body = serde_json::from_slice(answer.body()).unwrap_or_default();
    let code = body.code();
    let transient = matches!(status.as_u16(), 408 | 425 | 429 | 500..=599)
        || body.error == "temporarily_unavailable"
        || matches!(code, Some(90006 | 90024 | 90033 | 90055));
    let class = if transient {
        passing(answer, now)
    } else {
        Class::Refused
    };
    let text = if status.is_redirection() {
        redirect(answer.headers(), "login_url")
    } else if transient {
        "the sign-in service fails or throttles for the moment: asked again later".to_owned()
    } else {
        explain(code, &body.error).to_owned()
    };
    SignInError::Refused {
        status,
        class,
        sentence: format!(
            "sign-in of the app is refused ({}): {text}{}",
            code.map_or_else(|| status.to_string(), |code| format!("AADSTS{code}")),
            details(&body, answer, secrets)
        ),
    }
}

/// Trace id, correlation id and words of the answer, as the end of a sentence.
fn details(body: &Body, answer: &Response, secrets: &[&str]) -> String {
    if body.error.is_empty() && body.error_description.is_empty() {
        return Complaint::read(answer.body(), secrets).quoted();
    }
    let said = match body.said().trim() {
        "" => &body.error,
        text => text,
    };
    let mut parts = vec![format!("the answer says: {}", one_line(said, secrets))];
    for (name, id) in [
        ("trace id", &body.trace_id),
        ("correlation id", &body.correlation_id),
    ] {
        if !id.is_empty() {
            parts.push(format!("{name} {}", one_line(id, secrets)));
        }
    }
    format!(" ({})", parts.join(", "))
}

/// Cause and next step of a code; without a known code, of an `error`.
fn explain(code: Option<u64>, error: &str) -> &'static str {
    match code.unwrap_or_default() {
        7000215 => {
            "the client secret is wrong, often because the secret's ID was copied instead of its \
             value; put the value of a client secret into `client_secret`"
        }
        7000222 => {
            "the client secret has expired; create a new one in the app registration and put its \
             value into `client_secret`"
        }
        700016 => {
            "there is no app with this client id in this tenant; check `client_id` and `tenant_id`"
        }
        7000229 => {
            "the app is registered but has no service principal in this tenant; have an \
             administrator of the tenant consent to the app, or create its enterprise application"
        }
        7000112 => "the app is disabled in this tenant; enable its enterprise application",
        90002 => {
            "there is no such tenant in this cloud; check `tenant_id`, and `login_url` if the \
             tenant is in a national cloud"
        }
        700027 => {
            "the signature of the app's certificate is not accepted; upload the certificate that \
             is in the settings to the app registration, and check `client_id`"
        }
        700024 => {
            "the proof made with the certificate is not valid at this time; set the clock of this \
             machine right"
        }
        700025 => {
            "the app is a public client, which may not use a secret or certificate; switch `Allow \
             public client flows` off in the app registration"
        }
        70021 | 700211..=700213 => {
            "the app does not trust the federated token; check issuer, subject and audience \
             (`api://AzureADTokenExchange`) of the federated credential in the app registration"
        }
        500011 | 50001 => {
            "the tenant does not know the service that the token is for; check that it has \
             Exchange Online, and that the addresses in the settings belong to its cloud"
        }
        70011 | 28002 => {
            "the service that the token is for is not accepted; check the address of the service \
             in the settings"
        }
        53003 => {
            "a Conditional Access policy of the tenant blocks the app; exempt it, or allow the \
             address it signs in from"
        }
        50034 => {
            "the account is not in this directory; check that `tenant_id` and `client_id` belong \
             together"
        }
        9001023 => {
            "an app cannot sign in to `common` or `consumers`; put the GUID or domain of the \
             tenant into `tenant_id`"
        }
        900144 => {
            "a part of the request is missing, perhaps cut by a proxy; check that no setting of \
             the sign-in is empty"
        }
        _ => match error {
            "invalid_client" => {
                "the app's credential is not accepted; check `client_id` and the client secret or \
                 certificate"
            }
            "unauthorized_client" => {
                "the app is not known or not allowed here; check `client_id` and `tenant_id`"
            }
            "invalid_scope" | "invalid_resource" | "invalid_target" => {
                "the service that the token is for is not accepted; check the address of the \
                 service in the settings"
            }
            _ => {
                "the request for a token is not accepted; check `tenant_id`, `client_id`, the \
                 credential and `login_url`"
            }
        },
    }
}

/// What a refusal means that passes by itself: without a token, nothing at all can be asked.
fn passing(answer: &Response, now: DateTime<Utc>) -> Class {
    match Class::passing(answer.status(), retry_after(answer.headers(), now)) {
        Class::Transient { .. } => Class::Outage,
        class => class,
    }
}

/// What a refusal of the machine's metadata service means.
pub(super) fn metadata_refusal(
    answer: &Response,
    secrets: &[&str],
    now: DateTime<Utc>,
) -> SignInError {
    let status = answer.status();
    let body: Body = serde_json::from_slice(answer.body()).unwrap_or_default();
    let (class, text) = match status.as_u16() {
        // So its documentation has it: 404 while it is updated, 410 for up to 70 s.
        404 | 408 | 410 | 429 | 500..=599 => (
            passing(answer, now),
            "it fails or is updated for the moment: asked again later",
        ),
        _ => (
            Class::Refused,
            "the machine has no managed identity, or not the one that `client_id` names; assign \
             it to the machine, or use another credential",
        ),
    };
    SignInError::Refused {
        status,
        class,
        sentence: format!(
            "the metadata service of the machine answered {status}: {text}{}",
            details(&body, answer, secrets)
        ),
    }
}
