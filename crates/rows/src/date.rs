//! The forms in which the services write an instant.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// The instant in either form: `/Date(milliseconds)/` or ISO 8601.
pub fn instant(text: &[u8]) -> Option<DateTime<Utc>> {
    match text.first()? {
        b'/' => verbose(text),
        _ => iso(text),
    }
}

/// The instant of ISO 8601 text with any number of fraction digits; without a zone it is UTC.
pub fn iso(text: &[u8]) -> Option<DateTime<Utc>> {
    // Most dates are in the other form, and this is found out here much sooner.
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    usual(text).or_else(|| unusual(text))
}

#[cold]
fn unusual(text: &[u8]) -> Option<DateTime<Utc>> {
    let text = str::from_utf8(text).ok()?;
    match DateTime::parse_from_rfc3339(text) {
        Ok(zoned) => Some(zoned.to_utc()),
        Err(_) => NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
            .ok()
            .map(|local| local.and_utc()),
    }
}

/// The instant of `2026-11-22T10:30:00.109Z`, with up to nine digits of fractions or none, which is
/// how nearly all are written; anything else is left to others.
fn usual(text: &[u8]) -> Option<DateTime<Utc>> {
    let [y, e, a, r, b'-', m, o, b'-', d, t, b'T', rest @ ..] = text else {
        return None;
    };
    let [h, u, b':', i, n, b':', s, c, fraction @ ..] = rest else {
        return None;
    };
    let year = number(&[*y, *e, *a, *r])?;
    let day = NaiveDate::from_ymd_opt(year, number(&[*m, *o])?, number(&[*d, *t])?)?;
    let (hour, minute) = (number(&[*h, *u])?, number(&[*i, *n])?);
    let second = number(&[*s, *c])?;
    let time = day.and_hms_nano_opt(hour, minute, second, nanoseconds(fraction)?)?;
    Some(time.and_utc())
}

/// The nanoseconds of `.109Z`, or of `Z`.
fn nanoseconds(fraction: &[u8]) -> Option<u32> {
    match fraction.strip_suffix(b"Z")?.split_first() {
        None => Some(0),
        Some((b'.', digits @ [_, ..])) if digits.len() <= 9 => {
            let missing = u32::try_from(9 - digits.len()).ok()?;
            Some(number::<u32>(digits)? * 10_u32.pow(missing))
        }
        Some(_) => None,
    }
}

/// A number of digits alone, of 18 at most.
#[inline]
fn number<N: TryFrom<i64>>(digits: &[u8]) -> Option<N> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let number = digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(digit - b'0'))
    });
    N::try_from(number?).ok()
}

/// `/Date(milliseconds)/` of an instant; finer parts are cut off.
pub fn verbose_text(at: DateTime<Utc>) -> String {
    format!("/Date({})/", at.timestamp_millis())
}

/// The instant of `/Date(milliseconds)/`. An offset after the number (`+0200`) tells a zone to
/// show the instant in and does not move it.
fn verbose(text: &[u8]) -> Option<DateTime<Utc>> {
    let inside = text.strip_prefix(b"/Date(")?.strip_suffix(b")/")?;
    if let Some(millis) = number(inside) {
        return DateTime::from_timestamp_millis(millis);
    }
    let signs = inside.iter().skip(1);
    let digits = signs.take_while(|sign| !matches!(sign, b'+' | b'-'));
    let millis = str::from_utf8(inside.get(..=digits.count())?).ok()?;
    DateTime::from_timestamp_millis(millis.parse().ok()?)
}

/// The instant of `"\/Date(milliseconds)\/"` as it stands in JSON, which is how the Reporting Web Service
/// most probably writes it; none of any other text.
#[inline]
pub(crate) fn escaped(json: &[u8]) -> Option<DateTime<Utc>> {
    let inside = json.strip_prefix(br#""\/Date("#)?;
    DateTime::from_timestamp_millis(number(inside.strip_suffix(br#")\/""#)?)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(text: &str) -> Option<i64> {
        instant(text.as_bytes()).map(|at| at.timestamp_millis())
    }

    #[test]
    fn reads_every_form() {
        assert_eq!(millis("/Date(1659020996164)/"), Some(1_659_020_996_164));
        assert_eq!(
            millis("/Date(1659020996164+0200)/"),
            Some(1_659_020_996_164)
        );
        assert_eq!(millis("/Date(-5)/"), Some(-5));
        assert_eq!(millis("1970-01-01T00:00:01.4907658"), Some(1490));
        assert_eq!(millis("1970-01-01T00:00:01.4999999Z"), Some(1499));
        assert_eq!(millis("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(millis("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(millis("1970-01-01T00:00:01"), Some(1000));
    }

    #[test]
    fn escaped_slashes_are_read_as_they_stand() {
        let millis = |json: &str| escaped(json.as_bytes()).map(|at| at.timestamp_millis());
        let json = r#""\/Date(1659020996164)\/""#;
        assert_eq!(millis(json), Some(1_659_020_996_164));
        for other in [
            r#""/Date(1659020996164)/""#,
            r#""\/Date(1659020996164)/""#,
            r#""\/Date(16590209x6164)\/""#,
            r#""\/Date(\u0031659020996)\/""#,
            r#""\/Date()\/""#,
            "\"",
            "",
        ] {
            assert_eq!(millis(other), None, "{other}");
        }
    }

    #[test]
    fn anything_else_is_no_instant() {
        for text in [
            "",
            "/Date()/",
            "/Date(x)/",
            "/Date(1)",
            "yesterday",
            "2022-09-05",
            "1659020996164",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_chrono_reads_it(
            seconds in -70_000_000_000_i64..250_000_000_000,
            nanoseconds in 0_u32..1_000_000_000,
            digits in 0_usize..=9,
            broken in prop::option::weighted(0.5, (0_usize..30, "[0-9TZ:.+x -]?")),
        ) {
            let at = DateTime::from_timestamp(seconds, nanoseconds).unwrap();
            let mut text = at.format("%Y-%m-%dT%H:%M:%S.%f").to_string();
            text.truncate(if digits == 0 { 19 } else { 20 + digits });
            text.push('Z');
            if let Some((place, with)) = &broken && *place < text.len() {
                text.replace_range(*place..=*place, with);
            }
            if let Some(read) = usual(text.as_bytes()) {
                let theirs = DateTime::parse_from_rfc3339(&text);
                prop_assert_eq!(Ok(read.fixed_offset()), theirs, "{}", text);
            } else {
                let unusual = text.len() < 20 || !text.ends_with('Z') || broken.is_some() || digits > 9;
                let far = !text.starts_with(|c: char| c.is_ascii_digit()) || text.find('-') != Some(4);
                prop_assert!(unusual || far, "{}", text);
            }
        }
    }
}
