//! Refusals of the services as sentences: what happened, what it means, what to do.

mod details;
mod graph;
mod reporting;

use std::time::Duration;

use base::{ErrorClass, http::Response};
use http::{StatusCode, header::LOCATION};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

pub(super) use self::{
    details::details,
    graph::graph,
    reporting::{NAMES_SUCCESSOR, reporting, successor_is_named},
};
use super::{
    Concern, Error, Link,
    complaint::{Complaint, MAX_BODY, is_markup, without_mark},
    errors, redirect,
};

/// Microsoft's app "Transport Data Platform", of which a tenant must have a service principal
/// before Graph answers for its message traces. The words around it in the refusal vary.
const SERVICE_PRINCIPAL: &str = "8bd644d1-64a1-4d4b-ae52-2e0cbf64e373";

/// What the commands behind both services say when they are asked for too much (reference A.8 and B.8).
const PATIENCE: [&str; 2] = ["try again later", "a few minutes"];

/// What a refusal says of a window that is too wide for one query.
const TOO_WIDE: &str = "longer than";

/// The header with the id that the service gives to a request.
const SERVICE_ID: &str = "request-id";

/// An answer other than success, and what was asked.
pub(super) struct Refusal<'a> {
    pub(super) response: &'a Response,
    /// The address that gave it.
    pub(super) asked: &'a Url,
    /// Whether it is one of those that pass by themselves, and if so, whether they have lasted too
    /// long for that.
    pub(super) odd: Option<bool>,
    /// The permission to read message traces that the token is known to have.
    pub(super) permitted: Option<&'static str>,
    pub(super) request_id: Uuid,
    pub(super) link: Option<&'a Link>,
    pub(super) secrets: Vec<&'a str>,
    /// Whether an app signed in, or else an account: with a password, or with a token.
    pub(super) by_app: bool,
    /// The pause that it asks for.
    pub(super) retry_after: Option<Duration>,
}

impl Refusal<'_> {
    /// The error that it is. `meaning` judges a status that tells something about the request; the address of
    /// the service is in `setting`. `sentence` is made of what that means, and what the service says.
    fn judged(
        &self,
        setting: &str,
        concern: Concern,
        meaning: impl FnOnce(u16, &Self, &Complaint) -> (ErrorClass, String),
        sentence: impl FnOnce(StatusCode, String) -> String,
    ) -> Error {
        let status = self.response.status();
        let complaint = Complaint::read(self.response.body(), &self.secrets);
        let passes = self.odd(setting).or_else(|| self.patience(&complaint));
        let (class, text) = passes.unwrap_or_else(|| {
            let (class, text) = meaning(status.as_u16(), self, &complaint);
            self.pause(class).unwrap_or((class, text))
        });
        Error::Status {
            status,
            class,
            concern,
            sentence: sentence(status, format!("{text}{}", complaint.quoted())),
        }
    }

    fn concern(&self) -> Concern {
        match self.response.status().as_u16() {
            401 | 403 if lacks_service_principal(self.response.body()) => Concern::ServicePrincipal,
            401 => Concern::SignIn,
            403 if self.barred().is_none() && self.link.is_none() => Concern::Permission,
            _ => Concern::Query,
        }
    }

    fn transient(&self) -> ErrorClass {
        errors::passing(self.response.status(), self.retry_after)
    }

    fn passes(&self, text: &str) -> (ErrorClass, String) {
        (self.transient(), text.to_owned())
    }

    /// What an answer means that passes by itself as a rule, if it is one; a person must look when
    /// there has been nothing else for long. A link is not asked for again and again.
    fn odd(&self, setting: &str) -> Option<(ErrorClass, String)> {
        let lasts = self
            .odd
            .filter(|_| self.link.is_none() || self.response.status() != StatusCode::BAD_REQUEST)?;
        // A wish for a pause counts however long that has lasted.
        let class = if lasts && self.retry_after.is_none() {
            ErrorClass::Person
        } else {
            self.transient()
        };
        Some((class, tells_nothing(setting)))
    }

    /// What a 400 means that asks for patience in words: it is about how many requests there are. One that
    /// names what is wrong with the window is refused again, however long all wait.
    fn patience(&self, complaint: &Complaint) -> Option<(ErrorClass, String)> {
        let said = complaint.text.to_ascii_lowercase();
        let asks = self.response.status() == StatusCode::BAD_REQUEST
            && of_the_window(self, complaint).is_none()
            && PATIENCE.iter().any(|words| said.contains(words));
        let after = self.retry_after;
        let text = "it asks for patience in its own words: asked again later; if it persists, see what else \
                    reads the message trace";
        asks.then(|| (ErrorClass::Throttled { after }, text.to_owned()))
    }

    /// Whether it is about a link: the first page was answered to the same account or app. If it is about who
    /// asks, or about all requests, the first page of the rest says so, too.
    fn refuses_link(&self) -> bool {
        let status = self.response.status();
        self.link.is_some()
            && match status.as_u16() {
                400 | 404 | 410 | 414 => true,
                401 | 408 | 429 => false,
                _ => status.is_client_error() && self.retry_after.is_none(),
            }
    }

    /// What is said when a refusal asks for a pause that would need a person otherwise: it is not about the
    /// request, but about how many there are.
    fn pause(&self, class: ErrorClass) -> Option<(ErrorClass, String)> {
        let status = self.response.status();
        let is_refused = class == ErrorClass::Person
            && status != StatusCode::UNAUTHORIZED
            && (status.is_client_error() || status.is_redirection());
        let text = "it asks for a pause, as a gateway does that has had too many requests: asked again \
                    after it; if it persists, see what else reads the message trace, and any proxy in \
                    between";
        (is_refused && self.retry_after.is_some()).then(|| self.passes(text))
    }

    /// What a web page that forbids the request means: it is not from the service when the token has the
    /// permission, and may be from anything on the way else.
    fn barred(&self) -> Option<String> {
        let is_barred =
            self.response.status() == StatusCode::FORBIDDEN && is_markup(self.response.body());
        is_barred.then(|| match self.permitted {
            Some(permission) => format!(
                "a web page forbids the request, although the token has the permission \
                 `{permission}`: a proxy or gateway on the way does not let it pass; allow it \
                 there"
            ),
            None => "a web page forbids the request, which a proxy or gateway on the way may have \
                     written: allow it there"
                .to_owned(),
        })
    }

    /// Whether the service itself has written it, and no proxy or gateway on the way.
    pub(super) fn is_own(&self) -> bool {
        let id = self.response.headers().get(SERVICE_ID);
        let has_id = id.is_some_and(|id| !id.as_bytes().trim_ascii().is_empty());
        let body = without_mark(self.response.body());
        if !has_id || body.len() > MAX_BODY {
            return false;
        }
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let texts = [
            "/error/message",
            "/error/message/value",
            "/odata.error/message/value",
        ];
        let is_text = |path: &&str| json.pointer(path).is_some_and(Value::is_string);
        texts.iter().any(is_text)
    }
}

fn person(text: impl Into<String>) -> (ErrorClass, String) {
    (ErrorClass::Person, text.into())
}

fn narrow(text: &str) -> (ErrorClass, String) {
    (ErrorClass::Narrow, text.to_owned())
}

/// Whether the tenant lacks the service principal; a new token does not help then.
pub(super) fn lacks_service_principal(body: &[u8]) -> bool {
    names(body, SERVICE_PRINCIPAL)
}

/// Whether a word stands in an answer, in any case.
fn names(body: &[u8], word: &str) -> bool {
    body.windows(word.len())
        .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// What an answer means that tells nothing about the request, of a service whose address is in `setting`.
pub(super) fn tells_nothing(setting: &str) -> String {
    format!(
        "the answer tells nothing about the request, which passes by itself as a rule: asked \
         again later; if it persists, check `{setting}` and any proxy in between"
    )
}

/// What a redirect means that is not followed, of a service whose address is in `setting`.
pub(super) fn redirect(asked: &Url, response: &Response, setting: &str) -> String {
    if redirect::target(asked, response).is_some() {
        return format!("it redirects again and again: check `{setting}` and any proxy in between");
    }
    let target = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .map_or_else(|| "nowhere".to_owned(), target_host);
    format!(
        "it redirects to {target}, where no credential is sent: check `{setting}` and any proxy \
         in between"
    )
}

/// The host of a redirect; a relative one stays where it is.
fn target_host(location: &str) -> String {
    match Url::parse(location) {
        Ok(url) => url.host_str().unwrap_or("nowhere").to_owned(),
        Err(_) => "another path".to_owned(),
    }
}

/// What a 400 means that is about the window: it starts before what is kept, or is too wide.
fn of_the_window(refusal: &Refusal<'_>, complaint: &Complaint) -> Option<(ErrorClass, String)> {
    let said = complaint.text.to_ascii_lowercase();
    let too_wide = || narrow("the window is too wide for one query: it is read in narrower ones");
    reach(refusal, &said).or_else(|| said.contains(TOO_WIDE).then(too_wide))
}

/// What a 400 means that says something like "The StartDate can't be older than 10 days from today.";
/// none when it is about something else, or is not certain to be the service's own: only that has the
/// envelope of its errors and the id that it gives to each request.
fn reach(refusal: &Refusal<'_>, said: &str) -> Option<(ErrorClass, String)> {
    let (_, rest) = said.split_once("older than")?;
    if !refusal.is_own() {
        return None;
    }
    let days = rest
        .split_whitespace()
        .next()
        .and_then(|days| days.parse().ok());
    let reach = days.map_or_else(String::new, |days: u32| format!(" of {days} days"));
    let text = format!(
        "it says that the window starts before what it keeps{reach}: asked again, and nothing is \
         given up before that is certain"
    );
    Some((ErrorClass::OutOfReach { days }, text))
}

#[cfg(test)]
mod tests;
