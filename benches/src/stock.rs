//! A tenant's mail, rendered before anything is measured.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use emulator::{Backlog, Emulator, Options, TraceRow, Traffic};
use serde_json::json;

/// The mail of a tenant. Rows are evenly spread over the time before `newest`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mail {
    /// How many rows.
    pub(crate) rows: u64,
    /// How far they reach back.
    pub(crate) span: TimeDelta,
    /// All of them were received before this instant.
    pub(crate) until: DateTime<Utc>,
}

/// In which service's form rows are rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The Reporting Web Service's verbose JSON.
    Reporting,
    /// Microsoft Graph's.
    Graph,
}

impl Dialect {
    /// Rows on a full page.
    pub(crate) const fn page_rows(self) -> usize {
        match self {
            Self::Reporting => 2000,
            Self::Graph => 5000,
        }
    }
}

/// The rows of a tenant as JSON, newest first, so that any page is one stretch of one text.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    text: Bytes,
    /// Where each row begins in the text, with a comma before it but for the first; then the end.
    begins: Vec<usize>,
    received: Vec<DateTime<Utc>>,
    /// The service whose form the rows have.
    pub(crate) dialect: Dialect,
}

impl Stock {
    /// Renders the mail that the emulator generates.
    pub(crate) fn new(mail: Mail, dialect: Dialect) -> Self {
        let clock = emulator::Clock::new(move || mail.until);
        let emulator = Emulator::new(Options {
            clock,
            traffic: Traffic {
                backlog: Backlog::rows(mail.span, mail.rows),
                ..Traffic::default()
            },
            ..Options::default()
        });
        let rows = emulator.rows(mail.until - mail.span, mail.until);
        let mut text = Vec::with_capacity(rows.len() * 800);
        let mut begins = Vec::with_capacity(rows.len() + 1);
        for (index, row) in rows.iter().enumerate() {
            begins.push(text.len());
            if index > 0 {
                text.push(b',');
            }
            let rendered = match dialect {
                Dialect::Reporting => reporting(row, index, mail),
                Dialect::Graph => graph(row),
            };
            text.extend_from_slice(rendered.as_bytes());
        }
        begins.push(text.len());
        Self {
            text: text.into(),
            begins,
            received: rows.iter().map(|row| row.received).collect(),
            dialect,
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    /// Bytes of all rows.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The rows received from `start` to `end`, both included.
    pub(crate) fn window(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Range<usize> {
        let first = self.received.partition_point(|received| *received > end);
        let after = self.received.partition_point(|received| *received >= start);
        first..after.max(first)
    }

    /// The text of these rows, with commas between them.
    pub(crate) fn text(&self, rows: Range<usize>) -> Bytes {
        let at = |index: usize| self.begins.get(index).copied().unwrap_or(self.text.len());
        if rows.is_empty() {
            return Bytes::new();
        }
        let comma = usize::from(rows.start > 0);
        self.text.slice(at(rows.start) + comma..at(rows.end))
    }
}

fn reporting(row: &TraceRow, index: usize, mail: Mail) -> String {
    let id = format!(
        "https://reports.office365.com/ecp/ReportingWebService/Reporting.svc/MessageTrace({index})"
    );
    let date = |at: DateTime<Utc>| format!("/Date({})/", at.timestamp_millis());
    // In the order of the service, which an object of `serde_json` does not keep.
    object(&[
        (
            "__metadata",
            object(&[
                ("id", text(&id)),
                ("uri", text(&id)),
                ("type", text("TenantReporting.MessageTrace")),
            ]),
        ),
        ("Organization", text(&row.organization)),
        ("MessageId", json!(row.message_id).to_string()),
        ("Received", text(&date(row.received))),
        ("SenderAddress", text(&row.sender)),
        ("RecipientAddress", text(&row.recipient)),
        ("Subject", json!(row.subject).to_string()),
        ("Status", text(row.status.pascal())),
        ("ToIP", json!(row.to_ip).to_string()),
        ("FromIP", json!(row.from_ip).to_string()),
        ("Size", row.size.to_string()),
        ("MessageTraceId", text(&row.trace_id.to_string())),
        ("StartDate", text(&date(mail.until - mail.span))),
        ("EndDate", text(&date(mail.until))),
        ("Index", index.to_string()),
    ])
}

fn graph(row: &TraceRow) -> String {
    let optional = |value: &Option<String>| text(value.as_deref().unwrap_or_default());
    let received = row.received.to_rfc3339_opts(SecondsFormat::Millis, true);
    object(&[
        ("id", text(&row.trace_id.to_string())),
        ("senderAddress", text(&row.sender)),
        ("recipientAddress", text(&row.recipient)),
        ("messageId", optional(&row.message_id)),
        ("receivedDateTime", text(&received)),
        ("subject", optional(&row.subject)),
        ("size", row.size.to_string()),
        ("fromIP", optional(&row.from_ip)),
        ("toIP", optional(&row.to_ip)),
        ("status", text(row.status.camel())),
    ])
}

fn text(value: &str) -> String {
    json!(value).to_string()
}

/// An object with these members, whose values are JSON already.
fn object(members: &[(&str, String)]) -> String {
    let members = members.iter();
    let members: Vec<_> = members
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}
