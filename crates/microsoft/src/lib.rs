//! Pages of the Microsoft 365 message trace.
//!
//! Answers one question, "what does this page of this window hold?", and says of every failure
//! what it means, what to do about it, and whether asking again helps ([`Error`], [`base::ErrorClass`]).
//! When to ask, how often and how wide is for the caller to decide.

mod advice;
mod bounds;
mod complaint;
mod details;
mod errors;
mod events;
mod exchange;
mod graph;
mod identity;
mod link;
mod mend;
mod oddities;
mod pace;
mod page;
mod password;
mod redirect;
mod reporting;
mod row;
mod service_clock;
mod sign_in;
#[cfg(test)]
mod testing;
mod under_way;

use std::time::Duration;

use base::http::Limits;
use url::Url;

pub use self::{
    details::Details,
    errors::{Concern, Error, Unreadable},
    events::EventFormat,
    exchange::{Exchange, written_at},
    graph::{Allowance, Graph, Limiter, Quota, Share, Urgency},
    identity::{
        Certificate, CertificateError, Credential, Grant, Identity, METADATA_SERVICE, Resource,
        SignInError, TokenCache,
    },
    link::{Link, LinkError},
    password::{PasswordGuard, SELDOM as PASSWORD_PAUSE},
    reporting::ReportingService,
    row::{exposure, field},
    service_clock::BOUND,
    sign_in::SignIn,
};

/// What one page may cost. A full page of either service is about 2 MB and takes 2 to 4 s; a busy
/// tenant's first byte is known to take far longer.
const PAGE_LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(120),
    total: Duration::from_secs(180),
    max_body: 64 * 1024 * 1024,
};

/// What the details of one message may cost: a few events of a kilobyte each. No row waits longer for them.
const DETAILS_LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(60),
    total: Duration::from_secs(60),
    max_body: 1024 * 1024,
};

/// What one token may cost: answers are a few kilobytes and come within a second.
const TOKEN_LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(30),
    total: Duration::from_secs(30),
    max_body: 1024 * 1024,
};

/// The address with these segments after the path of another one.
fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
