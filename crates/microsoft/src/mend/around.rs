//! What stands around the list of a page. Damage there touches no row, and is forgiven where it can touch no
//! link to further rows either.

use rows::json::Scanner;

use super::text::forgive;
use crate::complaint::without_mark;

/// The list ends with one of so many last closing brackets.
const LAST_BRACKETS: usize = 4;

/// So much may stand in front of a list, and so many brackets in that.
const LONGEST_HEAD: usize = 4096;
const MOST_BRACKETS: usize = 8;

/// The place of the bracket that opens the list of rows.
pub(super) fn list_start(body: &[u8]) -> Option<usize> {
    let text = match str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => str::from_utf8(body.get(..error.valid_up_to())?).ok()?,
    };
    let mark = body.len() - without_mark(body).len();
    let mut start = None;
    // It ends where the list begins.
    let _ =
        Scanner::starting_at(text, mark).object(|scanner, name| match (name, scanner.peek()?) {
            ("value" | "d", b'[') => {
                start = Some(scanner.position());
                None
            }
            ("d", b'{') => scanner.object(|scanner, name| {
                if name == "results" && scanner.peek()? == b'[' {
                    start = Some(scanner.position());
                    return None;
                }
                scanner.pass_value()
            }),
            _ => scanner.pass_value(),
        });
    start
}

/// The place of the bracket that closes the list: nobody who writes a row writes after it.
pub(super) fn list_end(
    body: &[u8],
    start: usize,
    is_tail: impl Fn(&[u8]) -> bool,
) -> Option<usize> {
    let places = (start + 1..body.len()).rev();
    let brackets = places.filter(|place| body.get(*place) == Some(&b']'));
    let mut last = brackets.take(LAST_BRACKETS);
    last.find(|place| body.get(*place..).is_some_and(&is_tail))
}

/// What stands in front of a list as it reads when its strings are forgiven, with the place of the bracket that opens the
/// list. None when that does not help, or when it has a link: a damaged one may lead past rows.
pub(super) fn mended_head(body: &[u8]) -> Option<(usize, String)> {
    let head = body.get(..LONGEST_HEAD).unwrap_or(body);
    let places = (0..head.len()).filter(|place| head.get(*place) == Some(&b'['));
    let mut forgiven = places
        .take(MOST_BRACKETS)
        .filter_map(|place| Some((place, forgive(head.get(..=place)?))));
    let (place, head) =
        forgiven.find(|(_, head)| list_start(head.as_bytes()) == Some(head.len() - 1))?;
    let lowercase = head.to_ascii_lowercase();
    let has_link = ["nextlink", "__next"]
        .iter()
        .any(|name| lowercase.contains(name));
    (!has_link).then_some((place, head))
}

/// A page, and what stands behind it. Nothing does when that might be a part of the page, with rows or a link in it.
pub(super) fn without_rest(body: &[u8]) -> (&[u8], &[u8]) {
    let last = body.iter().rposition(|byte| *byte == b'}');
    let parts = last.and_then(|last| body.split_at_checked(last + 1));
    let is_foreign = |rest: &[u8]| {
        !rest
            .iter()
            .any(|byte| matches!(byte, b'"' | b'{' | b'[' | b']'))
    };
    match parts {
        Some((page, rest)) if is_foreign(rest) => (page, rest.trim_ascii()),
        _ => (body, <&[u8]>::default()),
    }
}
