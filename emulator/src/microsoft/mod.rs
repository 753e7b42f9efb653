//! The services of Microsoft.

mod odata;
mod render;
mod report;

use crate::{
    Emulator, Endpoint,
    answer::{Answer, Call},
};

/// The path of the Reporting Web Service, in lower case.
const REPORTING: &str = "/ecp/reportingwebservice/reporting.svc";

/// To which endpoint a request goes.
pub(crate) fn endpoint(call: &Call) -> Endpoint {
    if call.path.to_ascii_lowercase().starts_with(REPORTING) {
        Endpoint::Report
    } else {
        Endpoint::Other
    }
}

/// Carries a request out.
pub(crate) fn answer(emulator: &Emulator, endpoint: Endpoint, call: &Call) -> Answer {
    match endpoint {
        Endpoint::Report => report::answer(emulator, call),
        _ => Answer::new(404, "text/plain", "nothing is here"),
    }
}
