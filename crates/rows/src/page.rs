//! A page of an answer: its rows are stretches of its text.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::RowKey;

/// One answer of the source: its rows as JSON text in one buffer, and where the next page is.
///
/// `L` is the source's own kind of link to the next page.
#[derive(Clone, Debug)]
pub struct Page<L> {
    text: Bytes,
    rows: Vec<RowSpan>,
    next: Option<L>,
    damage: Option<Box<Damage>>,
}

/// What of an answer is not strict JSON, apart from which it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong with the answer.
    pub sentence: String,
    /// Rows that were mended, which are among those of the page. Their keys are hashes of their
    /// bytes as they came: nothing that they say is certain.
    pub mended: Vec<RowKey>,
    /// What could not be read as a row.
    pub broken: Vec<Broken>,
}

/// A part of a list of rows that cannot be read as a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its bytes.
    pub bytes: Bytes,
    /// A hash of them.
    pub key: RowKey,
    /// Where it is among the rows of its page, counted from 1; 0 for what stands in front of them.
    pub position: usize,
    /// When the row before it was received, if there is one.
    pub newer: Option<DateTime<Utc>>,
    /// When the row after it was received, if there is one.
    pub older: Option<DateTime<Utc>>,
}

/// Where a row lies in a text, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSpan {
    start: u32,
    end: u32,
    /// What tells it from other rows.
    pub key: RowKey,
    /// When the service received the message; none when the row does not say so readably.
    pub received: Option<DateTime<Utc>>,
    /// The same in all rows of a message, and different in nearly all others; 0 when the row does not
    /// say which message it is of.
    pub mail: u32,
}

impl RowSpan {
    /// A row at `range`; none when that lies behind the first 4 GiB.
    pub fn new(range: Range<usize>, key: RowKey, received: Option<DateTime<Utc>>) -> Option<Self> {
        Some(Self {
            start: u32::try_from(range.start).ok()?,
            end: u32::try_from(range.end).ok()?,
            key,
            received,
            mail: 0,
        })
    }

    /// The same as a row of this message.
    #[must_use]
    pub fn of_mail(self, mail: u32) -> Self {
        Self { mail, ..self }
    }

    /// Where it lies, in bytes.
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<L> Page<L> {
    /// A page over `text`, which is UTF-8, with these rows. None when one is not inside the text.
    pub fn of(text: impl Into<Bytes>, rows: Vec<RowSpan>, next: Option<L>) -> Option<Self> {
        let text = text.into();
        let is_inside = |row: &RowSpan| text.get(row.range()).is_some();
        rows.iter().all(is_inside).then_some(Self {
            text,
            rows,
            next,
            damage: None,
        })
    }

    /// The same page, read from an answer that was damaged like this.
    #[must_use]
    pub fn damaged(self, damage: Option<Damage>) -> Self {
        Self {
            damage: damage.map(Box::new),
            ..self
        }
    }

    /// What was wrong with the answer; none when it was read strictly.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_deref()
    }

    /// The rows in the order of the answer.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> + DoubleEndedIterator {
        self.rows.iter().map(|span| {
            RowRef {
                // Checked before.
                json: self.text.get(span.range()).unwrap_or_default(),
                key: span.key,
                received: span.received,
                mail: span.mail,
            }
        })
    }

    /// Where they lie, and what else is known of them, in the same order.
    pub fn spans(&self) -> &[RowSpan] {
        &self.rows
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the answer had so many rows, or more. What could not be read as a row counts.
    pub fn fills(&self, most: u32) -> bool {
        let broken = self.damage().map_or(0, |damage| damage.broken.len());
        self.rows.len() + broken >= most as usize
    }

    /// Whether it has no row. A page without rows may still have a next page.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The link to the next page; none on the last.
    pub fn next(&self) -> Option<&L> {
        self.next.as_ref()
    }

    /// The same page with its link changed.
    #[must_use]
    pub fn map_next<M>(self, change: impl FnOnce(L) -> M) -> Page<M> {
        Page {
            text: self.text,
            rows: self.rows,
            next: self.next.map(change),
            damage: self.damage,
        }
    }

    /// The same page, on which rows that are `chosen` count as what cannot be read as rows.
    #[must_use]
    pub fn broken_at(mut self, mut chosen: impl FnMut(RowRef<'_>) -> bool) -> Self {
        let (mut rows, mut broken) = (Vec::with_capacity(self.rows.len()), Vec::new());
        for (at, (span, row)) in self.rows.iter().zip(self.rows()).enumerate() {
            if !chosen(row) {
                rows.push(span.clone());
                continue;
            }
            broken.push(Broken {
                bytes: Bytes::copy_from_slice(row.json),
                key: row.key,
                position: at + 1,
                newer: row.received,
                older: row.received,
            });
        }
        self.rows = rows;
        if let Some(damage) = &mut self.damage {
            damage.broken.extend(broken);
        }
        self
    }

    /// The page with those of its rows that are `chosen`, without a link. What was wrong with its answer stays.
    #[must_use]
    pub fn only(&self, mut chosen: impl FnMut(RowRef<'_>) -> bool) -> Self {
        let rows = self.rows.iter().zip(self.rows());
        let rows = rows.filter(|(_, row)| chosen(*row));
        Self {
            text: self.text.clone(),
            rows: rows.map(|(span, _)| span.clone()).collect(),
            next: None,
            damage: self.damage.clone(),
        }
    }
}

impl<'a> RowRef<'a> {
    /// The event as text.
    pub fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.json)
    }
}

/// A row of a page.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// The event as the intake gets it: one JSON object, as text in UTF-8. (That it is was found out
    /// for the whole page at once.)
    pub json: &'a [u8],
    /// What tells it from other rows.
    pub key: RowKey,
    /// When the service received the message; none when the row does not say so readably.
    pub received: Option<DateTime<Utc>>,
    /// The same in all rows of a message, and different in nearly all others; 0 when the row does not
    /// say which message it is of.
    pub mail: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ranges: &[Range<usize>]) -> Option<Page<()>> {
        let row = |range: &Range<usize>| {
            RowSpan::new(range.clone(), RowKey::from_bytes([1; 12]), None).unwrap()
        };
        Page::of("[{},{\"a\":1}]", ranges.iter().map(row).collect(), None)
    }

    #[test]
    fn rows_are_stretches_of_the_page() {
        let page = page(&[1..3, 4..11]).unwrap();
        let rows: Vec<_> = page.rows().map(|row| row.json.to_owned()).collect();
        assert_eq!(rows, [&b"{}"[..], b"{\"a\":1}"]);
        assert!(self::page(&[1..3, 11..99]).is_none());
    }

    #[test]
    fn what_cannot_be_read_counts_for_a_full_page() {
        let whole = page(&[1..3, 4..11]).unwrap();
        assert!(whole.fills(2) && !whole.fills(3));
        let broken = Broken {
            bytes: Bytes::new(),
            key: RowKey::from_bytes([2; 12]),
            position: 3,
            newer: None,
            older: None,
        };
        let damaged = whole.damaged(Some(Damage {
            sentence: String::new(),
            mended: vec![RowKey::from_bytes([1; 12])],
            broken: vec![broken],
        }));
        assert!(damaged.fills(3) && !damaged.fills(4));
        // Else it would be looked for in all of the window, and not between the rows beside it.
        let some = damaged.only(|row| row.json != b"{}");
        assert_eq!((some.len(), some.damage()), (1, damaged.damage()));
        let broken = damaged.broken_at(|row| row.json == b"{}");
        assert_eq!(
            (broken.len(), broken.damage().unwrap().broken.len()),
            (1, 2)
        );
        assert!(broken.fills(3) && !broken.fills(4));
        let last = broken.damage().unwrap().broken.last().unwrap();
        assert_eq!((&last.bytes[..], last.position), (&b"{}"[..], 1));
    }
}
