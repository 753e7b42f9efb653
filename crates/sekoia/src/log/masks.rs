//! Hides secrets in texts before they leave, and shows what hides in foreign texts.

use std::{
    borrow::Cow,
    sync::{PoisonError, RwLock},
};

use base::Secret;
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};

use super::spelling::spelled;
use crate::config::text::bare;

/// Shorter values are not hidden: they would tear ordinary words apart.
const SHORTEST: usize = 4;

/// Shorter values are hidden only where they stand alone, not as a part of a word.
const SHORT: usize = 8;

/// Shorter values of letters or digits alone are not hidden: they are words, numbers and dates of our
/// own sentences, and a sentence with a gap would tell them.
const WORD: usize = 12;

/// Shorter pieces of base64 are not hidden.
const SHORTEST_BASE64: usize = 8;

/// The values to hide, and the pieces of base64 that hold them, longest first, so that a value inside
/// another one leaves nothing behind.
#[derive(Default)]
pub(super) struct Masks(RwLock<Vec<Secret>>);

impl Masks {
    /// Hides a value from now on, also [as it is spelled](spelled) inside JSON, URLs and HTML, and in base64.
    pub(super) fn hide(&self, value: &str) {
        let mut hidden = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // As it is used: a byte order mark may have been pasted with it.
        let value = bare(value);
        let texts = std::iter::once(value.to_owned()).chain(in_base64(value));
        for text in texts {
            let known = hidden.iter().any(|known| known.expose() == text);
            if !known && !is_word(&text) {
                hidden.push(Secret::new(text));
            }
        }
        hidden.sort_by_key(|hidden| std::cmp::Reverse(hidden.expose().len()));
    }

    /// The text with every hidden value replaced by `***`, and with what the eye does not see made
    /// visible.
    pub(super) fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let hidden = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let text = hidden.iter().fold(Cow::Borrowed(text), without);
        visible(text)
    }
}

/// Whether a value is too short to be hidden, or a word.
fn is_word(value: &str) -> bool {
    let only = |is: fn(&char) -> bool| value.chars().all(|c| is(&c));
    let plain = only(|c| c.is_alphabetic()) || only(char::is_ascii_digit);
    value.len() < SHORTEST || value.len() < WORD && plain
}

/// What base64 of any text with this value in it holds, wherever the value begins in it.
fn in_base64(value: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend(value.as_bytes());
        // The first and the last character may depend on what is beside the value.
        let first = (before * 8).div_ceil(6);
        let last = bytes.len() * 8 / 6;
        for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&bytes);
            let piece = encoded.get(first..last).unwrap_or_default();
            if piece.len() >= SHORTEST_BASE64 {
                pieces.push(piece.to_owned());
            }
        }
    }
    pieces
}

/// The text without a secret; without a short one only where it is no part of a word.
fn without<'a>(text: Cow<'a, str>, secret: &Secret) -> Cow<'a, str> {
    let is_in_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let secret = secret.expose();
    let mut out = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (before, rest) = text.split_at(at);
        match spelled(rest, secret).map(|length| rest.split_at(length)) {
            Some((found, after))
                if secret.len() >= SHORT
                    || !is_in_word(before.chars().next_back())
                        && !is_in_word(after.chars().next()) =>
            {
                out.push_str(before.get(kept..).unwrap_or_default());
                out.push_str("***");
                at += found.len();
                kept = at;
            }
            _ => at += next.len_utf8(),
        }
    }
    if kept == 0 {
        return text;
    }
    out.push_str(text.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// Marks that turn the direction of a text, have no width, or steer a terminal, are written by their
/// numbers: in a text of somebody else they may hide what it says.
fn visible(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return text;
    }
    let shown = |c: char| match is_unseen(c) {
        true => format!("<U+{:04X}>", u32::from(c)),
        false => c.into(),
    };
    Cow::Owned(text.chars().map(shown).collect())
}

fn is_unseen(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => true,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_every_spelling() {
        let masks = Masks::default();
        masks.hide("pa\"ss wörd/1");
        masks.hide("pa\"ss");
        masks.hide("key");
        for text in [
            "x pa\"ss wörd/1 y",
            r#"x pa\"ss wörd/1 y"#,
            r#"x pa\"ss w\u00f6rd/1 y"#,
            r"x pa\u0022ss w\u00F6rd/1 y",
            "x pa%22ss%20w%C3%B6rd%2F1 y",
            "x pa%22ss%20w%c3%b6rd%2f1 y",
            "x pa%22ss+w%C3%B6rd%2F1 y",
            "x pa&quot;ss wörd/1 y",
            "x pa&#34;ss wörd/1 y",
            "x pa&#34;ss&#32;w&#246;rd&#47;1 y",
            "x pa&#x22;ss&#x20;w&#xF6;rd&#x2F;1 y",
            r"x \u0070\u0061\u0022\u0073\u0073\u0020w\u00f6rd\/1 y",
            "x %70%61%22%73%73%20w%C3%B6rd%2F1 y",
            "x pa%2522ss%2520w%25C3%25B6rd%252F1 y",
            "x &#112;&#0097;&quot;ss w&#xf6;rd&#x02f;1 y",
            "x pa&amp;quot;ss w&amp;#246;rd/1 y",
            r"x pa&quot;ss%20w\xf6rd\x2f1 y",
            "x pa\"ss y",
        ] {
            assert_eq!(masks.apply(text), "x *** y", "{text}");
        }
        assert_eq!(masks.apply("a monkey"), "a monkey");
    }

    #[test]
    fn hides_a_value_without_the_marks_that_were_pasted_with_it() {
        let masks = Masks::default();
        masks.hide("\u{feff}planted-secret\u{200b}\n");
        assert_eq!(masks.apply("x planted-secret y"), "x *** y");
        let sent = base64::prelude::BASE64_STANDARD.encode("svc:planted-secret");
        assert!(masks.apply(&sent).contains("***"));
    }

    #[test]
    fn hides_what_html_has_many_ways_for() {
        let masks = Masks::default();
        masks.hide("a<b>&'c'~1.2");
        for text in [
            "a&lt;b&gt;&amp;&#39;c&#39;~1.2",
            "a&lt;b&gt;&amp;&#x27;c&#x27;~1.2",
            "a&lt;b&gt;&amp;&apos;c&apos;~1.2",
            "a&lt;b&gt;&amp;'c'~1.2",
            r"a\u003cb\u003e\u0026\u0027c\u0027~1.2",
            r"a\u003Cb\u003E\u0026\u0027c\u0027~1.2",
            "a%3Cb%3E%26%27c%27~1.2",
        ] {
            assert_eq!(masks.apply(text), "***", "{text}");
        }
    }

    #[test]
    fn hides_base64_wherever_the_value_begins() {
        use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
        let secret = "planted-~+/&=ÿ>?secret";
        let masks = Masks::default();
        masks.hide(secret);
        for before in ["", "a", "ab", "abc", "svc@contoso.example:"] {
            for after in ["", ".", "..", "... and more"] {
                let text = format!("{before}{secret}{after}");
                for encoded in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE.encode(&text)] {
                    let shown = masks.apply(&encoded).into_owned();
                    // At most the two characters at either end are left of it.
                    let left = shown.split("***").map(str::len).sum::<usize>();
                    let own = (before.len() + after.len()) * 4 / 3 + 8;
                    assert!(shown.contains("***") && left <= own, "{encoded}: {shown}");
                }
            }
        }
    }

    #[test]
    fn a_short_secret_leaves_our_words_alone() {
        let masks = Masks::default();
        for secret in [
            "mail", "trace", "2026", "Password", "events", "ab-1", "T1me!",
        ] {
            masks.hide(secret);
        }
        let ours = "2026-11-18: the message trace of the mail: 3 events, Password, xab-1x";
        assert_eq!(masks.apply(ours), ours);
        assert_eq!(
            masks.apply("login ab-1: T1me!, 'ab-1'"),
            "login ***: ***, '***'"
        );
        masks.hide("correcthorsebattery");
        assert_eq!(masks.apply("xcorrecthorsebatteryx"), "x***x");
    }

    #[test]
    fn what_hides_is_shown() {
        let masks = Masks::default();
        let text = "a\u{202e}b\u{200b}c\u{1b}[2J\r\u{2066}\u{feff}\u{e0041}\n\té";
        assert_eq!(
            masks.apply(text),
            "a<U+202E>b<U+200B>c<U+001B>[2J<U+000D><U+2066><U+FEFF><U+E0041>\n\té"
        );
    }
}
