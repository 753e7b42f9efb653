//! Links to the next page that Graph refuses although it made them itself.
//!
//! A `$skiptoken` is the base64 text of a JSON object whose values are texts. At times each value
//! is encoded twice, `"\"2026-..\""`, and such a link is answered with 400 for ever
//! (<https://github.com/elastic/integrations/issues/18134>).

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use rows::json::Scanner;
use rows::{Page, Window};

use super::super::link::Link;

/// The link with the values of its token unwrapped once; none when there is nothing to unwrap.
pub(super) fn unwrapped(link: &Link) -> Option<Link> {
    link.with_changed("$skiptoken", unwrapped_token)
}

fn unwrapped_token(token: &str) -> Option<String> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    // Both alphabets, and padding as it was found.
    let url_safe = token.contains(['-', '_']);
    let alphabet = if url_safe {
        alphabet::URL_SAFE
    } else {
        alphabet::STANDARD
    };
    let padded = token.len().is_multiple_of(4);
    let engine = GeneralPurpose::new(&alphabet, lenient.with_encode_padding(padded));
    let json = String::from_utf8(engine.decode(token).ok()?).ok()?;
    let mut changed = false;
    let mut parts = Vec::new();
    let mut scanner = Scanner::new(&json);
    scanner.object(|scanner, name| {
        let value = scanner.value()?;
        let inner = value
            .string()
            .filter(|text| serde_json::from_str::<String>(text).is_ok());
        changed |= inner.is_some();
        let name = serde_json::to_string(name).ok()?;
        parts.push(format!("{name}:{}", inner.as_deref().unwrap_or(value.json)));
        Some(())
    })?;
    if scanner.peek().is_some() {
        return None;
    }
    changed.then(|| engine.encode(format!("{{{}}}", parts.join(","))))
}

/// What is left of a window when its rows, newest first, have been read down to the one received
/// at `reached`. Rows at its upper end come again and are known by their keys.
///
/// None when that is no narrower than the window: all rows read are of one instant.
pub(super) fn remainder(window: Window, reached: DateTime<Utc>) -> Option<Window> {
    // The service may know the time more precisely than the row tells it.
    let precision = if reached.nanosecond() == 0 {
        TimeDelta::seconds(1)
    } else {
        TimeDelta::milliseconds(1)
    };
    Window::new(window.start(), reached + precision).filter(|rest| rest.end() < window.end())
}

/// Whether a page of what is left does without the row that it goes on from: a service that counts in full seconds
/// has cut off the one that the row is in.
pub(super) fn is_cut_off<L>(page: &Page<L>, reached: DateTime<Utc>) -> bool {
    let has_fraction = reached.nanosecond() != 0;
    has_fraction && page.rows().all(|row| row.received != Some(reached))
}

/// When the last row of a page was received, if its rows, and those before it down to `before`,
/// come newest first. None when they do not, as then nothing is known of what is left.
pub(super) fn reached<L>(page: &Page<L>, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
    page.rows().try_fold(before, |before, row| {
        row.received.filter(|received| *received <= before)
    })
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
    use url::Url;

    use super::*;
    use rows::{RowKey, RowSpan};

    const POISONED: &str = r#"{"StartDate":"\"2026-03-26T15:43:20.2718704Z\"","EndDate":"\"2026-03-28T13:04:13.0580000Z\"","StartingRecipientAddress":"\"o\\\"neil>>>???@example.com\"","ResultSize":"\"1000\""}"#;
    const SOUND: &str = r#"{"StartDate":"2026-03-26T15:43:20.2718704Z","EndDate":"2026-03-28T13:04:13.0580000Z","StartingRecipientAddress":"o\"neil>>>???@example.com","ResultSize":"1000"}"#;

    #[test]
    fn poisoned_tokens_are_unwrapped_once() {
        let padded = BASE64_STANDARD.encode(POISONED);
        assert_eq!(
            unwrapped_token(&padded).unwrap(),
            BASE64_STANDARD.encode(SOUND)
        );
        let url_safe = BASE64_URL_SAFE_NO_PAD.encode(format!("{POISONED}  "));
        let repaired = unwrapped_token(&url_safe).unwrap();
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD
                .decode(repaired.trim_end_matches('='))
                .unwrap(),
            SOUND.as_bytes()
        );
        for token in [
            BASE64_STANDARD_NO_PAD.encode(SOUND),
            BASE64_STANDARD.encode("[\"\\\"a\\\"\"]"),
            "1999".to_owned(),
            "RFNwdAIAAQAAAA".to_owned(),
            "%%%".to_owned(),
        ] {
            assert_eq!(unwrapped_token(&token), None, "{token}");
        }
    }

    #[test]
    fn the_rest_of_the_link_stays() {
        let url: Url = "https://graph.test/v1.0/x".parse().unwrap();
        let link = |token: &str| {
            let token: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
            Link::resolve(&url, &format!("?$top=5&%24skiptoken={token}&a=b+c%20d")).unwrap()
        };
        let repaired = unwrapped(&link(&BASE64_STANDARD.encode(POISONED))).unwrap();
        assert_eq!(repaired, link(&BASE64_STANDARD.encode(SOUND)));
        assert_eq!(unwrapped(&repaired), None);
        assert_eq!(unwrapped(&Link::resolve(&url, "?a=b").unwrap()), None);
    }

    #[test]
    fn the_remainder_covers_what_was_not_kept() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        let window = Window::new(at(0), at(10_000)).unwrap();
        let rest = |reached| remainder(window, at(reached)).map(|rest| rest.end());
        assert_eq!(rest(5000), Some(at(6000)));
        assert_eq!(rest(5058), Some(at(5059)));
        assert_eq!(rest(9500), Some(at(9501)));
        assert_eq!(rest(9000), None);
        assert_eq!(rest(9999), None);
        assert_eq!(rest(-5000), None);
    }

    #[test]
    fn a_page_without_the_row_that_it_goes_on_from_is_cut_off() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        let cut_off = |received: &[i64], reached| {
            let row = |received: &i64| {
                let received = Some(at(*received));
                RowSpan::new(0..2, RowKey::from_bytes([1; 12]), received).unwrap()
            };
            let rows = received.iter().map(row).collect();
            is_cut_off(&Page::<()>::of("{}", rows, None).unwrap(), at(reached))
        };
        assert!(!cut_off(&[5501, 5500, 4000], 5500));
        assert!(cut_off(&[5000, 4000], 5500) && cut_off(&[], 5500));
        // Of a full second it would tell nothing: the rows of the next one may fill the page.
        assert!(!cut_off(&[6000], 5000));
    }

    #[test]
    fn how_far_rows_reach_is_known_when_they_come_newest_first() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        let reached = |received: &[Option<i64>]| {
            let row = |received: &Option<i64>| {
                RowSpan::new(0..2, RowKey::from_bytes([1; 12]), received.map(at)).unwrap()
            };
            let rows = received.iter().map(row).collect();
            let page = Page::<()>::of("{}", rows, None).unwrap();
            super::reached(&page, at(9)).map(|at| at.timestamp_millis())
        };
        assert_eq!(reached(&[]), Some(9));
        assert_eq!(reached(&[Some(9), Some(7), Some(7)]), Some(7));
        assert_eq!(reached(&[Some(7), Some(8)]), None);
        assert_eq!(reached(&[Some(10)]), None);
        assert_eq!(reached(&[Some(7), None]), None);
    }
}
