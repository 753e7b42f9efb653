//! What is sent again by a backfill makes new records.

use super::*;

async fn delivers(bench: &Bench, order: &BackfillOrder) {
    ended(bench, order).await;
    bench.collects().await;
    tokio::time::sleep(Duration::from_secs(120)).await;
}

/// Begins an order, and gives it up while its first windows are being read.
async fn gives_up(bench: &Arc<Bench>, order: &mut BackfillOrder) {
    order.save(bench.disk.as_ref()).await.unwrap();
    bench.slows(Lane::Backfill, 600);
    let script = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        order.cancelled = true;
        order.save(bench.disk.as_ref()).await.unwrap();
        delivers(bench, order).await;
    };
    bench.lives(End::Stop, script).await;
}

/// Hours 1 and 2, and a half of hour 3.
const SOME: (i64, i64) = (60, 210);

#[test]
fn hours_that_are_sent_again_are_proven() {
    on_virtual_time(async {
        for kill in [false, true] {
            let bench = Bench::collected(60).await;
            bench.forgets().await;
            let order = backfill(&bench, 1, SOME, true);
            order.save(bench.disk.as_ref()).await.unwrap();
            if kill {
                *bench.page.lock().unwrap() = 20;
                bench.slows(Lane::Backfill, 10);
                let soon = tokio::time::sleep(Duration::from_secs(45));
                bench.lives(End::Kill, soon).await;
                assert!(bench.times_of(1).contains(&2));
            }
            bench.lives(End::Stop, delivers(&bench, &order)).await;
            assert_eq!(finds(&bench, 2).await, PROVEN);
            assert_eq!(bench.times_of(0), [1; 60]);
            let mut expected = [2; 60];
            assert_eq!(bench.times_of(2), expected);
            expected[30..].fill(1);
            assert_eq!(bench.times_of(3), expected);
            // What is not sent again of an hour is not in its new record.
            let verdicts = verdicts(&bench, 2).await;
            assert_eq!(verdicts[1].parts, [minutes(&bench, 60, 120)]);
            assert_eq!(verdicts[3].parts, [minutes(&bench, 180, 210)]);
            assert_eq!(verdicts[4].parts, [minutes(&bench, 240, 300)]);
        }
    });
}

/// What was on its way at the end of a process is not counted.
#[test]
fn counts_are_called_exact_only_of_one_process() {
    for end in [End::Stop, End::Kill] {
        on_virtual_time(async {
            let bench = Bench::collected(60).await;
            bench.forgets().await;
            let order = backfill(&bench, 1, SOME, true);
            order.save(bench.disk.as_ref()).await.unwrap();
            *bench.page.lock().unwrap() = 20;
            bench.slows(Lane::Backfill, 10);
            let soon = tokio::time::sleep(Duration::from_secs(45));
            bench.lives(end, soon).await;
            assert!(progress(&bench, &order).await.counts.accepted > 0);
            bench.lives(End::Stop, delivers(&bench, &order)).await;
            let told = progress(&bench, &order).await;
            assert!(told.at_least);
            let again: usize = bench.sent.lock().unwrap().values().map(|n| n - 1).sum();
            let counted = told.counts.accepted;
            assert!(
                counted > 0 && counted <= again as u64,
                "{counted} of {again}"
            );
        });
    }
}

/// A start knows all rows of a segment, also those of hours that were done long before.
#[test]
fn whole_hours_that_a_start_still_knows_are_sent_again() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let order = backfill(&bench, 1, (60, 180), true);
        order.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, delivers(&bench, &order)).await;
        let times: Vec<_> = (0..4).map(|hour| bench.times_of(hour)).collect();
        assert_eq!(times, [[1; 60], [2; 60], [2; 60], [1; 60]]);
        assert_eq!(finds(&bench, 2).await, PROVEN);
    });
}

/// It is sent with the window before, and its hour is begun after that.
#[test]
fn a_row_that_is_shown_beyond_its_window_is_sent_again_once() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        bench.forgets().await;
        bench.looks_beyond.store(true, Ordering::Relaxed);
        bench.slows(Lane::Backfill, 10);
        let order = backfill(&bench, 1, (0, 300), true);
        order.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, delivers(&bench, &order)).await;
        for hour in 0..HOURS {
            assert_eq!(bench.times_of(hour), [2; 60], "{hour}");
        }
        assert_eq!(finds(&bench, 2).await, PROVEN);
    });
}

/// The collection reads that by itself, and nobody waits for it.
#[test]
fn a_backfill_of_what_has_not_happened_yet_ends_at_once() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        let order = backfill(&bench, 1, (24 * 60, 25 * 60), true);
        order.save(bench.disk.as_ref()).await.unwrap();
        let life = tokio::time::sleep(Duration::from_secs(120));
        bench.lives(End::Stop, life).await;
        let progress = progress(&bench, &order).await;
        assert_eq!(progress.phase, OrderPhase::Done);
        let counts = progress.counts;
        assert_eq!((counts.rows, counts.left), (0, 0));
        // Nor does it say that any of it was delivered before.
        assert_eq!(counts.asked, order.range.span().num_seconds());
        assert_eq!(bench.times(), [1]);
    });
}

#[test]
fn a_backfill_that_has_ended_is_not_begun_anew_when_its_progress_is_lost() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        bench.forgets().await;
        let order = backfill(&bench, 1, (60, 120), true);
        order.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, delivers(&bench, &order)).await;
        assert_eq!(bench.times_of(1), [2; 60]);
        let name = crate::backfill::BackfillProgress::NAME;
        bench.disk.write(name, "{".into()).await.unwrap();
        bench.forgets().await;
        bench.lives(End::Stop, delivers(&bench, &order)).await;
        assert_eq!(bench.times_of(1), [2; 60]);
        assert_eq!(finds(&bench, 2).await, PROVEN);
    });
}

/// A store that fails for a moment, or is slow, shows the order later than the source its pages.
#[test]
fn what_is_sent_again_makes_a_new_record_also_while_its_order_is_not_found() {
    on_virtual_time(async {
        for forgotten in [false, true] {
            let bench = Bench::collected(60).await;
            if forgotten {
                bench.forgets().await;
            }
            let order = backfill(&bench, 1, (60, 180), true);
            order.save(bench.disk.as_ref()).await.unwrap();
            bench.slows(Lane::Backfill, 600);
            let soon = tokio::time::sleep(Duration::from_secs(60));
            bench.lives(End::Kill, soon).await;
            assert_eq!(bench.times_of(1), [1; 60]);
            bench.takes.lock().unwrap().remove(&Lane::Backfill);
            bench.disk.delete(BackfillOrder::NAME).await.unwrap();
            let script = async {
                let sent = async || bench.times_of(1) == [2; 60] && bench.times_of(2) == [2; 60];
                bench.until("it is sent again", sent).await;
                bench.collects().await;
                tokio::time::sleep(Duration::from_secs(120)).await;
            };
            bench.lives(End::Stop, script).await;
            assert_eq!(finds(&bench, 2).await, PROVEN);
            assert_eq!(bench.times_of(0), [1; 60]);
        }
    });
}

/// The journal still has the rows of the whole hour.
#[test]
fn what_is_not_sent_again_of_an_hour_is_not_in_its_new_record_after_a_kill_either() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let order = backfill(&bench, 1, SOME, true);
        order.save(bench.disk.as_ref()).await.unwrap();
        *bench.page.lock().unwrap() = 20;
        bench.slows(Lane::Backfill, 10);
        let script = async {
            let sent = async || bench.times_of(3).contains(&2);
            bench.until("some are sent again", sent).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        };
        bench.lives(End::Kill, script).await;
        assert!(bench.times_of(3)[..30].contains(&1), "not all of them");
        bench.lives(End::Stop, delivers(&bench, &order)).await;
        assert_eq!(finds(&bench, 2).await, PROVEN);
        let verdicts = verdicts(&bench, 2).await;
        assert_eq!(verdicts[3].parts, [minutes(&bench, 180, 210)]);
        assert_eq!((verdicts[3].accepted, verdicts[3].not_shown), (30, 0));
        let mut expected = [2; 60];
        assert_eq!(bench.times_of(2), expected);
        expected[30..].fill(1);
        assert_eq!(bench.times_of(3), expected);
    });
}

#[test]
fn hours_of_a_backfill_that_is_given_up_keep_their_records() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let mut order = backfill(&bench, 1, (0, 240), true);
        gives_up(&bench, &mut order).await;
        // The start knows the rows of all hours. That one was begun is no reason to send the others.
        let once = (0..HOURS).filter(|hour| bench.times_of(*hour) == vec![1; 60]);
        assert!(once.count() >= 2, "what was given up is not sent");
        assert_eq!(finds(&bench, 2).await, PROVEN);
    });
}

#[test]
fn hours_of_a_backfill_that_is_given_up_were_delivered_and_are_left_alone() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        bench.forgets().await;
        let mut order = backfill(&bench, 1, (0, 240), true);
        gives_up(&bench, &mut order).await;
        let times = || {
            (0..HOURS)
                .map(|hour| bench.times_of(hour))
                .collect::<Vec<_>>()
        };
        let before = times();
        assert!(before.contains(&vec![1; 60]), "not all is begun");
        let plain = backfill(&bench, 2, (0, 240), false);
        plain.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, delivers(&bench, &plain)).await;
        assert_eq!(times(), before);
        assert_eq!(finds(&bench, 3).await, PROVEN);
    });
}

/// The record of an hour goes before the first of its rows is sent.
#[test]
fn an_hour_that_was_begun_is_sent_again_also_when_nothing_of_it_was_accepted_before_a_kill() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        bench.is_silent.store(true, Ordering::Relaxed);
        let mut order = backfill(&bench, 1, (0, 240), true);
        order.save(bench.disk.as_ref()).await.unwrap();
        let soon = tokio::time::sleep(Duration::from_secs(60));
        bench.lives(End::Kill, soon).await;
        assert_eq!(bench.times(), [1]);
        order.cancelled = true;
        order.save(bench.disk.as_ref()).await.unwrap();
        bench.is_silent.store(false, Ordering::Relaxed);
        bench.slows(Lane::Backfill, 600);
        bench.lives(End::Stop, delivers(&bench, &order)).await;
        let mut hours = (0..4).map(|hour| bench.times_of(hour));
        assert!(hours.any(|times| times == vec![2; 60]), "one was begun");
        assert_eq!(finds(&bench, 2).await, PROVEN);
    });
}

/// Until the time is known, the loop has a timeline of which nothing is so.
#[test]
fn what_is_given_up_before_the_time_is_known_moves_neither_timeline_nor_position() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let missed = bench.clock.now();
        bench.rows.lock().unwrap().push((missed, false));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let stands = async || {
            let text = bench.disk.read("coverage.json").await.unwrap();
            (text, *bench.disk.checkpoint.lock().unwrap())
        };
        let before = stands().await;
        bench.time.lock().unwrap().0 = false;
        bench.tells_no_time.store(true, Ordering::Relaxed);
        let mut order = backfill(&bench, 1, SOME, true);
        order.save(bench.disk.as_ref()).await.unwrap();
        let script = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            order.cancelled = true;
            order.save(bench.disk.as_ref()).await.unwrap();
            ended(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(stands().await, before);
        bench.tells_no_time.store(false, Ordering::Relaxed);
        let life = tokio::time::sleep(Duration::from_secs(300));
        bench.lives(End::Stop, life).await;
        let rows = bench.rows.lock().unwrap().len();
        assert_eq!(bench.sent.lock().unwrap().len(), rows);
        assert_eq!(bench.times(), [1]);
    });
}

/// A kill came when the timeline was kept, and nothing told yet that the backfill was begun.
#[test]
fn a_backfill_that_only_the_timeline_knows_of_is_given_up_all_the_same() {
    on_virtual_time(async {
        for waits_for_the_time in [false, true] {
            let bench = Bench::collected(60).await;
            bench.forgets().await;
            let mut order = backfill(&bench, 1, (0, 240), true);
            order.save(bench.disk.as_ref()).await.unwrap();
            bench.slows(Lane::Backfill, 600);
            let soon = tokio::time::sleep(Duration::from_secs(60));
            bench.lives(End::Kill, soon).await;
            let timeline = timeline(&bench.disk).await.unwrap();
            assert!(timeline.coverage.wanted().next().is_some());
            let name = crate::backfill::BackfillProgress::NAME;
            bench.disk.delete(name).await.unwrap();
            order.cancelled = true;
            order.save(bench.disk.as_ref()).await.unwrap();
            bench.time.lock().unwrap().0 = !waits_for_the_time;
            let no_time = &bench.tells_no_time;
            no_time.store(waits_for_the_time, Ordering::Relaxed);
            let script = async {
                tokio::time::sleep(Duration::from_secs(60)).await;
                no_time.store(false, Ordering::Relaxed);
                delivers(&bench, &order).await;
            };
            bench.lives(End::Stop, script).await;
            let progress = progress(&bench, &order).await;
            assert_eq!(progress.phase, OrderPhase::Cancelled);
            // What was being asked for by then is read to its end.
            let once = (0..HOURS).filter(|hour| bench.times_of(*hour) == vec![1; 60]);
            assert!(once.count() >= 2, "what was given up is not sent");
        }
    });
}

/// A kill came when a backfill was given up, and that was not told yet.
#[test]
fn a_backfill_that_was_given_up_before_a_kill_is_not_called_done() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        let mut order = backfill(&bench, 1, (-600, 0), false);
        gives_up(&bench, &mut order).await;
        let mut told = progress(&bench, &order).await;
        assert_eq!(told.phase, OrderPhase::Cancelled);
        told.phase = OrderPhase::Running;
        told.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, delivers(&bench, &order)).await;
        assert_eq!(progress(&bench, &order).await.phase, OrderPhase::Cancelled);
    });
}

/// Their rows are forgotten, so that they come again, and are in their records already.
#[test]
fn hours_that_are_read_again_since_the_position_was_moved_back_are_proven() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        bench.forgets().await;
        let back = bench.start + TimeDelta::hours(1);
        *bench.disk.checkpoint.lock().unwrap() = Some(back);
        let script = async {
            let sent = async || bench.times_of(HOURS - 1) == [2; 60];
            bench.until("they are sent again", sent).await;
            tokio::time::sleep(Duration::from_secs(600)).await;
            bench.collects().await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times_of(0), [1; 60]);
        assert_eq!(bench.times_of(1), [2; 60]);
        assert_eq!(finds(&bench, 1).await, PROVEN);
    });
}
