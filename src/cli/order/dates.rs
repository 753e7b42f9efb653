//! Dates as people write them.

use chrono::{
    DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound, TimeDelta, TimeZone, Utc,
};
use clap::Args;
use rows::Window;

use crate::triggers::{backfill::Reach, order_time::OrderTime};

// The range that a command is about.
#[derive(Debug, Args)]
pub(in crate::cli) struct RangeArguments {
    /// The beginning of the range.
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    pub(in crate::cli) from: Option<String>,
    /// The end of the range.
    #[arg(
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        default_value = "now",
        requires = "from"
    )]
    to: String,
}

impl RangeArguments {
    /// Both as they were written; none without a beginning.
    pub(in crate::cli) fn words(&self) -> Option<(String, String)> {
        Some((self.from.clone()?, self.to.clone()))
    }
}

/// The range that these words mean to a person in a time zone.
pub(in crate::cli) fn range(
    (from, to): (&str, &str),
    time: &OrderTime,
    reach: Reach,
    zone: &impl TimeZone,
) -> Result<Window, String> {
    // Rows have no finer times that matter, and states are easier to read.
    let [now, earliest, latest] =
        [time.now(), time.earliest(), time.latest()].map(|at| at.trunc_subsecs(0));
    let start = parse("--from", from, now, zone)?;
    let end = parse("--to", to, now, zone)?;
    for (option, at) in [("--from", start), ("--to", end)] {
        if at > latest {
            return Err(format!(
                "{option} lies in the future, at {}: nothing is received yet{}",
                text(at),
                time.doubt()
            ));
        }
    }
    let Reach { service, kept, .. } = reach;
    let days = kept.num_days();
    if start < earliest - kept {
        return Err(format!(
            "{service} keeps rows for {days} days: --from is {}, and the oldest that can be had is \
             --from {}{}",
            text(start),
            text(reach.oldest(earliest)),
            time.doubt()
        ));
    }
    // Who writes the number of days that are kept means all that there is. Of what is older by one of two
    // clocks alone, the service says whether it is gone.
    let start = match start < now - kept {
        true => start,
        false => start.max(reach.oldest(now)),
    };
    Window::new(start, end).ok_or_else(|| {
        format!(
            "--from ({}) must lie before --to ({})",
            text(start),
            text(end)
        )
    })
}

/// Whether these words mean another time on another day.
pub(in crate::cli) fn depend_on_now((from, to): &(String, String)) -> bool {
    [from, to].into_iter().any(|text| {
        let text = text.trim().to_lowercase();
        text.starts_with('-') || ["now", "today", "yesterday"].contains(&text.as_str())
    })
}

fn text(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn parse(
    option: &str,
    text: &str,
    now: DateTime<Utc>,
    zone: &impl TimeZone,
) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let at = match text.strip_prefix('-') {
        Some(ago) => ago_of(ago).and_then(|ago| now.checked_sub_signed(ago)),
        None => date(text, now).or_else(|| own_date(text, now, zone)),
    };
    at.map(|at| at.trunc_subsecs(0)).ok_or_else(|| {
        format!(
            "{option} {text:?} is not a date: write a day such as 2026-11-01 (UTC), a time such as \
             2026-11-01T08:30+01:00, a month or a day in your time zone such as 2026-11, yesterday or \
             today, or how long ago, such as -7d, -36h or -1d12h"
        )
    })
}

fn date(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if text.eq_ignore_ascii_case("now") {
        return Some(now);
    }
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    // A blank may also stand before the zone.
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let text = &format!("{day}T{time}");
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(zoned.to_utc());
    }
    let mut with_zone = ["%Y-%m-%dT%H:%M%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"].iter();
    let zoned = with_zone.find_map(|form| DateTime::parse_from_str(text, form).ok());
    if let Some(zoned) = zoned {
        return Some(zoned.to_utc());
    }
    let mut in_utc = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"].iter();
    let utc = in_utc.find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    utc.map(|utc| utc.and_utc())
}

/// The beginning of a day or month in a person's own zone.
fn own_date(text: &str, now: DateTime<Utc>, zone: &impl TimeZone) -> Option<DateTime<Utc>> {
    let today = now.with_timezone(zone).date_naive();
    let day = match text.to_lowercase().as_str() {
        "today" => today,
        "yesterday" => today.checked_sub_days(Days::new(1))?,
        month if month.len() == "2026-11".len() => {
            NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").ok()?
        }
        _ => return None,
    };
    let midnight = day.and_time(NaiveTime::MIN);
    // Where clocks are set at midnight, the day begins an hour later.
    let later = midnight + TimeDelta::hours(1);
    let found = zone.from_local_datetime(&midnight).earliest();
    let found = found.or_else(|| zone.from_local_datetime(&later).earliest());
    found.map(|begins| begins.to_utc())
}

/// How long ago, without the sign: numbers, each with its unit.
fn ago_of(text: &str) -> Option<TimeDelta> {
    let mut ago = TimeDelta::zero();
    for part in text.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
        let unit = part.chars().last()?;
        let count = part.strip_suffix(unit)?;
        let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count: i64 = is_number.then(|| count.parse().ok()).flatten()?;
        let span = match unit {
            'w' => TimeDelta::try_weeks(count),
            'd' => TimeDelta::try_days(count),
            'h' => TimeDelta::try_hours(count),
            'm' => TimeDelta::try_minutes(count),
            _ => None,
        };
        ago = ago.checked_add(&span?)?;
    }
    (!text.is_empty()).then_some(ago)
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
        by(&OrderTime::by(now()), from, to)
    }

    fn by(time: &OrderTime, from: &str, to: &str) -> Result<Window, String> {
        range(
            (from, to),
            time,
            REACH,
            &chrono::FixedOffset::east_opt(3600).unwrap(),
        )
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
            ("-1d12h", "2026-11-20T22:00:00Z"),
            ("2026-11-01T08:30+01:00", "2026-11-01T07:30:00Z"),
            ("2026-11-01T08:30 +01:00", "2026-11-01T07:30:00Z"),
            ("2026-11-01 08:30 +01:00", "2026-11-01T07:30:00Z"),
            ("2026-11-01t08:30:00z", "2026-11-01T08:30:00Z"),
            ("2026-11-01 08:30Z", "2026-11-01T08:30:00Z"),
            ("2026-11-01T08:30-0530", "2026-11-01T14:00:00Z"),
            ("today", "2026-11-21T23:00:00Z"),
            ("Yesterday", "2026-11-20T23:00:00Z"),
            ("2026-11", "2026-10-31T23:00:00Z"),
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
            "-7",
            "-d",
            "-1d12",
            "-99999999999999w",
            "2026-13",
            "26-11",
            "tomorrow",
            "-7y",
            "--7d",
            "2026-13-01",
            "01.11.2026",
        ] {
            let sentence = refused(words, "now");
            assert!(sentence.contains("is not a date: write"), "{sentence}");
        }
    }

    /// Else what can be had is refused, or left out.
    #[test]
    fn of_two_clocks_that_may_be_right_neither_refuses_alone() {
        let days = TimeDelta::days;
        for ahead in [2, -2] {
            let service = now() + days(ahead);
            let window = |is_sure, from: DateTime<Utc>, to: &str| {
                by(&OrderTime::beside(now(), service, is_sure), &text(from), to)
            };
            let till = service.trunc_subsecs(0);
            for is_sure in [true, false] {
                let (oldest, later) = (service - days(89), service - days(1));
                let read = window(is_sure, oldest, "now").unwrap();
                assert_eq!((read.start(), read.end()), (oldest.trunc_subsecs(0), till));
                assert!(window(is_sure, later, &text(service)).is_ok());
                let time = OrderTime::beside(now(), service, is_sure);
                let all = by(&time, "-90d", "-12h").unwrap();
                assert_eq!(all.end(), till - TimeDelta::hours(12));
                assert_eq!(all.start(), REACH.oldest(till));
            }
            let is_refused = |is_sure| {
                let early = window(is_sure, service - days(91), "now").is_err();
                let late = window(is_sure, now() - days(5), &text(now())).is_err();
                (early, late)
            };
            assert_eq!(is_refused(true), (true, ahead < 0));
            assert_eq!(is_refused(false), (ahead < 0, false));
        }
    }

    #[test]
    fn what_depends_on_the_clock_is_known_by_its_words() {
        let depends = |from: &str, to: &str| depend_on_now(&(from.to_owned(), to.to_owned()));
        assert!(depends("-7d", "2026-11-01") && depends("2026-11-01", "Now "));
        assert!(depends("Yesterday", "2026-11-01") && depends("2026-11-01", "today"));
        assert!(!depends("2026-11-01", "2026-11-01T08:30Z") && !depends("2026-10", "2026-11"));
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
