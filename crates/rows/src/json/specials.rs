//! Where a text has bytes that a JSON string cannot hold as they are.

use multiversion::multiversion;

use super::{STRETCH, specials};

const BITS: usize = u64::BITS as usize;

/// Bytes that are searched at once: few enough that they are near when they are read next.
const BLOCK: usize = 32 << 10;

/// So far ahead at least is searched before a row is read. It is longer than nearly all.
const AHEAD: usize = 2 << 10;

/// A bit for each byte of a part of a text that is a quote, a backslash or a control character.
///
/// To find them all in one go, without a decision on the way, takes less time than to look for each
/// alone.
#[derive(Debug)]
pub(crate) struct Specials<'a> {
    text: &'a str,
    /// The place of the first bit in the text.
    start: usize,
    words: Vec<[u8; BITS / 8]>,
}

/// Memory that [`Specials`] are found in.
#[derive(Debug, Default)]
pub(crate) struct SpecialWords(Vec<[u8; BITS / 8]>);

impl<'a> Specials<'a> {
    /// Those of a text, which is not searched yet.
    pub(crate) fn of(text: &'a str) -> Self {
        Self::within(text, SpecialWords::default())
    }

    /// The same in memory that was used before.
    pub(crate) fn within(text: &'a str, SpecialWords(mut words): SpecialWords) -> Self {
        words.clear();
        Self {
            text,
            start: 0,
            words,
        }
    }

    /// Its memory, to be used again.
    pub(crate) fn into_words(self) -> SpecialWords {
        SpecialWords(self.words)
    }

    /// The text that they are in.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Makes sure that what lies ahead of a place has been searched.
    #[inline]
    pub(crate) fn search(&mut self, at: usize) {
        let end = self.start + self.words.len() * BITS;
        if at < self.start || (at + AHEAD > end && end < self.text.len()) {
            self.search_block(at);
        }
    }

    fn search_block(&mut self, at: usize) {
        self.start = at;
        self.words.clear();
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        let is_last = rest.len() <= BLOCK;
        let rest = rest.get(..BLOCK).unwrap_or(rest);
        let (stretches, rest) = rest.as_chunks::<STRETCH>();
        search(stretches, &mut self.words);
        if !rest.is_empty() {
            let mut last = [b' '; STRETCH];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.words.push(specials(&last).to_le_bytes());
        }
        if is_last {
            // So that a whole word can be read for each place of the text.
            self.words.push([0; BITS / 8]);
        }
    }

    /// The first that is not before a place. None when there is none in what was searched.
    #[inline]
    pub(crate) fn next(&self, at: usize) -> Option<usize> {
        let place = at.wrapping_sub(self.start);
        let bits = self.words.as_flattened();
        let first = place / 8;
        let ahead = bits.get(first..first + 8)?.first_chunk()?;
        let ahead = u64::from_le_bytes(*ahead) >> (place % 8);
        if ahead != 0 {
            return Some(at + ahead.trailing_zeros() as usize);
        }
        self.first_from(place / BITS + 1)
    }

    /// The first in a word or behind it.
    fn first_from(&self, word: usize) -> Option<usize> {
        let words = self.words.iter().map(|word| u64::from_le_bytes(*word));
        let mut filled = words.enumerate().skip(word).filter(|(_, bits)| *bits != 0);
        let (word, bits) = filled.next()?;
        Some(self.start + word * BITS + bits.trailing_zeros() as usize)
    }
}

/// The bits of stretches, with the widest instructions that the processor has.
#[multiversion(targets("x86_64+avx+avx2+bmi1+bmi2+lzcnt+popcnt"))]
fn search(stretches: &[[u8; STRETCH]], words: &mut Vec<[u8; BITS / 8]>) {
    words.extend(
        stretches
            .iter()
            .map(|stretch| specials(stretch).to_le_bytes()),
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected(text: &str, at: usize) -> Option<usize> {
        let is_special = |byte: &u8| matches!(byte, 0..b' ' | b'"' | b'\\');
        let rest = text.as_bytes().get(at..)?;
        rest.iter().position(is_special).map(|place| at + place)
    }

    proptest! {
        #[test]
        fn the_next_is_found_or_left_to_others(
            text in "([a-z]{0,90}[\"\\\\\u{0}-\u{1f}é]{0,3}){0,5}", start in 0_usize..50
        ) {
            let mut specials = Specials::of(&text);
            specials.search(start);
            for at in 0..=text.len() + 200 {
                match specials.next(at) {
                    Some(found) => prop_assert_eq!(Some(found), expected(&text, at)),
                    None => {
                        let is_near = at >= start && at + 2 * STRETCH < text.len();
                        prop_assert!(!is_near || expected(&text, at).is_none());
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_text_is_searched_block_by_block() {
        let text = "abc\"d\\".repeat(BLOCK / 2);
        let mut specials = Specials::of(&text);
        let mut place = 0;
        while place < text.len() - AHEAD {
            specials.search(place);
            assert!(specials.words.len() <= BLOCK / BITS);
            for at in (place..place + AHEAD - 2 * STRETCH).step_by(17) {
                assert_eq!(specials.next(at), expected(&text, at));
            }
            place += 700;
        }
        assert!(specials.start > BLOCK);
    }
}
