//! Texts as people and their tools leave them: encodings, byte order marks, blanks and line ends.

/// The text in bytes: UTF-8, or UTF-16 or UTF-32 in either byte order, with a byte order mark or
/// without (as Python's `json.loads` tells them apart). None when they are no text.
pub(crate) fn decoded(bytes: &[u8]) -> Option<String> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    let wider = |number: fn([u8; 4]) -> u32| {
        let (fours, rest) = bytes.as_chunks::<4>();
        let characters = fours.iter().map(|four| char::from_u32(number(*four)));
        characters
            .collect::<Option<String>>()
            .filter(|_| rest.is_empty())
    };
    let text = match *bytes {
        [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, 1..=255, ..] => wider(u32::from_be_bytes),
        [0xFF, 0xFE, 0, 0, ..] | [1..=255, 0, 0, 0, ..] => wider(u32::from_le_bytes),
        [0xFE, 0xFF, ..] | [0, 1..=255, ..] => wide(u16::from_be_bytes),
        [0xFF, 0xFE, ..] | [1..=255, 0, ..] => wide(u16::from_le_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }?;
    Some(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

pub(crate) fn without_line_ends(text: &str) -> &str {
    text.trim_matches(is_line_end)
}

/// Without line ends, blanks and invisible marks around it.
pub(crate) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| is_line_end(c) || c.is_whitespace() || c == '\u{200b}')
}

/// A byte order mark stands where a line or a file begins.
fn is_line_end(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_of_json_is_read() {
        let text = r#"{"a":"é😀"}"#;
        let sixteen = |big: bool, mark: bool| {
            let mark = mark.then_some('\u{feff}').into_iter();
            let text: String = mark.chain(text.chars()).collect();
            let bytes = text.encode_utf16().flat_map(|unit| match big {
                true => unit.to_be_bytes(),
                false => unit.to_le_bytes(),
            });
            bytes.collect::<Vec<u8>>()
        };
        let thirty_two = |big: bool| {
            let bytes = text.chars().flat_map(|c| match big {
                true => u32::from(c).to_be_bytes(),
                false => u32::from(c).to_le_bytes(),
            });
            bytes.collect::<Vec<u8>>()
        };
        let mut all = vec![
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
        ];
        for big in [true, false] {
            all.push(thirty_two(big));
            all.extend([true, false].map(|mark| sixteen(big, mark)));
        }
        for bytes in all {
            assert_eq!(decoded(&bytes).as_deref(), Some(text), "{bytes:?}");
        }
        assert_eq!(decoded(b"").as_deref(), Some(""));
        assert_eq!(decoded(b"x").as_deref(), Some("x"));
        for bytes in [
            b"\xFF\xFEa".as_slice(),
            b"\xE9t\xE9",
            b"\xFF\xFE\x00\xD8",
            b"a\0\0\0b",
        ] {
            assert_eq!(decoded(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_surrounds_a_text_is_taken_off() {
        assert_eq!(bare("\u{feff}\t a b\u{a0}\u{200b}\r\n"), "a b");
        assert_eq!(without_line_ends("\r\n a b \n"), " a b ");
        assert_eq!(bare(" \n"), "");
    }
}
