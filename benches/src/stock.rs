//! A tenant's mail, rendered before anything is measured.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Backlog, Emulator, Options, Traffic};

/// The mail of a tenant, its rows evenly spread over the time.
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
        let emulator = Emulator::new(Options {
            clock: emulator::Clock::new(move || mail.until),
            traffic: Traffic {
                backlog: Backlog::rows(mail.span, mail.rows),
                ..Traffic::default()
            },
            ..Options::default()
        });
        let begin = mail.until - mail.span;
        let rows = emulator.rows(begin, mail.until);
        let mut text = Vec::with_capacity(rows.len() * 800);
        let mut begins = Vec::with_capacity(rows.len() + 1);
        for (index, row) in rows.iter().enumerate() {
            begins.push(text.len());
            if index > 0 {
                text.push(b',');
            }
            let rendered = match dialect {
                Dialect::Reporting => row.reporting(index as u64, begin, mail.until),
                Dialect::Graph => row.graph(),
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
