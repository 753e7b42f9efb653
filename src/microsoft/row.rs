//! What is read of a row: its key, when its message was received, and the dates to rewrite.
//!
//! The row itself goes on as text; only the dates of the light dialect are written anew, since the
//! intake format reads `/Date(milliseconds)/` and nothing else.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{date, errors::Unreadable, graph};
use crate::{Page, RowKey, RowKeyer};

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

/// A page of rows, ready for the intake.
///
/// Its rows are stretches of `body` where nothing is to be changed, else of one new text. A row
/// without a readable date or key is kept, too.
///
/// # Errors
/// When a row is not a JSON object.
pub(super) fn page<L>(
    body: &Bytes,
    rows: &[&str],
    keyer: &RowKeyer,
    next: Option<L>,
    form: Form,
) -> Result<Page<L>, Unreadable> {
    let fields = rows
        .iter()
        .map(|row| Fields::read(row))
        .collect::<Result<Vec<_>, _>>()?;
    let keyed = fields.iter().map(|row| (row.key(keyer), row.received()));
    let unchanged = match form {
        Form::Verbatim => true,
        Form::VerboseDates => fields.iter().all(|row| row.iso_dates.is_empty()),
        Form::Renamed => false,
    };
    if unchanged {
        let body_text = std::str::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?;
        let spans = rows.iter().map(|row| span_of(body_text, row));
        return fill(Page::new(body.clone(), next), spans, keyed);
    }
    let mut text = String::with_capacity(body.len());
    let mut spans = Vec::with_capacity(rows.len());
    for (row, fields) in rows.iter().zip(&fields) {
        let start = text.len();
        match form {
            Form::Renamed => graph::rewrite(row, &mut text)?,
            Form::Verbatim | Form::VerboseDates => fields.rewrite(row, &mut text),
        }
        spans.push(Some(start..text.len()));
    }
    fill(Page::new(text.into(), next), spans.into_iter(), keyed)
}

fn fill<L>(
    mut page: Page<L>,
    spans: impl Iterator<Item = Option<Range<usize>>>,
    keyed: impl Iterator<Item = (RowKey, Option<DateTime<Utc>>)>,
) -> Result<Page<L>, Unreadable> {
    for (span, (key, received)) in spans.zip(keyed) {
        if !span.is_some_and(|span| page.push(span, key, received)) {
            return Err(Unreadable::RowNotAnObject);
        }
    }
    Ok(page)
}

/// Where `part`, a slice of `whole`, lies in it.
fn span_of(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let span = start..start + part.len();
    whole.get(span.clone()).map(|_| span)
}

/// The fields of a row that say which row it is; of a field that is there twice, the last.
#[derive(Debug, Default)]
struct Fields<'a> {
    trace_id: Option<Cow<'a, str>>,
    recipient: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    message_id: Option<Cow<'a, str>>,
    received: Option<Cow<'a, str>>,
    sender: Option<Cow<'a, str>>,
    subject: Option<Cow<'a, str>>,
    size: Option<Cow<'a, str>>,
    /// The values of the date fields in ISO form, as they stand in the row, and what they mean.
    iso_dates: Vec<(&'a str, DateTime<Utc>)>,
}

impl<'a> Fields<'a> {
    fn read(row: &'a str) -> Result<Self, Unreadable> {
        serde_json::from_str(row).map_err(|_| Unreadable::RowNotAnObject)
    }

    /// Message trace id and recipient tell a message from all others, the status its rows. In a
    /// row without one of the first two, everything that stays the same when it is read again takes
    /// their place; `Index`, `StartDate`, `EndDate` and `__metadata` do not stay the same.
    fn key(&self, keyer: &RowKeyer) -> RowKey {
        let status = self.status.as_deref().unwrap_or_default();
        if let (Some(trace_id), Some(recipient)) = (&self.trace_id, &self.recipient) {
            return keyer.key(&[trace_id, recipient], status);
        }
        let received = self
            .received()
            .map(|at| at.timestamp_millis().to_string())
            .or_else(|| self.received.as_deref().map(str::to_owned));
        let parts = [
            &self.trace_id,
            &self.recipient,
            &self.message_id,
            &received.map(Cow::Owned),
            &self.sender,
            &self.subject,
            &self.size,
        ];
        keyer.key(
            &parts.map(|part| part.as_deref().unwrap_or_default()),
            status,
        )
    }

    fn received(&self) -> Option<DateTime<Utc>> {
        date::instant(self.received.as_deref()?)
    }

    /// Appends the row with its ISO dates as `/Date(milliseconds)/`.
    fn rewrite(&self, row: &str, to: &mut String) {
        let mut rest = row;
        for (value, at) in &self.iso_dates {
            let Some((before, after)) = span_of(rest, value)
                .and_then(|span| Some((rest.get(..span.start)?, rest.get(span.end..)?)))
            else {
                continue;
            };
            to.push_str(before);
            to.push('"');
            to.push_str(&date::verbose_text(*at));
            to.push('"');
            rest = after;
        }
        to.push_str(rest);
    }

    fn note_date(&mut self, value: &'a RawValue) {
        let iso = text(value).as_deref().and_then(date::iso);
        self.iso_dates.extend(iso.map(|at| (value.get(), at)));
    }
}

/// The text of a scalar value; none for null and the empty text.
pub(super) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    let inside = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let text = match inside {
        Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
        // Half a surrogate pair cannot be unescaped; then the escaped form identifies as well.
        Some(escaped) => {
            serde_json::from_str(json).map_or(Cow::Borrowed(escaped), Cow::<str>::Owned)
        }
        None if json == "null" => return None,
        None => Cow::Borrowed(json),
    };
    (!text.is_empty()).then_some(text)
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Name {
    #[serde(rename = "MessageTraceId", alias = "id")]
    TraceId,
    #[serde(rename = "RecipientAddress", alias = "recipientAddress")]
    Recipient,
    #[serde(rename = "Status", alias = "status")]
    Status,
    #[serde(rename = "MessageId", alias = "messageId")]
    MessageId,
    #[serde(rename = "Received")]
    Received,
    #[serde(rename = "receivedDateTime")]
    ReceivedDateTime,
    #[serde(rename = "SenderAddress", alias = "senderAddress")]
    Sender,
    #[serde(rename = "Subject", alias = "subject")]
    Subject,
    #[serde(rename = "Size", alias = "size")]
    Size,
    #[serde(rename = "StartDate", alias = "EndDate")]
    WindowDate,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;

        impl<'de> Visitor<'de> for Row {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key()? {
                    if matches!(name, Name::Other) {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let value = map.next_value::<&'de RawValue>()?;
                    match name {
                        Name::TraceId => fields.trace_id = text(value),
                        Name::Recipient => fields.recipient = text(value),
                        Name::Status => fields.status = text(value),
                        Name::MessageId => fields.message_id = text(value),
                        Name::Received => {
                            fields.received = text(value);
                            fields.note_date(value);
                        }
                        Name::ReceivedDateTime => fields.received = text(value),
                        Name::Sender => fields.sender = text(value),
                        Name::Subject => fields.subject = text(value),
                        Name::Size => fields.size = text(value),
                        Name::WindowDate => fields.note_date(value),
                        Name::Other => {}
                    }
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Row)
    }
}

/// The members of a JSON object in their order.
pub(super) struct Members<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests;
