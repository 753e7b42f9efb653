//! Texts of others, for people.

use std::borrow::Cow;

/// The beginning of a text, at most so many characters and an ellipsis. It ends where a word does: a part of a
/// secret would not be recognized as one by who hides it, and so a word that is cut off goes as a whole.
pub fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(most) else {
        return Cow::Borrowed(text);
    };
    let kept = text.get(..end).unwrap_or_default();
    let kept = kept.trim_end_matches(is_in_word);
    Cow::Owned(format!("{}…", kept.trim_end()))
}

/// Whether a character may stand in a key, a token, or a password that is written as in an address.
fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || "-_.~%+/=!$&*@#^".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_word_is_left() {
        for (text, shortened) in [
            ("short", "short"),
            ("exactly ten", "exactly…"),
            ("ten it is!", "ten it is!"),
            ("a key: se-cret%7Eof=all", "a key:…"),
            ("\"x\":\"abcdefgh\"", "\"x\":\"…"),
            ("abcdefghijklmnop", "…"),
            ("é é é é é é é", "é é é é é…"),
        ] {
            assert_eq!(shorten(text, 10), shortened, "{text}");
        }
    }
}
