//! JSON where speed counts: finding the stretches of a text that matter, and writing text as a
//! string. Everything else is `serde_json`'s.
//!
//! Both look for the bytes that a JSON string cannot hold as they are, 64 at a time.

mod encode;
mod scan;

use wide::u8x16;

pub(crate) use self::{
    encode::push_string,
    scan::{Raw, Scanner},
};

/// Bytes that are looked at together: one bit of a word for each.
const BLOCK: usize = 64;

/// A bit for each byte, from `start` on, that a JSON string cannot hold as it is: quotes,
/// backslashes and control characters. Behind the end of the text there is none.
#[inline]
fn specials(text: &[u8], start: usize) -> u64 {
    let rest = text.get(start..).unwrap_or_default();
    if let Some(block) = rest.first_chunk() {
        return specials_of(block);
    }
    let mut block = [b' '; BLOCK];
    for (to, from) in block.iter_mut().zip(rest) {
        *to = *from;
    }
    specials_of(&block)
}

#[inline]
fn specials_of(block: &[u8; BLOCK]) -> u64 {
    let (parts, _) = block.as_chunks::<16>();
    parts.iter().rev().fold(0, |found, part| {
        let part = u8x16::new(*part);
        let quotes = part.simd_eq(u8x16::splat(b'"'));
        let backslashes = part.simd_eq(u8x16::splat(b'\\'));
        // What is not above 0x1f is the smaller of both.
        let controls = part.min(u8x16::splat(0x1f)).simd_eq(part);
        found << 16 | u64::from((quotes | backslashes | controls).to_bitmask())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_at_every_place() {
        for byte in 0..=u8::MAX {
            let is_special = byte < b' ' || byte == b'"' || byte == b'\\';
            for place in [0, 1, 15, 16, 31, 62, 63] {
                let mut text = [b'x'; BLOCK + 5];
                text[place] = byte;
                let expected = u64::from(is_special) << place;
                assert_eq!(specials(&text, 0), expected, "{byte} at {place}");
                assert_eq!(specials(&text[..=place], 0), expected, "{byte} at the end");
            }
        }
        assert_eq!(specials(b"\"", 1), 0);
        assert_eq!(specials(b"", 64), 0);
    }
}
