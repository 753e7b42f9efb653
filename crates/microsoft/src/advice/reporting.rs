//! Refusals of the Reporting Web Service.

use base::ErrorClass;
use http::{HeaderMap, header::WWW_AUTHENTICATE};

use super::{Refusal, TOO_WIDE, names, narrow, of_the_window, person, redirect};
use crate::{Error, Link, complaint::Complaint};

/// The depth from which an unexplained failure of the Reporting Web Service is taken for its cap:
/// it fails for ever at `$skiptoken=999999`, about one million rows into a result.
const DEEP: u64 = 990_000;

/// The command that has taken the place of the one behind this report. What has ended is refused with
/// its name (reference A.9): no other query names it.
const SUCCESSOR: &str = "MessageTraceV2";

/// How the sentence of such a refusal of any status begins.
pub(crate) const NAMES_SUCCESSOR: &str = "it names `Get-MessageTraceV2`";

pub(crate) fn reporting(refusal: &Refusal<'_>) -> Error {
    let concern = refusal.concern();
    refusal.judged("reporting_url", concern, meaning, |status, text| {
        format!("the Reporting Web Service answered {status}: {text}")
    })
}

/// What a status means that tells something about the request.
fn meaning(status: u16, refusal: &Refusal<'_>, complaint: &Complaint) -> (ErrorClass, String) {
    let deep = refusal
        .link
        .and_then(Link::depth)
        .is_some_and(|depth| depth >= DEEP);
    match status {
        300..=399 => person(redirect(refusal.asked, refusal.response, "reporting_url")),
        400.. if names_successor(status, refusal, complaint) => person(format!(
            "{NAMES_SUCCESSOR}, the successor of its own source: Microsoft seems to have \
             retired the Reporting Web Service for this organization; use the trigger \
             `message_trace_graph`"
        )),
        400 if let Some(told) = of_the_window(refusal, complaint) => told,
        // It says nothing of the service.
        _ if refusal.refuses_link() => narrow(
            "it does not accept its own link to the next page: the window is read anew in narrower ones",
        ),
        400 => person(
            "it does not accept the query: check that `reporting_url` is the address of the \
             Reporting Web Service, and report it if so",
        ),
        401 if refusal.by_app => person(
            "it does not accept the token of the app: check that `tenant_id` is the tenant whose \
             mail is traced, and that `reporting_url` belongs to its cloud",
        ),
        401 => person(wrong_account(refusal.response.headers())),
        403 => person(forbidden(refusal)),
        404 | 410 => person(
            "there is no message trace at this address: Microsoft has retired the Reporting Web \
             Service for this organization, or `reporting_url` is wrong; use the trigger \
             `message_trace_graph`, or correct `reporting_url`",
        ),
        500 if deep && complaint.code == "UnknownError" => narrow(
            "the service fails this deep into one result (it stops at about one million rows): \
             the window is read in narrower ones",
        ),
        429 => refusal.passes(
            "the service asks for fewer requests: asked again later; if it persists, raise \
             `frequency` or see what else reads this organization's message trace",
        ),
        408 | 500..=599 => refusal.passes(
            "the service fails for the moment: asked again later; if it persists, see the service \
             health of Microsoft 365",
        ),
        _ => person(
            "the service does not accept the request: check `reporting_url` and any proxy in \
             between",
        ),
    }
}

/// Whether it names what has taken the place of this service, for a reason that is not in the request: not in
/// its link, in how many there are, or in how far back it looks, and how wide.
fn names_successor(status: u16, refusal: &Refusal<'_>, complaint: &Complaint) -> bool {
    let is_of_the_request = status == 429 || refusal.link.is_some();
    !is_of_the_request
        && !is_of_the_window(&complaint.text)
        && names(refusal.response.body(), SUCCESSOR)
}

/// The same of the words of an answer that claims success, and has no rows.
pub(crate) fn successor_is_named(said: &str) -> bool {
    !is_of_the_window(said) && names(said.as_bytes(), SUCCESSOR)
}

/// Whether words are about how far back a query looks, or how wide.
fn is_of_the_window(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    said.contains("older than") || said.contains(TOO_WIDE)
}

/// A 403: of the service, or of anything on the way.
fn forbidden(refusal: &Refusal<'_>) -> String {
    match (refusal.barred(), refusal.by_app) {
        (Some(barred), true) => format!(
            "{barred}; if there is none, assign the directory role `Security Reader` or \
             `Global Reader` to the app"
        ),
        (None, true) => {
            "the app may not read the message trace: besides the application permission \
             `ReportingWebService.Read.All` of Office 365 Exchange Online it needs a directory \
             role; assign `Security Reader` or `Global Reader` to its service principal"
                .to_owned()
        }
        (barred, false) => {
            let missing = "the account may not read the message trace: give it the rights `Reports \
                           reader` and `Security reader` in Microsoft 365, which take up to an hour to \
                           act";
            barred.map_or_else(
                || missing.to_owned(),
                |barred| format!("{barred}; if there is none, {missing}"),
            )
        }
    }
}

/// What a 401 to a name and password means, from the ways to sign in that the service offers.
fn wrong_account(headers: &HeaderMap) -> &'static str {
    let mut offers = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|challenge| {
            let scheme = challenge.split_whitespace().next().unwrap_or_default();
            scheme.eq_ignore_ascii_case("basic")
        })
        .peekable();
    if offers.peek().is_none() {
        "the sign-in is refused: either the name or password of the account is wrong (check \
         `account_name` and `account_password`, and the account's sign-in log in Microsoft \
         Entra), or Microsoft has switched off sign-in with a password for this organization \
         (then use the trigger `message_trace_graph`)"
    } else if offers.any(|basic| basic) {
        "the name or password of the account is wrong, expired or locked: check `account_name` \
         and `account_password`, and the account's sign-in log in Microsoft Entra"
    } else {
        "Microsoft has switched off sign-in with a password for this organization: use the \
         trigger `message_trace_graph`, which signs in as an app"
    }
}
