//! Refusals of the services as sentences: what happened, what it means, what to do.

mod graph;
mod reporting;

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, header::LOCATION};
use url::Url;
use uuid::Uuid;

pub(super) use self::{graph::graph, reporting::reporting};
use super::{Class, Concern, Link, complaint::Complaint};
use crate::http::{Response, retry_after};

/// Microsoft's app "Transport Data Platform", of which a tenant must have a service principal
/// before Graph answers for its message traces. The words around it in the refusal vary.
const SERVICE_PRINCIPAL: &str = "8bd644d1-64a1-4d4b-ae52-2e0cbf64e373";

/// An answer other than success, and what was asked.
pub(super) struct Refusal<'a> {
    pub(super) response: &'a Response,
    pub(super) request_id: Uuid,
    pub(super) link: Option<&'a Link>,
    pub(super) secrets: Vec<&'a str>,
    /// Whether an app signed in, or else an account.
    pub(super) by_app: bool,
    pub(super) now: DateTime<Utc>,
}

impl Refusal<'_> {
    /// The pause that the service asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.response.headers(), self.now)
    }

    fn concern(&self) -> Concern {
        match self.response.status().as_u16() {
            401 | 403 if lacks_service_principal(self.response.body()) => Concern::ServicePrincipal,
            401 => Concern::SignIn,
            403 => Concern::Permission,
            _ => Concern::Query,
        }
    }

    fn transient(&self) -> Class {
        Class::passing(self.response.status(), self.retry_after())
    }

    fn complaint(&self) -> Complaint {
        Complaint::read(self.response.body(), &self.secrets)
    }
}

/// Whether the tenant lacks the service principal; a new token does not help then.
pub(super) fn lacks_service_principal(body: &[u8]) -> bool {
    body.windows(SERVICE_PRINCIPAL.len())
        .any(|part| part.eq_ignore_ascii_case(SERVICE_PRINCIPAL.as_bytes()))
}

/// What a redirect of a service means whose address is in `setting`.
pub(super) fn redirect(headers: &HeaderMap, setting: &str) -> String {
    let target = headers
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

/// The days in a text like "The StartDate can't be older than 10 days from today."; none when the
/// text is about something else.
fn reach(said: &str) -> Option<(Class, String)> {
    let (_, rest) = said.split_once("older than")?;
    let days = rest
        .split_whitespace()
        .next()
        .and_then(|days| days.parse().ok());
    let reach = days.map_or_else(String::new, |days: u32| format!(" of {days} days"));
    let text = format!(
        "the window starts before what the service keeps{reach}: earlier rows cannot be had any \
         more; lower `start_time`"
    );
    Some((Class::OutOfReach { days }, text))
}

#[cfg(test)]
mod tests;
