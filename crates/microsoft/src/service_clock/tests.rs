use std::time::Duration;

use super::*;

/// A service, a machine, and what the one learns of the other. All in seconds since the beginning.
struct Site {
    origin: Instant,
    clock: ServiceClock,
    /// How far the service's clock is ahead of the truth.
    service: i64,
    /// How far the local clock is ahead of the truth.
    local: i64,
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

impl Site {
    fn new(service: i64, local: i64) -> Self {
        let origin = Instant::now();
        Self {
            origin,
            clock: ServiceClock::new(origin),
            service,
            local,
        }
    }

    fn reading(&self, second: u64) -> Reading {
        Reading {
            wall: at(second as i64 + self.local),
            instant: self.origin + Duration::from_secs(second),
        }
    }

    /// The service answers within this second; its `Date` lies by so much.
    fn answer(&mut self, second: u64, lie: i64) -> &mut Self {
        self.see(second, Some(at(second as i64 + self.service + lie)))
    }

    fn see(&mut self, second: u64, date: Option<DateTime<Utc>>) -> &mut Self {
        let received = self.reading(second);
        let sent = received.instant;
        self.clock.see(Sighting {
            date,
            sent,
            received,
            shown: None,
        });
        self
    }

    /// The same with a page whose newest row was received at that second of the truth.
    fn shows(&mut self, second: u64, lie: i64, newest: i64) -> &mut Self {
        let received = self.reading(second);
        self.clock.see(Sighting {
            date: Some(at(second as i64 + self.service + lie)),
            sent: received.instant,
            received,
            shown: Some(at(newest + self.service)),
        });
        self
    }

    /// How far the known time is ahead of the truth, and whether it is certain.
    fn time(&mut self, second: u64) -> (i64, Option<i64>) {
        let reading = self.reading(second);
        let off = |time: DateTime<Utc>| (time - at(second as i64)).num_seconds();
        let SourceTime { now, certain, .. } = self.clock.time(reading);
        (off(now), certain.map(off))
    }

    fn skew(&mut self, second: u64) -> Option<i64> {
        let reading = self.reading(second);
        self.clock.time(reading).skew.map(|skew| skew.num_seconds())
    }
}

#[test]
fn one_answer_confirms_a_clock_that_is_right() {
    let mut site = Site::new(0, 0);
    assert_eq!(site.time(0), (0, None), "nobody has confirmed it");
    assert_eq!(site.answer(1, 0).time(2), (0, Some(0)));
    assert_eq!(site.skew(2), Some(0));
    // Two seconds are the same, and no more.
    let mut site = Site::new(2, 0);
    assert_eq!(site.answer(1, 0).time(2), (2, Some(0)), "the earlier one");
    let mut site = Site::new(-3, 0);
    assert_eq!(site.answer(1, 0).time(2), (-2, Some(-3)), "with the tick");
    let mut site = Site::new(3, 0);
    assert_eq!(site.answer(1, 0).time(2), (0, None));
    let mut site = Site::new(-4, 0);
    assert_eq!(site.answer(1, 0).time(2), (-4, None), "never the future");
}

#[test]
fn a_skew_takes_three_answers_and_a_large_one_five() {
    for (skew, needed) in [
        (-4, 3),
        (3, 3),
        (-301, 3),
        (300, 3),
        (-302, 5),
        (301, 5),
        (-7200, 5),
        (100 * 86_400, 5),
    ] {
        let mut site = Site::new(skew, 0);
        for second in 1..needed {
            site.answer(second, 0);
            assert_eq!(site.time(second).1, None, "{skew} after {second}");
        }
        site.answer(needed, 0);
        let certain = skew.min(0);
        assert_eq!(site.time(needed), (skew, Some(certain)), "{skew}");
        assert_eq!(site.skew(needed + 5), Some(skew));
    }
}

#[test]
fn a_lie_never_counts_while_most_answers_are_true() {
    for lie in [-3 * 3600, 3 * 3600, -60, 60, 100 * 86_400] {
        for (service, local) in [(0, 0), (0, -2 * 86_400), (0, 7200), (-240, 0)] {
            let mut site = Site::new(service, local);
            let mut agreed = false;
            for second in 0..60 {
                let lies = second % 3 == 0;
                site.answer(second, if lies { lie } else { 0 });
                let (now, certain) = site.time(second);
                agreed |= certain.is_some();
                if agreed {
                    assert_eq!((now, certain), (service, Some(service.min(local))));
                }
            }
            assert!(agreed, "{lie} {service} {local}");
        }
    }
}

#[test]
fn liars_who_agree_are_still_outvoted_by_the_local_clock_and_one_answer() {
    let mut site = Site::new(0, 0);
    site.answer(1, -900).answer(2, -900);
    assert_eq!(site.time(2).1, None);
    assert_eq!(site.answer(3, 0).time(3), (0, Some(0)));
    // Once it is known, five are needed to say that it is so far off.
    for second in 4..6 {
        assert_eq!(site.answer(second, -900).time(second), (0, Some(0)));
    }
}

#[test]
fn a_service_whose_clock_is_set_is_followed() {
    let mut site = Site::new(0, 0);
    (0..8).for_each(|second| {
        site.answer(second, 0);
    });
    site.service = -60;
    for second in 8..12 {
        assert_eq!(site.answer(second, 0).time(second), (0, Some(0)));
    }
    // Five of eight, against three and the local clock.
    site.answer(12, 0);
    assert_eq!(site.time(12), (-60, Some(-60)));
}

#[test]
fn after_a_step_of_the_local_clock_answers_judge() {
    for step in [-90, 90, 7200, -2 * 86_400, 100 * 86_400] {
        let mut site = Site::new(0, 0);
        assert_eq!(site.answer(1, 0).time(20), (0, Some(0)));
        site.local = step;
        let (now, certain) = site.time(30);
        assert_eq!((now, certain), (step.min(0), None), "the earlier of both");
        // It is set right again.
        site.local = 0;
        assert_eq!(site.time(40), (0, None));
        assert_eq!(site.answer(41, 0).time(41), (0, Some(0)));
        // Or it stays so.
        site.local = step;
        for second in 50..55 {
            site.answer(second, 0);
        }
        assert_eq!(site.time(60), (0, Some(step.min(0))));
    }
}

#[test]
fn a_machine_that_slept_learns_the_time_anew() {
    let mut site = Site::new(0, 0);
    assert_eq!(site.answer(1, 0).time(20), (0, Some(0)));
    // Eight hours pass that the monotonic clock does not count.
    (site.service, site.local) = (8 * 3600, 8 * 3600);
    assert_eq!(site.time(30), (0, None), "not the future");
    site.answer(31, 0);
    assert_eq!(site.time(31), (8 * 3600, Some(8 * 3600)));
}

#[test]
fn without_dates_the_local_clock_is_all_there_is() {
    let mut site = Site::new(0, 7200);
    // One or two may come out of a cache.
    assert_eq!(site.see(1, None).see(1, None).time(1), (7200, None));
    assert_eq!(site.see(1, None).time(1), (7200, Some(7200)));
    assert_eq!(site.skew(1), None);
    // Answers that tell the time are listened to as soon as they come.
    for second in 2..7 {
        site.answer(second, 0);
    }
    assert_eq!(site.time(8), (0, Some(0)));
    // One without changes nothing.
    assert_eq!(site.see(9, None).time(9), (0, Some(0)));
    // Before anything is agreed, it is no vote for the local clock either.
    let mut site = Site::new(0, 7200);
    site.answer(1, 0).see(2, None).see(2, None).see(2, None);
    assert_eq!(site.time(2), (0, None));
}

#[test]
fn dates_that_never_agree_are_worth_nothing_in_the_end() {
    let mut site = Site::new(0, 0);
    for second in 0..23 {
        site.answer(second, 1000 * (second as i64 + 1));
        assert_eq!(site.time(second).1, None, "{second}");
    }
    site.answer(23, 1_000_000);
    assert_eq!(site.time(24), (0, Some(0)));
}

#[test]
fn slow_answers_tell_less() {
    let mut site = Site::new(0, 0);
    let origin = site.origin;
    let received = site.reading(100);
    // Written at some time within 100 s.
    site.clock.see(Sighting {
        date: Some(at(10)),
        sent: origin,
        received,
        shown: None,
    });
    assert_eq!(site.time(100), (0, Some(-90)), "the local clock tells more");
    site.answer(101, 0);
    assert_eq!(site.time(102), (0, Some(0)));
}

#[test]
fn a_known_time_gets_better_with_each_answer_and_gives_way_only_to_more_votes() {
    let mut site = Site::new(60, 0);
    for second in 3..6 {
        let received = site.reading(second);
        // Written at some time within 2 s.
        site.clock.see(Sighting {
            date: Some(at(second as i64 + 59)),
            sent: received.instant - Duration::from_secs(2),
            received,
            shown: None,
        });
    }
    assert_eq!(site.time(6), (59, Some(0)));
    assert_eq!(site.answer(6, 0).time(6), (60, Some(0)));
    // As many others do not count, and one more does.
    for second in 7..11 {
        assert_eq!(site.answer(second, 120).time(second), (60, Some(0)));
    }
    assert_eq!(site.answer(11, 120).time(11), (180, Some(0)));
}

#[test]
fn what_was_confirmed_just_now_is_not_doubted() {
    let mut site = Site::new(0, 0);
    site.answer(1, 0);
    let doubt = |site: &mut Site, second| {
        let now = site.reading(second).instant;
        site.clock.doubt(now);
        site.time(second)
    };
    assert_eq!(doubt(&mut site, 60), (0, Some(0)));
    assert_eq!(doubt(&mut site, 61), (0, None));
    assert_eq!(site.answer(62, 0).time(62), (0, Some(0)));
    // A lie confirms nothing.
    site.answer(125, 5000);
    assert_eq!(doubt(&mut site, 126), (0, None));
}

#[test]
fn answers_that_hardly_ever_tell_the_time_do_not_keep_it_unknown() {
    for told in 0..3 {
        let mut site = Site::new(300, 0);
        for second in 0..told {
            site.answer(second, 0);
        }
        assert_eq!(site.time(told).1, None);
        let mut answers = told;
        while site.time(answers).1.is_none() {
            assert!(answers < u64::from(HOPELESS), "it never ends");
            site.see(answers, None);
            answers += 1;
        }
        assert_eq!(site.time(answers), (0, Some(0)));
    }
}

#[test]
fn a_service_that_says_that_it_is_earlier_is_believed() {
    // Its dates are ten minutes ahead of what it knows, always.
    let mut site = Site::new(600, 0);
    (1..6).for_each(|second| {
        site.answer(second, 0);
    });
    assert_eq!(site.time(6), (600, Some(0)));
    // A local clock that is far behind would be no better: it counts when that does not help.
    site.clock.is_earlier();
    assert_eq!(site.time(7), (600, Some(0)));
    site.clock.is_earlier();
    assert_eq!(site.time(7), (0, Some(0)));
    assert_eq!(site.skew(7), Some(600), "what its dates say is still told");
    // One that is a hundred days behind counts no further than the service insists.
    let mut site = Site::new(0, -100 * 86_400);
    (1..6).for_each(|second| {
        site.answer(second, 0);
    });
    let mut told = Vec::new();
    for _ in 0..4 {
        site.clock.is_earlier();
        told.push(site.time(7).0);
    }
    assert_eq!(told, [0, -900, -3600, -14_400]);
    for _ in 0..100 {
        site.clock.is_earlier();
    }
    assert_eq!(site.time(7).0, -100 * 86_400);
    // Within the second that a date has, it is the earlier end.
    let mut site = Site::new(-2, 0);
    assert_eq!(site.answer(1, 0).time(1), (-1, Some(-2)));
    site.clock.is_earlier();
    assert_eq!(site.time(2), (-2, Some(-2)));
}

/// Else each window is asked for until the service's clock has come to its end.
#[test]
fn without_dates_a_service_that_says_that_it_is_earlier_is_believed_too() {
    let mut site = Site::new(0, 120);
    (1..4).for_each(|second| {
        site.see(second, None);
    });
    assert_eq!(site.time(4), (120, Some(120)));
    let mut told = Vec::new();
    for _ in 0..3 {
        site.clock.is_earlier();
        told.push(site.time(4));
    }
    let expected = [118, 112, 88].map(|ahead| (ahead, Some(ahead)));
    assert_eq!(told, expected);
    assert_eq!(site.skew(4), None);
    // The clock is set right.
    site.local = 0;
    assert_eq!(site.time(5), (0, None));
    (5..8).for_each(|second| {
        site.see(second, None);
    });
    assert_eq!(site.time(8), (0, Some(0)));
}

/// Else all since would be taken back, and rows that are forgotten would come twice.
#[test]
fn no_service_is_earlier_than_what_has_surely_passed() {
    for tells in [false, true] {
        let mut site = Site::new(0, if tells { -86_400 } else { 0 });
        site.clock.has_passed(at(-600));
        for second in 1..9 {
            match tells {
                true => site.answer(second, 0),
                false => site.see(second, None),
            };
        }
        assert_eq!(site.time(9).0, 0, "{tells}");
        for _ in 0..20 {
            site.clock.is_earlier();
        }
        assert_eq!(site.time(9).0, -600, "{tells}");
    }
}

#[test]
fn dates_at_the_end_of_time_are_no_dates() {
    let mut site = Site::new(0, 0);
    for date in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        (0..9).for_each(|second| {
            site.see(second, Some(date));
        });
        _ = site.time(10);
    }
    assert_eq!(site.answer(11, 0).time(12), (0, Some(0)));
}

#[test]
fn questions_for_the_time_suit_every_clock() {
    let asked = |number| question(number, at(0)).map(|window| (at(0) - window.end()).num_minutes());
    let all: Vec<_> = (0..=QUESTIONS).map(asked).collect();
    let day = 24 * 60;
    let back = [
        Some(1),
        None,
        Some(60),
        Some(day),
        Some(9 * day),
        Some(28 * day),
        Some(1),
    ];
    assert_eq!(all, back);
    assert_eq!(question(0, at(0)).unwrap().span(), TimeDelta::minutes(1));
    assert_eq!(question(0, DateTime::<Utc>::MIN_UTC), None);
}

#[test]
fn a_clock_that_is_off_by_more_than_a_hundred_years_is_none() {
    let hundred = 36_500 * 86_400;
    for (off, is_told) in [(hundred, true), (hundred + 1, false), (-hundred - 2, false)] {
        let mut site = Site::new(off, 0);
        for second in 1..=10 {
            site.answer(second, 0);
        }
        assert_eq!(site.skew(11).is_some(), is_told, "{off}");
    }
}

#[test]
fn a_date_that_is_earlier_than_a_row_is_nobody_s() {
    const YEAR: i64 = 365 * 86_400;
    let mut site = Site::new(0, 100_000);
    for second in 0..6 {
        site.shows(second, 0, second as i64 - 60);
    }
    assert_eq!(site.time(6), (0, Some(0)), "five agree");
    for second in 10..30 {
        site.answer(second, -YEAR);
    }
    assert_eq!(site.time(30), (0, Some(0)), "however many lie");
    for second in 31..39 {
        site.answer(second, -200);
    }
    assert_eq!(site.time(39).0, -200, "clocks of one service may differ");
    let mut sleeping = Site::new(0, 100_000);
    for second in 0..6 {
        sleeping.shows(second, YEAR, second as i64);
    }
    assert_eq!(
        sleeping.time(6).0,
        YEAR,
        "a later time is none that rows contradict"
    );
}

#[test]
fn a_date_that_is_earlier_than_what_has_surely_passed_is_nobody_s() {
    const YEAR: i64 = 365 * 86_400;
    let mut site = Site::new(0, 0);
    site.clock.has_passed(at(-3600));
    for second in 0..6 {
        site.answer(second, -YEAR);
    }
    assert_eq!(site.time(6).1, None, "nor a sign that no time is told");
    assert_eq!(site.answer(7, 0).time(7), (0, Some(0)));
    let mut site = Site::new(0, 0);
    site.clock.has_passed(at(-3600));
    for second in 0..u64::from(HOPELESS) {
        assert_eq!(site.time(second).1, None, "{second}");
        site.answer(second, -YEAR);
    }
    assert_eq!(site.time(30), (0, Some(0)), "the local clock is left");
    assert_eq!(site.skew(30), None);
}

#[test]
fn a_clock_that_was_never_set_tells_no_time() {
    for date in [
        "1900-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        let mut site = Site::new(0, 0);
        for second in 0..u64::from(SILENT) {
            assert_eq!(site.time(second).1, None, "{date}");
            site.see(second, Some(date.parse().unwrap()));
        }
        assert_eq!(
            site.time(9),
            (0, Some(0)),
            "{date}: as if none told the time"
        );
    }
}

/// What lies between would be taken back, and come twice.
#[test]
fn a_local_clock_that_is_earlier_than_what_has_passed_is_waited_for() {
    const DAY: u64 = 86_400;
    let mut site = Site::new(0, -100 * DAY as i64);
    site.clock.has_passed(at(-3600));
    for second in 0..30 {
        assert_eq!(site.see(second, None).time(second).1, None, "{second}");
    }
    let now = site.reading(30).instant;
    assert_eq!(site.clock.contradiction(now), Some(at(30 - 3600)));
    // It is set right.
    site.local = 0;
    for second in 31..33 {
        assert_eq!(site.see(second, None).time(second).1, None, "{second}");
    }
    assert_eq!(site.see(33, None).time(33), (0, Some(0)));
    assert_eq!(site.clock.contradiction(now), None);

    // It stays so: what is kept may be wrong itself.
    let mut site = Site::new(0, -7200);
    site.clock.has_passed(at(-3600));
    for second in [1, 2, 3, DAY, DAY + 2] {
        assert_eq!(site.see(second, None).time(second).1, None, "{second}");
    }
    let second = DAY + 3;
    assert_eq!(site.see(second, None).time(second), (-7200, Some(-7200)));

    // An answer that tells the time is listened to meanwhile, and what is earlier by minutes is right.
    let mut site = Site::new(0, -7200);
    site.clock.has_passed(at(-3600));
    site.see(1, None).see(2, None).see(3, None);
    for second in 4..9 {
        site.answer(second, 0);
    }
    assert_eq!(site.time(9), (0, Some(-7200)));
    let now = site.reading(9).instant;
    assert_eq!(site.clock.contradiction(now), None);
    let mut site = Site::new(0, -3600 - 299);
    site.clock.has_passed(at(-3600));
    site.see(1, None).see(1, None).see(1, None);
    assert_eq!(site.time(1), (-3899, Some(-3899)));
}

/// Else the one answer that tells the time would have a wrong clock believed.
#[test]
fn dates_that_may_be_right_are_waited_for_where_the_local_clock_cannot_be() {
    let mut site = Site::new(0, -7200);
    site.clock.has_passed(at(-3600));
    for second in 0..u64::from(HOPELESS) {
        site.see(second, None);
    }
    for second in 30..34 {
        site.answer(second, 0).see(second, None);
        assert_eq!(site.time(second).1, None, "{second}");
    }
    assert_eq!(site.answer(34, 0).time(34), (0, Some(-7200)));
}

/// Else a machine that sleeps once a day would wait for ever.
#[test]
fn a_step_of_a_clock_that_stays_wrong_begins_no_new_wait() {
    const DAY: u64 = 86_400;
    let mut site = Site::new(0, -7200);
    site.clock.has_passed(at(-3600));
    site.see(1, None).see(2, None).see(3, None);
    site.local = -9000;
    for second in [DAY, DAY + 2] {
        assert_eq!(site.see(second, None).time(second).1, None, "{second}");
        let now = site.reading(second).instant;
        assert_eq!(site.clock.contradiction(now), None, "it is asked for anew");
    }
    let second = DAY + 3;
    assert_eq!(site.see(second, None).time(second), (-9000, Some(-9000)));

    // An answer that tells the time ends it.
    let mut site = Site::new(0, -7200);
    site.clock.has_passed(at(-3600));
    site.see(1, None).see(2, None).see(3, None);
    for second in 4..9 {
        site.answer(second, 0);
    }
    for second in 10..40 {
        assert_eq!(site.see(second, None).time(second), (0, Some(-7200)));
    }
    site.local = -9000;
    for second in [DAY, DAY + 1, DAY + 2] {
        assert_eq!(site.see(second, None).time(second).1, None, "{second}");
    }
}
