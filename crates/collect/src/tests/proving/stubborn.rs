//! Windows that always fail while others are answered hold nobody up: neither the live edge, nor what lies
//! beside them.

use super::*;

/// Three instants whose windows fail for ever with this class, of rows that were received before the start.
const POISON: [i64; 3] = [30, 150, 271];

/// More than there are readers and places for them to wait in.
const MUCH_POISON: [i64; 8] = [30, 71, 110, 150, 192, 230, 271, 290];

/// What is delivered of each hour while they fail, and how often the source was asked in the last hour.
async fn delivered(class: ErrorClass, poison: &[i64]) -> (Vec<Vec<usize>>, usize) {
    let bench = Bench::new(60);
    let instant = |minute: &i64| bench.start + TimeDelta::minutes(*minute) + SECOND;
    let poison: Vec<_> = poison.iter().map(instant).collect();
    let older = backfill(&bench, 1, (-60, 0), false);
    older.save(bench.disk.as_ref()).await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (clock, times) = (bench.clock.clone(), Arc::clone(&asked));
    *bench.hook.lock().unwrap() = Some(Box::new(move |_, window, _| {
        times.lock().unwrap().push(clock.now());
        match poison.iter().any(|instant| window.contains(*instant)) {
            true => Err(class),
            false => Ok(()),
        }
    }));
    let clock = bench.clock.clone();
    let script = async {
        for _ in 0..240 {
            bench.rows.lock().unwrap().push((clock.now(), false));
            tokio::time::sleep(Duration::from_secs(60)).await;
            let late = |row: usize| !bench.sent.lock().unwrap().contains_key(&row);
            let rows = bench.rows.lock().unwrap().len();
            assert!(!late(rows - 3), "the live edge is held up by {class:?}");
        }
        let told = progress(&bench, &older).await;
        assert!(told.has_ended(), "{class:?} holds a backfill up");
    };
    bench.lives(End::Stop, script).await;
    let hours = (0..HOURS).map(|hour| bench.times_of(hour)).collect();
    let asked = asked.lock().unwrap();
    let last = bench.clock.now() - TimeDelta::hours(1);
    (hours, asked.iter().filter(|at| **at > last).count())
}

const SECOND: TimeDelta = TimeDelta::seconds(1);

#[test]
fn windows_that_always_fail_keep_no_other_row_back() {
    on_virtual_time(async {
        for (class, poison) in [
            (ErrorClass::Person, &POISON[..]),
            (ErrorClass::Outage, &POISON[..]),
            (ErrorClass::Transient { after: None }, &POISON[..]),
            (ErrorClass::Narrow, &POISON[..]),
            (ErrorClass::Throttled { after: None }, &POISON[..]),
            (ErrorClass::Unreadable, &MUCH_POISON[..]),
        ] {
            let (hours, asked) = delivered(class, poison).await;
            let missing: usize = hours
                .iter()
                .map(|hour| hour.iter().filter(|times| **times == 0).count())
                .sum();
            let twice = hours.iter().flatten().any(|times| *times > 1);
            println!("{class:?}: {missing} missing, {asked} requests");
            assert!(
                missing <= poison.len() + 60 && !twice,
                "{class:?}: {hours:?}"
            );
            assert!(asked < 200, "{class:?}: {asked} requests in an hour");
        }
    });
}

#[test]
fn hours_that_the_source_refuses_as_too_old_are_not_proven_and_end_a_verification() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        *bench.hook.lock().unwrap() = Some(Box::new(|lane, _, _| match lane {
            Lane::Verify => Err(ErrorClass::OutOfReach { days: None }),
            _ => Ok(()),
        }));
        let order = verification(&bench, 1, ALL, false);
        order.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, ended(&bench, &order)).await;
        assert_eq!(
            findings(&bench, 1).await,
            [Finding::Unprovable; HOURS as usize]
        );
        assert_eq!(bench.times(), [1]);
    });
}

/// A window may be two days long, and its first hour alone too old, also where the refusal says that all is.
#[test]
fn hours_that_the_source_keeps_are_proven_also_when_one_before_them_is_too_old() {
    for days in [None, Some(0)] {
        proves_all_but_the_first_hour(days);
    }
}

fn proves_all_but_the_first_hour(days: Option<u32>) {
    on_virtual_time(async move {
        let bench = Bench::collected(60).await;
        let oldest = bench.start + TimeDelta::minutes(30);
        let script = async {
            // Windows are wider after some were read.
            verifies(&bench, &verification(&bench, 1, ALL, false)).await;
            *bench.hook.lock().unwrap() = Some(Box::new(move |lane, window, _| {
                match lane == Lane::Verify && window.start() < oldest {
                    true => Err(ErrorClass::OutOfReach { days }),
                    false => Ok(()),
                }
            }));
            verifies(&bench, &verification(&bench, 2, ALL, false)).await;
        };
        bench.lives(End::Stop, script).await;
        let mut expected = PROVEN;
        expected[0] = Finding::Unprovable;
        assert_eq!(findings(&bench, 2).await, expected);
    });
}

#[test]
fn a_full_page_without_a_link_is_not_taken_for_the_last_one() {
    on_virtual_time(async {
        let bench = Bench::new(600);
        bench.hides_links.store(true, Ordering::Relaxed);
        let rows = bench.rows.lock().unwrap().len();
        assert!(rows > 4000, "several pages");
        let life = tokio::time::sleep(Duration::from_secs(3600));
        bench.lives(End::Stop, life).await;
        assert_eq!(bench.sent.lock().unwrap().len(), rows);
        assert_eq!(bench.times(), [1]);
    });
}

/// Else no page would ever come whole beside it, and its window would never count as read.
#[test]
fn a_row_that_cannot_be_read_is_put_aside_also_where_something_stands_on_every_page() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        bench.is_damaged.store(true, Ordering::Relaxed);
        *bench.broken.lock().unwrap() = Some(bench.start + TimeDelta::minutes(150));
        bench.lives(End::Stop, bench.collects()).await;
        assert_eq!(bench.times(), [1]);
        assert_eq!(kept_letters(&bench).await, 2);
    });
}

/// As of a service that puts the same into each of its answers: no page ever comes whole.
#[test]
fn what_is_no_row_and_stands_on_every_page_keeps_no_row_back() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        bench.is_damaged.store(true, Ordering::Relaxed);
        let clock = bench.clock.clone();
        let script = async {
            for minute in 0..60 {
                bench.rows.lock().unwrap().push((clock.now(), false));
                tokio::time::sleep(Duration::from_secs(60)).await;
                let late = |row: usize| !bench.sent.lock().unwrap().contains_key(&row);
                let rows = bench.rows.lock().unwrap().len();
                assert!(minute < 10 || !late(rows - 3), "the live edge is held up");
            }
        };
        bench.lives(End::Stop, script).await;
        let rows = bench.rows.lock().unwrap().len();
        assert!(bench.sent.lock().unwrap().len() >= rows - 2);
        assert_eq!(bench.times(), [1]);
        let letters = bench.disk.list("dead-letters/").await.unwrap();
        assert!(!letters.is_empty(), "it is put aside");
    });
}

/// They are no answers: else the rows of that time would count as read.
#[test]
fn pages_with_nothing_but_what_is_no_row_are_an_outage() {
    on_virtual_time(async {
        // Whether the same has stood on every page before.
        for is_known in [false, true] {
            let bench = Bench::new(60);
            bench.is_damaged.store(is_known, Ordering::Relaxed);
            let position = || bench.disk.checkpoint.lock().unwrap().unwrap();
            let script = async {
                bench.collects().await;
                bench.is_damaged.store(true, Ordering::Relaxed);
                bench.is_bare_of_rows.store(true, Ordering::Relaxed);
                let begun = bench.clock.now();
                let letters = kept_letters(&bench).await;
                tokio::time::sleep(Duration::from_secs(600)).await;
                assert!(position() <= begun, "{is_known}: {}", position());
                assert_eq!(kept_letters(&bench).await, letters, "{is_known}");
                let received = begun + TimeDelta::minutes(5);
                bench.rows.lock().unwrap().push((received, false));
                bench.is_bare_of_rows.store(false, Ordering::Relaxed);
                bench.is_damaged.store(false, Ordering::Relaxed);
                let is_over = async || position() > received;
                bench.until("it counts as read", is_over).await;
            };
            bench.lives(End::Stop, script).await;
            let rows = bench.rows.lock().unwrap().len();
            assert_eq!(bench.sent.lock().unwrap().len(), rows, "{is_known}");
            assert_eq!(bench.times(), [1]);
        }
    });
}

/// The same may stand in the place of any row.
#[test]
fn what_was_put_aside_once_is_looked_into_in_another_place() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        let script = async {
            puts_aside(&bench).await;
            assert_eq!(kept_letters(&bench).await, 1, "it is known there");
            *bench.broken.lock().unwrap() = Some(bench.clock.now());
            let is_kept = async || kept_letters(&bench).await == 2;
            bench.until("so is the other", is_kept).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
    });
}

/// The requests that find out whether the source is back get it, too.
#[test]
fn what_is_no_row_and_stands_on_every_page_does_not_prolong_an_outage() {
    on_virtual_time(async {
        for is_known in [true, false] {
            let bench = Bench::new(60);
            bench.is_damaged.store(is_known, Ordering::Relaxed);
            let script = async {
                bench.collects().await;
                *bench.hook.lock().unwrap() = Some(Box::new(|_, _, _| Err(ErrorClass::Outage)));
                tokio::time::sleep(Duration::from_secs(300)).await;
                bench.is_damaged.store(true, Ordering::Relaxed);
                *bench.hook.lock().unwrap() = None;
                let row = bench.rows.lock().unwrap().len();
                let received = bench.clock.now();
                bench.rows.lock().unwrap().push((received, false));
                let is_sent = async || bench.sent.lock().unwrap().contains_key(&row);
                bench.until("it is delivered", is_sent).await;
                let waited = bench.clock.now() - received;
                assert!(waited < TimeDelta::minutes(30), "{is_known}: {waited}");
            };
            bench.lives(End::Stop, script).await;
            assert_eq!(bench.times(), [1]);
        }
    });
}

/// When all else is read, nothing but the time is left to show that the source answers.
#[test]
fn a_window_that_always_fails_keeps_no_other_row_of_a_backfill_alone_back() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        bench.is_alone.store(true, Ordering::Relaxed);
        let poison = bench.start + SECOND;
        *bench.hook.lock().unwrap() = Some(Box::new(move |_, window, _| {
            match window.contains(poison) {
                true => Err(ErrorClass::Outage),
                false => Ok(()),
            }
        }));
        let order = backfill(&bench, 1, (0, 60 * (HOURS + 3)), false);
        order.save(bench.disk.as_ref()).await.unwrap();
        let rows = bench.rows.lock().unwrap().len();
        let is_sent = async || bench.sent.lock().unwrap().len() == rows - 1;
        let script = bench.until("all others are delivered", is_sent);
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
    });
}

/// Who refuses, or asks for a pause, speaks of all requests, and may mean this one.
#[test]
fn a_window_that_is_always_refused_keeps_no_other_row_back() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        let poison = bench.start + TimeDelta::minutes(30) + SECOND;
        *bench.hook.lock().unwrap() = Some(Box::new(move |_, window, _| {
            match window.contains(poison) {
                true => Err(ErrorClass::Refused { heals: false }),
                false => Ok(()),
            }
        }));
        let rows = bench.rows.lock().unwrap().len();
        let is_sent = async || bench.sent.lock().unwrap().len() == rows - 1;
        let script = bench.until("all others are delivered", is_sent);
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
    });
}

/// A service may ask for a pause whenever a window is too much for it, and be well otherwise.
#[test]
fn windows_that_are_too_wide_and_answered_with_a_wish_for_a_pause_are_read_in_narrower_ones() {
    for is_alone in [false, true] {
        on_virtual_time(async {
            let bench = Bench::new(60);
            bench.is_alone.store(is_alone, Ordering::Relaxed);
            let class = ErrorClass::Throttled {
                after: Some(Duration::from_secs(5)),
            };
            // A backfill alone ends with its last row.
            let poison = Some(bench.start + SECOND).filter(|_| is_alone);
            *bench.hook.lock().unwrap() = Some(Box::new(move |_, window, _| {
                match window.span() > TimeDelta::minutes(30) {
                    true => Err(class),
                    false if poison.is_some_and(|at| window.contains(at)) => {
                        Err(ErrorClass::Outage)
                    }
                    false => Ok(()),
                }
            }));
            if is_alone {
                let order = backfill(&bench, 1, (0, 60 * (HOURS + 3)), false);
                order.save(bench.disk.as_ref()).await.unwrap();
            }
            let rows = bench.rows.lock().unwrap().len() - usize::from(is_alone);
            let is_sent = async || bench.sent.lock().unwrap().len() == rows;
            let script = bench.until("all are delivered", is_sent);
            bench.lives(End::Stop, script).await;
            assert_eq!(bench.times(), [1]);
        });
    }
}

/// All obey it until it is known that it means one window, and all again when it is meant for all.
#[test]
fn a_wish_for_a_long_pause_that_one_window_always_meets_holds_up_no_other_row_for_long() {
    for after in [120, 300] {
        on_virtual_time(async {
            let bench = Bench::new(60);
            let wish = Duration::from_secs(after);
            let class = ErrorClass::Throttled { after: Some(wish) };
            let poison = bench.clock.now() - TimeDelta::minutes(83) + TimeDelta::milliseconds(500);
            *bench.hook.lock().unwrap() = Some(Box::new(move |_, window, _| {
                match window.contains(poison) {
                    true => Err(class),
                    false => Ok(()),
                }
            }));
            let begin = bench.clock.now();
            let script = async {
                for tick in 0..720 {
                    let now = bench.clock.now();
                    if tick % 6 == 0 {
                        bench.rows.lock().unwrap().push((now, false));
                    }
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    if now - begin < TimeDelta::minutes(15) {
                        continue;
                    }
                    let young = now - TimeDelta::minutes(2);
                    let sent = bench.sent.lock().unwrap();
                    for (row, (received, _)) in bench.rows.lock().unwrap().iter().enumerate() {
                        let is_in_time = *received < begin || *received > young;
                        let waited = now - *received;
                        assert!(is_in_time || sent.contains_key(&row), "{after}: {waited}");
                    }
                }
                let rows = bench.rows.lock().unwrap().len();
                let missing = rows - bench.sent.lock().unwrap().len();
                assert!(missing <= 10, "{after}: {missing}");
                let asked = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&asked);
                *bench.hook.lock().unwrap() = Some(Box::new(move |_, _, _| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    Err(class)
                }));
                tokio::time::sleep(wish * 10).await;
                let asked = asked.load(Ordering::Relaxed);
                assert!(asked <= 16, "{after}: {asked} requests");
            };
            bench.lives(End::Stop, script).await;
            assert_eq!(bench.times(), [1]);
        });
    }
}

/// A row that had to be mended is known by its bytes: one whose bytes are others in each answer would be a new one
/// in each.
#[test]
fn a_row_that_is_damaged_in_another_way_each_time_is_not_delivered_each_time() {
    on_virtual_time(async {
        for ways in [None, Some(0)] {
            let bench = Bench::new(60);
            *bench.mended.lock().unwrap() = Some((75, ways));
            let expected = bench.rows.lock().unwrap().len() - usize::from(ways.is_some());
            let is_sent = async || bench.sent.lock().unwrap().len() == expected;
            let script = async {
                bench
                    .until("all that is certain is delivered", is_sent)
                    .await;
                // They are read again meanwhile.
                tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
            };
            bench.lives(End::Stop, script).await;
            assert_eq!(bench.times(), [1], "{ways:?}");
            let is_delivered = bench.sent.lock().unwrap().contains_key(&75);
            assert_eq!(is_delivered, ways.is_none());
        }
    });
}

/// Else its window would never count as read, and the position would stay before it.
#[test]
fn a_row_that_is_damaged_in_another_way_each_time_becomes_a_letter_after_a_day() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        *bench.mended.lock().unwrap() = Some((75, Some(0)));
        let rows = bench.rows.lock().unwrap().len();
        let script = async {
            tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
            assert_eq!(kept_letters(&bench).await, 0);
            tokio::time::sleep(Duration::from_secs(4 * 3600)).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(kept_letters(&bench).await, 1);
        assert_eq!(bench.times(), [1]);
        assert_eq!(bench.sent.lock().unwrap().len(), rows - 1);
        let checkpoint = bench.disk.checkpoint.lock().unwrap().unwrap();
        assert!(bench.clock.now() - checkpoint < TimeDelta::hours(1));
    });
}

/// The first page is answered each time, so that the window is in reach.
#[test]
fn links_that_are_refused_as_too_old_keep_no_row_back() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        *bench.page.lock().unwrap() = 20;
        *bench.hook.lock().unwrap() = Some(Box::new(|_, _, has_link| match has_link {
            true => Err(ErrorClass::OutOfReach { days: None }),
            false => Ok(()),
        }));
        let rows = bench.rows.lock().unwrap().len();
        let is_sent = async || bench.sent.lock().unwrap().len() == rows;
        let script = bench.until("all are delivered", is_sent);
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
    });
}
