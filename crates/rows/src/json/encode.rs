//! Text as a JSON string.

use multiversion::multiversion;
use wide::u8x16;

use super::{controls, escaped};
use crate::block::{BLOCK, last_block};

/// Bytes that are spread at once, over at most twice as many.
const HALF: usize = BLOCK / 2;

/// Which byte of a half goes where, for every set of bytes that get a backslash before them. The
/// bytes of the half are 0 to 7, and 8 is a backslash.
static SPREAD: [[u8; BLOCK]; 1 << HALF] = spread();

/// Bytes that may be written for a block, of which at most twice its length count.
const SPREAD_BLOCK: usize = 3 * BLOCK;

/// How much room [`put_string`] wants for a text of so many bytes.
pub const fn room_for(length: usize) -> usize {
    2 * length + 2 + SPREAD_BLOCK
}

/// Puts a text, in UTF-8, as a JSON string at the beginning of a room; the same bytes that
/// `serde_json` would write. How many they are; what lies behind them is garbage.
///
/// None when the text has control characters, which are rare and left to `serde_json`, or when there
/// is less room than [`room_for`].
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
pub fn put_string(text: &[u8], room: &mut [u8]) -> Option<usize> {
    *room.first_mut()? = b'"';
    let (blocks, rest) = text.as_chunks();
    // Where the next byte goes.
    let mut at = 1;
    let mut lowest = u8x16::splat(u8::MAX);
    for block in blocks {
        at = put(block, room, at, &mut lowest)?;
    }
    if !rest.is_empty() {
        // What is put behind the text is overwritten, or cut off.
        let last = last_block(text, rest.len());
        at = put(&last, room, at, &mut lowest)? - (last.len() - rest.len());
    }
    if controls(lowest).any() {
        return None;
    }
    *room.get_mut(at)? = b'"';
    Some(at + 1)
}

/// Puts a block at a place, with a backslash before every quote and backslash; the place behind it.
/// The lowest bytes of all blocks are noted.
#[inline]
fn put(block: &[u8; BLOCK], room: &mut [u8], at: usize, lowest: &mut u8x16) -> Option<usize> {
    let bytes = u8x16::new(*block);
    *lowest = lowest.min(bytes);
    let [first, second, ..] = escaped(bytes).to_bitmask().to_le_bytes();
    let room: &mut [u8; SPREAD_BLOCK] = room.get_mut(at..)?.first_chunk_mut()?;
    let (halves, _) = block.as_chunks::<HALF>();
    let [left, right] = halves else {
        return None;
    };
    *room.first_chunk_mut()? = spread_half(*left, first)?;
    // At most the whole of what was put; said again so that no check is needed.
    let middle = (HALF + first.count_ones() as usize) & (2 * BLOCK - 1);
    *room.get_mut(middle..)?.first_chunk_mut()? = spread_half(*right, second)?;
    Some(at + middle + HALF + second.count_ones() as usize)
}

/// Half a block with a bit for each byte that gets a backslash; garbage behind it.
#[inline]
fn spread_half(half: [u8; HALF], escaped: u8) -> Option<[u8; BLOCK]> {
    let [a, b, c, d, e, f, g, h] = half;
    let backslash = b'\\';
    let bytes = u8x16::new([
        a, b, c, d, e, f, g, h, backslash, backslash, backslash, backslash, backslash, backslash,
        backslash, backslash,
    ]);
    let places = u8x16::new(*SPREAD.get(usize::from(escaped))?);
    Some(bytes.shuffle(places).to_array())
}

#[allow(clippy::indexing_slicing, reason = "checked when it is compiled")]
const fn spread() -> [[u8; BLOCK]; 1 << HALF] {
    let mut table = [[0; BLOCK]; 1 << HALF];
    let mut escaped = 0;
    while escaped < table.len() {
        let (mut byte, mut at) = (0, 0);
        while byte < HALF {
            if escaped >> byte & 1 == 1 {
                table[escaped][at] = HALF as u8;
                at += 1;
            }
            table[escaped][at] = byte as u8;
            at += 1;
            byte += 1;
        }
        escaped += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn writes_what_serde_json_writes(
            texts in prop::collection::vec("([a-z]{0,40}|[\"\\\\]{0,9}|.|[\u{0}-\u{1f}])*", 1..5)
        ) {
            let mut room = vec![b'?'; room_for(texts.iter().map(String::len).sum())];
            for text in &texts {
                let theirs = serde_json::to_string(text).unwrap();
                match put_string(text.as_bytes(), &mut room) {
                    Some(end) => prop_assert_eq!(&room[..end], theirs.as_bytes()),
                    None => prop_assert!(text.contains(|c| c < ' '), "{}", text),
                }
                let exact = room_for(text.len());
                prop_assert_eq!(put_string(text.as_bytes(), &mut room[..exact]).is_some(), !text.contains(|c| c < ' '));
            }
        }
    }
}
