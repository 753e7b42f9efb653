//! Text as a JSON string.

use super::{BLOCK, specials};

/// Stretches up to this length are copied at once.
const STRETCH: usize = 16;

/// Appends a text as a JSON string; the same bytes that `serde_json` would write.
pub(crate) fn push_string(text: &str, to: &mut Vec<u8>) {
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
    // Room for a backslash before every byte, the quotes, and what is copied beyond a stretch.
    to.resize(start + 2 * text.len() + 2 + STRETCH, b'"');
    let out = to.get_mut(start..)?;
    // Where the next byte goes; the opening quote is there already.
    let mut at = 1;
    // Everything before it is written.
    let mut from = 0;
    for base in (0..text.len()).step_by(BLOCK) {
        let mut found = specials(text, base);
        while found != 0 {
            let place = base + found.trailing_zeros() as usize;
            found &= found - 1;
            if *text.get(place)? < b' ' {
                return None;
            }
            copy(text.get(from..)?, out.get_mut(at..)?, place - from)?;
            at += place - from;
            from = place;
            *out.get_mut(at)? = b'\\';
            at += 1;
        }
    }
    copy(text.get(from..)?, out.get_mut(at..)?, text.len() - from)?;
    at += text.len() - from;
    *out.get_mut(at)? = b'"';
    to.truncate(start + at + 1);
    Some(())
}

/// Copies the first `length` bytes, perhaps with some behind them, which are overwritten later.
#[inline]
fn copy(from: &[u8], to: &mut [u8], length: usize) -> Option<()> {
    if length <= STRETCH
        && let (Some(from), Some(to)) = (
            from.first_chunk::<STRETCH>(),
            to.first_chunk_mut::<STRETCH>(),
        )
    {
        *to = *from;
    } else {
        to.get_mut(..length)?.copy_from_slice(from.get(..length)?);
    }
    Some(())
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
