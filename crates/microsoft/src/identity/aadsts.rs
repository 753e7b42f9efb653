//! Refusals of the identity platform as sentences.
//!
//! Codes and texts are the platform's to change, so whether asking again helps follows from the
//! status and `error` alone wherever they tell; codes make the sentence helpful. They are
//! explained at <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.

mod meaning;

use base::{ErrorClass, http::Response, retry::retry_after};
use chrono::{DateTime, Utc};
use serde_json::Value;
use url::Url;

use self::meaning::{explain, of_the_account};
use super::{Identity, errors::SignInError};
use crate::{
    advice::{redirect, tells_nothing},
    complaint::{Complaint, one_line, without_mark},
    oddities::is_odd,
};

/// Words of OAuth for a refusal, beside those that begin with `invalid_`.
const WORDS: [&str; 6] = [
    "access_denied",
    "consent_required",
    "interaction_required",
    "login_required",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// The body of a refusal (RFC 6749, section 5.2, and Microsoft's additions). Each part counts by
/// itself: what another one holds, or lacks, takes nothing from it.
#[derive(Debug)]
struct Body {
    /// What it names itself; also where that stands in an object, as services write their errors.
    error: String,
    is_object: bool,
    error_description: String,
    /// The code of Microsoft Entra, from its list or else from the description.
    code: Option<u64>,
    trace_id: String,
    correlation_id: String,
}

impl Body {
    fn read(body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(without_mark(body)).unwrap_or_default();
        let text = |name: &str| {
            let text = json.get(name).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let error_description = text("error_description");
        let object = json.get("error").filter(|error| error.is_object());
        let inside = |name: &str| object?.get(name)?.as_str();
        Self {
            code: json
                .get("error_codes")
                .and_then(listed)
                .or_else(|| named(&error_description))
                .or_else(|| named(inside("message")?)),
            error: inside("code").map_or_else(|| text("error"), str::to_owned),
            is_object: object.is_some(),
            error_description,
            trace_id: text("trace_id"),
            correlation_id: text("correlation_id"),
        }
    }

    /// Whether the platform only fails or throttles for the moment.
    fn passes(&self, answer: &Response) -> bool {
        matches!(answer.status().as_u16(), 408 | 425 | 429 | 500..=599)
            || self.error == "temporarily_unavailable"
            || matches!(self.code, Some(50087 | 90006 | 90024 | 90033 | 90055))
    }

    /// Whether it says why in the words of OAuth, or by a code of Microsoft Entra: nothing in between has these.
    fn says_why(&self) -> bool {
        self.code.is_some() || self.error.starts_with("invalid_") || WORDS.contains(&&*self.error)
    }

    /// Whether an answer tells nothing about the request. A conflict or a lock, as proxies and front ends
    /// have them, does so also when it has words of its own.
    fn is_odd(&self, answer: &Response) -> bool {
        is_odd(answer)
            && match answer.status().as_u16() {
                409 | 421 | 423 | 425 | 449 | 499 => !self.says_why(),
                _ => self.is_empty() && !self.is_object,
            }
    }

    fn is_empty(&self) -> bool {
        self.code.is_none() && self.error.is_empty() && self.error_description.is_empty()
    }

    /// The description without the lines that repeat what other fields say.
    fn said(&self) -> &str {
        let said = self.error_description.as_str();
        said.split_once("Trace ID:").map_or(said, |(text, _)| text)
    }
}

/// The first code of a list, written as a number or as text.
fn listed(codes: &Value) -> Option<u64> {
    let codes = codes
        .as_array()
        .map_or(std::slice::from_ref(codes), Vec::as_slice);
    let mut listed = codes.iter().filter_map(|code| match code {
        Value::String(text) => named(text).or_else(|| text.trim().parse().ok()),
        // It may be written with a decimal point.
        code => code.as_f64()?.to_string().parse().ok(),
    });
    // Which is none.
    listed.find(|code| *code > 0)
}

/// The code in a text like `AADSTS7000215: Invalid client secret`.
fn named(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("AADSTS")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Whether an answer that claims success is a refusal all the same: it has an error and no token.
pub(super) fn is_refusal(answer: &Response) -> bool {
    let body = Body::read(answer.body());
    body.is_object || !body.is_empty()
}

/// Whether a refusal may be about the name and password, so that they are tried again rarely. What is
/// about the app, or its consent, is not: the password was not the reason.
pub(super) fn refuses_the_account(answer: &Response) -> bool {
    let body = Body::read(answer.body());
    !body.passes(answer)
        && match body.code {
            Some(65001 | 90094 | 7000218) => false,
            Some(code) if of_the_account(code).is_some() => true,
            _ => body.error == "invalid_grant",
        }
}

/// What a refusal of the token endpoint `asked` means. `secrets` do not appear in it.
pub(super) fn refusal(
    asked: &Url,
    answer: &Response,
    identity: &Identity,
    secrets: &[&str],
    now: DateTime<Utc>,
) -> SignInError {
    let status = answer.status();
    let body = Body::read(answer.body());
    let code = body.code;
    let is_odd = body.is_odd(answer);
    let transient = is_odd || body.passes(answer);
    let class = if transient {
        passing(answer, now)
    } else {
        ErrorClass::Person
    };
    let text = if status.is_redirection() {
        redirect(asked, answer, "login_url")
    } else if is_odd {
        tells_nothing("login_url")
    } else if transient {
        "the sign-in service fails or throttles for the moment: asked again later".to_owned()
    } else {
        let of_the_account = code
            .filter(|_| identity.is_an_account())
            .and_then(of_the_account);
        let text = of_the_account.unwrap_or_else(|| explain(code, &body.error));
        text.to_owned()
    };
    let who = match identity.is_an_account() {
        true => "account",
        false => "app",
    };
    SignInError::Refused {
        status,
        class,
        is_odd,
        sentence: format!(
            "sign-in of the {who} is refused ({}): {text}{}",
            code.map_or_else(|| status.to_string(), |code| format!("AADSTS{code}")),
            details(&body, answer, secrets)
        ),
    }
}

/// Trace id, correlation id and words of the answer, as the end of a sentence.
fn details(body: &Body, answer: &Response, secrets: &[&str]) -> String {
    if body.said().trim().is_empty() && (body.is_object || body.error.is_empty()) {
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

/// What a refusal means that passes by itself: without a token, nothing at all can be asked.
fn passing(answer: &Response, now: DateTime<Utc>) -> ErrorClass {
    match crate::errors::passing(answer.status(), retry_after(answer.headers(), now)) {
        ErrorClass::Transient { .. } => ErrorClass::Outage,
        class => class,
    }
}

/// What a refusal of the machine's metadata service means.
pub(super) fn metadata_refusal(answer: &Response, now: DateTime<Utc>) -> SignInError {
    let status = answer.status();
    let body = Body::read(answer.body());
    let is_odd = body.is_odd(answer);
    // So its documentation has it: 404 while it is updated, 410 for up to 70 s.
    let passes = matches!(status.as_u16(), 404 | 408 | 410 | 429 | 500..=599);
    let (class, text) = if is_odd || passes {
        (
            passing(answer, now),
            "it fails or is updated for the moment: asked again later; if it persists, this may be no \
             machine of Azure, or one without a managed identity",
        )
    } else {
        (
            ErrorClass::Person,
            "the machine has no managed identity, or not the one that `client_id` names; assign \
             it to the machine, or use another credential",
        )
    };
    SignInError::Refused {
        status,
        class,
        is_odd,
        sentence: format!(
            "the metadata service of the machine answered {status}: {text}{}",
            details(&body, answer, &[])
        ),
    }
}
