//! The vocabulary that the source of rows and the fetch loop share: a page, its rows, their keys.

use std::{fmt, ops::Range};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// Identifies a row of the message trace: the same message, recipient and status give the same key.
///
/// A key is a keyed 128-bit hash, so that known rows cost 16 bytes each whatever their addresses.
/// It is keyed ([`RowKeyer`]) so that nobody who can choose an address can make two rows collide
/// and thereby hide one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(u128);

impl RowKey {
    /// The key from its stored form.
    pub const fn from_u128(value: u128) -> Self {
        Self(value)
    }

    /// The key in the form in which it is stored.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowKey({:032x})", self.0)
    }
}

/// Makes [`RowKey`]s; two keyers with the same seed make the same keys.
///
/// `Debug` does not show the seed: who knows it can forge collisions.
#[derive(Clone, Copy)]
pub struct RowKeyer {
    seed: [u8; 16],
}

impl RowKeyer {
    /// A keyer with this seed, which is kept for as long as the keys are.
    pub const fn new(seed: [u8; 16]) -> Self {
        Self { seed }
    }

    /// The key of a row with these identifying parts, compared without regard to letter case.
    ///
    /// Parts are told apart: `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn key(&self, parts: &[&str]) -> RowKey {
        let mut hasher = SipHasher13::new_with_key(&self.seed);
        for part in parts {
            if part.is_ascii() {
                let mut length = 0_u64;
                for block in part.as_bytes().chunks(64) {
                    let mut lower = [0_u8; 64];
                    for (to, from) in lower.iter_mut().zip(block) {
                        *to = from.to_ascii_lowercase();
                    }
                    hasher.write(lower.get(..block.len()).unwrap_or(&lower));
                    length += block.len() as u64;
                }
                hasher.write_u64(length);
            } else {
                let lower = part.to_lowercase();
                hasher.write(lower.as_bytes());
                hasher.write_u64(lower.len() as u64);
            }
        }
        RowKey(hasher.finish128().as_u128())
    }
}

impl fmt::Debug for RowKeyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKeyer")
    }
}

/// One answer of the source: its rows as JSON text in one buffer, and where the next page is.
///
/// `L` is the source's own kind of link to the next page.
#[derive(Clone, Debug)]
pub struct Page<L> {
    text: Bytes,
    rows: Vec<RowSpan>,
    next: Option<L>,
}

/// Where a row lies in its page.
#[derive(Clone, Debug)]
struct RowSpan {
    range: Range<u32>,
    key: RowKey,
    received: Option<DateTime<Utc>>,
}

impl<L> Page<L> {
    /// An empty page over `text`, to which rows are added with [`Page::push`].
    pub fn new(text: Bytes, next: Option<L>) -> Self {
        Self {
            text,
            rows: Vec::new(),
            next,
        }
    }

    /// Adds the row at `range` of the text. False, and nothing is added, when that is not a
    /// stretch of valid UTF-8 inside the text.
    pub fn push(
        &mut self,
        range: Range<usize>,
        key: RowKey,
        received: Option<DateTime<Utc>>,
    ) -> bool {
        let (Ok(start), Ok(end)) = (u32::try_from(range.start), u32::try_from(range.end)) else {
            return false;
        };
        let valid = self
            .text
            .get(range)
            .is_some_and(|text| std::str::from_utf8(text).is_ok());
        if valid {
            self.rows.push(RowSpan {
                range: start..end,
                key,
                received,
            });
        }
        valid
    }

    /// The rows in the order of the answer.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> {
        self.rows.iter().map(|span| {
            let range = span.range.start as usize..span.range.end as usize;
            let text = self.text.get(range).unwrap_or_default();
            RowRef {
                // Checked in `push`.
                json: std::str::from_utf8(text).unwrap_or_default(),
                key: span.key,
                received: span.received,
            }
        })
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
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
        }
    }

    /// The page without its rows: the link to the next page.
    pub fn into_next(self) -> Option<L> {
        self.next
    }
}

/// A row of a page.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    /// The event as the intake gets it: one JSON object, as text.
    pub json: &'a str,
    /// What tells it from other rows.
    pub key: RowKey,
    /// When the service received the message; none when the row does not say so readably.
    pub received: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_and_tell_parts_apart() {
        let keyer = RowKeyer::new([7; 16]);
        let long = "x".repeat(200);
        assert_eq!(keyer.key(&["Ab", "C"]), keyer.key(&["aB", "c"]));
        assert_eq!(
            keyer.key(&["É", &long]),
            keyer.key(&["é", &long.to_uppercase()])
        );
        assert_ne!(keyer.key(&["ab", "c"]), keyer.key(&["a", "bc"]));
        assert_ne!(keyer.key(&["a", ""]), keyer.key(&["", "a"]));
        assert_ne!(keyer.key(&["a"]), RowKeyer::new([8; 16]).key(&["a"]));
    }

    #[test]
    fn rows_are_stretches_of_the_page() {
        let mut page = Page::<()>::new(Bytes::from_static(b"[{},{\"a\":1}]"), None);
        let key = RowKey::from_u128(1);
        assert!(page.push(1..3, key, None));
        assert!(page.push(4..11, key, None));
        assert!(!page.push(11..99, key, None));
        let rows: Vec<_> = page.rows().map(|row| row.json.to_owned()).collect();
        assert_eq!(rows, ["{}", "{\"a\":1}"]);
    }
}
