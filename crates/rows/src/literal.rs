//! Text that is the same in all rows.

use wide::u8x16;

use crate::block::BLOCK;

/// A stretch of text that is the same in all rows. It is compared in blocks, however short it is: to
/// find out how to compare it would take longer.
#[derive(Debug, Default)]
pub(crate) struct Literal {
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
    pub(crate) fn new(text: &str) -> Self {
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
    pub(crate) fn behind(&self, text: &[u8], at: usize) -> Option<usize> {
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
