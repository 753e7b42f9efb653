use super::*;
use crate::{
    decide::{coverage::Coverage, lateness::Lateness, schedule::tests::SETTINGS},
    testing::{at_second as at, seconds as window},
};

/// These windows were read at these seconds, and had so many rows. A page has 5000.
fn over(read: &[(Window, i64, u64)]) -> Schedule {
    let mut coverage = Coverage::new(at(0));
    for (window, second, rows) in read {
        coverage.read(*window, at(*second), *rows);
    }
    Schedule::new(SETTINGS, coverage, Lateness::default())
}

#[test]
fn rows_of_late_are_those_of_the_last_hour() {
    assert_eq!(over(&[]).density(), None, "nothing is known");
    let (before, last) = (window(0, 3600), window(3600, 7200));
    let schedule = over(&[(before, 3600, 36_000), (last, 7200, 3600)]);
    assert_eq!(schedule.density(), Some(1.0));
}

#[test]
fn after_a_stop_what_fits_on_a_page_is_read_at_once() {
    let schedule = over(&[(window(0, 3600), 3600, 3600)]);
    let newest = |span: i64| schedule.newest(window(3600, 3600 + span));
    assert_eq!(newest(4400), window(3600, 8000));
    assert_eq!(newest(4600), window(8080, 8200), "two minutes of it");
}

/// What was read at an age of up to five minutes is due again after one.
#[test]
fn the_past_is_read_with_the_newest_as_far_as_it_fits_on_a_page() {
    let newest = window(3600, 3660);
    let begins = |schedule: &Schedule| schedule.with_the_past(newest, at(3660)).start();
    let with_rows = |a_second: u64| over(&[(window(0, 3600), 3600, 3600 * a_second)]);
    assert_eq!(begins(&with_rows(10)), at(3300));
    assert_eq!(begins(&with_rows(13)), at(3600), "too many");
    // Windows as wide as this have failed.
    let mut narrow = with_rows(1);
    for (most, begin) in [(120, 3540), (119, 3600)] {
        narrow.narrowing.live.most = Some(TimeDelta::seconds(most));
        assert_eq!(begins(&narrow), at(begin), "{most}");
    }
    let mut cut = with_rows(1);
    cut.cuts.insert(at(3400));
    assert_eq!(begins(&cut), at(3600), "over no cut");
}

#[test]
fn few_rows_are_read_for_nothing_to_save_a_request() {
    let begins = |between| {
        let read = [
            (window(0, 3600), 3600, 360),
            (window(3600, 3660), 3700, between),
        ];
        let schedule = over(&read);
        schedule.with_the_past(window(3660, 3720), at(3720)).start()
    };
    assert_eq!([100, 300].map(begins), [at(3000), at(3660)]);
    // Beside the live edge.
    let runs = |between| {
        let schedule = over(&[
            (window(0, 3600), 3600, 10_000),
            (window(3600, 3660), 9980, between),
            (window(3660, 7200), 7200, 10_000),
        ]);
        schedule.runs(at(10_000)).len()
    };
    assert_eq!([1400, 1600].map(runs), [1, 2]);
}

#[test]
fn what_is_read_again_beside_the_live_edge_has_eight_pages_at_most() {
    let mut schedule = over(&[(window(3540, 3600), 3600, 80_000)]);
    schedule.tick = Some(at(10_000));
    let newest = Some(window(3570, 3600));
    assert_eq!(schedule.settling(at(10_000)), newest);
}

/// A position of the Python module has a fraction of a second.
#[test]
fn no_window_is_shorter_than_a_second() {
    let start = at(0) + TimeDelta::milliseconds(500);
    let mut schedule = over(&[]);
    schedule.narrowing.past.most = Some(SHORTEST_SPAN);
    let free = Window::new(start, at(60)).unwrap();
    let first = Window::new(start, start + SHORTEST_SPAN);
    assert_eq!(schedule.fitting(free), first);
}

#[test]
fn a_window_takes_along_what_its_last_page_has_room_for() {
    let read = [
        (window(0, 1000), 1000, 1000),
        (window(1000, 2000), 2000, 1000),
        (window(2000, 3000), 3000, 7000),
        (window(3000, 36_000), 36_000, 4),
    ];
    let mut schedule = over(&read);
    let first = window(0, 1000);
    assert_eq!(schedule.filled(first), window(0, 2414));
    // It has a second page.
    assert_eq!(schedule.filled(window(0, 2420)), window(0, 36_000));
    // Up to what is being read, or was never read.
    schedule.occupy(window(1500, 1600));
    assert_eq!(schedule.filled(first), window(0, 1500));
    let [_, _, after, _] = read;
    assert_eq!(over(&[(first, 1000, 1000), after]).filled(first), first);
}
