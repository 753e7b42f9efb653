//! Dates as people write them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeDelta, Utc};
use rows::Window;

use crate::triggers::backfill::Reach;

/// The range that these words mean.
pub(super) fn range(
    (from, to): (&str, &str),
    now: DateTime<Utc>,
    reach: Reach,
) -> Result<Window, String> {
    // Rows have no finer times that matter, and states are easier to read.
    let now = now.trunc_subsecs(0);
    let start = parse("--from", from, now)?;
    let end = parse("--to", to, now)?;
    for (option, at) in [("--from", start), ("--to", end)] {
        if at > now {
            return Err(format!(
                "{option} lies in the future, at {}: nothing is received yet",
                text(at)
            ));
        }
    }
    let Reach { service, kept, .. } = reach;
    let days = kept.num_days();
    // Whoever writes the number of days that are kept means all that there is.
    let start = if start >= now - kept {
        start.max(reach.oldest(now))
    } else {
        start
    };
    if start < now - kept {
        return Err(format!(
            "{service} keeps rows for {days} days: --from is {}, and the oldest that can be had is \
             --from {}",
            text(start),
            text(reach.oldest(now))
        ));
    }
    Window::new(start, end).ok_or_else(|| {
        format!(
            "--from ({}) must lie before --to ({})",
            text(start),
            text(end)
        )
    })
}

fn text(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn parse(option: &str, text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let at = match text.strip_prefix('-') {
        Some(ago) => ago_of(ago).and_then(|ago| now.checked_sub_signed(ago)),
        None => date(text, now),
    };
    at.map(|at| at.trunc_subsecs(0)).ok_or_else(|| {
        format!(
            "{option} {text:?} is not a date: write a day such as 2026-11-01 (UTC), a time such as \
             2026-11-01T08:30:00+01:00, or how long ago, such as -7d, -36h or -90m"
        )
    })
}

fn date(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if text.eq_ignore_ascii_case("now") {
        return Some(now);
    }
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(zoned.to_utc());
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    let forms = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ];
    let parsed = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    parsed.map(|utc| utc.and_utc())
}

/// How long ago, without the sign.
fn ago_of(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().last()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let ago = match unit {
        'w' => TimeDelta::try_weeks(count),
        'd' => TimeDelta::try_days(count),
        'h' => TimeDelta::try_hours(count),
        'm' => TimeDelta::try_minutes(count),
        _ => None,
    };
    ago.filter(|ago| *ago >= TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Reach = Reach {
        service: "Microsoft Graph",
        kept: TimeDelta::days(90),
        beside: None,
    };

    fn now() -> DateTime<Utc> {
        "2026-11-22T10:00:00.5Z".parse().unwrap()
    }

    fn window(from: &str, to: &str) -> Result<Window, String> {
        range((from, to), now(), REACH)
    }

    fn refused(from: &str, to: &str) -> String {
        window(from, to).unwrap_err()
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        for (words, meant) in [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T08:30", "2026-11-01T08:30:00Z"),
            (" 2026-11-01 08:30:15 ", "2026-11-01T08:30:15Z"),
            ("2026-11-01T08:30:00+01:00", "2026-11-01T07:30:00Z"),
            ("2026-11-01T08:30:00.25Z", "2026-11-01T08:30:00Z"),
            ("-7d", "2026-11-15T10:00:00Z"),
            ("-36h", "2026-11-20T22:00:00Z"),
            ("-90m", "2026-11-22T08:30:00Z"),
            ("-2w", "2026-11-08T10:00:00Z"),
        ] {
            let meant: DateTime<Utc> = meant.parse().unwrap();
            let window = window(words, "now").unwrap();
            assert_eq!(
                (window.start(), window.end()),
                (meant, now().trunc_subsecs(0))
            );
        }
        for words in [
            "",
            "-",
            "yesterday",
            "-7",
            "-7y",
            "--7d",
            "2026-13-01",
            "01.11.2026",
        ] {
            let sentence = refused(words, "now");
            assert!(sentence.contains("is not a date: write"), "{sentence}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        let sentence = refused("-91d", "now");
        assert_eq!(
            sentence,
            "Microsoft Graph keeps rows for 90 days: --from is 2026-08-23T10:00:00Z, and the oldest \
             that can be had is --from 2026-08-24T10:02:00Z"
        );
        let all = window("-90d", "now").unwrap();
        let oldest = REACH.oldest(now()).trunc_subsecs(0);
        assert_eq!(all.start(), oldest, "all that there is");
        assert!(refused("-1d", "-2d").contains("must lie before --to"));
        assert!(refused("-1d", "-1d").contains("must lie before --to"));
        assert!(refused("2026-11-23", "now").contains("--from lies in the future"));
        assert!(refused("-1d", "2026-11-23").contains("--to lies in the future"));
    }
}
