//! Text as a JSON string.

use wide::u8x16;

use super::{BLOCK, controls, escaped};

/// Bytes that are spread at once, over at most twice as many.
const HALF: usize = BLOCK / 2;

/// Which byte of a half goes where, for every set of bytes that get a backslash before them. The
/// bytes of the half are 0 to 7, and 8 is a backslash.
static SPREAD: [[u8; BLOCK]; 1 << HALF] = spread();

/// Appends a text as a JSON string; the same bytes that `serde_json` would write.
#[inline(never)] // into what is built for size
pub fn push_string(text: &str, to: &mut Vec<u8>) {
    let start = to.len();
    if fill(text.as_bytes(), to).is_none() {
        // Control characters are rare.
        to.truncate(start);
        // Writing a string to memory cannot fail.
        _ = serde_json::to_writer(to, text);
    }
}

/// The same for a text without control characters.
fn fill(text: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let start = to.len();
    // Room for a backslash before every byte, the quotes, and what is written beyond the end.
    to.resize(start + 2 * text.len() + 2 + 2 * BLOCK, b'"');
    let out = to.get_mut(start..)?;
    // Where the next byte goes; the opening quote is there already.
    let mut at = 1;
    let (blocks, rest) = text.as_chunks();
    for block in blocks {
        at = put(block, out, at)?;
    }
    // What is put behind the text is overwritten, or cut off.
    let mut last = [b' '; BLOCK];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    at = put(&last, out, at)? - (last.len() - rest.len());
    *out.get_mut(at)? = b'"';
    to.truncate(start + at + 1);
    Some(())
}

/// Puts a block at a place, with a backslash before every quote and backslash; the place behind it.
#[inline]
fn put(block: &[u8; BLOCK], out: &mut [u8], at: usize) -> Option<usize> {
    let bytes = u8x16::new(*block);
    if controls(bytes).any() {
        return None;
    }
    let [first, second, ..] = escaped(bytes).to_bitmask().to_le_bytes();
    let (halves, _) = block.as_chunks::<HALF>();
    let [left, right] = halves else {
        return None;
    };
    let at = put_half(*left, first, out, at)?;
    put_half(*right, second, out, at)
}

/// The same for half a block, with a bit for each byte that gets a backslash.
#[inline]
fn put_half(half: [u8; HALF], escaped: u8, out: &mut [u8], at: usize) -> Option<usize> {
    let [a, b, c, d, e, f, g, h] = half;
    let backslash = b'\\';
    let bytes = u8x16::new([
        a, b, c, d, e, f, g, h, backslash, backslash, backslash, backslash, backslash, backslash,
        backslash, backslash,
    ]);
    let places = u8x16::new(*SPREAD.get(usize::from(escaped))?);
    *out.get_mut(at..)?.first_chunk_mut()? = bytes.shuffle(places).to_array();
    Some(at + HALF + escaped.count_ones() as usize)
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
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for text in &texts {
                push_string(text, &mut ours);
                serde_json::to_writer(&mut theirs, text).unwrap();
            }
            prop_assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(theirs).unwrap());
        }
    }
}
