//! What is said of mass mail.

use super::*;

#[test]
fn rows_that_a_window_has_shown_are_not_counted_as_shown_by_the_id_alone() {
    on_virtual_time(async {
        let bench = Bench::new(40);
        bench.is_mass.store(true, Ordering::Relaxed);
        bench.changes.store(true, Ordering::Relaxed);
        bench.lives(End::Stop, bench.collects()).await;
        let by_id = std::mem::take(&mut *bench.by_id.lock().unwrap());
        assert!(!by_id.is_empty());
        assert!(by_id.iter().all(|new| *new == 0), "{by_id:?}");
    });
}

#[test]
fn pages_by_the_id_are_no_further_rows_of_a_backfill() {
    on_virtual_time(async {
        let bench = Bench::collected(40).await;
        bench.forgets().await;
        bench.is_mass.store(true, Ordering::Relaxed);
        let order = backfill(&bench, 1, (60, 120), true);
        order.save(bench.disk.as_ref()).await.unwrap();
        bench.lives(End::Stop, ended(&bench, &order)).await;
        let counts = progress(&bench, &order).await.counts;
        assert_eq!((counts.rows, counts.known, counts.new), (40, 0, 40));
        assert_eq!(counts.accepted, 40);
    });
}

/// To send such hours again would double their rows, and nothing is missing.
#[test]
fn hours_of_which_a_message_is_not_answered_for_do_not_seem_to_differ() {
    on_virtual_time(async {
        let bench = Bench::collected(100).await;
        bench.is_mass.store(true, Ordering::Relaxed);
        bench.hides.store(true, Ordering::Relaxed);
        let unprovable = [Finding::Unprovable; HOURS as usize];
        assert_eq!(finds(&bench, 1).await, unprovable);
        let verdicts = verdicts(&bench, 1).await;
        for verdict in verdicts {
            assert!(verdict.shown + 40 < verdict.accepted, "{verdict:?}");
            assert!(verdict.reason.unwrap().contains("by its id"));
        }
        bench.hides.store(false, Ordering::Relaxed);
        assert_eq!(finds(&bench, 2).await, PROVEN);
        assert_eq!(bench.times(), [1]);
    });
}

/// The audit saw it by the id; when it is to be delivered, that is refused.
#[test]
fn a_missing_row_that_only_the_id_would_show_is_not_called_gone_without_a_word() {
    on_virtual_time(async {
        let bench = Bench::collected(60).await;
        bench.is_mass.store(true, Ordering::Relaxed);
        // Not among the first rows, which are shown all the same.
        bench.surfaces(2, 40);
        let (received, _) = *bench.rows.lock().unwrap().last().unwrap();
        let (mut looks, state) = (0, Arc::clone(&bench));
        *bench.hook.lock().unwrap() = Some(Box::new(move |lane, window, _| {
            if lane == Lane::Verify && window.contains(received) {
                looks += 1;
                if looks == 3 {
                    state.hides.store(true, Ordering::Relaxed);
                }
            }
            Ok(())
        }));
        assert_eq!(finds(&bench, 1).await[2], Finding::Gone);
        let verdict = verdicts(&bench, 1).await.swap_remove(2);
        assert_eq!(verdict.vanished, 1);
        assert!(verdict.reason.unwrap().contains("by its id"));
    });
}

/// The collection has given the message up, too: what its window hides was never accepted, and both agree.
#[test]
fn hours_of_which_a_message_was_never_answered_for_are_not_called_proven() {
    on_virtual_time(async {
        let bench = Bench::new(100);
        bench.is_mass.store(true, Ordering::Relaxed);
        bench.hides.store(true, Ordering::Relaxed);
        bench.lives(End::Stop, bench.collects()).await;
        let findings = finds(&bench, 1).await;
        assert!(!findings.contains(&Finding::Proven), "{findings:?}");
        for verdict in verdicts(&bench, 1).await {
            assert!(verdict.reason.unwrap().contains("by its id"));
        }
    });
}
