//! Bytes that are worked on together.

/// How many bytes.
pub(crate) const BLOCK: usize = 16;

/// The last bytes of a text, fewer than a block but at least one, and spaces behind them. They are
/// moved in a register, as a copy of so few takes longer than all that is done with them.
#[inline]
pub(crate) fn last_block(text: &[u8], bytes: usize) -> [u8; BLOCK] {
    let spaces = u128::from_le_bytes([b' '; BLOCK]);
    match text.last_chunk() {
        Some(last) if (1..BLOCK).contains(&bytes) => {
            let last = u128::from_le_bytes(*last) >> (8 * (BLOCK - bytes));
            (last | spaces << (8 * bytes)).to_le_bytes()
        }
        _ => {
            let mut last = [b' '; BLOCK];
            let start = text.len().saturating_sub(bytes);
            for (to, from) in last.iter_mut().zip(text.iter().skip(start)) {
                *to = *from;
            }
            last
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_every_text_is_found() {
        let all: Vec<u8> = (b'a'..=b'z').cycle().take(40).collect();
        for length in 1..all.len() {
            let text = &all[..length];
            for bytes in 1..BLOCK.min(length + 1) {
                let block = last_block(text, bytes);
                assert_eq!(&block[..bytes], &text[length - bytes..]);
                assert!(block[bytes..].iter().all(|byte| *byte == b' '));
            }
        }
    }
}
