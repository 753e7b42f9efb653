//! The services of Microsoft.

mod accounts;
pub(crate) mod details;
mod graph;
mod identity;
mod odata;
mod render;
mod report;
mod trouble;

pub(crate) use graph::Quota;
use graph::Target;
pub(crate) use identity::SigningKey;

use crate::{
    Emulator, Endpoint,
    answer::{Answer, Call},
    faults::Struck,
};

/// The path of the Reporting Web Service, in lower case.
const REPORTING: &str = "/ecp/reportingwebservice/reporting.svc";
/// The path of the managed identity, in lower case.
const MANAGED: &str = "/metadata/identity/oauth2/token";

/// To which endpoint a request goes.
pub(crate) fn endpoint(call: &Call) -> Endpoint {
    let path = call.path.as_str();
    let lower = path.to_ascii_lowercase();
    if lower
        .strip_prefix(REPORTING)
        .is_some_and(|rest| rest.trim_matches('/') == report::DETAILS)
    {
        Endpoint::ReportDetails
    } else if lower.starts_with(REPORTING) {
        Endpoint::Report
    } else if lower == MANAGED {
        Endpoint::Imds
    } else if identity::tenant(path).is_some() {
        Endpoint::Token
    } else {
        match Target::read(path) {
            Some(Target::List) => Endpoint::Graph,
            Some(Target::Details { .. }) => Endpoint::GraphDetails,
            None => Endpoint::Other,
        }
    }
}

/// Carries a request out, with the switches that faults have turned.
pub(crate) fn answer(emulator: &Emulator, call: &Call, struck: &Struck) -> Answer {
    let mut settings = emulator.settings();
    for fault in &struck.besides {
        fault.turn(&mut settings);
    }
    let path = call.path.as_str();
    if let Some(tenant) = identity::tenant(path) {
        return identity::token(emulator, &settings, call, tenant);
    }
    if let Some(target) = Target::read(path) {
        return graph::answer(emulator, &settings.graph, call, &target);
    }
    match endpoint(call) {
        Endpoint::Report | Endpoint::ReportDetails => {
            report::answer(emulator, &settings.report, call)
        }
        Endpoint::Imds => identity::managed(emulator, &settings.identity, call),
        _ => Answer::new(404, "text/plain", "nothing is here"),
    }
}
