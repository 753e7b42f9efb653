use super::*;
use crate::{
    decide::leaps::UndoneLeap,
    testing::{at_minute as at, minutes as window},
};

const HOUR: TimeDelta = TimeDelta::hours(1);

fn loss(window: Window) -> Loss {
    Loss {
        window,
        evidence: None,
        asked: at(0),
    }
}

/// What was read for the last time.
fn finished() -> Coverage {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 100), at(300), 9);
    coverage.settle(HOUR, at(10_000));
    coverage
}

fn phases(coverage: &Coverage) -> Vec<(Window, Phase)> {
    let stretches = coverage.stretches().iter();
    stretches.map(|one| (one.window, one.phase)).collect()
}

#[test]
fn a_gap_is_missing_until_it_is_read() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(100));
    coverage.read(window(100, 102), at(102), 4);
    assert_eq!(coverage.checkpoint(), at(0));
    coverage.read(window(0, 60), at(103), 0);
    assert_eq!(coverage.checkpoint(), at(60));
    coverage.read(window(60, 100), at(103), 40);
    assert_eq!(coverage.checkpoint(), at(102));
    let expected = [
        (window(0, 100), Phase::Settling(at(103))),
        (window(100, 102), Phase::Settling(at(102))),
    ];
    assert_eq!(phases(&coverage), expected);
    assert!((coverage.rows(window(50, 102)) - 24.0).abs() < 1e-6);
    assert_eq!(coverage.read_at(at(50)), Some(at(103)));
    assert_eq!(
        (coverage.read_at(at(102)), coverage.read_at(at(-1))),
        (None, None)
    );
}

#[test]
fn what_was_read_late_enough_is_final_and_raises_the_floor() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 100), at(100), 100);
    coverage.settle(HOUR, at(10_000));
    assert_eq!((coverage.floor(), coverage.edge()), (at(40), at(100)));
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(10));
    coverage.read(window(10, 100), at(100), 90);
    coverage.settle(HOUR, at(10_000));
    assert_eq!(coverage.floor(), at(0), "what is missing holds the floor");
    let expected = [
        (window(0, 10), Phase::Missing),
        (window(10, 40), Phase::Final),
        (window(40, 100), Phase::Settling(at(100))),
    ];
    assert_eq!(phases(&coverage), expected);
    // Nobody asks again how many rows there are in what is final.
    let rows = [window(10, 40), window(40, 100)].map(|part| coverage.rows(part).round());
    assert_eq!(rows, [0.0, 60.0]);
    coverage.lose(loss(window(0, 10)));
    assert_eq!(coverage.floor(), at(40));
    assert_eq!(coverage.lost(), [window(0, 10)]);
}

#[test]
fn what_has_not_happened_yet_is_not_missing() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(100));
    coverage.retract(at(40));
    assert_eq!(coverage.edge(), at(40));
    coverage.read(window(30, 40), at(40), 1);
    coverage.retract(at(20));
    assert_eq!(coverage.edge(), at(40), "what was read has happened");
}

/// It was delivered then, and stays so when the service keeps it no more.
#[test]
fn what_was_read_before_it_is_asked_for_again_is_not_lost() {
    let mut coverage = finished();
    assert!(!coverage.is_sending_again());
    coverage.backfill(window(-10, 50), true);
    assert!(coverage.is_sending_again());
    assert!(coverage.sends_again(window(40, 60)));
    for other in [window(-10, 0), window(50, 60)] {
        assert!(!coverage.sends_again(other), "{other}");
    }
    coverage.lose(loss(window(-10, 30)));
    assert_eq!(coverage.lost(), [window(-10, 0)]);
    assert_eq!(coverage.lost_within(window(-10, 30)), [window(-10, 0)]);
    assert!(coverage.lost_within(window(0, 30)).is_empty());
    assert_eq!(coverage.losses(), [loss(window(-10, 0))]);
    let wanted: Vec<_> = coverage.wanted().collect();
    assert_eq!(wanted, [window(30, 50)]);
    let expected = [
        (window(-10, 0), Stage::Lost),
        (window(0, 30), Stage::Final),
        (window(30, 50), Stage::Missing),
        (window(50, 100), Stage::Final),
    ];
    assert_eq!(coverage.intervals(), expected);
}

/// It was delivered, and somebody wants more again than the service keeps.
#[test]
fn what_was_read_before_the_position_was_moved_back_is_not_lost() {
    let mut coverage = finished();
    coverage.read(window(100, 110), at(110), 1);
    for _ in 0..2 {
        // Twice, as before the first was read again.
        coverage.want(window(-10, 110));
    }
    assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(-10, 110)]);
    assert!(!coverage.is_sending_again(), "no backfill asks for it");
    coverage.lose(loss(window(-10, 105)));
    assert_eq!(coverage.lost(), [window(-10, 0)]);
    assert_eq!(coverage.read_at(at(102)), Some(at(110)), "it settles");
    assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(105, 110)]);
    coverage.read(window(105, 110), at(200), 1);
    assert_eq!(coverage.again, []);
}

/// A person is told of each, also of one that is older than all that are remembered.
#[test]
fn what_is_lost_beside_too_many_others_is_lost_all_the_same() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(1000));
    for n in 1..=50 {
        coverage.lose(loss(window(10 * n, 10 * n + 5)));
    }
    coverage.lose(loss(window(0, 5)));
    assert_eq!(coverage.lost().len(), 50);
    assert!(!coverage.lost().contains(&window(0, 5)));
    assert_eq!(coverage.lost_within(window(0, 7)), [window(0, 5)]);
}

#[test]
fn losses_that_meet_are_one() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(100));
    coverage.lose(loss(window(0, 10)));
    coverage.lose(loss(window(10, 30)));
    coverage.lose(loss(window(50, 60)));
    assert_eq!(coverage.lost(), [window(0, 30), window(50, 60)]);
}

/// An earlier version did not keep why a time is lost.
#[test]
fn a_lost_time_that_nothing_is_noted_of_is_asked_for_once_a_day() {
    let mut coverage = Coverage::new(at(0));
    coverage.lose(loss(window(0, 10)));
    coverage.losses.clear();
    let part = window(9, 10);
    for day in [at(0), at(1440)] {
        assert_eq!(coverage.lost_to_ask(day), Some(part));
        coverage.lost_asked(part, day);
        let asked: Vec<_> = coverage.losses().iter().map(|one| one.asked).collect();
        assert_eq!(asked, [day]);
        assert_eq!(coverage.lost_to_ask(day), None);
    }
    assert_eq!(
        coverage.lost_to_ask(at(0)),
        Some(part),
        "a clock was set back"
    );
}

#[test]
fn each_lost_time_is_asked_for_and_found_by_itself() {
    let mut coverage = Coverage::new(at(0));
    coverage.lose(loss(window(0, 10)));
    coverage.lose(loss(window(20, 30)));
    coverage.lost_asked(window(29, 30), at(1440));
    assert_eq!(coverage.lost_to_ask(at(1440)), Some(window(9, 10)));
    assert_eq!(coverage.find_again(window(12, 13)), None);
    assert_eq!(coverage.find_again(window(22, 23)), Some(window(20, 30)));
    assert_eq!(coverage.lost(), [window(0, 10)]);
    // The checkpoint does not wait for what a backfill asks for.
    let mut coverage = Coverage::new(at(0));
    coverage.lose(loss(window(0, 50)));
    coverage.backfill(window(20, 30), false);
    assert_eq!(coverage.find_again(window(49, 50)), Some(window(0, 50)));
    let missing: Vec<_> = coverage.missing().collect();
    assert_eq!(missing, [window(0, 20), window(30, 50)]);
    assert_eq!(wanted(&coverage), [window(20, 30)]);
    assert_eq!(coverage.lost(), [window(20, 30)]);
}

#[test]
fn stretches_are_merged_in_pairs_and_not_before_there_are_too_many() {
    let mut coverage = Coverage::new(at(0));
    for minute in 0..1000 {
        coverage.read(window(minute, minute + 1), at(minute + 1), 1);
    }
    assert_eq!(coverage.stretches().len(), MOST_STRETCHES);
    coverage.read(window(1000, 1001), at(1001), 1);
    assert_eq!(coverage.stretches().len(), 501);
    let second = (coverage.read_at(at(2)), coverage.read_at(at(3)));
    assert_eq!(second, (Some(at(3)), Some(at(3))));
}

#[test]
fn too_many_stretches_are_merged_to_what_is_read_soonest() {
    let mut coverage = Coverage::new(at(0));
    for minute in 0..3000 {
        coverage.read(window(minute, minute + 1), at(minute + 1 + minute % 2), 1);
    }
    assert!(coverage.stretches().len() <= MOST_STRETCHES);
    assert!((coverage.rows(window(0, 3000)) - 3000.0).abs() < 1e-6);
    assert!(coverage.read_at(at(7)).unwrap() <= at(9));
    assert_eq!((coverage.floor(), coverage.edge()), (at(0), at(3000)));
}

#[test]
fn what_is_wanted_again_is_missing_also_before_the_origin() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 10), at(200), 1);
    coverage.settle(HOUR, at(10_000));
    coverage.want(window(-20, 5));
    assert_eq!((coverage.origin(), coverage.floor()), (at(-20), at(-20)));
    assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(-20, 5)]);
    coverage.read(window(-20, 5), at(200), 0);
    coverage.settle(HOUR, at(10_000));
    assert_eq!(coverage.floor(), at(10));
}

fn wanted(coverage: &Coverage) -> Vec<Window> {
    coverage.wanted().collect()
}

#[test]
fn a_backfill_asks_for_what_was_not_read_and_leaves_the_checkpoint_alone() {
    let mut coverage = finished();
    coverage.read(window(100, 110), at(110), 1);
    coverage.backfill(window(-50, -30), false);
    assert_eq!(wanted(&coverage), [window(-50, -30)]);
    assert_eq!(
        (coverage.checkpoint(), coverage.missing().count()),
        (at(110), 0)
    );
    coverage.read(window(-50, -30), at(300), 5);
    coverage.settle(HOUR, at(10_000));
    assert_eq!(coverage.floor(), at(100), "done");
    // What lies between it and the origin was never asked for, the rest was.
    coverage.backfill(window(-60, 50), false);
    assert_eq!(wanted(&coverage), [window(-60, -50), window(-30, 0)]);
    coverage.backfill(window(-60, 50), false);
    assert_eq!(wanted(&coverage).len(), 2, "asked once");
    coverage.backfill(window(-60, 105), true);
    assert_eq!(wanted(&coverage), [window(-60, 100)]);
    assert_eq!(coverage.edge(), at(110));
}

/// Its rows are known, and those that surface late would wait until all else of the backfill is read.
#[test]
fn what_a_collection_still_reads_again_is_left_to_it() {
    let mut coverage = finished();
    coverage.read(window(100, 110), at(110), 1);
    coverage.backfill(window(0, 110), true);
    assert_eq!(wanted(&coverage), [window(0, 100)]);
    assert_eq!(coverage.read_at(at(105)), Some(at(110)));
    // Without a collection nobody else reads it again.
    let mut alone = Coverage::for_backfills(at(0));
    alone.read(window(0, 100), at(100), 1);
    alone.backfill(window(0, 100), true);
    assert_eq!(wanted(&alone), [window(0, 100)]);
}

#[test]
fn what_a_backfill_asks_for_behind_the_edge_is_missing() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 10), at(10), 1);
    coverage.backfill(window(20, 30), false);
    assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(10, 30)]);
    assert_eq!(
        (coverage.checkpoint(), wanted(&coverage).len()),
        (at(10), 0)
    );
}

#[test]
fn what_is_lost_is_asked_for_once_more() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(100));
    coverage.lose(loss(window(0, 50)));
    coverage.backfill(window(20, 60), false);
    assert_eq!(wanted(&coverage), [window(20, 50)]);
    assert_eq!(coverage.lost(), [window(0, 50)], "until it is read");
    assert_eq!(coverage.lost_to_ask(at(10_000)), None, "it is asked for");
    assert_eq!(coverage.find_again(window(20, 30)), None, "by a backfill");
    coverage.lose(loss(window(20, 30)));
    assert_eq!(wanted(&coverage), [window(30, 50)]);
    coverage.read(window(30, 50), at(10_000), 1);
    assert_eq!(coverage.lost(), [window(0, 30)]);
    // Each is noted once.
    coverage.lose(loss(window(20, 30)));
    assert_eq!(coverage.losses().len(), 2);
}

#[test]
fn a_collection_begins_after_backfills_as_if_it_were_the_first() {
    let mut coverage = Coverage::for_backfills(at(0));
    coverage.backfill(window(0, 10), false);
    coverage.read(window(0, 10), at(200), 1);
    coverage.settle(HOUR, at(10_000));
    coverage.backfill(window(20, 30), false);
    assert_eq!(wanted(&coverage), [window(20, 30)]);
    let mut behind = coverage.clone();
    behind.begin(at(50));
    assert_eq!((behind.checkpoint(), behind.edge()), (at(50), at(50)));
    behind.backfill(window(0, 50), false);
    assert_eq!(wanted(&behind), [window(10, 50)]);
    // Before it: what no backfill has asked for is missing, too.
    let mut before = coverage.clone();
    before.begin(at(-50));
    let unread = [window(-50, 0), window(10, 30)];
    assert_eq!(before.missing().collect::<Vec<_>>(), unread);
    assert_eq!((before.origin(), before.checkpoint()), (at(-50), at(-50)));
    // In its midst: what nobody has read is missing.
    coverage.begin(at(15));
    assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(15, 30)]);
    assert_eq!(coverage.checkpoint(), at(15));
}

#[test]
fn rows_beside_a_window_are_left_alone_where_they_may_be_forgotten() {
    let mut coverage = Coverage::new(at(0));
    assert!(coverage.is_done_with(at(-1)), "another module's");
    coverage.read(window(0, 100), at(300), 9);
    coverage.settle(HOUR, at(10_000));
    coverage.backfill(window(-20, -10), false);
    assert!(coverage.is_done_with(at(0)) && coverage.is_done_with(at(99)));
    assert!(!coverage.is_done_with(at(-15)) && !coverage.is_done_with(at(100)));
    coverage.read(window(-20, -15), at(300), 9);
    coverage.settle(HOUR, at(10_000));
    assert!(coverage.is_done_with(at(-16)) && !coverage.is_done_with(at(-15)));
}

#[test]
fn what_was_read_for_the_last_time_has_passed() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 100), at(300), 9);
    assert_eq!(coverage.passed(), None, "it may have begun by any clock");
    coverage.settle(HOUR, at(10_000));
    assert_eq!(coverage.passed(), Some(at(100)));
}

#[test]
fn a_backfill_is_given_up_but_for_hours_that_are_begun() {
    // `at` counts from a full hour.
    let start = 30;
    let mut coverage = Coverage::new(at(start + 300));
    coverage.backfill(window(start, start + 200), false);
    let begun = window(start + 30, start + 90);
    coverage.give_up_backfill(|hour| hour == begun);
    assert_eq!(wanted(&coverage), [begun]);
    coverage.backfill(window(start, start + 400), false);
    assert_eq!(wanted(&coverage), [window(start, start + 300)]);
}

#[test]
fn what_a_backfill_that_is_given_up_had_asked_for_stands_as_before() {
    let mut coverage = finished();
    coverage.read(window(100, 110), at(110), 1);
    coverage.reach(at(120));
    coverage.skip_by_position(at(130));
    coverage.reach(at(140));
    coverage.lose(loss(window(130, 140)));
    coverage.read(window(140, 150), at(150), 1);
    let before = (phases(&coverage), coverage.intervals());
    for again in [true, false] {
        let mut coverage = coverage.clone();
        coverage.backfill(window(-30, 150), again);
        let kept = serde_json::to_string(&coverage).unwrap();
        coverage = serde_json::from_str(&kept).unwrap();
        assert!(!coverage.give_up_backfill(|_| false).is_empty());
        assert_eq!((phases(&coverage), coverage.intervals()), before);
        assert_eq!(coverage.read_at(at(145)), Some(at(150)));
        assert_eq!(coverage.skipped(), [window(110, 130)]);
        assert_eq!(coverage.lost(), [window(130, 140)]);
        assert_eq!(coverage.losses().len(), 1);
        coverage.backfill(window(-30, 100), false);
        assert_eq!(wanted(&coverage), [window(-30, 0)], "the rest is delivered");
    }
    // What it has read meanwhile is read.
    coverage.backfill(window(0, 150), true);
    coverage.read(window(140, 145), at(200), 2);
    coverage.give_up_backfill(|_| false);
    let read = [141, 146].map(|minute| coverage.read_at(at(minute)));
    assert_eq!(read, [Some(at(200)), Some(at(150))]);
}

/// An earlier version did not keep what was delivered before.
#[test]
fn what_an_earlier_version_s_backfill_had_asked_for_is_asked_for_once_more() {
    let mut coverage = finished();
    coverage.backfill(window(0, 50), true);
    coverage.again.clear();
    coverage.give_up_backfill(|_| false);
    coverage.backfill(window(0, 50), false);
    assert_eq!(wanted(&coverage), [window(0, 50)]);
}

#[test]
fn a_position_that_is_moved_on_leaves_a_backfill_as_it_is() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 10), at(10), 1);
    coverage.backfill(window(-20, -10), false);
    coverage.skip_by_position(at(50));
    assert_eq!(wanted(&coverage), [window(-20, -10)]);
    assert_eq!((coverage.checkpoint(), coverage.edge()), (at(50), at(50)));
    assert!(coverage.is_done_with(at(49)));
}

/// Rows surface late in it, and nobody else looks for them.
#[test]
fn what_was_read_goes_on_settling_when_the_position_is_moved_on() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 100), at(100), 9);
    coverage.reach(at(110));
    coverage.read(window(110, 120), at(120), 3);
    coverage.skip_by_position(at(130));
    let expected = [
        (window(0, 100), Phase::Settling(at(100))),
        (window(100, 110), Phase::Final),
        (window(110, 120), Phase::Settling(at(120))),
        (window(120, 130), Phase::Final),
    ];
    assert_eq!(phases(&coverage), expected);
    assert_eq!((coverage.floor(), coverage.checkpoint()), (at(0), at(130)));
    assert_eq!(coverage.skipped(), [window(100, 110), window(120, 130)]);
    assert!(!coverage.is_done_with(at(99)) && coverage.is_done_with(at(105)));
}

/// A query asks for a second more than its window: what it shows of a hole would come twice, once now and
/// once when somebody asks for the hole.
#[test]
fn rows_beside_a_window_are_left_alone_where_nobody_asks_for_them() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 10), at(10), 1);
    coverage.lose(loss(window(10, 20)));
    coverage.read(window(20, 30), at(30), 1);
    assert!(coverage.is_done_with(at(19)));
    assert!(!coverage.is_done_with(at(9)) && !coverage.is_done_with(at(20)));
    // Somebody asks for a part of it.
    coverage.backfill(window(15, 20), false);
    assert!(coverage.is_done_with(at(14)) && !coverage.is_done_with(at(15)));
    let mut backfills = Coverage::for_backfills(at(0));
    backfills.backfill(window(0, 10), false);
    backfills.backfill(window(20, 30), false);
    assert!(backfills.is_done_with(at(19)) && !backfills.is_done_with(at(20)));
}

/// Else rows that surface late in it would be skipped for good.
#[test]
fn what_settled_goes_on_when_a_position_that_was_moved_back_is_put_right() {
    let mut coverage = finished();
    coverage.read(window(100, 110), at(110), 1);
    coverage.want(window(50, 110));
    coverage.skip_by_position(at(110));
    let expected = [(window(100, 110), Phase::Settling(at(110)))];
    assert_eq!(phases(&coverage), expected);
    assert_eq!(coverage.skipped(), [window(50, 100)]);
    assert_eq!(coverage.checkpoint(), at(110));
}

#[test]
fn what_the_position_was_moved_over_is_told_and_can_be_asked_for() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 10), at(10), 1);
    coverage.reach(at(20));
    coverage.read(window(20, 30), at(30), 1);
    coverage.skip_by_position(at(50));
    assert_eq!((coverage.checkpoint(), coverage.edge()), (at(50), at(50)));
    assert_eq!(coverage.skipped(), [window(10, 20), window(30, 50)]);
    coverage.skip_by_position(at(60));
    assert_eq!(coverage.skipped(), [window(10, 20), window(30, 60)]);
    coverage.backfill(window(0, 40), false);
    assert_eq!(wanted(&coverage), [window(10, 20), window(30, 40)]);
    assert_eq!(coverage.skipped(), [window(10, 20), window(30, 60)]);
    coverage.read(window(10, 20), at(300), 1);
    coverage.lose(loss(window(30, 40)));
    assert_eq!(coverage.skipped(), [window(40, 60)], "the rest is left");
    coverage.want(window(45, 60));
    assert_eq!(coverage.skipped(), [window(40, 45)]);
    let mut within_a_gap = Coverage::new(at(0));
    within_a_gap.reach(at(100));
    within_a_gap.skip_by_position(at(40));
    assert_eq!(within_a_gap.skipped(), [window(0, 40)]);
    assert_eq!(
        (within_a_gap.checkpoint(), within_a_gap.edge()),
        (at(40), at(100))
    );
    let many = (0..60).map(|hour| (100 + hour * 60, 130 + hour * 60));
    for (start, end) in many {
        coverage.read(
            Window::new(coverage.edge(), at(start)).unwrap(),
            at(start),
            1,
        );
        coverage.skip_by_position(at(end));
    }
    assert_eq!(coverage.skipped().len(), MOST_SKIPPED);
    assert_eq!(
        coverage.skipped().last(),
        Some(&window(100 + 59 * 60, 130 + 59 * 60))
    );
    // The oldest of them does not count as delivered all the same.
    let forgotten = window(100, 130);
    assert_ne!(coverage.skipped().first(), Some(&forgotten));
    let told = coverage.intervals().into_iter();
    let told: Vec<Window> = told.map(|(window, _)| window).collect();
    assert_eq!(without(&[forgotten], told), [forgotten]);
    coverage.backfill(forgotten, false);
    assert_eq!(wanted(&coverage), [forgotten]);
}

#[test]
fn more_losses_than_are_remembered_are_times_that_a_backfill_still_asks_for() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(1200));
    for n in 0..60 {
        coverage.lose(loss(window(20 * n, 20 * n + 10)));
    }
    assert_eq!((coverage.lost().len(), coverage.losses().len()), (50, 50));
    assert_eq!(coverage.lost().first(), Some(&window(200, 210)));
    let (first, _) = coverage.intervals()[0];
    assert_eq!(first, window(10, 20), "it does not count as delivered");
    coverage.backfill(window(0, 50), false);
    let expected = [window(0, 10), window(20, 30), window(40, 50)];
    assert_eq!(wanted(&coverage), expected);
}

#[test]
fn what_has_not_happened_yet_was_not_skipped() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 10), at(10), 1);
    coverage.skip_by_position(at(50));
    coverage.retract_all(at(40), None);
    assert_eq!(coverage.skipped(), [window(10, 40)]);
    assert_eq!(coverage.memory(), at(40), "nor delivered");
}

/// Else a first start by a clock that runs ahead never asks for the hours that it was to begin with.
#[test]
fn a_collection_that_has_begun_in_the_future_begins_as_long_before_now() {
    // By its clock it is 1000, and it begins an hour before that.
    let begun = || {
        let mut coverage = Coverage::new(at(940));
        coverage.starts_first(at(940), at(1000));
        coverage.reach(at(1000));
        coverage.read(window(1000, 1010), at(1010), 1);
        coverage
    };
    let begins = |coverage: &Coverage, start, now| {
        assert_eq!(
            (coverage.origin(), coverage.floor()),
            (at(start), at(start))
        );
        assert_eq!(phases(coverage), [(window(start, now), Phase::Missing)]);
        assert_eq!(coverage.checkpoint(), at(start));
        assert_eq!(coverage.memory(), at(start), "nothing of it was delivered");
    };
    assert_eq!(begun().retract_all(at(1010), None), None);
    let mut coverage = begun();
    assert_eq!(coverage.retract_all(at(200), None), Some(window(200, 1010)));
    begins(&coverage, 130, 200);
    // It goes back in several steps, as a service says each time that what is asked for lies in its future.
    let mut coverage = begun();
    for (now, taken_back) in [(990, 1010), (950, 990), (700, 950), (650, 700), (200, 650)] {
        assert_eq!(
            coverage.retract_all(at(now), None),
            Some(window(now, taken_back))
        );
        begins(&coverage, now - 70, now);
    }
    // What was never read had been taken back before.
    let mut coverage = Coverage::new(at(940));
    coverage.starts_first(at(940), at(1000));
    coverage.reach(at(1000));
    coverage.retract(at(970));
    assert_eq!(coverage.retract_all(at(970), None), None);
    begins(&coverage, 910, 970);
    // One that went on where another one was goes on there still.
    let mut coverage = Coverage::new(at(100));
    coverage.read(window(100, 1010), at(1010), 1);
    coverage.retract_all(at(200), None);
    assert_eq!(phases(&coverage), [(window(100, 200), Phase::Missing)]);
    // Its start lies ahead by no more than is waited for.
    let mut coverage = Coverage::new(at(940));
    coverage.starts_first(at(940), at(1000));
    coverage.reach(at(1000));
    assert_eq!(coverage.retract_all(at(1000) - AHEAD, None), None);
    begins(&coverage, 940, 1000);
    // What a backfill has delivered of it may be forgotten.
    let mut coverage = Coverage::new(at(940));
    coverage.starts_first(at(940), at(1000));
    coverage.backfill(window(900, 920), false);
    coverage.reach(at(1000));
    coverage.retract_all(at(950), None);
    assert_eq!((coverage.origin(), coverage.memory()), (at(890), at(940)));
    // Of backfills alone there is no beginning.
    let mut coverage = Coverage::for_backfills(at(900));
    coverage.backfill(window(900, 1000), false);
    coverage.retract_all(at(200), None);
    assert_eq!(coverage.origin(), at(200));
}

/// Else rows that were received in the first hours of its life are never asked for, when the lie outlasts them.
#[test]
fn a_collection_that_has_begun_by_a_leap_begins_before_it_also_when_its_time_has_come() {
    // It began at 400, and it seemed to be 1000: now that has passed.
    let begun = || {
        let mut coverage = Coverage::new(at(940));
        coverage.starts_first(at(940), at(1000));
        coverage.read(window(940, 2000), at(2000), 1);
        coverage
    };
    let leapt = |since| UndoneLeap {
        since: at(since),
        by: TimeDelta::minutes(600),
    };
    let mut coverage = begun();
    let taken_back = coverage.retract_all(at(1400), Some(leapt(1000)));
    assert_eq!(taken_back, Some(window(940, 2000)));
    assert_eq!(phases(&coverage), [(window(340, 1400), Phase::Missing)]);
    assert_eq!((coverage.origin(), coverage.memory()), (at(340), at(340)));
    assert_eq!(coverage.checkpoint(), at(340));
    // A start has taken the future back before anything was known of the leap.
    let mut coverage = begun();
    coverage.retract_all(at(1400), None);
    assert_eq!(coverage.origin(), at(940));
    coverage.retract_all(at(1400), Some(leapt(1000)));
    assert_eq!(phases(&coverage), [(window(340, 1400), Phase::Missing)]);
    // What was read for the last time meanwhile is not looked at again.
    let mut coverage = begun();
    coverage.settle(HOUR, at(1500));
    coverage.retract_all(at(1600), Some(leapt(1000)));
    let expected = [
        (window(340, 940), Phase::Missing),
        (window(940, 1440), Phase::Final),
        (window(1440, 1600), Phase::Missing),
    ];
    assert_eq!(phases(&coverage), expected);
    assert!(coverage.is_done_with(at(1000)) && !coverage.is_done_with(at(500)));
    // Nor is what a backfill has read for the last time, whose rows would come twice.
    let mut coverage = begun();
    coverage.backfill(window(200, 700), false);
    coverage.read(window(200, 700), at(2000), 1);
    coverage.settle(HOUR, at(1900));
    coverage.retract_all(at(1950), Some(leapt(1000)));
    let expected = [
        (window(700, 940), Phase::Missing),
        (window(940, 1840), Phase::Final),
        (window(1840, 1950), Phase::Missing),
    ];
    assert_eq!(phases(&coverage), expected);
    assert!(coverage.is_done_with(at(500)) && !coverage.is_done_with(at(800)));
    // A later leap says nothing of the beginning.
    let mut coverage = begun();
    coverage.retract_all(at(1400), Some(leapt(1100)));
    assert_eq!(coverage.origin(), at(940));
}

#[test]
fn what_lies_around_an_instant_was_never_read_or_is_nothing() {
    let mut coverage = Coverage::new(at(0));
    coverage.reach(at(10));
    coverage.read(window(10, 20), at(20), 1);
    coverage.reach(at(30));
    assert_eq!(coverage.unread_around(at(5)), Some(window(0, 10)));
    assert_eq!(coverage.unread_around(at(15)), None);
    assert_eq!(coverage.unread_around(at(20)), Some(window(20, 30)));
    assert_eq!(coverage.unread_around(at(30)), None);
    coverage.backfill(window(-10, -5), false);
    assert_eq!(coverage.unread_around(at(-7)), Some(window(-10, -5)));
}

#[test]
fn what_was_read_by_a_clock_that_ran_ahead_is_missing_when_it_is_right_again() {
    let mut coverage = Coverage::new(at(0));
    coverage.read(window(0, 100), at(100), 1);
    // Read once more, and first, an hour before that has happened.
    coverage.read(window(20, 40), at(3800), 1);
    coverage.read(window(100, 200), at(3700), 1);
    let mut known = coverage.clone();
    assert_eq!(coverage.retract_all(at(300), None), Some(window(20, 200)));
    let expected = [
        (window(0, 20), Phase::Settling(at(100))),
        (window(20, 40), Phase::Missing),
        (window(40, 100), Phase::Settling(at(100))),
        (window(100, 200), Phase::Missing),
    ];
    assert_eq!(phases(&coverage), expected);
    assert_eq!(coverage.retract_all(at(300), None), None, "once");
    // The hour has passed meanwhile: only who saw the leap knows.
    assert_eq!(known.clone().retract_all(at(4000), None), None);
    let leapt = UndoneLeap {
        since: at(3700),
        by: TimeDelta::seconds(3600),
    };
    let taken_back = known.retract_all(at(4000), Some(leapt));
    assert_eq!(taken_back, Some(window(20, 200)));
    assert_eq!(phases(&known), expected);
}

/// Else it would count as read late enough before it was.
#[test]
fn what_a_backfill_asks_for_again_that_was_read_by_such_a_clock_is_missing_when_it_is_given_up() {
    let mut coverage = Coverage::for_backfills(at(0));
    coverage.read(window(0, 100), at(100), 1);
    coverage.read(window(20, 40), at(3800), 1);
    coverage.backfill(window(10, 60), true);
    coverage.retract_all(at(300), None);
    coverage.give_up_backfill(|_| false);
    let expected = [
        (window(0, 20), Phase::Settling(at(100))),
        (window(20, 40), Phase::Missing),
        (window(40, 100), Phase::Settling(at(100))),
    ];
    assert_eq!(phases(&coverage), expected);
    assert!(!coverage.is_sending_again());
    // What has not happened yet was not read before.
    let mut coverage = Coverage::for_backfills(at(0));
    coverage.read(window(0, 100), at(100), 1);
    coverage.backfill(window(50, 100), true);
    coverage.retract_all(at(70), None);
    assert!(!coverage.sends_again(window(70, 100)));
}
