use super::*;
use crate::verify::VerifyWork;

fn at(text: &str) -> DateTime<Utc> {
    format!("2026-11-{text}:00Z").parse().unwrap()
}

fn quiet(first: u32) -> QuietHours {
    QuietHours {
        first,
        counted: true,
    }
}

fn nights(first: u32, now: &str) -> Nights {
    let standing = StandingOrder::new(Uuid::new_v4(), 72);
    Nights::of(&standing, None, quiet(first), at(now))
}

fn verdict(hour: &str, finding: Finding) -> Verdict {
    serde_json::from_value(serde_json::json!({
        "order": Uuid::nil(), "hour": at(hour), "at": at("30T00:00"), "finding": finding, "parts": [],
        "accepted": 0, "shown": 0, "statuses_differ": null,
        "notes": {"late": 0, "dead_letters": 0, "first_read": null, "last_read": null},
    }))
    .unwrap()
}

#[test]
fn the_three_hours_with_the_fewest_rows_are_quiet_also_across_midnight() {
    let mut counts = [(7, 700); DAY];
    assert_eq!(QuietHours::of(&counts), quiet(2), "all are alike");
    for hour in [23, 0, 1] {
        counts[hour] = (7, 70);
    }
    assert_eq!(QuietHours::of(&counts), quiet(23));
    // Counted less often, not less mail.
    counts[12] = (1, 100);
    counts[13] = (1, 100);
    counts[14] = (1, 100);
    assert_eq!(QuietHours::of(&counts), quiet(23));
    counts[5] = (0, 0);
    let usual = QuietHours {
        first: 2,
        counted: false,
    };
    assert_eq!(QuietHours::of(&counts), usual, "an hour is not known");
}

#[test]
fn one_is_due_in_the_quiet_hours_or_when_a_day_has_passed() {
    for (ordered, next) in [
        ("10T01:59", "10T02:00"),
        ("10T04:59", "10T02:00"),
        ("10T05:00", "11T02:00"),
    ] {
        assert_eq!(nights(2, ordered).next, at(next), "{ordered}");
    }
    let nights = nights(23, "10T12:00");
    for (now, due, begins) in [
        ("10T22:59", false, "10T23:00"),
        ("10T23:00", true, "10T23:00"),
        ("11T01:59", true, "11T01:59"),
        ("11T02:00", false, "11T23:00"),
        ("11T22:59", false, "11T23:00"),
        ("11T23:00", true, "11T23:00"),
        // A clock that ran ahead has named it.
        ("08T22:59", true, "08T22:59"),
        ("08T23:00", false, "10T23:00"),
        // It was not running at night, again and again.
        ("12T12:00", true, "12T12:00"),
    ] {
        assert_eq!(nights.is_due(at(now)), due, "{now}");
        assert_eq!(nights.begins(at(now)), at(begins), "{now}");
    }
}

#[test]
fn the_next_one_is_due_a_day_later_also_when_other_hours_are_quiet_then() {
    for (first, begun, ended, next) in [
        (2, "10T02:00", "10T02:20", "11T02:00"),
        (4, "10T02:00", "10T02:20", "11T04:00"),
        (1, "10T02:00", "10T02:20", "11T01:00"),
        (2, "10T02:00", "11T12:00", "12T02:00"),
        (2, "10T15:00", "10T15:20", "11T02:00"),
        (2, "10T15:00", "11T03:00", "12T02:00"),
    ] {
        let mut nights = nights(first, "09T12:00");
        nights.wait_a_day(at(begun), at(ended));
        assert_eq!(nights.next, at(next), "{first} {begun} {ended}");
    }
}

#[test]
fn what_was_not_final_is_verified_by_the_next_one() {
    let mut nights = nights(2, "10T12:00");
    let range = |nights: &Nights, now: &str| {
        let (oldest, closed) = (at("01T00:00"), at("10T01:00"));
        nights.range(24, oldest, closed, at(now)).unwrap()
    };
    let first = range(&nights, "10T02:30");
    assert_eq!(
        (first.start(), first.end()),
        (at("09T02:00"), at("10T01:00"))
    );
    let verdicts = [
        verdict("09T02:00", Finding::Proven),
        verdict("09T03:00", Finding::Many),
        verdict("09T04:00", Finding::Open),
        verdict("09T05:00", Finding::Proven),
    ];
    let order = VerifyOrder::new(
        Uuid::new_v4(),
        first,
        (String::new(), String::new()),
        VerifyWork { resend: false },
    );
    nights.ended(&order, [at("10T02:30"), at("10T02:40")], 4, &verdicts);
    let last = nights.last.clone().unwrap();
    assert_eq!((last.unproven(), last.hours[&Finding::Proven]), (1, 2));
    assert_eq!(nights.next, at("11T02:00"));
    // The trigger stood still: what lies between is verified, too, as far back as Microsoft keeps rows.
    assert_eq!(range(&nights, "20T02:30").start(), at("09T04:00"));
    let kept = nights.range(24, at("09T20:30"), at("20T01:00"), at("20T02:30"));
    assert_eq!(kept.unwrap().start(), at("09T20:00"));
    // Once more what the last one has verified: a row may have been added since.
    nights.ended(&order, [at("10T02:30"), at("10T02:40")], 2, &verdicts[..2]);
    assert_eq!(range(&nights, "10T08:30").start(), at("09T08:00"));
    let nothing = nights.range(24, at("01T00:00"), at("09T08:00"), at("10T08:30"));
    assert_eq!(nothing, None);
    // Verdicts were lost to damage: of their hours nothing is said, and they are verified once more.
    nights.ended(&order, [at("10T02:30"), at("10T02:40")], 4, &verdicts[..1]);
    assert_eq!(nights.last.as_ref().unwrap().unproven(), 3);
    assert_eq!(nights.until, Some(first.start()));
}

#[test]
fn a_standing_order_that_reaches_back_for_ever_is_one_that_reaches_back_far() {
    let nights = nights(2, "10T02:30");
    let oldest = at("01T00:00");
    let range = nights.range(u32::MAX, oldest, at("10T01:00"), at("10T02:30"));
    assert_eq!(range.unwrap().start(), oldest);
}
