//! Refusals of Microsoft Graph.

use std::time::Duration;

use super::{
    Refusal, SERVICE_ID, SERVICE_PRINCIPAL, lacks_service_principal, narrow, of_the_window, person,
    redirect,
};
use crate::{Error, complaint::Complaint};
use base::ErrorClass;

/// When a query whose window ends in the service's future is asked again.
const CLOCK_PAUSE: Duration = Duration::from_secs(30);

pub(crate) fn graph(refusal: &Refusal<'_>) -> Error {
    let (id, own) = (refusal.request_id, own_id(refusal));
    let concern = refusal.concern();
    refusal.judged("graph_url", concern, meaning, |status, text| {
        format!("Microsoft Graph answered {status}: {text} (client-request-id {id}{own})")
    })
}

/// What a status means that tells something about the request.
fn meaning(status: u16, refusal: &Refusal<'_>, complaint: &Complaint) -> (ErrorClass, String) {
    match status {
        300..=399 => person(redirect(refusal.asked, refusal.response, "graph_url")),
        401 | 403 if lacks_service_principal(refusal.response.body()) => {
            person(service_principal())
        }
        _ if refusal.refuses_link() => narrow(
            "it does not accept its own link to the next page: the rest of the window is asked \
             for anew",
        ),
        401 if !refusal.by_app => person(
            "it does not accept the account's token: check that `tenant_id` is the tenant whose mail \
             is traced, and that `login_url` and `graph_url` belong to its cloud",
        ),
        401 => person(
            "it does not accept the app's token: check that `tenant_id` is the tenant whose mail \
             is traced, and that `login_url` and `graph_url` belong to its cloud",
        ),
        403 => person(forbidden(refusal)),
        400 if let Some(told) = of_the_window(refusal, complaint) => told,
        400 if complaint.text.to_ascii_lowercase().contains("future") => (
            ErrorClass::Transient {
                after: Some(CLOCK_PAUSE),
            },
            "the window ends in the service's future: asked again later; if it persists, \
             set the clock of this machine right"
                .to_owned(),
        ),
        400 => person(
            "it does not accept the query: check that `graph_url` is the address of Microsoft \
             Graph, and report it if so",
        ),
        404 | 410 => person(
            "there is no message trace at this address: `graph_url` is wrong, or this cloud has \
             none (those of the US government and of China have not); correct `graph_url`, or \
             use the trigger `message_trace_oauth`",
        ),
        429 => refusal.passes(
            "the tenant's quota of message trace queries (100 in 5 minutes) is used up: asked \
             again later; if it persists, see what else reads it, or lower `quota`",
        ),
        408 | 500..=599 => refusal.passes(
            "the service fails for the moment: asked again later; if it persists, see the service \
             health of Microsoft 365",
        ),
        _ => person("it does not accept the request: check `graph_url` and any proxy in between"),
    }
}

/// A 403: of the service, or of anything on the way.
fn forbidden(refusal: &Refusal<'_>) -> String {
    let missing = match refusal.by_app {
        true => "the app may not read the message trace: grant it the application permission \
                 `ExchangeMessageTrace.Read.All` of Microsoft Graph, with an administrator's consent"
            .to_owned(),
        false => without_role(refusal.permitted),
    };
    match refusal.barred() {
        None => missing,
        Some(barred) if refusal.permitted.is_some() => barred,
        Some(barred) => format!("{barred}; if there is none, {missing}"),
    }
}

/// A user's token opens Graph when it has the permission and its account a role in Exchange.
fn without_role(permitted: Option<&str>) -> String {
    match permitted {
        Some(permission) => format!(
            "the token has the permission `{permission}`, so that it is the account that may not read \
             message traces: assign it a role of Exchange that may, such as `Exchange Administrator`, \
             and wait up to an hour"
        ),
        None => "the account may not read the message trace: it needs a role of Exchange that may, such \
                 as `Exchange Administrator`, and the app registration the delegated permission \
                 `ExchangeMessageTrace.Read.All` with an administrator's consent"
            .to_owned(),
    }
}

fn service_principal() -> String {
    format!(
        "the tenant lacks the service principal of Microsoft's message trace, or it is not active \
         yet: have an administrator create it with `New-MgServicePrincipal -AppId \
         {SERVICE_PRINCIPAL}` and wait, which takes hours, up to a day; collection goes on by \
         itself then"
    )
}

fn own_id(refusal: &Refusal<'_>) -> String {
    refusal
        .response
        .headers()
        .get(SERVICE_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| id.len() <= 64)
        .map_or_else(String::new, |id| format!(", request-id {id}"))
}
