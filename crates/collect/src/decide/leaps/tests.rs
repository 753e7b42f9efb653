use super::*;

fn since(undone: Option<UndoneLeap>) -> Option<i64> {
    undone.map(|undone| undone.since.timestamp())
}

/// What is doubted after each look: seconds of the source's time, of ours, and how far both clocks are
/// apart.
fn doubted(looks: &[(i64, u64, i64)]) -> Vec<Option<i64>> {
    let (mut leaps, start) = (Leaps::default(), Instant::now());
    let looks = looks.iter().map(|(time, passed, skew)| {
        let now = Moment {
            time: DateTime::from_timestamp(*time, 0).unwrap(),
            instant: start + Duration::from_secs(*passed),
        };
        let skew = Some(TimeDelta::seconds(*skew));
        since(leaps.look(now, skew))
    });
    looks.collect()
}

#[test]
fn what_was_read_while_the_time_ran_ahead_is_doubted_when_it_goes_back() {
    let ahead = [
        (1000, 0, 0),
        (1060, 60, 0),
        (4720, 120, 3600),
        (5320, 720, 3600),
        (1780, 780, 0),
        (1840, 840, 0),
    ];
    assert_eq!(doubted(&ahead), [None, None, None, None, Some(4720), None]);
    let twice = [(1000, 0, 0), (2000, 10, 990), (9000, 20, 0), (1030, 30, 0)];
    assert_eq!(doubted(&twice), [None, None, None, Some(2000)]);
}

/// What is final is not doubted any more when the time goes back.
#[test]
fn nothing_that_was_read_since_a_leap_is_final_until_both_clocks_agree_or_for_a_day() {
    // What is sure after so many seconds, when the local clock says that all of them have passed.
    let sure = |skew: i64, last: u64| {
        let (mut leaps, start) = (Leaps::default(), Instant::now());
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        for (ahead, passed) in [(0, 0), (7200, 60), (7200, last)] {
            let now = Moment {
                time: at(1000 + ahead + i64::try_from(passed).unwrap()),
                instant: start + Duration::from_secs(passed),
            };
            let skew = Some(TimeDelta::seconds(skew));
            assert_eq!(leaps.look(now, skew), None);
        }
        let local = at(1000 + i64::try_from(last).unwrap());
        let now = start + Duration::from_secs(last);
        leaps.surely(local, now).timestamp() - 1000
    };
    assert_eq!(sure(7200, 10_000), 60);
    assert_eq!(sure(7200, 60 + 86_399), 60);
    assert_eq!(sure(7200, 60 + 86_400), 60 + 86_400);
    assert_eq!(sure(0, 60 + 3599), 60);
    assert_eq!(sure(0, 60 + 3600), 60 + 3600, "the machine has slept");
}

/// Else what was read while the time ran ahead is final after a restart, however early that was.
#[test]
fn a_leap_is_doubted_over_a_restart() {
    let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
    let (start, skew) = (Instant::now(), Some(TimeDelta::seconds(3600)));
    let reading = |passed: u64| Reading {
        wall: at(1000 + i64::try_from(passed).unwrap()),
        instant: start + Duration::from_secs(passed),
    };
    let moment = |ahead: i64, passed: u64| Moment {
        time: reading(passed).wall + TimeDelta::seconds(ahead),
        instant: reading(passed).instant,
    };
    let mut leaps = Leaps::default();
    assert_eq!(leaps.kept(reading(0)), None);
    assert_eq!(leaps.look(moment(0, 0), Some(TimeDelta::zero())), None);
    assert_eq!(leaps.look(moment(3600, 60), skew), None);
    assert_eq!(leaps.look(moment(3600, 600), skew), None);
    let kept = leaps.kept(reading(900)).unwrap();
    let kept: KeptLeaps = serde_json::from_value(serde_json::to_value(kept).unwrap()).unwrap();
    let restored = || Leaps::restored(kept.clone(), reading(2000));
    let sure = restored().surely(at(9000), reading(2000).instant);
    assert_eq!(sure, at(1060), "nothing later is final");
    let undone = Some(UndoneLeap {
        since: at(1060 + 3600),
        by: TimeDelta::seconds(3600),
    });
    assert_eq!(
        restored().look(moment(0, 2010), Some(TimeDelta::zero())),
        undone
    );
    let mut still_ahead = restored();
    assert_eq!(still_ahead.look(moment(3600, 2010), skew), None);
    assert_eq!(
        still_ahead.look(moment(0, 3000), Some(TimeDelta::zero())),
        undone
    );
    let day = 60 + HELD.as_secs();
    let later = Leaps::restored(kept.clone(), reading(day));
    assert_eq!(later.surely(at(9000), reading(day).instant), at(9000));
}

/// Else a command reckons dates by a clock that is wrong.
#[test]
fn what_is_kept_tells_the_source_s_time() {
    let at = |seconds: i64| DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap();
    let days = 2 * 86_400;
    for ahead in [days, -days] {
        let kept = KeptLeaps {
            ahead: Vec::new(),
            seen: at(ahead),
            seen_at: at(0),
        };
        let told = |local: i64| {
            let KeptTime { at: told, is_sure } = kept.time(at(local));
            ((told - at(0)).num_seconds(), is_sure)
        };
        assert_eq!(told(0), (ahead, true));
        assert_eq!(told(3600), (ahead + 3600, true));
        assert_eq!(told(3601), (ahead + 3601, false));
        // It was set back since.
        assert_eq!(told(-1), (ahead.max(-1), false));
        assert_eq!(told(-4 * days), (ahead.max(-4 * days), false));
        let leap = KeptLeap {
            since: at(ahead),
            by_seconds: 7200,
            at: at(0),
        };
        let doubtful = KeptLeaps {
            ahead: vec![leap],
            ..kept.clone()
        };
        assert!(!doubtful.time(at(60)).is_sure);
        // A machine whose clock is never set right has such a leap for ever: that of its first start.
        let later = KeptLeaps {
            seen_at: at(days),
            ..doubtful
        };
        assert!(later.time(at(days)).is_sure);
    }
}

/// Else a command that reckons with it panics.
#[test]
fn what_is_kept_is_no_time_when_no_clock_can_show_it() {
    let local = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    for seen in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let kept = KeptLeaps {
            ahead: Vec::new(),
            seen,
            seen_at: local,
        };
        let expected = KeptTime {
            at: local,
            is_sure: false,
        };
        assert_eq!(kept.time(local), expected);
    }
}

/// A process may begin with a service whose time is wrong.
#[test]
fn a_leap_that_a_process_begins_with_is_doubted_when_the_time_goes_back() {
    let start = Instant::now();
    let at = |seconds: i64| DateTime::from_timestamp(100_000 + seconds, 0).unwrap();
    let now = |time: i64, passed: u64| Moment {
        time: at(time),
        instant: start + Duration::from_secs(passed),
    };
    let skew = |seconds| Some(TimeDelta::seconds(seconds));
    let reading = |passed: u64| Reading {
        wall: at(i64::try_from(passed).unwrap()),
        instant: start + Duration::from_secs(passed),
    };
    let mut before = Leaps::default();
    assert_eq!(before.look(now(0, 0), skew(0)), None);
    let kept = before.kept(reading(10)).unwrap();
    let mut leaps = Leaps::restored(kept, reading(60));
    assert_eq!(leaps.look(now(9060, 60), skew(9000)), None);
    let sure = leaps.surely(at(5000), start + Duration::from_secs(5000));
    assert_eq!(sure, at(60), "what comes late is not final");
    let back = leaps.look(now(5000, 5000), skew(0));
    assert_eq!(since(back), Some(at(9060).timestamp()));
    // The local clock is as wrong as before.
    let mut before = Leaps::default();
    assert_eq!(before.look(now(9000, 0), skew(9000)), None);
    let kept = before.kept(reading(10)).unwrap();
    let mut leaps = Leaps::restored(kept, reading(60));
    assert_eq!(leaps.look(now(9060, 60), skew(9000)), None);
    assert!(leaps.ahead.is_empty());
}

/// Else what was read by such a time is final too early, and what it began too late with is never asked for.
#[test]
fn a_very_first_start_with_a_time_that_is_far_ahead_is_a_leap() {
    let start = Instant::now();
    let at = |seconds: i64| DateTime::from_timestamp(100_000 + seconds, 0).unwrap();
    let now = |time: i64, passed: u64| Moment {
        time: at(time),
        instant: start + Duration::from_secs(passed),
    };
    let skew = |seconds| Some(TimeDelta::seconds(seconds));
    let reading = |passed: u64| Reading {
        wall: at(i64::try_from(passed).unwrap()),
        instant: start + Duration::from_secs(passed),
    };
    let three_hours = 3 * 3600;
    let begun = || {
        let mut leaps = Leaps::default();
        leaps.begin(now(three_hours, 0), skew(three_hours));
        let first = leaps.look(now(three_hours, 0), skew(three_hours));
        assert_eq!(first, None);
        leaps
    };
    let five_hours = 5 * 3600;
    let sure = begun().surely(at(five_hours), start + Duration::from_secs(18_000));
    assert_eq!(sure, at(0), "nothing that was read since is final");
    let undone = Some(UndoneLeap {
        since: at(three_hours),
        by: TimeDelta::hours(3),
    });
    // Also after the lie has lasted for longer than it is ahead, and over a restart.
    let back = begun().look(now(five_hours, 18_000), skew(0));
    assert_eq!(back, undone);
    let kept = begun().kept(reading(60)).unwrap();
    let mut restored = Leaps::restored(kept, reading(18_000));
    restored.begin(now(five_hours, 18_000), skew(600));
    assert_eq!(restored.look(now(five_hours, 18_000), skew(0)), undone);
    // A later one that is undone with it tells nothing of how far it was.
    let mut twice = begun();
    let later = now(three_hours + five_hours + 60, 60);
    assert_eq!(twice.look(later, skew(three_hours + five_hours)), None);
    assert_eq!(twice.look(now(three_hours + 120, 120), skew(0)), undone);
    // Both clocks agree, or are near to one another.
    let mut leaps = Leaps::default();
    leaps.begin(now(60, 0), None);
    assert_eq!(leaps.surely(at(90), start), at(90));
    assert_eq!(leaps.look(now(1000, 1000), skew(0)), None);
}

/// Where no answer tells the time, it is not known of a machine that it has only slept.
#[test]
fn a_wrong_leap_is_doubted_and_held_however_often_the_machine_has_slept() {
    let start = Instant::now();
    let hour = 3600;
    let look = |leaps: &mut Leaps, time: i64, passed: u64| {
        let now = Moment {
            time: DateTime::from_timestamp(time, 0).unwrap(),
            instant: start + Duration::from_secs(passed),
        };
        since(leaps.look(now, None))
    };
    let sure = |leaps: &Leaps, passed: u64| {
        let now = start + Duration::from_secs(passed);
        let certain = DateTime::from_timestamp(10_000_000, 0).unwrap();
        leaps.surely(certain, now).timestamp()
    };
    let mut leaps = Leaps::default();
    let mut at = 0;
    assert_eq!(look(&mut leaps, at, 0), None);
    // Each day it works for sixteen hours and sleeps for eight.
    let work = 16 * 3600;
    for day in 1..=3 {
        at += 24 * hour;
        assert_eq!(look(&mut leaps, at, day * work), None);
    }
    // What was read before the last two of them is final: these came in the last day of work.
    assert_eq!(sure(&leaps, 3 * work), 40 * hour);
    assert_eq!(sure(&leaps, 3 * work + work), 64 * hour);
    // A clock that is ahead by an hour, and is put right.
    assert_eq!(look(&mut leaps, at + hour + 60, 3 * work + 60), None);
    let undone = look(&mut leaps, at + 7200, 3 * work + 7200);
    assert_eq!(undone, Some(at + hour + 60));
    assert_eq!(look(&mut leaps, at + 7260, 3 * work + 7260), None);
    assert_eq!(leaps.ahead.len(), 3, "nothing tells of the others");
    // As many as there may be.
    for leap in 0..100 {
        let (time, passed) = (at + 10_000 + leap * hour, 3 * work + 7300);
        look(&mut leaps, time, passed);
        assert!(leaps.ahead.len() <= MOST);
    }
    assert_eq!(leaps.ahead.len(), MOST);
    assert_eq!(
        sure(&leaps, 3 * work + 7300),
        16 * hour,
        "the oldest is remembered"
    );
    let back = look(&mut leaps, at + 10_000, 3 * work + 7300);
    assert_eq!(back, Some(24 * hour));
}

#[test]
fn small_jumps_and_those_back_alone_are_no_leaps() {
    let small = [(1000, 0, 0), (1070, 60, 0), (1120, 120, 0)];
    assert_eq!(doubted(&small), [None; 3]);
    assert_eq!(doubted(&[(9000, 0, 0), (1000, 60, 0)]), [None; 2]);
    // By ten seconds either way.
    let ahead = [(1000, 0, 0), (1070, 60, 0), (1119, 120, 0)];
    assert_eq!(doubted(&ahead), [None; 3]);
    let back = [(1000, 0, 0), (1075, 60, 0), (1125, 120, 0)];
    assert_eq!(doubted(&back), [None; 3]);
    // A clock was set right, by an hour, and then goes back by seconds.
    let right = [(1000, 0, 0), (4600, 0, 0), (4640, 60, 0)];
    assert_eq!(doubted(&right), [None; 3]);
}

#[test]
fn a_leap_is_forgotten_when_both_clocks_have_agreed_on_it_for_an_hour() {
    // What comes after a leap by an hour, and a step back at last.
    let doubts = |skews: [i64; 3], last: u64| {
        let at = |passed: u64| 4600 + i64::try_from(passed).unwrap();
        let looks = [
            (1000, 0, 0),
            (at(10), 10, skews[0]),
            (at(2000), 2000, skews[1]),
            (at(last), last, skews[2]),
            (at(last) - 3600, last, 0),
        ];
        doubted(&looks)[4].is_some()
    };
    assert!(!doubts([0; 3], 3610), "the machine has slept");
    assert!(doubts([0; 3], 3609));
    assert!(doubts([3600; 3], 90_000), "a lie may last");
    assert!(doubts([0, 3600, 0], 5600), "both agree, but not for long");
    assert!(!doubts([3600, 0, 0], 5600));
}
