//! The ways in which servers and proxies spell a text: as it is, and with any of its characters written as an
//! escape of JSON, of an address (once or several times over), of HTML or of Python.

/// How often an escape is escaped itself at most.
const DEEPEST: usize = 3;

/// With each time that it is escaped, one backslash becomes two.
const MOST_BACKSLASHES: usize = 1 << DEEPEST;

/// How many bytes at the beginning of `text` spell `value`, each character of it in its own way.
pub(super) fn spelled(text: &str, value: &str) -> Option<usize> {
    // Nearly all places of nearly all texts end here.
    let begins = |c: char| value.starts_with(c) || "\\%&+".contains(c);
    text.chars().next().filter(|c| begins(*c))?;
    // The places where the next character may begin: a `%` may stand for itself or begin an escape.
    let mut places = vec![0];
    for character in value.chars() {
        let mut next = Vec::new();
        for place in places {
            let rest = text.get(place..).unwrap_or_default();
            next.extend(lengths(rest, character).map(|length| place + length));
        }
        next.sort_unstable();
        next.dedup();
        if next.is_empty() {
            return None;
        }
        places = next;
    }
    places.last().copied().filter(|length| *length > 0)
}

/// How many bytes at the beginning of `text` spell one character, for each spelling of it that is there.
fn lengths(text: &str, character: char) -> impl Iterator<Item = usize> {
    let plus = text.strip_prefix('+').filter(|_| character == ' ');
    let found = [text.strip_prefix(character), plus, html(text, character)];
    let found = found.into_iter().chain([percent(text, character)]);
    let backslashes = text.bytes().take_while(|byte| *byte == b'\\').count();
    let escapes = 1..=backslashes.min(MOST_BACKSLASHES);
    let found = found.chain(escapes.map(move |count| json(text, count, character)));
    found.flatten().map(|rest| text.len() - rest.len())
}

/// What is left of a text after an escape of JSON, `\n`, `\/` or `\u000a`, or of Python, `\x0a`, that begins with
/// so many backslashes: two or more when it was escaped again.
fn json(text: &str, backslashes: usize, character: char) -> Option<&str> {
    let rest = text.get(backslashes..)?;
    let mark = match character {
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        other => other,
    };
    if let Some(rest) = rest.strip_prefix('x') {
        return number(rest, 2, character.into());
    }
    if let Some(rest) = rest.strip_prefix(mark).filter(|_| mark != 'u') {
        return Some(rest);
    }
    let mut units = [0; 2];
    let mut units = character.encode_utf16(&mut units).iter();
    units.try_fold(text, |text, unit| {
        let rest = text.get(backslashes..)?;
        let before = text.len() - text.trim_start_matches('\\').len();
        let digits = rest.strip_prefix('u').filter(|_| before == backslashes)?;
        number(digits, 4, (*unit).into())
    })
}

/// What is left of a text after an escape of HTML, by name or by number.
fn html(text: &str, character: char) -> Option<&str> {
    let mut rest = text.strip_prefix('&')?;
    for _ in 0..DEEPEST {
        let end = rest.find(';').filter(|end| *end <= 10)?;
        let (name, after) = (rest.get(..end)?, rest.get(end + 1..)?);
        let spells = match name.strip_prefix('#') {
            Some(digits) => match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok(),
                None => digits.parse().ok(),
            },
            None => named(name).map(u32::from),
        };
        if spells == Some(character.into()) {
            return Some(after);
        }
        // `&amp;#39;` is an escaped `&#39;`.
        rest = rest.strip_prefix("amp;")?;
    }
    None
}

fn named(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// What is left of a text after the bytes of a character as an address has them: `%2F`, or `%252F` where it
/// was escaped twice.
fn percent(text: &str, character: char) -> Option<&str> {
    let mut bytes = [0; 4];
    let mut bytes = character.encode_utf8(&mut bytes).bytes();
    bytes.try_fold(text, |text, byte| {
        let mut rest = text.strip_prefix('%')?;
        for _ in 0..DEEPEST {
            if let Some(after) = number(rest, 2, byte.into()) {
                return Some(after);
            }
            rest = rest.strip_prefix("25")?;
        }
        None
    })
}

/// What is left of a text that begins with so many hexadecimal digits of this number.
fn number(text: &str, digits: usize, wanted: u32) -> Option<&str> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let is_wanted = digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        && u32::from_str_radix(digits, 16) == Ok(wanted);
    is_wanted.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_in_a_mixture_of_spellings() {
        for (text, value) in [
            ("a%41%", "a%41%"),
            ("a%2541%25", "a%41%"),
            (r"u\\\u0075\x75", r"u\uu"),
            ("%25%", "%%"),
            ("&&amp;&amp;", "&&&"),
            (r#"a\\\"b\\u0022c"#, "a\"b\"c"),
            ("+ %2B%20", "+ + "),
            (r"\ud83d\ude00", "\u{1f600}"),
            ("%F0%9F%98%80", "\u{1f600}"),
        ] {
            assert_eq!(spelled(text, value), Some(text.len()), "{text}");
        }
    }

    #[test]
    fn what_is_near_a_value_is_not_it() {
        for (text, value) in [
            ("", "a"),
            ("ab", "abc"),
            ("%4", "A"),
            ("%+1", "\u{1}"),
            (r"\u00", "a"),
            (r"\ud83d", "\u{1f600}"),
            ("&#97", "a"),
            ("a", ""),
        ] {
            assert_eq!(spelled(text, value), None, "{text}");
        }
    }
}
