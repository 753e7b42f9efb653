//! The forms in which the services write an instant.

use std::cell::Cell;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

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
#[inline]
fn usual(text: &[u8]) -> Option<DateTime<Utc>> {
    let (day, rest) = text.split_first_chunk()?;
    let (time, fraction) = rest.split_first_chunk()?;
    let nanoseconds = match fraction {
        [b'.', a, b, c, b'Z'] => number(&[*a, *b, *c])? * 1_000_000,
        _ => nanoseconds(fraction)?,
    };
    let seconds = clock_time(*time)?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanoseconds)?;
    Some(calendar_day(day)?.and_time(time).and_utc())
}

/// The nanoseconds of `.109Z`, or of `Z`.
#[inline(never)]
fn nanoseconds(fraction: &[u8]) -> Option<u32> {
    match fraction.strip_suffix(b"Z")?.split_first() {
        None => Some(0),
        Some((b'.', digits @ [_, ..])) if digits.len() <= 9 => {
            let missing = u32::try_from(9 - digits.len()).ok()?;
            Some(number(digits)? * 10_u32.pow(missing))
        }
        Some(_) => None,
    }
}

/// The day of `2026-11-22T`. Of many on one day, it is found out once.
#[inline]
fn calendar_day(text: &[u8; 11]) -> Option<NaiveDate> {
    thread_local! {
        static LAST: Cell<([u8; 11], NaiveDate)> = const { Cell::new((*b"1970-01-01T", EPOCH)) };
    }
    let (last, day) = LAST.get();
    if last == *text {
        return Some(day);
    }
    let day = other_day(text)?;
    LAST.set((*text, day));
    Some(day)
}

#[cold]
fn other_day(text: &[u8; 11]) -> Option<NaiveDate> {
    let [y, e, a, r, b'-', m, o, b'-', d, t, b'T'] = *text else {
        return None;
    };
    let year = i32::try_from(number(&[y, e, a, r])?).ok()?;
    NaiveDate::from_ymd_opt(year, number(&[m, o])?, number(&[d, t])?)
}

/// The seconds since midnight of `10:30:00`.
#[inline]
fn clock_time(text: [u8; 8]) -> Option<u32> {
    // Colons become zeros, and a digit where there is none more than that.
    let colons = u64::from_le_bytes([0, 0, b':' ^ b'0', 0, 0, b':' ^ b'0', 0, 0]);
    let digits = digits(u64::from_le_bytes(text) ^ colons)?;
    let [hours, _, _, minutes, _, _, seconds, _] = (digits * 10 + (digits >> 8)).to_le_bytes();
    let [_, _, first, _, _, second, _, _] = digits.to_le_bytes();
    let is_time = first | second == 0 && hours < 24 && minutes < 60 && seconds < 60;
    is_time.then(|| (u32::from(hours) * 60 + u32::from(minutes)) * 60 + u32::from(seconds))
}

/// A number of digits alone, of nine at most.
#[inline]
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// `/Date(milliseconds)/` of an instant; finer parts are cut off.
pub fn verbose_text(at: DateTime<Utc>) -> String {
    format!("/Date({})/", at.timestamp_millis())
}

/// The instant of `/Date(milliseconds)/`. An offset after the number (`+0200`) tells a zone to
/// show the instant in and does not move it.
fn verbose(text: &[u8]) -> Option<DateTime<Utc>> {
    let inside = text.strip_prefix(b"/Date(")?.strip_suffix(b")/")?;
    if let Some(millis) = few_digits(inside) {
        return of_millis(millis);
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
    of_millis(few_digits(inside.strip_suffix(br#")\/""#)?)?)
}

/// The instant so many milliseconds after 1970 began; of many on one day, `DateTime` would find out
/// the date of each.
fn of_millis(millis: i64) -> Option<DateTime<Utc>> {
    thread_local! {
        /// A day, counted from 1970, and its date.
        static LAST: Cell<(i64, NaiveDate)> = const { Cell::new((0, EPOCH)) };
    }
    let (day, rest) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (last, mut date) = LAST.get();
    if last != day {
        date = DateTime::from_timestamp_millis(millis)?.date_naive();
        LAST.set((day, date));
    }
    // Both are far below their limits.
    let (seconds, nanoseconds) = (rest / 1000, rest % 1000 * 1_000_000);
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds as u32, nanoseconds as u32)?;
    Some(date.and_time(time).and_utc())
}

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1000;

const EPOCH: NaiveDate = DateTime::UNIX_EPOCH.naive_utc().date();

/// A number of 8 to 16 digits and nothing else, which is how all milliseconds since a few hours after
/// 1970 began are written.
fn few_digits(digits: &[u8]) -> Option<i64> {
    let before = digits.len().checked_sub(8)?;
    let missing = u32::try_from(8_usize.checked_sub(before)?).ok()? * 8;
    // The first digits, with zeros before them in place of what follows.
    let first = u64::from_le_bytes(*digits.first_chunk()?)
        .checked_shl(missing)
        .unwrap_or(0);
    let zeros = u64::from_le_bytes([b'0'; 8])
        .checked_shr(64 - missing)
        .unwrap_or(0);
    let high = eight_digits((first | zeros).to_le_bytes())?;
    Some(high * 100_000_000 + eight_digits(*digits.last_chunk()?)?)
}

/// A number of exactly eight digits. Pairs are joined side by side, then fours, then both.
#[inline]
fn eight_digits(text: [u8; 8]) -> Option<i64> {
    let values = digits(u64::from_le_bytes(text))?;
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    i64::try_from((fours * 10_000 + (fours >> 32)) & 0xffff_ffff).ok()
}

/// The values of eight digits, side by side as they were; the first is the lowest byte.
#[inline]
fn digits(text: u64) -> Option<u64> {
    let all = |byte| u64::from_le_bytes([byte; 8]);
    let values = text.wrapping_sub(all(b'0'));
    // Beyond either end of the digits, a byte has or gets its highest bit.
    let above = text.wrapping_add(all(0x7f - b'9'));
    ((text | values | above) & all(0x80) == 0).then_some(values)
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
        fn milliseconds_are_dates_as_the_library_has_them(
            all in prop::collection::vec(prop_oneof![any::<i64>(), -9_i64 * DAY..9 * DAY], 1..9)
        ) {
            for millis in all {
                prop_assert_eq!(of_millis(millis), DateTime::from_timestamp_millis(millis));
            }
        }

        #[test]
        fn digits_are_read_as_the_library_reads_them(text in "[0-9]{0,18}", with in ".?", at in 0_usize..20) {
            let expected = |text: &str| text.parse::<i64>().ok().filter(|_| (8..=16).contains(&text.len()));
            prop_assert_eq!(few_digits(text.as_bytes()), expected(&text));
            let mut damaged = text;
            if at < damaged.len() {
                damaged.replace_range(at..=at, &with);
            }
            let plain = damaged.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(few_digits(damaged.as_bytes()), expected(&damaged).filter(|_| plain));
        }

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
