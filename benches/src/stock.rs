//! A tenant's mail, rendered before anything is measured.

use std::ops::Range;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Backlog, Emulator, Endpoint, Options, Traffic};

/// The rows of a tenant as JSON, newest first, so that any page is one stretch of one text.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    text: Bytes,
    /// Where each row begins in the text, with a comma before it but for the first; then the end.
    begins: Vec<usize>,
    received: Vec<DateTime<Utc>>,
    pub(crate) service: Endpoint,
}

impl Stock {
    /// Renders rows that the emulator generates, spread evenly over the time that ends with `until`.
    pub(crate) fn new(service: Endpoint, rows: u64, span: TimeDelta, until: DateTime<Utc>) -> Self {
        let emulator = Emulator::new(Options {
            clock: emulator::Clock::new(move || until),
            traffic: Traffic {
                backlog: Backlog::rows(span, rows),
                ..Traffic::default()
            },
            ..Options::default()
        });
        let begin = until - span;
        let rows = emulator.rows(begin, until);
        let mut text = Vec::with_capacity(rows.len() * 800);
        let mut begins = Vec::with_capacity(rows.len() + 1);
        for (index, row) in rows.iter().enumerate() {
            begins.push(text.len());
            if index > 0 {
                text.push(b',');
            }
            let rendered = match service {
                Endpoint::Graph => row.graph(),
                _ => row.reporting(index as u64, begin, until),
            };
            text.extend_from_slice(rendered.as_bytes());
        }
        begins.push(text.len());
        Self {
            text: text.into(),
            begins,
            received: rows.iter().map(|row| row.received).collect(),
            service,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

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
