use super::*;
use crate::testing::{at_minute as at, minutes as window};

const SETTLE: TimeDelta = TimeDelta::hours(24);

/// All is read until minute 20 but for the first ten minutes.
fn coverage() -> Coverage {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(10));
    coverage.read(window(10, 20), at(20), 7);
    coverage
}

fn timeline() -> Found {
    whole(coverage())
}

fn whole(coverage: Coverage) -> Found {
    Found::Timeline(Box::new(Timeline::new(
        at(21),
        coverage,
        Lateness::default(),
    )))
}

fn terms() -> Terms {
    Terms {
        now: at(200),
        first: at(140),
        settle_time: SETTLE,
    }
}

/// What a stop at the end of [`timeline`] leaves.
fn left() -> Witnesses {
    Witnesses {
        position: Position::At(at(0)),
        copy: Some(at(0)),
        timeline: timeline(),
        newest_known: Some(at(0)),
    }
}

fn unusable() -> Position {
    Position::Unusable("why".to_owned())
}

fn missing(start: &StartDecision) -> Vec<Window> {
    start.coverage.missing().collect()
}

/// The only remark.
fn said(start: &StartDecision) -> (Weight, &str) {
    assert_eq!(start.remarks.len(), 1, "{:?}", start.remarks);
    (start.remarks[0].weight, &start.remarks[0].sentence)
}

fn names(start: &StartDecision, weight: Weight, times: &[DateTime<Utc>]) {
    let (is, sentence) = said(start);
    assert_eq!(is, weight, "{sentence}");
    for time in times {
        assert!(sentence.contains(&time.to_string()), "{time}: {sentence}");
    }
}

#[test]
fn it_goes_on_where_it_stopped() {
    let start = StartDecision::new(left(), terms());
    assert_eq!(start.coverage, coverage());
    names(&start, Weight::Info, &[at(0)]);
    // Also when the last digits of the checkpoint were not kept.
    let mut odd = Coverage::new(at(0) + TimeDelta::nanoseconds(1500));
    odd.read(Window::new(odd.floor(), at(5)).unwrap(), at(5), 1);
    odd.reach(at(9));
    let checkpoint = odd.checkpoint();
    let witnesses = Witnesses {
        position: Position::At(comparable(checkpoint)),
        timeline: whole(odd.clone()),
        ..left()
    };
    assert_eq!(StartDecision::new(witnesses, terms()).coverage, odd);
}

#[test]
fn without_a_usable_position_the_timeline_counts() {
    let long_ago = at(200) - LONG_AGO - TimeDelta::seconds(1);
    let positions = [at(206), long_ago].map(Position::At);
    for position in positions.into_iter().chain([Position::Absent, unusable()]) {
        for copy in [None, Some(at(0)), Some(at(300)), Some(long_ago)] {
            let witnesses = Witnesses {
                position: position.clone(),
                copy,
                ..left()
            };
            let start = StartDecision::new(witnesses, terms());
            assert_eq!(start.coverage, coverage(), "{position:?} {copy:?}");
            names(&start, Weight::Error, &[at(0), at(140)]);
        }
    }
    let older = Witnesses {
        position: unusable(),
        copy: Some(at(-5)),
        ..left()
    };
    let start = StartDecision::new(older, terms());
    assert_eq!(missing(&start), [window(-5, 10)], "the earlier of the two");
    names(&start, Weight::Error, &[at(-5), at(140)]);
}

#[test]
fn a_position_that_was_moved_on_is_followed_and_kept_in_mind() {
    for copy in [None, Some(at(0)), Some(at(-5))] {
        let witnesses = Witnesses {
            position: Position::At(at(100)),
            copy,
            ..left()
        };
        let start = StartDecision::new(witnesses, terms());
        let (floor, edge) = (start.coverage.floor(), start.coverage.edge());
        assert_eq!((floor, edge), (at(10), at(100)));
        assert_eq!(start.coverage.checkpoint(), at(100));
        assert_eq!(start.coverage.read_at(at(15)), Some(at(20)), "it settles");
        assert_eq!(start.coverage.skipped(), [window(0, 10), window(20, 100)]);
        names(&start, Weight::Warning, &[at(0), at(100)]);
    }
    // The other machine's clock may be ahead, and nobody has delivered what comes until then.
    let ahead = Witnesses {
        position: Position::At(at(205)),
        ..left()
    };
    let start = StartDecision::new(ahead.clone(), terms());
    assert_eq!(start.coverage.checkpoint(), at(200));
    assert_eq!(start.coverage.edge(), at(200));
    assert_eq!(start.coverage.skipped(), [window(0, 10), window(20, 200)]);
    names(&start, Weight::Warning, &[at(0), at(205)]);
    // It has come further than now by a look of another second.
    let mut near = Coverage::new(at(0));
    let end = at(200) + TimeDelta::seconds(5);
    near.read(Window::new(at(0), end).unwrap(), at(200), 1);
    let further = Witnesses {
        timeline: whole(near.clone()),
        ..ahead
    };
    let start = StartDecision::new(further, terms());
    assert_eq!(start.coverage, near);
    names(&start, Weight::Info, &[end]);
}

#[test]
fn a_timeline_that_is_older_than_what_was_written_is_the_more_cautious_one() {
    let witnesses = Witnesses {
        position: Position::At(at(100)),
        copy: Some(at(100)),
        ..left()
    };
    let start = StartDecision::new(witnesses, terms());
    assert_eq!(start.coverage, coverage());
    names(&start, Weight::Error, &[at(0), at(100)]);
}

#[test]
fn a_crash_between_a_timeline_that_takes_something_back_and_the_position_is_no_error() {
    for (position, copy) in [
        (at(100), Some(at(100))),
        (at(100), None),
        // It was kept by a clock that ran ahead.
        (at(300), Some(at(300))),
        (at(300), None),
    ] {
        let mut timeline = Timeline::new(at(21), coverage(), Lateness::default());
        timeline.before = Some(position);
        let witnesses = Witnesses {
            position: Position::At(position),
            copy,
            timeline: Found::Timeline(Box::new(timeline)),
            ..left()
        };
        let start = StartDecision::new(witnesses, terms());
        assert_eq!(start.coverage, coverage());
        names(&start, Weight::Info, &[at(0)]);
    }
}

#[test]
fn a_position_that_was_moved_back_is_followed() {
    let witnesses = Witnesses {
        position: Position::At(at(-5)),
        ..left()
    };
    let start = StartDecision::new(witnesses, terms());
    assert_eq!(start.coverage.checkpoint(), at(-5));
    assert_eq!(start.coverage.origin(), at(-5));
    assert_eq!(missing(&start), [window(-5, 10)]);
    names(&start, Weight::Warning, &[at(0), at(-5)]);
    let crashed = Witnesses {
        position: Position::At(at(-5)),
        copy: Some(at(-5)),
        ..left()
    };
    let start = StartDecision::new(crashed, terms());
    assert_eq!(missing(&start), [window(-5, 10)]);
    names(&start, Weight::Info, &[at(-5)]);
    // As far back as a wish may lie.
    let oldest = terms().now - LONG_AGO;
    let witnesses = Witnesses {
        position: Position::At(oldest),
        ..left()
    };
    let start = StartDecision::new(witnesses, terms());
    assert_eq!(start.coverage.checkpoint(), oldest);
}

/// A wrong clock has left it: nothing that has happened is thrown away for it.
#[test]
fn what_has_not_happened_yet_is_cut_off_and_what_was_read_then_is_missing() {
    let mut ahead = coverage();
    ahead.read(window(20, 320), at(320), 9);
    ahead.read(window(0, 10), at(320), 9);
    let checkpoint = ahead.checkpoint();
    let mut expected = ahead.clone();
    assert_eq!(expected.retract_all(at(200), None), Some(window(0, 320)));
    let unread: Vec<_> = expected.missing().collect();
    assert_eq!(unread, [window(0, 10), window(20, 200)]);
    for (position, copy) in [
        (Position::At(checkpoint), Some(checkpoint)),
        // The timeline alone tells that this module has written it.
        (Position::At(checkpoint), None),
        (Position::At(at(5)), Some(at(5))),
        (Position::Absent, None),
        // Nobody wishes to skip what has not happened yet.
        (Position::At(at(9000)), Some(checkpoint)),
    ] {
        let is_ours = position == Position::At(checkpoint);
        let witnesses = Witnesses {
            position,
            copy,
            timeline: whole(ahead.clone()),
            newest_known: Some(at(0)),
        };
        let start = StartDecision::new(witnesses, terms());
        let last = start.remarks.last().unwrap();
        assert_eq!(last.weight, Weight::Warning);
        assert!(
            last.sentence
                .contains("has been read, at a time that has not come yet")
        );
        assert_eq!(start.coverage.edge(), at(200));
        let is_wrong = |remark: &Remark| remark.weight == Weight::Error;
        assert!(!is_ours || !start.remarks.iter().any(is_wrong), "{start:?}");
        assert_eq!(start.coverage, expected);
    }
    // Some seconds are the difference of two looks at one clock.
    let mut witnesses = left();
    let mut near = coverage();
    near.read(
        Window::new(at(20), at(200) + TimeDelta::seconds(10)).unwrap(),
        at(200),
        1,
    );
    witnesses.timeline = whole(near.clone());
    let start = StartDecision::new(witnesses, terms());
    assert_eq!((start.coverage, start.remarks.len()), (near, 1));
}

#[test]
fn without_a_timeline_the_settling_past_is_read_again() {
    let damaged = || Found::Damaged("torn".to_owned());
    for timeline in [damaged(), Found::Nothing] {
        let start = StartDecision::new(Witnesses { timeline, ..left() }, terms());
        assert_eq!(start.coverage.floor(), at(0) - SETTLE);
        assert_eq!(start.coverage.edge(), at(0));
        assert_eq!(start.coverage.checkpoint(), at(0) - SETTLE);
        names(&start, Weight::Warning, &[at(0), at(0) - SETTLE]);
    }
    let (_, sentence) = (
        0,
        StartDecision::new(
            Witnesses {
                timeline: damaged(),
                ..left()
            },
            terms(),
        ),
    );
    assert!(said(&sentence).1.contains("(torn)"));
    // By the copy of the position, when that must do.
    let witnesses = Witnesses {
        position: unusable(),
        copy: Some(at(0)),
        timeline: damaged(),
        newest_known: Some(at(60)),
    };
    let start = StartDecision::new(witnesses.clone(), terms());
    assert_eq!(start.coverage.checkpoint(), at(0) - SETTLE);
    assert_eq!(start.remarks.len(), 2);
    assert_eq!(start.remarks[1].weight, Weight::Error);
    assert!(start.remarks[1].sentence.contains(&at(140).to_string()));
    // A copy from the future says nothing.
    let witnesses = Witnesses {
        copy: Some(at(206)),
        ..witnesses
    };
    let start = StartDecision::new(witnesses, terms());
    assert_eq!(start.coverage.checkpoint(), at(60) - SETTLE);
}

/// Else one flipped bit of the position beside a damaged timeline skips rows, and nobody can tell which.
#[test]
fn without_a_timeline_what_the_position_was_moved_over_is_kept_as_skipped() {
    let settle_time = TimeDelta::minutes(30);
    let terms = Terms {
        settle_time,
        ..terms()
    };
    for timeline in [Found::Damaged("torn".to_owned()), Found::Nothing] {
        let start = |copy| {
            let witnesses = Witnesses {
                position: Position::At(at(190)),
                copy: Some(copy),
                timeline: timeline.clone(),
                newest_known: Some(at(0)),
            };
            StartDecision::new(witnesses, terms)
        };
        let moved = start(at(0));
        assert_eq!(moved.coverage.skipped(), [window(0, 160)]);
        assert_eq!(missing(&moved), [window(-30, 0), window(160, 190)]);
        assert_eq!(moved.coverage.edge(), at(190));
        names(&moved, Weight::Error, &[at(190), at(0), at(160), at(-30)]);
        assert!(said(&moved).1.contains("backfill --skipped"));
        let mut back = moved.coverage.clone();
        back.backfill(window(0, 160), false);
        assert_eq!(Vec::from_iter(back.wanted()), [window(0, 160)]);
        // Nothing is skipped where all of it is read again.
        for copy in [160, 185, 190, 195] {
            let start = start(at(copy));
            assert_eq!(start.coverage.skipped(), []);
            assert_eq!(missing(&start), [window(160, 190)]);
            names(&start, Weight::Warning, &[at(190), at(160)]);
        }
    }
    let at_once = Terms {
        settle_time: TimeDelta::zero(),
        ..terms
    };
    let witnesses = Witnesses {
        position: Position::At(at(190)),
        timeline: Found::Damaged("torn".to_owned()),
        ..left()
    };
    let start = StartDecision::new(witnesses, at_once);
    assert_eq!(start.coverage.skipped(), [window(0, 190)]);
    assert_eq!(missing(&start), []);
    assert_eq!(start.coverage.checkpoint(), at(190));
}

#[test]
fn the_newest_known_row_is_the_last_witness() {
    for timeline in [Found::Nothing, Found::Damaged("torn".to_owned())] {
        for position in [Position::Absent, unusable()] {
            let witnesses = Witnesses {
                position: position.clone(),
                copy: None,
                timeline: timeline.clone(),
                newest_known: Some(at(60)),
            };
            let start = StartDecision::new(witnesses.clone(), terms());
            let since = at(60) - SETTLE;
            let stands = (start.coverage.checkpoint(), start.coverage.edge());
            assert_eq!(stands, (since, since));
            names(&start, Weight::Error, &[at(60), since, at(140)]);
            assert!(said(&start).1.contains(&position.to_string()));
            // Rows of the future tell nothing.
            let witnesses = Witnesses {
                newest_known: Some(at(201)),
                ..witnesses
            };
            let start = StartDecision::new(witnesses, terms());
            assert_eq!(start.coverage.checkpoint(), at(140));
        }
    }
}

#[test]
fn a_first_start_is_no_error_and_a_lost_state_is_one() {
    let nothing = Witnesses {
        position: Position::Absent,
        copy: None,
        timeline: Found::Nothing,
        newest_known: None,
    };
    let mut first = Coverage::new(at(140));
    first.starts_first(at(140), at(200));
    let start = StartDecision::new(nothing.clone(), terms());
    assert_eq!(start.coverage, first);
    names(&start, Weight::Info, &[at(140)]);
    let lost = Witnesses {
        position: unusable(),
        ..nothing.clone()
    };
    let start = StartDecision::new(lost, terms());
    assert_eq!(start.coverage, first);
    names(&start, Weight::Error, &[at(140)]);
    let lost = Witnesses {
        timeline: Found::Damaged("torn".to_owned()),
        ..nothing.clone()
    };
    names(
        &StartDecision::new(lost, terms()),
        Weight::Error,
        &[at(140)],
    );
    // Of the Python module there is no more than a position.
    let taken_over = Witnesses {
        position: Position::At(at(-90)),
        ..nothing
    };
    let start = StartDecision::new(taken_over, terms());
    assert_eq!(start.coverage, Coverage::new(at(-90)));
    names(&start, Weight::Info, &[at(-90)]);
}

#[test]
fn a_collection_begins_after_backfills() {
    let mut backfilled = Coverage::for_backfills(at(0));
    backfilled.backfill(window(0, 10), false);
    backfilled.read(window(0, 10), at(20), 3);
    let begun = |checkpoint| {
        let mut coverage = backfilled.clone();
        coverage.begin(checkpoint);
        coverage
    };
    let mut first = begun(at(140));
    first.starts_first(at(140), at(200));
    let witnesses = |position| Witnesses {
        position,
        copy: None,
        timeline: whole(backfilled.clone()),
        newest_known: Some(at(0)),
    };
    let start = StartDecision::new(witnesses(Position::Absent), terms());
    assert_eq!(start.coverage, first);
    names(&start, Weight::Info, &[at(140)]);
    let start = StartDecision::new(witnesses(Position::At(at(50))), terms());
    assert_eq!(start.coverage, begun(at(50)));
    let start = StartDecision::new(witnesses(unusable()), terms());
    assert_eq!(start.coverage, first);
    names(&start, Weight::Error, &[at(140)]);
    let start = StartDecision::of_backfill(at(0), witnesses(Position::Absent), terms());
    assert_eq!(start.coverage, backfilled, "and none by itself");
    let start = StartDecision::of_backfill(at(0), witnesses(unusable()), terms());
    assert_eq!(start.coverage, first, "somebody has collected");
}

#[test]
fn a_backfill_alone_begins_no_collection() {
    let witnesses = |timeline, newest_known| Witnesses {
        position: Position::Absent,
        copy: None,
        timeline,
        newest_known,
    };
    let alone = Coverage::for_backfills(at(-60));
    let start = StartDecision::of_backfill(at(-60), witnesses(Found::Nothing, None), terms());
    assert_eq!((&start.coverage, start.remarks.len()), (&alone, 0));
    let damaged = Found::Damaged("torn".to_owned());
    let start = StartDecision::of_backfill(at(-60), witnesses(damaged.clone(), None), terms());
    assert_eq!(start.coverage, alone);
    assert!(said(&start).1.contains("(torn)"));
    // Where rows are known, a collection may have begun; so it has where there is a copy.
    let start =
        StartDecision::of_backfill(at(-60), witnesses(damaged.clone(), Some(at(0))), terms());
    assert_eq!(start.coverage.checkpoint(), at(0) - SETTLE);
    let copied = Witnesses {
        copy: Some(at(0)),
        ..witnesses(damaged, None)
    };
    let start = StartDecision::of_backfill(at(-60), copied, terms());
    assert!(start.coverage.has_begun());
    let start = StartDecision::of_backfill(at(-60), left(), terms());
    assert_eq!(start.coverage, coverage());
    let begun = StartDecision::of_backfill(at(-60), witnesses(timeline(), None), terms());
    assert_eq!(begun.coverage, coverage());
    assert_eq!(said(&begun).0, Weight::Error, "its position is gone");
}

#[test]
fn the_borders_of_now_are_kept() {
    let mut to_now = coverage();
    to_now.reach(at(200));
    let whole = Witnesses {
        timeline: whole(to_now.clone()),
        ..left()
    };
    assert_eq!(StartDecision::new(whole, terms()).coverage, to_now);
    let without_timeline = |position, copy, newest_known| Witnesses {
        position,
        copy,
        timeline: Found::Damaged("torn".to_owned()),
        newest_known,
    };
    // Ahead of now by no more than another clock may be: as if it were now.
    for (position, copy) in [(Position::At(at(203)), None), (unusable(), Some(at(205)))] {
        let start = StartDecision::new(without_timeline(position, copy, None), terms());
        let stands = (start.coverage.checkpoint(), start.coverage.edge());
        assert_eq!(stands, (at(200) - SETTLE, at(200)));
    }
    // Written by this module as a clock ran ahead, and no row tells how far the collection had come.
    let ahead = without_timeline(Position::At(at(300)), Some(at(300)), None);
    let start = StartDecision::new(ahead, terms());
    let stands = (start.coverage.checkpoint(), start.coverage.edge());
    assert_eq!(stands, (at(140) - SETTLE, at(140)));
    // Mail may have been quiet for hours: newest rows tell less than a position that is not ahead.
    for (position, goes_on) in [(at(198), at(198)), (at(205), at(200))] {
        let quiet = without_timeline(Position::At(position), None, Some(at(60)));
        let start = StartDecision::new(quiet, terms());
        let stands = (start.coverage.checkpoint(), start.coverage.edge());
        assert_eq!(stands, (goes_on - SETTLE, goes_on));
    }
    // How far it had come by a clock that ran ahead, only its rows tell.
    let (ahead, newest) = (at(300), Some(at(60)));
    let ahead = without_timeline(Position::At(ahead), Some(ahead), newest);
    let start = StartDecision::new(ahead, terms());
    let stands = (start.coverage.checkpoint(), start.coverage.edge());
    assert_eq!(stands, (at(60) - SETTLE, at(60)));
    let start = StartDecision::new(without_timeline(unusable(), None, Some(at(200))), terms());
    assert_eq!(start.coverage.checkpoint(), at(200) - SETTLE);
}

#[test]
fn a_timeline_is_missed_where_anything_tells_that_there_was_one() {
    for (copy, newest_known) in [(Some(at(0)), None), (None, Some(at(0)))] {
        let witnesses = Witnesses {
            position: Position::At(at(0)),
            copy,
            timeline: Found::Nothing,
            newest_known,
        };
        let start = StartDecision::new(witnesses, terms());
        assert_eq!(start.coverage.checkpoint(), at(0) - SETTLE);
        assert_eq!(said(&start).0, Weight::Warning);
    }
}

#[test]
fn a_position_is_named_in_words() {
    let words = [Position::Absent, unusable(), Position::At(at(0))].map(|one| one.to_string());
    assert_eq!(words[0], "there is none");
    assert_eq!(words[1], "why");
    assert_eq!(words[2], at(0).to_string());
}

#[test]
fn a_first_collection_begins_where_the_first_start_would_have() {
    let hours = TimeDelta::hours;
    let (now, reach) = (at(60 * 1000), hours(100));
    let first = |begun| first_collected(now - hours(1), begun, hours(2), reach, now);
    assert_eq!(first(now - hours(1)), now - hours(3));
    assert_eq!(first(now - hours(30)), now - hours(32));
    assert_eq!(first(now - hours(900)), now - reach, "what is kept");
    assert_eq!(first(now), now - hours(3), "never later");
}
