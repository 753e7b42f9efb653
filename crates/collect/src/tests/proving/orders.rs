//! Other orders come while a verification reads.

use super::*;
use crate::nightly::{Nights, StandingOrder};

/// A verification that has read some pages of a window.
async fn reading() -> Arc<Bench> {
    let bench = Bench::collected(60).await;
    *bench.page.lock().unwrap() = 25;
    bench.slows(Lane::Verify, 10);
    bench
}

#[test]
fn what_another_verification_has_read_in_part_is_not_judged() {
    on_virtual_time(async {
        let bench = reading().await;
        let mut first = verification(&bench, 1, ALL, false);
        let second = verification(&bench, 2, ALL, false);
        first.save(bench.disk.as_ref()).await.unwrap();
        let script = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            first.cancelled = true;
            verifies(&bench, &first).await;
            tokio::time::sleep(Duration::from_secs(25)).await;
            verifies(&bench, &second).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(findings(&bench, 2).await, PROVEN);
        let rows = bench.rows.lock().unwrap().len();
        assert_eq!(bench.sent.lock().unwrap().len(), rows);
    });
}

#[test]
fn an_hour_that_is_asked_for_meanwhile_is_open_and_holds_nothing_up() {
    on_virtual_time(async {
        let bench = reading().await;
        bench.slows(Lane::Backfill, 24 * 60 * 60);
        let order = verification(&bench, 1, ALL, false);
        order.save(bench.disk.as_ref()).await.unwrap();
        let script = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            let meanwhile = backfill(&bench, 9, (120, 150), true);
            meanwhile.save(bench.disk.as_ref()).await.unwrap();
            ended(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        let mut expected = PROVEN;
        expected[2] = Finding::Open;
        assert_eq!(findings(&bench, 1).await, expected);
    });
}

/// The rest of it would seem to be missing, and to be shown no more.
#[test]
fn what_an_hour_with_a_new_record_of_less_of_it_has_besides_is_not_called_missing() {
    on_virtual_time(async {
        let bench = reading().await;
        bench.forgets().await;
        // The backfill has ended before the windows of that hour are read to their end.
        let slow = Duration::from_secs(60);
        bench.takes.lock().unwrap().insert(Lane::Verify, slow);
        let order = verification(&bench, 1, ALL, false);
        order.save(bench.disk.as_ref()).await.unwrap();
        let script = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            let work = BackfillWork { again: true };
            let range = minutes(&bench, 240, 270);
            let backfill = BackfillOrder::new(id(9), range, Default::default(), work);
            backfill.save(bench.disk.as_ref()).await.unwrap();
            ended(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        let found = findings(&bench, 1).await;
        assert_eq!(found[..4], PROVEN[..4]);
        // Proven of the part that its record is of, or left to the next one.
        let is_so = matches!(found[4], Finding::Proven | Finding::Open);
        assert!(is_so, "{found:?}");
        let mut times = [1; 60];
        times[..30].fill(2);
        assert_eq!(bench.times_of(4), times);
        assert_eq!(finds(&bench, 2).await, PROVEN);
        let verdicts = verdicts(&bench, 2).await;
        assert_eq!(verdicts[4].parts, [minutes(&bench, 240, 270)]);
    });
}

#[test]
fn an_hour_of_which_more_is_collected_meanwhile_is_open_and_holds_nothing_up() {
    on_virtual_time(async {
        let bench = reading().await;
        let delivers = async |number, from, to| {
            let order = backfill(&bench, number, (from, to), false);
            order.save(bench.disk.as_ref()).await.unwrap();
            ended(&bench, &order).await;
            tokio::time::sleep(Duration::from_secs(20)).await;
        };
        let order = verification(&bench, 1, (-60, HOURS * 60), false);
        let script = async {
            delivers(8, -60, -30).await;
            order.save(bench.disk.as_ref()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(25)).await;
            delivers(9, -30, 0).await;
            ended(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        let findings = findings(&bench, 1).await;
        assert_eq!(findings[0], Finding::Open);
        assert_eq!(findings[1..], PROVEN);
    });
}

#[test]
fn a_night_that_is_given_up_tells_nothing_of_an_earlier_one() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        let nights = async || Nights::load(bench.disk.as_ref()).await.unwrap();
        let standing = StandingOrder::new(id(7), 24);
        standing.save(bench.disk.as_ref()).await.unwrap();
        let script = async {
            let days = |days: u64| Duration::from_secs(days * 24 * 3600);
            let has_ended = async || nights().await.is_some_and(|nights| nights.last.is_some());
            tokio::time::sleep(days(1) - Duration::from_secs(6 * 3600)).await;
            bench.until("the first night has ended", has_ended).await;
            bench.slows(Lane::Verify, days(30).as_secs());
            let next = nights().await.unwrap().next - bench.clock.now();
            tokio::time::sleep(next.to_std().unwrap()).await;
            let is_under_way = async || nights().await.is_some_and(|nights| nights.order.is_some());
            bench.until("the second is under way", is_under_way).await;
            let mut order = nights().await.unwrap().order.unwrap();
            order.cancelled = true;
            order.save(bench.disk.as_ref()).await.unwrap();
            let is_over = async || nights().await.is_some_and(|nights| nights.order.is_none());
            bench.until("it is given up", is_over).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.nights.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn what_stands_in_the_place_of_the_nights_holds_nothing_up() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        *bench.disk.no_file.lock().unwrap() = Some("verify-nights.json");
        assert_eq!(finds(&bench, 1).await, PROVEN);
        // Another order breaks off the one under way.
        bench.slows(Lane::Verify, 60);
        let first = verification(&bench, 2, ALL, false);
        let second = verification(&bench, 3, ALL, false);
        first.save(bench.disk.as_ref()).await.unwrap();
        let script = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            verifies(&bench, &second).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(findings(&bench, 3).await, PROVEN);
    });
}

/// Who waits for the order alone would wait for ever.
#[test]
fn an_order_alone_that_is_cancelled_before_it_was_taken_up_ends_the_run() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        bench.is_auditing.store(true, Ordering::Relaxed);
        let mut order = verification(&bench, 1, ALL, false);
        order.cancelled = true;
        order.save(bench.disk.as_ref()).await.unwrap();
        let life = tokio::time::sleep(Duration::from_secs(600));
        bench.lives(End::Stop, life).await;
        let phase = progress(&bench, &order).await.phase;
        assert_eq!(phase, OrderPhase::Cancelled);
    });
}

/// The source answers nothing from the start on, to a verification alone or to a collection.
async fn without_an_answer(is_alone: bool) -> Arc<Bench> {
    let bench = Bench::collected(20).await;
    bench.is_auditing.store(is_alone, Ordering::Relaxed);
    bench.time.lock().unwrap().0 = false;
    bench.tells_no_time.store(true, Ordering::Relaxed);
    bench
}

/// Waits until somebody has taken an order up.
async fn taken_up(bench: &Bench, order: &VerifyOrder) {
    let is_told = async || {
        let progress = order.progress(bench.disk.as_ref()).await;
        progress.unwrap().is_some()
    };
    bench.until("it is taken up", is_told).await;
}

/// Else a command waits for ever where a person must act.
#[test]
fn a_verification_that_waits_for_the_time_tells_what_is_in_the_way() {
    for is_alone in [false, true] {
        on_virtual_time(async {
            let bench = without_an_answer(is_alone).await;
            let order = verification(&bench, 1, ALL, false);
            let script = async {
                // The source has failed before it is found.
                tokio::time::sleep(Duration::from_secs(5)).await;
                order.save(bench.disk.as_ref()).await.unwrap();
                taken_up(&bench, &order).await;
                let told = progress(&bench, &order).await;
                assert!(told.trouble.is_some());
                assert_eq!(told.counts.hours, 0, "it has not begun");
                bench.tells_no_time.store(false, Ordering::Relaxed);
                match is_alone {
                    true => tokio::time::sleep(Duration::from_secs(6000)).await,
                    false => ended(&bench, &order).await,
                }
            };
            bench.lives(End::Stop, script).await;
            assert_eq!(findings(&bench, 1).await, PROVEN);
            let told = progress(&bench, &order).await;
            assert_eq!((told.phase, told.trouble), (OrderPhase::Done, None));
            assert!(!told.at_least, "there was one process");
        });
    }
}

#[test]
fn a_verification_is_given_up_also_before_the_time_is_known() {
    for is_alone in [false, true] {
        for is_taken_up in [false, true] {
            on_virtual_time(async {
                let bench = without_an_answer(is_alone).await;
                let mut order = verification(&bench, 1, ALL, false);
                order.cancelled = !is_taken_up;
                order.save(bench.disk.as_ref()).await.unwrap();
                let script = async {
                    taken_up(&bench, &order).await;
                    order.cancelled = true;
                    order.save(bench.disk.as_ref()).await.unwrap();
                    tokio::time::sleep(Duration::from_secs(600)).await;
                };
                bench.lives(End::Stop, script).await;
                let told = progress(&bench, &order).await;
                assert_eq!((told.phase, told.trouble), (OrderPhase::Cancelled, None));
            });
        }
    }
}
