//! A row of the message trace.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    Status,
    time::{instant, ticks},
};

/// A row of the message trace as the tenant knows it: one message and one of its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRow {
    /// The tenant's first domain.
    pub organization: String,
    /// The message's id in the service, shared by all of its recipients.
    pub trace_id: Uuid,
    /// The message's `Message-ID` header.
    pub message_id: Option<String>,
    /// When the service received the message.
    pub received: DateTime<Utc>,
    /// Who sent it.
    pub sender: String,
    /// To whom this row is about.
    pub recipient: String,
    /// Its subject.
    pub subject: Option<String>,
    /// What became of it for this recipient.
    pub status: Status,
    /// Where it was delivered to, if that is known.
    pub to_ip: Option<String>,
    /// Where it came from, if that is known.
    pub from_ip: Option<String>,
    /// Its size in bytes.
    pub size: u32,
}

/// A row that is added by hand.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The row with its first status.
    pub row: TraceRow,
    /// From when on it can be seen.
    pub visible_from: DateTime<Utc>,
    /// Later statuses and since when it has them, oldest first; at most 7.
    pub changes: Vec<(DateTime<Utc>, Status)>,
}

impl NewRow {
    /// A delivered message with one recipient, received and visible at `received`.
    pub fn new(received: DateTime<Utc>, recipient: &str) -> Self {
        Self {
            row: TraceRow {
                organization: String::from("contoso.onmicrosoft.com"),
                trace_id: Uuid::new_v4(),
                message_id: Some(format!("<{}@contoso.example>", Uuid::new_v4().simple())),
                received: instant(ticks(received)),
                sender: String::from("sender@fabrikam.example"),
                recipient: recipient.to_owned(),
                subject: Some(String::from("Subject")),
                status: Status::Delivered,
                to_ip: None,
                from_ip: Some(String::from("203.0.113.5")),
                size: 33_435,
            },
            visible_from: received,
            changes: Vec::new(),
        }
    }

    /// The same with another trace id, which recipients of one message share.
    #[must_use]
    pub fn trace_id(mut self, trace_id: Uuid) -> Self {
        self.row.trace_id = trace_id;
        self
    }

    /// The same with another first status.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.row.status = status;
        self
    }

    /// The same with another subject.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.row.subject = Some(subject.to_owned());
        self
    }

    /// The same, visible only from this time on.
    #[must_use]
    pub fn visible_from(mut self, at: DateTime<Utc>) -> Self {
        self.visible_from = at;
        self
    }

    /// The same with a later status.
    #[must_use]
    pub fn then(mut self, at: DateTime<Utc>, status: Status) -> Self {
        self.changes.push((at, status));
        self
    }
}
