//! A stop or a kill while rows of an hour are delivered, for the first time or again.

use super::*;

/// Pages of a verification are small, and come slowly.
fn slows_down(bench: &Bench) {
    *bench.page.lock().unwrap() = 20;
    bench.slows(Lane::Verify, 10);
}

/// An hour begins to be sent again, and the trigger ends in its midst.
async fn resends_in_part(bench: &Arc<Bench>, end: End) -> VerifyOrder {
    slows_down(bench);
    let order = verification(bench, 1, (120, 180), true);
    order.save(bench.disk.as_ref()).await.unwrap();
    let script = async {
        let sent = async || bench.times_of(2).contains(&2);
        bench.until("some are sent again", sent).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    bench.lives(end, script).await;
    order
}

/// Two rows of an hour surface. One is sent, and the trigger ends so many seconds later. The order, and the
/// number of the first of the rows.
async fn heals_in_part(bench: &Arc<Bench>, end: End, seconds: u64) -> (VerifyOrder, usize) {
    slows_down(bench);
    let first = bench.rows.lock().unwrap().len();
    bench.surfaces(2, 1);
    bench.surfaces(2, 58);
    let order = verification(bench, 1, ALL, false);
    order.save(bench.disk.as_ref()).await.unwrap();
    let script = async {
        let sent = async || bench.sent.lock().unwrap().contains_key(&first);
        bench.until("one is sent", sent).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    };
    bench.lives(end, script).await;
    (order, first)
}

#[test]
fn a_resend_that_was_interrupted_sends_nothing_a_third_time() {
    on_virtual_time(async {
        for end in [End::Kill, End::Stop] {
            let bench = Bench::collected(60).await;
            let order = resends_in_part(&bench, end).await;
            assert!(bench.times_of(2).contains(&1), "not all of them");
            bench.lives(End::Stop, ended(&bench, &order)).await;
            assert_eq!(bench.times_of(2), [2; 60]);
            assert_eq!(findings(&bench, 1).await, [Finding::Resent]);
            assert_eq!(verdicts(&bench, 1).await[0].accepted, 60);
            assert_eq!(finds(&bench, 2).await, PROVEN);
        }
    });
}

/// A start may wait long for the time, and nothing is given up meanwhile.
#[test]
fn a_resend_goes_on_after_a_start_without_an_answer() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let order = resends_in_part(&bench, End::Stop).await;
        bench.time.lock().unwrap().0 = false;
        bench.tells_no_time.store(true, Ordering::Relaxed);
        let script = async {
            tokio::time::sleep(Duration::from_secs(120)).await;
            bench.tells_no_time.store(false, Ordering::Relaxed);
            ended(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(findings(&bench, 1).await, [Finding::Resent]);
        assert_eq!(bench.times_of(2), [2; 60]);
        assert_eq!(finds(&bench, 2).await, PROVEN);
    });
}

/// Its rows are remembered until that was read, and make its record then.
#[test]
fn an_hour_that_is_sent_again_while_something_older_is_missing_has_its_rows() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        bench.slows(Lane::Backfill, 24 * 3600);
        let older = backfill(&bench, 9, (-30, 0), false);
        older.save(bench.disk.as_ref()).await.unwrap();
        let order = verification(&bench, 1, (120, 180), true);
        let script = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            verifies(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(findings(&bench, 1).await, [Finding::Resent]);
        assert_eq!(verdicts(&bench, 1).await[0].accepted, 60);
        assert_eq!(bench.times_of(2), [2; 60]);
    });
}

#[test]
fn an_hour_whose_rows_are_remembered_is_open_and_not_sent_again() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let hour = HOURS + 1;
        let order = verification(&bench, 1, (hour * 60, hour * 60 + 60), true);
        bench.lives(End::Stop, verifies(&bench, &order)).await;
        assert_eq!(findings(&bench, 1).await, [Finding::Open]);
        assert_eq!(bench.times_of(hour), [1; 60]);
    });
}

#[test]
fn a_resend_that_was_interrupted_before_that_was_said_is_not_begun_anew() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let order = verification(&bench, 1, (120, 180), true);
        order.save(bench.disk.as_ref()).await.unwrap();
        *bench.disk.unwritable.lock().unwrap() = Some("verify-hours");
        let script = async {
            let sent = async || bench.times_of(2) == [2; 60];
            bench.until("all are sent again", sent).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        bench.lives(End::Kill, script).await;
        *bench.disk.unwritable.lock().unwrap() = None;
        bench.forgets().await;
        bench.lives(End::Stop, ended(&bench, &order)).await;
        assert_eq!(bench.times_of(2), [2; 60]);
        assert_eq!(findings(&bench, 1).await, [Finding::Resent]);
        assert_eq!(verdicts(&bench, 1).await[0].accepted, 60);
        assert_eq!(finds(&bench, 2).await, PROVEN);
    });
}

/// Its order lies there for ever, and what came of it is in another file.
#[test]
fn a_resend_that_has_ended_is_not_begun_anew_when_its_progress_is_lost() {
    on_virtual_time(async {
        for progress in [None, Some("{")] {
            let bench = Bench::collected(60).await;
            let order = verification(&bench, 1, (120, 180), true);
            bench.lives(End::Stop, verifies(&bench, &order)).await;
            let name = VerifyProgress::NAME;
            match progress {
                Some(text) => bench.disk.write(name, text.into()).await.unwrap(),
                None => bench.disk.delete(name).await.unwrap(),
            }
            bench.forgets().await;
            bench.lives(End::Stop, ended(&bench, &order)).await;
            assert_eq!(bench.times_of(2), [2; 60]);
            assert_eq!(findings(&bench, 1).await, [Finding::Resent]);
            assert_eq!(finds(&bench, 2).await, PROVEN);
        }
    });
}

#[test]
fn a_resend_that_is_never_finished_leaves_no_record() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let mut order = resends_in_part(&bench, End::Kill).await;
        // The command does so itself while no trigger runs.
        order.cancelled = true;
        order.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, ended(&bench, &order)).await;
        let mut expected = PROVEN;
        expected[2] = Finding::Unprovable;
        assert_eq!(finds(&bench, 2).await, expected);
        let sent = bench.times_of(2);
        assert!(sent.iter().all(|times| *times <= 2), "{sent:?}");
    });
}

#[test]
fn rows_that_were_missing_are_named_also_when_a_stop_came_between() {
    on_virtual_time(async {
        for end in [End::Kill, End::Stop] {
            let bench = Bench::collected(60).await;
            let (order, first) = heals_in_part(&bench, end, 3).await;
            assert!(!bench.sent.lock().unwrap().contains_key(&(first + 1)));
            bench.lives(End::Stop, ended(&bench, &order)).await;
            let mut expected = PROVEN;
            expected[2] = Finding::Delivered;
            assert_eq!(findings(&bench, 1).await, expected);
            let verdict = verdicts(&bench, 1).await.swap_remove(2);
            let named = verdict.missing.into_iter();
            let mut named: Vec<_> = named.flat_map(|name| name.message_trace_id).collect();
            named.sort_unstable();
            assert_eq!(named, [first.to_string(), (first + 1).to_string()]);
            assert_eq!(verdict.vanished, 0);
            let mut told = progress(&bench, &order).await;
            assert_eq!(told.counts.delivered, 2);
            // The same as a kill between the last verdict and this would have left it.
            told.phase = OrderPhase::Running;
            told.counts.delivered = 0;
            told.save(bench.disk.as_ref()).await.unwrap();
            bench.lives(End::Stop, ended(&bench, &order)).await;
            let told = progress(&bench, &order).await;
            assert_eq!(told.counts.delivered, 2);
            assert_eq!(bench.times(), [1]);
            assert_eq!(finds(&bench, 2).await, PROVEN);
        }
    });
}

/// A start finds no segment of the journal, and begins with the number of the first one again.
#[test]
fn rows_that_were_missing_are_sent_once_also_after_a_time_without_rows() {
    on_virtual_time(async {
        for end in [End::Kill, End::Stop] {
            let bench = Bench::collected(60).await;
            // The hours that are done meanwhile are of another day: its file is written, and not that of the rows.
            let quiet = SETTLE.to_std().unwrap() + Duration::from_secs(24 * 3600);
            bench.lives(End::Stop, tokio::time::sleep(quiet)).await;
            let names = bench.disk.list("known-rows/").await.unwrap();
            assert!(!names.iter().any(|name| name.ends_with(".keys")));
            let (order, _) = heals_in_part(&bench, end, 1).await;
            bench.lives(End::Stop, ended(&bench, &order)).await;
            let mut expected = PROVEN;
            expected[2] = Finding::Delivered;
            assert_eq!(findings(&bench, 1).await, expected);
            assert_eq!(bench.times(), [1]);
            assert_eq!(finds(&bench, 2).await, PROVEN);
        }
    });
}

/// A row that was missing is found, and a kill comes before it is accepted.
async fn finds_before_a_kill(bench: &Arc<Bench>) -> VerifyOrder {
    bench.surfaces(2, 1);
    bench.is_silent.store(true, Ordering::Relaxed);
    let order = verification(bench, 1, ALL, false);
    order.save(bench.disk.as_ref()).await.unwrap();
    let script = async {
        let found = async || {
            let kept = bench.disk.read(verify::VERDICTS_FILE).await.unwrap();
            let kept = kept.unwrap_or_default();
            String::from_utf8_lossy(&kept).contains(r#""message_trace_id""#)
        };
        bench.until("the row is found", found).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    bench.lives(End::Kill, script).await;
    bench.is_silent.store(false, Ordering::Relaxed);
    order
}

/// The row is not called delivered, as it never was.
async fn the_row_is_gone(bench: &Arc<Bench>, order: &VerifyOrder) {
    bench.lives(End::Stop, ended(bench, order)).await;
    let mut expected = PROVEN;
    expected[2] = Finding::Gone;
    assert_eq!(findings(bench, 1).await, expected);
    let verdict = verdicts(bench, 1).await.swap_remove(2);
    assert_eq!((verdict.vanished, verdict.missing.len()), (1, 0));
    assert_eq!(bench.times(), [1]);
}

#[test]
fn a_row_that_was_not_accepted_before_a_kill_and_is_hidden_since_is_not_called_delivered() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        let order = finds_before_a_kill(&bench).await;
        bench.rows.lock().unwrap().pop();
        the_row_is_gone(&bench, &order).await;
    });
}

#[test]
fn a_row_that_is_hidden_when_it_was_found_missing_twice_is_not_called_delivered() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        let order = finds_before_a_kill(&bench).await;
        let (received, _) = *bench.rows.lock().unwrap().last().unwrap();
        let (mut looks, state) = (0, Arc::clone(&bench));
        *bench.hook.lock().unwrap() = Some(Box::new(move |lane, window, goes_on| {
            if lane == Lane::Verify && window.contains(received) && !goes_on {
                looks += 1;
                if looks == 2 {
                    // It was to be delivered.
                    state.rows.lock().unwrap().pop();
                }
            }
            Ok(())
        }));
        the_row_is_gone(&bench, &order).await;
    });
}

#[test]
fn a_missing_row_that_is_not_wanted_any_more_when_it_is_read_again_is_not_called_delivered() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        bench.excludes.store(true, Ordering::Relaxed);
        let row = bench.rows.lock().unwrap().len();
        bench.surfaces(2, 1);
        let (mut looks, state) = (0, Arc::clone(&bench));
        *bench.hook.lock().unwrap() = Some(Box::new(move |lane, window, _| {
            let mut rows = state.rows.lock().unwrap();
            if lane == Lane::Verify && window.contains(rows[row].0) {
                looks += 1;
                // The second time to deliver it.
                rows[row].1 = looks > 1;
            }
            Ok(())
        }));
        let mut expected = PROVEN;
        expected[2] = Finding::Gone;
        assert_eq!(finds(&bench, 1).await, expected);
        let verdict = verdicts(&bench, 1).await.swap_remove(2);
        assert_eq!((verdict.vanished, verdict.missing.len()), (1, 0));
        let is_sent = |event: usize| bench.sent.lock().unwrap().contains_key(&event);
        assert!(!is_sent(row) && !is_sent(row + CHANGED));
        assert_eq!(bench.times(), [1]);
    });
}

/// Else a new rule makes all hours before it such of which more than 40 rows differ.
#[test]
fn rows_that_were_accepted_before_there_was_a_rule_do_not_hide_what_is_missing() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        let under_the_rule = minutes(&bench, 120, 180);
        for row in bench.rows.lock().unwrap().iter_mut() {
            row.1 = under_the_rule.contains(row.0);
        }
        bench.lives(End::Stop, bench.collects()).await;
        bench.excludes.store(true, Ordering::Relaxed);
        let row = bench.rows.lock().unwrap().len();
        bench.surfaces(2, 1);
        let mut expected = PROVEN;
        expected[2] = Finding::Delivered;
        for (order, findings, missing) in [(1, expected, 1), (2, PROVEN, 0)] {
            assert_eq!(finds(&bench, order).await, findings);
            let verdict = verdicts(&bench, order).await.swap_remove(2);
            assert_eq!((verdict.not_shown, verdict.missing.len()), (60, missing));
        }
        assert!(bench.sent.lock().unwrap().contains_key(&row));
        assert_eq!(bench.times(), [1]);
    });
}

/// They lie with the dead letters, too, and are others.
#[test]
fn rows_that_no_intake_took_do_not_account_for_one_that_cannot_be_read() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        bench.refuses.store(true, Ordering::Relaxed);
        bench.lives(End::Stop, bench.collects()).await;
        bench.refuses.store(false, Ordering::Relaxed);
        assert_eq!(finds(&bench, 1).await, PROVEN);
        *bench.broken.lock().unwrap() = Some(bench.start + TimeDelta::minutes(130));
        let mut expected = PROVEN;
        expected[2] = Finding::Unprovable;
        assert_eq!(finds(&bench, 2).await, expected);
        assert_eq!(verdicts(&bench, 2).await[2].notes.dead_letters, 60);
    });
}

/// It is another thing that looks the same.
#[test]
fn what_was_put_aside_in_one_hour_does_not_account_for_the_same_in_another() {
    on_virtual_time(async {
        let bench = Bench::new(60);
        bench.lives(End::Stop, puts_aside(&bench)).await;
        *bench.broken.lock().unwrap() = Some(bench.start + TimeDelta::minutes(130));
        let mut expected = PROVEN;
        expected[2] = Finding::Unprovable;
        assert_eq!(finds(&bench, 1).await, expected);
        assert_eq!(kept_letters(&bench).await, 1);
    });
}

/// What nobody has put aside lies nowhere.
#[test]
fn an_hour_that_shows_what_cannot_be_read_is_proven_only_when_that_is_a_dead_letter() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        *bench.broken.lock().unwrap() = Some(bench.start + TimeDelta::minutes(130));
        let mut expected = PROVEN;
        expected[2] = Finding::Unprovable;
        assert_eq!(finds(&bench, 1).await, expected);
        let verdict = verdicts(&bench, 1).await.swap_remove(2);
        let reason = verdict.reason.unwrap();
        assert!(reason.ends_with("no dead letter for 1 of them"), "{reason}");
        assert_eq!((verdict.accepted, verdict.shown), (60, 60));
        // It is named beside a row that is missing, too, which is delivered.
        let missed = bench.rows.lock().unwrap().len();
        bench.surfaces(2, 1);
        expected[2] = Finding::Delivered;
        assert_eq!(finds(&bench, 2).await, expected);
        let verdict = verdicts(&bench, 2).await.swap_remove(2);
        assert_eq!(verdict.reason, Some(reason));
        assert!(bench.sent.lock().unwrap().contains_key(&missed));
        assert_eq!(bench.times(), [1]);
        // The hour is sent again: its new record knows where that lies.
        let order = verification(&bench, 3, (120, 180), true);
        bench.lives(End::Stop, verifies(&bench, &order)).await;
        assert_eq!(findings(&bench, 3).await, [Finding::Resent]);
        assert_eq!(bench.times_of(2), [2; 61]);
        for forgotten in [false, true] {
            if forgotten {
                bench.forgets().await;
            }
            assert_eq!(finds(&bench, 4 + u128::from(forgotten)).await, PROVEN);
        }
        let verdict = verdicts(&bench, 5).await.swap_remove(2);
        assert_eq!((verdict.notes.dead_letters, verdict.reason), (1, None));
        assert_eq!(bench.times_of(2), [2; 61]);
    });
}
