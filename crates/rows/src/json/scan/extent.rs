//! How far a value reaches.

use wide::u8x16;

use super::{Raw, Scanner};
use crate::{block::BLOCK, json::before_special};

/// How far a value reaches.
///
/// What is done with every value is done with places by value: a place in memory would have to be
/// written and read again at each step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    /// The place behind it.
    pub(crate) end: usize,
    /// Whether it is a string with an escape.
    pub(crate) is_escaped: bool,
}

impl Extent {
    fn plain(end: usize) -> Self {
        Self {
            end,
            is_escaped: false,
        }
    }

    /// Of the value that begins at a place. None when there is no value.
    #[inline]
    pub(crate) fn of_value(text: &str, at: usize) -> Option<Self> {
        match text.as_bytes().get(at)? {
            b'"' => Self::of_string(text, at),
            b'n' if text.as_bytes().get(at..at + 4)? == b"null" => Some(Self::plain(at + 4)),
            b'1'..=b'9' => Self::of_digits(text, at).or_else(|| Self::of_any(text, at)),
            _ => Self::of_any(text, at),
        }
    }

    /// Of the string whose opening quote is at a place.
    #[inline]
    pub(super) fn of_string(text: &str, at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let end = at + 1 + before_special(bytes.get(at + 1..)?)?;
        if *bytes.get(end)? == b'"' {
            return Some(Self::plain(end + 1));
        }
        Self::of_escaped(text, end)
    }

    /// Of the string that has its first escape at a place.
    #[cold]
    #[inline(never)] // or what is done with all other values is not inlined
    fn of_escaped(text: &str, at: usize) -> Option<Self> {
        let mut scanner = Scanner::starting_at(text, at);
        loop {
            match text.as_bytes().get(scanner.at)? {
                b'"' => break,
                b'\\' => scanner.escape()?,
                _control => return None,
            }
            scanner.at += before_special(text.as_bytes().get(scanner.at..)?)?;
        }
        Some(Self {
            end: scanner.at + 1,
            is_escaped: true,
        })
    }

    /// Of a number of a few digits and nothing else, of which the first is no zero. None when it may
    /// be another value.
    #[inline]
    fn of_digits(text: &str, at: usize) -> Option<Self> {
        let digits = u8x16::new(*text.as_bytes().get(at..)?.first_chunk::<BLOCK>()?);
        let digits = digits
            .max(u8x16::splat(b'0'))
            .min(u8x16::splat(b'9'))
            .simd_eq(digits);
        let end = at + digits.to_bitmask().trailing_ones() as usize;
        matches!(text.as_bytes().get(end)?, b',' | b'}').then(|| Self::plain(end))
    }

    #[inline(never)]
    fn of_any(text: &str, at: usize) -> Option<Self> {
        let mut scanner = Scanner::starting_at(text, at);
        scanner.nested()?;
        Some(Self::plain(scanner.at))
    }

    /// The value that began at a place.
    #[inline]
    pub(crate) fn since(self, start: usize, text: &str) -> Option<Raw<'_>> {
        Some(Raw {
            json: text.get(start..self.end)?,
            is_escaped: self.is_escaped,
        })
    }
}
