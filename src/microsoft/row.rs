//! What is read of a row: its key, when its message was received, and the dates to rewrite.
//!
//! The row itself goes on as text; only the dates of the light dialect are written anew, since the
//! intake format reads `/Date(milliseconds)/` and nothing else.

use std::{borrow::Cow, ops::Range};

use chrono::{DateTime, Utc};

use super::{date, errors::Unreadable, graph};
use crate::{
    Page, RowKey, RowKeyer,
    json::{Raw, Scanner},
};

/// What becomes of the text of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// It stays, byte for byte.
    Verbatim,
    /// ISO dates in `Received`, `StartDate` and `EndDate` become `/Date(milliseconds)/`; all else
    /// stays, byte for byte.
    VerboseDates,
    /// Rows of Graph become rows of the Reporting Web Service.
    Renamed,
}

/// A row as it stands in its page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it is.
    pub(super) span: Range<usize>,
    key: RowKey,
    received: Option<DateTime<Utc>>,
    /// Where the values of date fields in ISO form are, from the beginning of the row, and what
    /// they mean.
    iso_dates: Vec<(Range<usize>, DateTime<Utc>)>,
}

impl Row {
    /// Reads the row that is next, an object.
    #[inline]
    pub(super) fn read(scanner: &mut Scanner<'_>, keyer: &RowKeyer) -> Option<Self> {
        scanner.next()?;
        let start = scanner.position();
        let mut fields = Fields::default();
        let mut iso_dates = Vec::new();
        scanner.object(|scanner, name| {
            let value = scanner.value()?;
            if fields.note(name, value) == Noted::Date
                && let Some(at) = value.text().as_deref().and_then(date::iso)
            {
                let end = scanner.position() - start;
                iso_dates.push((end - value.json.len()..end, at));
            }
            Some(())
        })?;
        Some(Self {
            span: start..scanner.position(),
            key: fields.key(keyer),
            received: fields.received(),
            iso_dates,
        })
    }

    /// Appends the row with its ISO dates as `/Date(milliseconds)/`.
    fn rewrite(&self, row: &str, to: &mut String) {
        let mut from = 0;
        for (span, at) in &self.iso_dates {
            to.push_str(row.get(from..span.start).unwrap_or_default());
            to.push('"');
            to.push_str(&date::verbose_text(*at));
            to.push('"');
            from = span.end;
        }
        to.push_str(row.get(from..).unwrap_or_default());
    }
}

/// A page of rows, ready for the intake.
///
/// Its rows are stretches of `text` where nothing is to be changed, else of one new text. A row
/// without a readable date or key is kept, too.
///
/// # Errors
/// When a row is not a JSON object.
pub(super) fn page<L>(
    text: String,
    rows: Vec<Row>,
    next: Option<L>,
    form: Form,
) -> Result<Page<L>, Unreadable> {
    let is_unchanged = match form {
        Form::Verbatim => true,
        Form::VerboseDates => rows.iter().all(|row| row.iso_dates.is_empty()),
        Form::Renamed => false,
    };
    if is_unchanged {
        return fill(Page::new(text, next), rows);
    }
    let mut changed = String::with_capacity(text.len());
    let mut moved = Vec::with_capacity(rows.len());
    for row in rows {
        let start = changed.len();
        let old = text.get(row.span.clone()).unwrap_or_default();
        match form {
            Form::Renamed => graph::rewrite(old, &mut changed)?,
            Form::Verbatim | Form::VerboseDates => row.rewrite(old, &mut changed),
        }
        moved.push(Row {
            span: start..changed.len(),
            ..row
        });
    }
    fill(Page::new(changed, next), moved)
}

fn fill<L>(mut page: Page<L>, rows: Vec<Row>) -> Result<Page<L>, Unreadable> {
    for row in rows {
        if !page.push(row.span, row.key, row.received) {
            return Err(Unreadable::RowNotAnObject);
        }
    }
    Ok(page)
}

/// The fields of a row that say which row it is; of a field that is there twice, the last.
#[derive(Debug, Default)]
struct Fields<'a> {
    trace_id: Option<Raw<'a>>,
    recipient: Option<Raw<'a>>,
    status: Option<Raw<'a>>,
    message_id: Option<Raw<'a>>,
    received: Option<Raw<'a>>,
    sender: Option<Raw<'a>>,
    subject: Option<Raw<'a>>,
    size: Option<Raw<'a>>,
}

/// What a field may be, beside what it says about the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    /// A date that may have to be rewritten.
    Date,
    /// Anything else.
    Other,
}

impl<'a> Fields<'a> {
    #[inline]
    fn note(&mut self, name: &str, value: Raw<'a>) -> Noted {
        let field = match name {
            "MessageTraceId" | "id" => &mut self.trace_id,
            "RecipientAddress" | "recipientAddress" => &mut self.recipient,
            "Status" | "status" => &mut self.status,
            "MessageId" | "messageId" => &mut self.message_id,
            "Received" => {
                self.received = Some(value);
                return Noted::Date;
            }
            "StartDate" | "EndDate" => return Noted::Date,
            "receivedDateTime" => &mut self.received,
            "SenderAddress" | "senderAddress" => &mut self.sender,
            "Subject" | "subject" => &mut self.subject,
            "Size" | "size" => &mut self.size,
            _ => return Noted::Other,
        };
        *field = Some(value);
        Noted::Other
    }

    /// Message trace id and recipient tell a message from all others, the status its rows. In a
    /// row without one of the first two, everything that stays the same when it is read again takes
    /// their place; `Index`, `StartDate`, `EndDate` and `__metadata` do not stay the same.
    fn key(&self, keyer: &RowKeyer) -> RowKey {
        let status = text(self.status);
        let status = status.as_deref().unwrap_or_default();
        let (trace_id, recipient) = (text(self.trace_id), text(self.recipient));
        if let (Some(trace_id), Some(recipient)) = (&trace_id, &recipient) {
            return keyer.key(&[trace_id, recipient], status);
        }
        let received = self
            .received()
            .map(|at| Cow::Owned(at.timestamp_millis().to_string()))
            .or_else(|| text(self.received));
        let parts = [
            trace_id,
            recipient,
            text(self.message_id),
            received,
            text(self.sender),
            text(self.subject),
            text(self.size),
        ];
        keyer.key(
            &parts
                .each_ref()
                .map(|part| part.as_deref().unwrap_or_default()),
            status,
        )
    }

    fn received(&self) -> Option<DateTime<Utc>> {
        date::instant(text(self.received)?.as_ref())
    }
}

fn text(value: Option<Raw<'_>>) -> Option<Cow<'_, str>> {
    value?.text()
}

#[cfg(test)]
mod tests;
