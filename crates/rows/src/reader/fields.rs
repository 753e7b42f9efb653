//! The fields of a row that say which row it is.

use std::{borrow::Cow, ops::Range};

use chrono::{DateTime, Utc};

use crate::{
    Message, RowKeyer, date,
    json::{Extent, Raw},
};

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

impl Field {
    /// Whether it may have to be rewritten.
    pub(super) fn is_date(self) -> bool {
        matches!(self, Self::Received | Self::Date)
    }
}

/// Where the value of a field is noted: for those of no interest, too, as that takes less time than a
/// decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note(u8);

impl Note {
    /// Of no interest.
    const OTHER: usize = Known::Size as usize + 1;

    pub(super) fn of(field: Field) -> Self {
        let index = match field {
            Field::Known(known) => known as usize,
            Field::Received => Known::Received as usize,
            Field::Date | Field::Other => Self::OTHER,
        };
        Self(index as u8)
    }
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

/// Where a value begins and ends, in the lower and the upper half; zero when there is none. It is one
/// number, as it is written and read for each row: what was written in two pieces cannot be read in
/// one before it has reached the cache.
#[derive(Clone, Copy, Debug, Default)]
struct Place(u64);

impl Place {
    /// Behind the first 4 GiB it is wrong, but no row can lie there.
    #[inline]
    fn new(start: usize, end: usize) -> Self {
        Self((end as u64) << 32 | start as u64)
    }

    #[inline]
    fn range(self) -> Range<usize> {
        self.0 as u32 as usize..(self.0 >> 32) as usize
    }
}

/// Where the fields are that say which row it is; of a field that is there twice, the last. Most of
/// them are not looked at: message trace id and recipient are enough.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    text: &'a str,
    places: [Place; Note::OTHER + 1],
    /// A bit for each that may be a string with an escape.
    escaped: u32,
}

impl<'a> Fields<'a> {
    /// Of a row in this text.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            places: Default::default(),
            escaped: 0,
        }
    }

    /// Notes the value of a field, which begins at a place.
    #[inline]
    pub(super) fn note(&mut self, Note(index): Note, start: usize, extent: Extent) {
        if let Some(place) = self.places.get_mut(usize::from(index)) {
            *place = Place::new(start, extent.end);
        }
        if extent.is_escaped {
            self.escaped |= 1 << index;
        }
    }

    /// Which message it is. Message trace id and recipient tell it from all others. In a row
    /// without one of the two, everything that stays the same when it is read again takes their
    /// place; `Index`, `StartDate`, `EndDate` and `__metadata` do not stay the same.
    pub(super) fn message(&self, received: Option<DateTime<Utc>>, keyer: &RowKeyer) -> Message {
        let (trace_id, recipient) = (self.value(Known::TraceId), self.value(Known::Recipient));
        if let (Some(trace_id), Some(recipient)) = (&trace_id, &recipient) {
            return keyer.message(&[trace_id, recipient]);
        }
        let received = received
            .map(|at| Cow::Owned(at.timestamp_millis().to_string().into_bytes()))
            .or_else(|| self.value(Known::Received));
        let parts = [
            trace_id,
            recipient,
            self.value(Known::MessageId),
            received,
            self.value(Known::Sender),
            self.value(Known::Subject),
            self.value(Known::Size),
        ];
        keyer.message(&parts.map(Option::unwrap_or_default))
    }

    /// A number that is the same in all rows of a message: made of its message trace id, which nobody
    /// outside of the service chooses. Others have the same one once in four thousand million times,
    /// which costs a second look. 0 without an id.
    #[inline]
    pub(super) fn mail(&self) -> u32 {
        /// An odd number with bits of all kinds.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let Some(id) = self.value(Known::TraceId) else {
            return 0;
        };
        let (chunks, rest) = id.as_chunks();
        let rest = rest
            .iter()
            .fold(0, |rest, byte| rest << 8 | u64::from(*byte));
        let numbers = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk));
        let spread = |sum: u64, number: u64| (sum.rotate_left(29) ^ number).wrapping_mul(SPREAD);
        let sum = numbers.chain([rest]).fold(0, spread);
        (sum >> 32) as u32 | 1
    }

    /// When the message was received.
    pub(super) fn received(&self) -> Option<DateTime<Utc>> {
        let range = self.places.get(Known::Received as usize)?.range();
        let json = self.text.as_bytes().get(range)?;
        date::escaped(json).or_else(|| date::instant(&self.value(Known::Received)?))
    }

    /// The text of its status; none when it has no other.
    pub(super) fn status(&self) -> Option<Cow<'a, [u8]>> {
        self.value(Known::Status)
    }

    /// The text of a value, as bytes: it is cut out between quotes, where characters are whole.
    #[inline]
    fn value(&self, field: Known) -> Option<Cow<'a, [u8]>> {
        let index = field as usize;
        let range = self.places.get(index)?.range();
        let value = self.text.as_bytes().get(range.clone())?;
        if let [b'"', inside @ .., b'"'] = value
            && self.escaped >> index & 1 == 0
        {
            return (!inside.is_empty()).then_some(Cow::Borrowed(inside));
        }
        self.unusual_value(range)
    }

    #[cold]
    fn unusual_value(&self, range: Range<usize>) -> Option<Cow<'a, [u8]>> {
        let value = Raw {
            json: self.text.get(range)?,
            is_escaped: true,
        };
        Some(match value.text()? {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }
}
