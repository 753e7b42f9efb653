//! A person makes room for dead letters while nothing else can go on.

use super::*;
use crate::letters::order::{Act, LettersOrder, LettersOutcome};

#[test]
fn room_is_made_while_the_hand_is_full() {
    on_virtual_time(async {
        for is_bare in [false, true] {
            let bench = Bench::new(20);
            bench.refuses.store(true, Ordering::Relaxed);
            bench.is_bare.store(is_bare, Ordering::Relaxed);
            let letters = room_for_three(&bench).await;
            let script = async {
                tokio::time::sleep(Duration::from_secs(300)).await;
                drops_three(&bench).await;
                // Their places are taken by others.
                let are_full = async || kept_letters(&bench).await == 3;
                bench.until("others take their places", are_full).await;
            };
            bench.lives_in(End::Kill, letters, script).await;
        }
    });
}

async fn room_for_three(bench: &Bench) -> Letters {
    let owner = Owner {
        intake: "f00d".to_owned(),
        identify: |_| None,
    };
    let room = Room {
        letters: 3,
        bytes: 1 << 20,
    };
    let letters = Letters::open(bench.disk.as_ref(), owner, room).await;
    letters.unwrap()
}

async fn drops_three(bench: &Bench) {
    let order = LettersOrder::new(id(1), Act::Drop, None, false);
    order.save(bench.disk.as_ref()).await.unwrap();
    let is_done = async || {
        let outcome = LettersOutcome::load(bench.disk.as_ref()).await.unwrap();
        outcome.is_some_and(|outcome| outcome.done && outcome.dropped.len() == 3)
    };
    bench.until("they are dropped", is_done).await;
}

#[test]
fn rows_that_are_too_long_come_in_hand_in_bounds_and_are_told() {
    on_virtual_time(async {
        let bench = Bench::new(20);
        bench.is_long.store(true, Ordering::Relaxed);
        let letters = room_for_three(&bench).await;
        let script = async {
            let is_full = async || bench.no_room.load(Ordering::Relaxed) > 0;
            bench.until("there is no room", is_full).await;
            let held = || bench.most_held.load(Ordering::Relaxed);
            assert!(held() > 0, "before anything has become of them");
            tokio::time::sleep(Duration::from_secs(300)).await;
            // Two of them are as much as may be in hand.
            assert_eq!(held(), 2);
            assert!(bench.standstills.load(Ordering::Relaxed) > 0);
            drops_three(&bench).await;
            let are_full = async || kept_letters(&bench).await == 3;
            bench.until("others take their places", are_full).await;
        };
        bench.lives_in(End::Kill, letters, script).await;
    });
}

#[test]
fn rows_that_cannot_be_hidden_wait_for_room_in_bounds() {
    on_virtual_time(async {
        let bench = Bench::new(1500);
        bench.is_bare.store(true, Ordering::Relaxed);
        let letters = room_for_three(&bench).await;
        let script = async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            assert_eq!(bench.no_room.load(Ordering::Relaxed), 10_000);
            drops_three(&bench).await;
            tokio::time::sleep(Duration::from_secs(300)).await;
            assert_eq!(bench.no_room.load(Ordering::Relaxed), 10_003);
        };
        bench.lives_in(End::Kill, letters, script).await;
    });
}

#[test]
fn a_missing_row_that_the_intake_refuses_is_said_to_be_a_dead_letter() {
    on_virtual_time(async {
        for is_bare in [false, true] {
            let bench = Bench::collected(20).await;
            bench.refuses.store(true, Ordering::Relaxed);
            bench.is_bare.store(is_bare, Ordering::Relaxed);
            bench.surfaces(2, 1);
            let mut expected = PROVEN;
            expected[2] = Finding::Delivered;
            assert_eq!(finds(&bench, 1).await, expected);
            let verdicts = verdicts(&bench, 1).await;
            let dead = verdicts.iter().map(|verdict| verdict.notes.dead_letters);
            assert_eq!(dead.collect::<Vec<_>>(), [0, 0, 1, 0, 0]);
            assert_eq!(kept_letters(&bench).await, 1);
        }
    });
}

/// They are refused, too long, or cannot be hidden.
#[test]
fn rows_of_a_backfill_that_become_dead_letters_are_counted_as_such() {
    on_virtual_time(async {
        for kind in 0..3 {
            let bench = Bench::collected(20).await;
            let kinds = [&bench.refuses, &bench.is_long, &bench.is_bare];
            kinds[kind].store(true, Ordering::Relaxed);
            for minute in [5, 25, 45] {
                bench.surfaces(-1, minute);
            }
            let order = backfill(&bench, 1, (-60, 0), false);
            order.save(bench.disk.as_ref()).await.unwrap();
            bench.lives(End::Stop, ended(&bench, &order)).await;
            let counts = progress(&bench, &order).await.counts;
            let found = (counts.new, counts.accepted, counts.refused);
            assert_eq!(found, (3, 0, 3), "{kind}");
            assert_eq!(kept_letters(&bench).await, 3, "{kind}");
        }
    });
}

#[test]
fn what_stands_in_the_place_of_their_file_holds_nothing_up() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        bench.refuses.store(true, Ordering::Relaxed);
        bench.surfaces(HOURS + 2, 30);
        let script = async {
            let is_kept = async || kept_letters(&bench).await == 1;
            bench.until("one is kept", is_kept).await;
            *bench.disk.no_file.lock().unwrap() = Some("dead-letters/0000000001.jsonl");
            let order = LettersOrder::new(id(1), Act::Retry, None, false);
            order.save(bench.disk.as_ref()).await.unwrap();
            let is_done = async || {
                let outcome = LettersOutcome::load(bench.disk.as_ref()).await.unwrap();
                outcome.is_some_and(|outcome| outcome.done && outcome.left.len() == 1)
            };
            bench.until("it stays", is_done).await;
        };
        bench.lives(End::Stop, script).await;
    });
}

/// Rows surface that the intake refuses, and are sent again as letters while the script runs.
async fn sends_letters(bench: &Bench, count: usize) {
    for minute in 0..count {
        bench.surfaces(HOURS + 2, 30 + i64::try_from(minute).unwrap());
    }
    let are_kept = async || kept_letters(bench).await == count;
    bench.until("they are kept", are_kept).await;
    let order = LettersOrder::new(id(1), Act::Retry, None, false);
    order.save(bench.disk.as_ref()).await.unwrap();
}

async fn outcome(bench: &Bench) -> Option<LettersOutcome> {
    LettersOutcome::load(bench.disk.as_ref()).await.unwrap()
}

#[test]
fn no_letter_is_passed_over_when_the_store_fails_between() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        bench.refuses.store(true, Ordering::Relaxed);
        *bench.takes_letters.lock().unwrap() = Some(Duration::from_millis(100));
        *bench.disk.unwritable.lock().unwrap() = Some(LettersOutcome::NAME);
        let script = async {
            sends_letters(&bench, 2).await;
            let has_failed = async || bench.failures.load(Ordering::Relaxed) > 1;
            bench.until("the store has failed", has_failed).await;
            *bench.disk.unwritable.lock().unwrap() = None;
            let is_done = async || outcome(&bench).await.is_some_and(|outcome| outcome.done);
            bench.until("it is done", is_done).await;
            assert_eq!(outcome(&bench).await.unwrap().accepted.len(), 2);
            assert_eq!(kept_letters(&bench).await, 0);
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
    });
}

#[test]
fn a_letter_that_is_accepted_shortly_after_a_stop_is_not_sent_again() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        bench.refuses.store(true, Ordering::Relaxed);
        *bench.takes_letters.lock().unwrap() = Some(Duration::from_secs(2));
        let script = async {
            sends_letters(&bench, 1).await;
            let has_begun = async || outcome(&bench).await.is_some();
            bench.until("it is on its way", has_begun).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(outcome(&bench).await.unwrap().accepted.len(), 1);
        assert_eq!(kept_letters(&bench).await, 0);
        let script = async {
            let is_done = async || outcome(&bench).await.is_some_and(|outcome| outcome.done);
            bench.until("it is done", is_done).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
    });
}
