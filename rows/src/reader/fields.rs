//! The fields of a row that say which row it is.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::{Message, RowKeyer, date, json::Raw};

/// What a field is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// It says which row it is.
    Known(Known),
    /// When the message was received; a date that may have to be rewritten.
    Received,
    /// A date that may have to be rewritten, and says nothing else.
    Date,
    /// Anything else.
    Other,
}

/// The fields that say which row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Names the message within its organization.
    TraceId,
    /// Who gets it.
    Recipient,
    /// What became of it.
    Status,
    /// Names the message everywhere.
    MessageId,
    /// When the service received it.
    Received,
    /// Who sent it.
    Sender,
    /// Its subject.
    Subject,
    /// Its bytes.
    Size,
}

/// The values of the fields that say which row it is; of a field that is there twice, the last.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    values: [Option<&'a str>; Known::Size as usize + 1],
    /// A bit for each that is a string with an escape. (Beside its value there would be a gap of
    /// seven bytes, and to copy that takes longer than all else that is done here.)
    escaped: u32,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn note(&mut self, field: Known, value: Raw<'a>) {
        let index = field as usize;
        if let Some(place) = self.values.get_mut(index) {
            *place = Some(value.json);
            self.escaped = self.escaped & !(1 << index) | u32::from(value.is_escaped) << index;
        }
    }

    /// Which message it is. Message trace id and recipient tell it from all others. In a row
    /// without one of the two, everything that stays the same when it is read again takes their
    /// place; `Index`, `StartDate`, `EndDate` and `__metadata` do not stay the same.
    pub(super) fn message(&self, received: Option<DateTime<Utc>>, keyer: &RowKeyer) -> Message {
        let (trace_id, recipient) = (self.text(Known::TraceId), self.text(Known::Recipient));
        if let (Some(trace_id), Some(recipient)) = (&trace_id, &recipient) {
            return keyer.message(&[trace_id, recipient]);
        }
        let received = received
            .map(|at| Cow::Owned(at.timestamp_millis().to_string()))
            .or_else(|| self.text(Known::Received));
        let parts = [
            trace_id,
            recipient,
            self.text(Known::MessageId),
            received,
            self.text(Known::Sender),
            self.text(Known::Subject),
            self.text(Known::Size),
        ];
        let parts = parts.each_ref();
        keyer.message(&parts.map(|part| part.as_deref().unwrap_or_default()))
    }

    /// When the message was received.
    pub(super) fn received(&self) -> Option<DateTime<Utc>> {
        date::instant(self.text(Known::Received)?.as_ref())
    }

    /// The text of its status; none when it has no other.
    pub(super) fn status(&self) -> Option<Cow<'a, str>> {
        self.text(Known::Status)
    }

    fn text(&self, field: Known) -> Option<Cow<'a, str>> {
        let index = field as usize;
        let value = Raw {
            json: (*self.values.get(index)?)?,
            is_escaped: self.escaped >> index & 1 == 1,
        };
        value.text()
    }
}
