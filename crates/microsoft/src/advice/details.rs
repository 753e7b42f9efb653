//! Refusals of details. The pages show that who asks may read rows: only what was asked for is refused.

use base::ErrorClass;

use super::{Refusal, person};
use crate::{Concern, Error, complaint::Complaint};

/// What a refusal of details means, by a service whose address is in `setting`.
pub(crate) fn details(refusal: &Refusal<'_>, setting: &str) -> Error {
    let id = refusal.request_id;
    refusal.judged(setting, Concern::Query, meaning, |status, text| {
        format!(
            "it answered {status} when it was asked for details: {text} (client-request-id {id})"
        )
    })
}

/// What a status means that tells something about the request.
fn meaning(status: u16, refusal: &Refusal<'_>, _: &Complaint) -> (ErrorClass, String) {
    match status {
        408 | 429 | 500..=599 => refusal.passes("it has none to give for the moment"),
        401 | 403 => person(
            "who reads rows may not read details, it says; if it persists, look at the permissions, or take \
             `details` away",
        ),
        404 | 410 => person(
            "there are none at its address, which this cloud may not have; if it persists, take `details` \
             away",
        ),
        _ => person(
            "it does not accept the question; if it persists, take `details` away, and report it",
        ),
    }
}
