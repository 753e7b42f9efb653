//! JSON where speed counts: finding the stretches of a text that matter, and writing text as a
//! string. Everything else is `serde_json`'s.
//!
//! Both look for the bytes that a JSON string cannot hold as they are, 16 at a time.

mod encode;
mod scan;

use wide::u8x16;

use crate::block::BLOCK;

pub(crate) use self::scan::Extent;
pub use self::{
    encode::{put_string, room_for},
    scan::{Raw, Scanner},
};

/// How many bytes come before the first that a JSON string cannot hold as it is: a quote, a
/// backslash or a control character. None when there is no such byte.
#[inline]
fn before_special(text: &[u8]) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    for (index, block) in blocks.iter().enumerate() {
        let found = special(u8x16::new(*block)).to_bitmask();
        if found != 0 {
            return Some(index * BLOCK + found.trailing_zeros() as usize);
        }
    }
    let is_special = |byte: &u8| matches!(byte, 0..b' ' | b'"' | b'\\');
    Some(blocks.len() * BLOCK + rest.iter().position(is_special)?)
}

/// Marks the bytes that a JSON string cannot hold as they are.
#[inline]
fn special(bytes: u8x16) -> u8x16 {
    // With this bit turned, the control characters are still below a space, and a quote is a space.
    let turned = bytes ^ u8x16::splat(b'"' ^ b' ');
    let quote_or_control = turned.min(u8x16::splat(b' ')).simd_eq(turned);
    quote_or_control | bytes.simd_eq(u8x16::splat(b'\\'))
}

/// Marks the bytes that stand behind a backslash in a string.
#[inline]
fn escaped(bytes: u8x16) -> u8x16 {
    bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))
}

/// Marks the control characters.
#[inline]
fn controls(bytes: u8x16) -> u8x16 {
    // What is not above 0x1f is the smaller of both.
    bytes.min(u8x16::splat(0x1f)).simd_eq(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_at_every_place() {
        for byte in 0..=u8::MAX {
            let is_special = byte < b' ' || byte == b'"' || byte == b'\\';
            for place in 0..2 * BLOCK + 3 {
                let mut text = [b'x'; 3 * BLOCK];
                text[place] = byte;
                let expected = is_special.then_some(place);
                assert_eq!(before_special(&text), expected, "{byte} at {place}");
                assert_eq!(before_special(&text[..=place]), expected, "at the end");
                assert_eq!(before_special(&text[..place]), None);
            }
        }
    }
}
