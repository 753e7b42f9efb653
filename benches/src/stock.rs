//! A tenant's mail, rendered before anything is measured.

use std::{fmt::Debug, ops::Range};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use emulator::{Backlog, Emulator, Options, TraceRow, Traffic};
use serde::Serialize;

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

/// What pages are made of: rows as JSON, numbered from the newest to the oldest.
pub(crate) trait Supply: Debug + Send + Sync {
    /// The service whose form the rows have.
    fn dialect(&self) -> Dialect;

    /// The rows received from `start` to `end`, both included.
    fn window(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Range<usize>;

    /// The text of these rows as they are `now`, with commas between them.
    fn text(&self, rows: Range<usize>, now: DateTime<Utc>) -> Bytes;
}

/// The rows of a tenant as JSON, newest first, so that any page is one stretch of one text.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    text: Bytes,
    /// Where each row begins in the text, with a comma before it but for the first; then the end.
    begins: Vec<usize>,
    received: Vec<DateTime<Utc>>,
    dialect: Dialect,
}

impl Stock {
    /// Renders the mail that the emulator generates.
    pub(crate) fn new(mail: Mail, dialect: Dialect) -> Result<Self, serde_json::Error> {
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
            match dialect {
                Dialect::Reporting => {
                    serde_json::to_writer(&mut text, &ReportingRow::new(row, index, mail))?;
                }
                Dialect::Graph => serde_json::to_writer(&mut text, &GraphRow::new(row))?,
            }
        }
        begins.push(text.len());
        Ok(Self {
            text: text.into(),
            begins,
            received: rows.iter().map(|row| row.received).collect(),
            dialect,
        })
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    /// Bytes of all rows.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The text of these rows, with commas between them.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Bytes {
        let at = |index: usize| self.begins.get(index).copied().unwrap_or(self.text.len());
        if rows.is_empty() {
            return Bytes::new();
        }
        let comma = usize::from(rows.start > 0);
        self.text.slice(at(rows.start) + comma..at(rows.end))
    }
}

impl Supply for Stock {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn window(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Range<usize> {
        let first = self.received.partition_point(|received| *received > end);
        let after = self.received.partition_point(|received| *received >= start);
        first..after.max(first)
    }

    fn text(&self, rows: Range<usize>, _now: DateTime<Utc>) -> Bytes {
        self.rows(rows)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReportingRow<'a> {
    #[serde(rename = "__metadata")]
    metadata: Metadata,
    organization: &'a str,
    message_id: Option<&'a str>,
    received: String,
    sender_address: &'a str,
    recipient_address: &'a str,
    subject: Option<&'a str>,
    status: &'static str,
    #[serde(rename = "ToIP")]
    to_ip: Option<&'a str>,
    #[serde(rename = "FromIP")]
    from_ip: Option<&'a str>,
    size: u32,
    message_trace_id: String,
    start_date: String,
    end_date: String,
    index: usize,
}

#[derive(Serialize)]
struct Metadata {
    id: String,
    uri: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> ReportingRow<'a> {
    fn new(row: &'a TraceRow, index: usize, mail: Mail) -> Self {
        let date = |at: DateTime<Utc>| format!("/Date({})/", at.timestamp_millis());
        let id = format!(
            "https://reports.office365.com/ecp/ReportingWebService/Reporting.svc/MessageTrace({index})"
        );
        Self {
            metadata: Metadata {
                id: id.clone(),
                uri: id,
                kind: "TenantReporting.MessageTrace",
            },
            organization: &row.organization,
            message_id: row.message_id.as_deref(),
            received: date(row.received),
            sender_address: &row.sender,
            recipient_address: &row.recipient,
            subject: row.subject.as_deref(),
            status: row.status.pascal(),
            to_ip: row.to_ip.as_deref(),
            from_ip: row.from_ip.as_deref(),
            size: row.size,
            message_trace_id: row.trace_id.to_string(),
            start_date: date(mail.until - mail.span),
            end_date: date(mail.until),
            index,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GraphRow<'a> {
    id: String,
    sender_address: &'a str,
    recipient_address: &'a str,
    message_id: &'a str,
    received_date_time: String,
    subject: &'a str,
    size: u32,
    #[serde(rename = "fromIP")]
    from_ip: &'a str,
    #[serde(rename = "toIP")]
    to_ip: &'a str,
    status: &'static str,
}

impl<'a> GraphRow<'a> {
    fn new(row: &'a TraceRow) -> Self {
        Self {
            id: row.trace_id.to_string(),
            sender_address: &row.sender,
            recipient_address: &row.recipient,
            message_id: row.message_id.as_deref().unwrap_or_default(),
            received_date_time: row.received.to_rfc3339_opts(SecondsFormat::Millis, true),
            subject: row.subject.as_deref().unwrap_or_default(),
            size: row.size,
            from_ip: row.from_ip.as_deref().unwrap_or_default(),
            to_ip: row.to_ip.as_deref().unwrap_or_default(),
            status: row.status.camel(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn windows_and_pages_are_stretches_of_the_text() {
        let until = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mail = Mail {
            rows: 500,
            span: TimeDelta::hours(5),
            until,
        };
        for dialect in [Dialect::Reporting, Dialect::Graph] {
            let stock = Stock::new(mail, dialect).unwrap();
            assert_eq!(stock.len(), 500);
            assert_eq!(stock.window(until - mail.span, until), 0..500);
            let older = stock.window(until - mail.span, until - TimeDelta::hours(2));
            assert!(older.start > 0 && older.end == 500, "{older:?}");
            for range in [0..500, older.clone(), 7..9] {
                let text = [b"[", &*stock.rows(range.clone()), b"]"].concat();
                let rows: Vec<Value> = serde_json::from_slice(&text).unwrap();
                assert_eq!(rows.len(), range.len());
            }
            assert!(stock.rows(5..5).is_empty());
        }
    }
}
