//! What rows have in common, so that they are recognized rather than read.

use wide::u8x16;

use super::{
    IsoDate,
    fields::{Field, Fields, Note},
    note_iso_date,
};
use crate::{
    block::BLOCK,
    json::{Extent, Specials},
};

/// Rows with more values than this are read, not recognized: a shape costs a hundred times as much
/// memory as the shortest value, and rows of the services have a dozen.
const MOST_VALUES: usize = 64;

/// What stands before each value, what the value is, and what stands behind the last. Nearly all
/// rows of an answer agree in that.
#[derive(Debug, Default)]
pub(super) struct Shape {
    values: Vec<Slot>,
    end: Literal,
    /// Too many values to recognize rows by: no row has this shape.
    is_unwieldy: bool,
}

/// The place of a value.
#[derive(Debug)]
struct Slot {
    before: Literal,
    /// Where the value is noted.
    note: Note,
    is_date: bool,
}

impl Shape {
    /// A value comes next, and this before it.
    pub(super) fn push(&mut self, before: &str, field: Field) {
        if self.values.len() >= MOST_VALUES {
            self.is_unwieldy = true;
            return;
        }
        self.values.push(Slot {
            before: Literal::new(before),
            note: Note::of(field),
            is_date: field.is_date(),
        });
    }

    /// This stands behind the last value.
    pub(super) fn end(&mut self, end: &str) {
        if self.is_unwieldy {
            *self = Self::default();
        } else {
            self.end = Literal::new(end);
        }
    }

    /// Notes the values of a row of this shape that begins at a place; the place behind it.
    #[inline]
    pub(super) fn recognize(
        &self,
        start: usize,
        specials: &Specials<'_>,
        fields: &mut Fields<'_>,
        dates: &mut Vec<IsoDate>,
    ) -> Option<usize> {
        let text = specials.text();
        let bytes = text.as_bytes();
        let mut at = start;
        for slot in &self.values {
            at = slot.before.behind(bytes, at)?;
            let extent = Extent::of_value_among(specials, at)?;
            fields.note(slot.note, at, extent);
            if slot.is_date && !is_verbose(bytes, at) {
                note_iso_date(extent.since(at, text)?, extent.end, dates);
            }
            at = extent.end;
        }
        let end = self.end.behind(bytes, at)?;
        (end > start).then_some(end)
    }
}

/// Whether the value at a place certainly is no date in ISO form: it begins with a slash.
#[inline]
fn is_verbose(text: &[u8], at: usize) -> bool {
    text.get(at + 1) == Some(&b'/')
}

/// A stretch of text that is the same in all rows. It is compared in blocks, however short it is: to
/// find out how to compare it would take longer.
#[derive(Debug, Default)]
struct Literal {
    text: Box<[u8]>,
    /// Bytes that are looked at, a block at least.
    reach: usize,
    /// The first block; where there are fewer bytes, zeros follow.
    head: u8x16,
    /// The last block; the same where there is only one.
    tail: u8x16,
    /// The bytes of both that count.
    counts: u8x16,
}

impl Literal {
    fn new(text: &str) -> Self {
        let text = text.as_bytes();
        let mut padded = [0; BLOCK];
        let mut counts = [0; BLOCK];
        for ((byte, counts), from) in padded.iter_mut().zip(&mut counts).zip(text) {
            (*byte, *counts) = (*from, u8::MAX);
        }
        let tail = text.last_chunk().unwrap_or(&padded);
        Self {
            text: text.into(),
            reach: text.len().max(BLOCK),
            head: u8x16::new(padded),
            tail: u8x16::new(*tail),
            counts: u8x16::new(counts),
        }
    }

    /// The place behind it, when it is what begins at a place.
    #[inline]
    fn behind(&self, text: &[u8], at: usize) -> Option<usize> {
        let Some(found) = text.get(at..at + self.reach) else {
            return self.behind_near_end(text, at);
        };
        let head = u8x16::new(*found.first_chunk()?);
        let tail = u8x16::new(*found.last_chunk()?);
        let differs = ((head ^ self.head) | (tail ^ self.tail)) & self.counts;
        let is_equal = differs == u8x16::ZERO && (self.reach <= 2 * BLOCK || found == &*self.text);
        is_equal.then_some(at + self.text.len())
    }

    /// The same where less text than a block is left.
    #[cold]
    fn behind_near_end(&self, text: &[u8], at: usize) -> Option<usize> {
        let left = text.get(at..)?;
        left.starts_with(&self.text).then_some(at + self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_very_many_values_have_no_shape() {
        let mut shape = Shape::default();
        for _ in 0..MOST_VALUES {
            shape.push("{\"a\":", Field::Other);
        }
        shape.end("}");
        assert_eq!(shape.values.len(), MOST_VALUES);
        for _ in 0..10 * MOST_VALUES {
            shape.push("{\"a\":", Field::Other);
        }
        assert_eq!(shape.values.len(), MOST_VALUES);
        shape.end("}");
        assert!(shape.values.is_empty() && shape.end.text.is_empty());
        let text = "{\"a\":1}";
        let (mut specials, mut fields) = (Specials::of(text), Fields::new(text));
        specials.search(0);
        let found = shape.recognize(0, &specials, &mut fields, &mut Vec::new());
        assert_eq!(found, None);
    }

    #[test]
    fn a_literal_is_told_from_all_that_differs_in_a_byte() {
        let all: String = (b'!'..=b'~').map(char::from).collect();
        for length in 0..all.len() {
            let expected = all.get(..length).unwrap();
            let literal = Literal::new(expected);
            for behind in ["", "x", "a text that is longer than a block"] {
                let text = format!("..{expected}{behind}");
                assert_eq!(literal.behind(text.as_bytes(), 2), Some(2 + length));
                assert_eq!(literal.behind(text.as_bytes(), text.len() + 1), None);
                for place in 2..2 + length {
                    let mut other = text.clone().into_bytes();
                    other[place] ^= 1;
                    assert_eq!(literal.behind(&other, 2), None, "{text} at {place}");
                    assert_eq!(literal.behind(&other[..place], 2), None, "cut");
                }
            }
        }
    }
}
