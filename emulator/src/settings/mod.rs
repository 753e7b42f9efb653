//! Switches that can be turned while the emulator runs.

mod graph;
mod identity;
mod report;
mod sekoia;
mod trouble;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Discretion;

pub use graph::{GraphLink, GraphSettings, QuotaSettings, RetryAfter, ServicePrincipal};
pub use identity::{App, AppSecret, ErrorCodes, IdentitySettings};
pub use report::{Account, Dialect, NextLink, ReportSettings, SkipToken};
pub use sekoia::{IntakeSettings, PlatformSettings};
pub use trouble::{
    FreshLink, FreshLinks, Outside, OutsideWindow, Reach, TooWide, Trouble, Unreadable,
    UnreadableRow, Wide,
};

/// How the emulated services behave. The defaults are what is most likely true.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The Reporting Web Service.
    pub report: ReportSettings,
    /// The message trace of Microsoft Graph.
    pub graph: GraphSettings,
    /// Sign-in of applications.
    pub identity: IdentitySettings,
    /// The intake of Sekoia.io.
    pub intake: IntakeSettings,
    /// The other endpoints of Sekoia.io.
    pub platform: PlatformSettings,
    /// How answers are sent.
    pub transport: Transport,
    /// What the module was told not to send.
    pub discretion: Discretion,
}

/// How answers are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transport {
    /// Whether answers of Microsoft are compressed for clients that accept gzip.
    pub gzip: bool,
    /// How far the servers' `Date` is ahead of the emulator's clock, in seconds.
    pub skew_seconds: i64,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            gzip: true,
            skew_seconds: 0,
        }
    }
}

/// A fixed answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
    /// Where it leads; none for nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl Canned {
    fn new(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            body: body.to_owned(),
            location: None,
        }
    }

    /// Status 410, in the words of a service that is switched off.
    pub fn gone() -> Self {
        Self::new(410, "text/plain", "This service has been retired.")
    }

    /// Status 404 with the page of a web server that knows no such file.
    pub fn missing_page() -> Self {
        let page = "<html><head><title>404 - File or directory not found.</title></head></html>";
        Self::new(404, "text/html", page)
    }

    /// Status 302 to a page for people.
    pub fn moved(to: &str) -> Self {
        let page = "<html><head><title>Object moved</title></head></html>";
        Self {
            location: Some(to.to_owned()),
            ..Self::new(302, "text/html", page)
        }
    }

    /// Status 400, in the words of a command that has a successor.
    pub fn superseded() -> Self {
        let error = r#"{"error":{"code":"","message":{"lang":"en-US","value":"|ValidationException|Get-MessageTrace has ended. Use Get-MessageTraceV2."}}}"#;
        Self::new(400, "application/json", error)
    }

    /// Status 200 with a page for people.
    pub fn page(title: &str) -> Self {
        let page = format!("<html><head><title>{title}</title></head><body></body></html>");
        Self::new(200, "text/html; charset=utf-8", &page)
    }
}

/// What happens to a query for a message by its id in the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ById {
    /// It is answered with all rows of the message in the window.
    #[default]
    Answered,
    /// It is refused with status 400.
    Refused,
    /// The id is overlooked: it is answered with all rows of the window.
    Overlooked,
    /// It is answered with no row.
    Empty,
    /// It fails with status 503.
    Failing,
    /// It is answered after seconds.
    Slow,
}

impl ById {
    /// How much longer the answer takes.
    pub(crate) const fn delay(self) -> Duration {
        match self {
            Self::Slow => Duration::from_secs(3),
            _ => Duration::ZERO,
        }
    }
}
