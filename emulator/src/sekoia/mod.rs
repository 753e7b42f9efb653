//! The services of Sekoia.io.

mod intake;
mod platform;

use chrono::{DateTime, Utc};

use crate::{
    Emulator, Endpoint, Fault,
    answer::{Answer, Call},
};

/// An event that the intake has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedEvent {
    /// When, by the emulator's clock.
    pub at: DateTime<Utc>,
    /// The intake key that it was sent to.
    pub intake_key: crate::Secret,
    /// Its text.
    pub text: String,
}

/// A log entry that the platform has received (contract row G-01).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogEntry {
    /// When it was written, as its writer says.
    pub date: String,
    /// Its level.
    pub level: String,
    /// Its text.
    pub message: String,
}

/// To which endpoint a request goes.
pub(crate) fn endpoint(call: &Call) -> Endpoint {
    let path = call.path.trim_end_matches('/');
    match path.rsplit('/').next().unwrap_or_default() {
        "batch" => Endpoint::Intake,
        "logs" => Endpoint::Logs,
        "secrets" => Endpoint::Secrets,
        "envelope" | "store" => Endpoint::Sentry,
        _ => Endpoint::Other,
    }
}

/// Carries a request out.
pub(crate) fn answer(
    emulator: &Emulator,
    endpoint: Endpoint,
    call: &Call,
    fault: Option<&Fault>,
) -> Answer {
    match endpoint {
        Endpoint::Intake => intake::batch(emulator, call, fault),
        Endpoint::Logs => platform::logs(emulator, call),
        Endpoint::Secrets => platform::secrets(emulator, call),
        Endpoint::Sentry => platform::envelope(emulator, call),
        _ => Answer::new(404, "text/plain", "nothing is here"),
    }
}
