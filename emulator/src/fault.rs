//! What can go wrong with an answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Changes, FaultRule, Settings,
    settings::{FreshLinks, OutsideWindow, Reach, Trouble, UnreadableRow, Wide},
};

/// A `Retry-After` that is over.
pub const PAST: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// One way in which an exchange goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// The request is not looked at; this is the answer.
    Answer {
        /// The HTTP status.
        status: u16,
        /// Headers of the answer.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// The connection is reset before the request is looked at.
    Reset,
    /// The request is carried out, but the connection is reset instead of an answer.
    ResetAfter,
    /// The request is carried out, and the connection ends after so many bytes of the body.
    ResetMidBody {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// The body ends after so many bytes although the answer is well framed.
    Cut {
        /// Bytes of the body that are sent.
        bytes: usize,
    },
    /// Bytes in the middle of the body are overwritten.
    Garble,
    /// A compressed body ends in the middle of its stream although the answer is well framed.
    CutGzip,
    /// The request is looked at only after this time.
    DelayRequest {
        /// The time in milliseconds.
        ms: u64,
    },
    /// The request is carried out at once and answered after this time.
    DelayAnswer {
        /// The time in milliseconds.
        ms: u64,
    },
    /// The body pauses for this time after so many bytes.
    Stall {
        /// Bytes of the body that are sent before.
        bytes: usize,
        /// The time in milliseconds.
        ms: u64,
    },
    /// The request is carried out, and its answer has another media type.
    ContentType {
        /// The media type.
        value: String,
    },
    /// The request is carried out, and answered by this instead.
    Replace {
        /// The HTTP status.
        status: u16,
        /// The media type.
        content_type: String,
        /// The body.
        body: String,
    },
    /// The request is carried out, and the `Date` of its answer is wrong. Adds up with other faults.
    Date {
        /// How many seconds it is ahead of the emulator's clock.
        #[serde(default)]
        ahead: i64,
        /// What it says instead.
        #[serde(default)]
        at: Option<DateTime<Utc>>,
        /// It is empty.
        #[serde(default)]
        empty: bool,
    },
    /// The answer comes from a cache: it has an `Age`, and a `Date` that is as old. Adds up with
    /// other faults.
    Age {
        /// The age in seconds.
        seconds: u32,
    },
    /// The connection on which the request came answers this to everything from now on, until the
    /// faults of the endpoint are cleared; a new connection is fine. In memory, a request has the
    /// connection that its [`ConnectionNumber`](crate::ConnectionNumber) names, or one of its own.
    Connection {
        /// The HTTP status.
        status: u16,
    },
    /// The answer never comes.
    Hang,
    /// The request is not looked at; the answer leads to its own path and query.
    Redirect {
        /// The HTTP status.
        status: u16,
        /// What the path is put after, such as `https://other.example`; empty for the same origin.
        #[serde(default)]
        to: String,
    },
    /// The request is carried out, and there is a byte order mark before the body.
    ByteOrderMark,
    /// The service cannot answer wide windows. Adds up with other faults.
    Wide(Wide),
    /// The service does not look back as far as it should, or says so. Adds up with other faults.
    Reach(Reach),
    /// Rows are no strict JSON. Adds up with other faults.
    UnreadableRow(UnreadableRow),
    /// Rows are dated outside the window. Adds up with other faults.
    OutsideWindow(OutsideWindow),
    /// Links to further pages lead nowhere, or take long to get there. Adds up with other faults.
    FreshLinks(FreshLinks),
    /// The request is carried out with these switches turned. Adds up with other faults.
    Settings {
        /// What differs, in the form of `PATCH /_emulator/settings`.
        changes: Changes,
    },
    /// Something on the way to the intake answers requests in its place that have this text in them.
    Filter {
        /// The text, as it stands in the body of the request.
        containing: String,
        /// The HTTP status; 0 for a connection that is reset.
        status: u16,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// The intake refuses single events of a batch.
    RejectEvents {
        /// Only events that contain this text.
        #[serde(default)]
        containing: String,
        /// Of those, the first and then every one after so many; 1 for all.
        #[serde(default = "one")]
        every: usize,
        /// How the answer tells it.
        shape: RejectionShape,
    },
}

fn one() -> usize {
    1
}

/// How the intake's answer to a batch tells rejected events from accepted ones. The real form is
/// not documented (contract row W-04).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionShape {
    /// `event_ids` has null in the place of a rejected event.
    NullIds,
    /// `event_ids` has only those of accepted events.
    ShortIds,
    /// `event_ids` has an object with a word in the place of an event, which is accepted nevertheless.
    UnknownWords,
    /// `event_ids` of the accepted events, and `errors` with index and message of the others.
    Errors,
    /// `event_ids` with null, and `statuses` with an HTTP status for each event.
    Statuses,
    /// `results` with an object for each event, and `event_ids` of the accepted events.
    Results,
}

impl Fault {
    /// An answer with this status and no body.
    pub fn status(status: u16) -> Self {
        Self::answer(status, &[], "")
    }

    /// An answer with this status, these headers and this body.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        Self::Answer {
            status,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    /// The intake's answer for a key that is not provisioned yet (contract row J-11).
    pub fn key_not_ready() -> Self {
        Self::answer(
            422,
            &[("content-type", "application/json")],
            r#"{"error":"INTAKE_KEY_ERROR","message":"the intake key is not known yet"}"#,
        )
    }

    /// An HTML page with this status and title, as gateways send it.
    pub fn page(status: u16, title: &str) -> Self {
        let page = format!(
            "<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        );
        Self::answer(status, &[("content-type", "text/html")], &page)
    }

    /// A refusal that says this about when to come back; none for nothing. [`PAST`] is a date.
    pub fn throttled(status: u16, retry_after: Option<&str>) -> Self {
        let headers = retry_after.map(|value| ("retry-after", value));
        Self::answer(status, headers.as_slice(), "")
    }

    /// A `Date` that is so many seconds ahead.
    pub fn date_ahead(seconds: i64) -> Self {
        Self::Date {
            ahead: seconds,
            at: None,
            empty: false,
        }
    }

    /// Status 200 with an error in the body.
    pub fn error_in_success() -> Self {
        Self::answer(
            200,
            &[("content-type", "application/json")],
            r#"{"error":{"code":"InternalServerError","message":"An error has occurred."}}"#,
        )
    }

    /// This fault for the next `times` requests only.
    pub fn times(self, times: u32) -> FaultRule {
        FaultRule::from(self).times(times)
    }

    /// This fault, but not for the next `requests` requests.
    pub fn after(self, requests: u32) -> FaultRule {
        FaultRule::from(self).after(requests)
    }

    /// This fault for a share of the requests, from 0 to 1.
    pub fn chance(self, share: f64) -> FaultRule {
        FaultRule::from(self).chance(share)
    }

    /// Its name in the record of requests: its `kind`.
    pub(crate) fn name(&self) -> String {
        let fault = json!(self);
        fault["kind"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it strikes besides the other faults, which come one at a time.
    pub(crate) fn adds_up(&self) -> bool {
        matches!(self, Self::Date { .. } | Self::Age { .. }) || self.turns_switches()
    }

    fn turns_switches(&self) -> bool {
        matches!(
            self,
            Self::Wide(_)
                | Self::Reach(_)
                | Self::UnreadableRow(_)
                | Self::OutsideWindow(_)
                | Self::FreshLinks(_)
                | Self::Settings { .. }
        )
    }

    /// Turns the switches that it stands for.
    pub(crate) fn turn(&self, settings: &mut Settings) {
        match self {
            Self::Settings { changes } => *settings = changes.laid_over(settings),
            fault => {
                fault.trouble(&mut settings.graph.trouble);
                fault.trouble(&mut settings.report.trouble);
            }
        }
    }

    fn trouble(&self, trouble: &mut Trouble) {
        match self {
            Self::Wide(wide) => trouble.wide = Some(wide.clone()),
            Self::Reach(reach) => trouble.reach = Some(reach.clone()),
            Self::UnreadableRow(row) => trouble.unreadable_row = Some(row.clone()),
            Self::OutsideWindow(rows) => trouble.outside_window = Some(rows.clone()),
            Self::FreshLinks(links) => trouble.fresh_links = Some(links.clone()),
            _ => {}
        }
    }
}
