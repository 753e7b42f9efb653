//! The text of one item: where it ends, what is forgiven in it, and whether it is a row.

use std::collections::BTreeSet;

use rows::json::Scanner;

/// The properties that each row has, in Graph and in the Reporting Web Service.
const OF_ALL: [[&str; 10]; 2] = [
    [
        "id",
        "senderAddress",
        "recipientAddress",
        "messageId",
        "receivedDateTime",
        "subject",
        "size",
        "fromIP",
        "toIP",
        "status",
    ],
    [
        "MessageTraceId",
        "SenderAddress",
        "RecipientAddress",
        "MessageId",
        "Received",
        "Subject",
        "Size",
        "FromIP",
        "ToIP",
        "Status",
    ],
];

/// What rows may have besides.
const OF_SOME: [&str; 6] = [
    "@odata.type",
    "__metadata",
    "Organization",
    "StartDate",
    "EndDate",
    "Index",
];

/// Of these, what the same row says differs from one answer to the next.
const CHANGING: [&str; 4] = [
    "\"Index\"",
    "\"StartDate\"",
    "\"EndDate\"",
    "\"__metadata\"",
];

/// How long the object is that a text begins with, when its brackets and quotes tell; and how much
/// of the text was looked at.
///
/// A row that is cut off in a string turns strings and all else round, to the end of the page. What
/// stands beside a string tells so at once, and the search stays as long as the page.
pub(super) fn object(text: &[u8]) -> (Option<usize>, usize) {
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    // The last byte outside of strings that is no space; a quote stands for a whole string.
    let mut before = b':';
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if at == 0 && *byte != b'{' => return (None, 1),
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' if is_string => is_string = false,
            _ if is_string => {}
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ if !may_follow(before, *byte) => return (None, at + 1),
            b'"' => (is_string, before) = (true, b'"'),
            b'{' => (depth, before) = (depth + 1, b'{'),
            b'}' => (depth, before) = (depth - 1, b'}'),
            _ => before = *byte,
        }
        if depth == 0 {
            return (Some(at + 1), at + 1);
        }
    }
    (None, text.len())
}

/// Whether a byte may follow another one, both outside of strings. No row has a list.
fn may_follow(before: u8, byte: u8) -> bool {
    match byte {
        b'"' => matches!(before, b'{' | b',' | b':'),
        b':' => before == b'"',
        b'{' => before == b':',
        b'}' => before != b',' && before != b':',
        b',' => !matches!(before, b'{' | b',' | b':'),
        b'[' | b']' => false,
        // A number or a word.
        b'!'..=b'~' => !matches!(before, b'"' | b'{' | b'}' | b','),
        _ => false,
    }
}

/// The text with control characters in strings escaped, and bytes that are no text replaced. It is
/// no JSON when there are such bytes outside of strings, or after a backslash.
pub(super) fn forgive(bytes: &[u8]) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 8);
    for byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            0..b' ' if is_string => {
                text.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            _ => {}
        }
        text.push(*byte);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The names of the members of an object, each once; none when the text is anything else.
pub(super) fn names(text: &str) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut scanner = Scanner::new(text);
    scanner.object(|scanner, name| {
        // A row has a dozen.
        if names.len() == 64 || !names.insert(name.to_owned()) {
            return None;
        }
        scanner.pass_value()
    })?;
    scanner.peek().is_none().then_some(names)
}

/// Whether an object with these members is a row: it has all that rows have, and, when it was mended,
/// nothing that is not known.
pub(super) fn is_row(names: &BTreeSet<String>, is_mended: bool) -> bool {
    let has_all = |all: &[&str; 10]| all.iter().all(|name| names.contains(*name));
    let Some(all) = OF_ALL.iter().find(|all| has_all(all)) else {
        return false;
    };
    let is_known = |name: &str| all.contains(&name) || OF_SOME.contains(&name);
    !is_mended || names.iter().all(|name| is_known(name))
}

/// The bytes of an item without what changes from one answer to the next.
pub(super) fn unchanging(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut kept = Vec::with_capacity(bytes.len());
    while let Some(first) = rest.first() {
        let Some(value) = CHANGING.iter().find_map(|name| value_of(name, rest)) else {
            kept.push(*first);
            rest = rest.get(1..).unwrap_or_default();
            continue;
        };
        let ends = |byte: &u8| matches!(byte, b',' | b'}');
        let end = match value.first() {
            Some(b'{') => value
                .iter()
                .position(|byte| *byte == b'}')
                .map(|end| end + 1),
            _ => value.iter().position(ends),
        };
        rest = value.get(end.unwrap_or(value.len())..).unwrap_or_default();
    }
    kept
}

/// What stands after the name of a member and its colon, when a text begins with both. A service may put spaces
/// and line feeds around the colon, as those of the verbose dialect did for years.
fn value_of<'a>(name: &str, text: &'a [u8]) -> Option<&'a [u8]> {
    let after = text.strip_prefix(name.as_bytes())?;
    let value = after.trim_ascii_start().strip_prefix(b":")?;
    Some(value.trim_ascii_start())
}
