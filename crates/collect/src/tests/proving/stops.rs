//! A stop while the store fails.

use super::*;

#[test]
fn hours_whose_record_could_not_be_written_before_a_stop_get_it_after_the_next_start() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        *bench.disk.unwritable.lock().unwrap() = Some("proof/20");
        let life = tokio::time::sleep(Duration::from_secs(6000));
        bench.lives(End::Stop, life).await;
        *bench.disk.unwritable.lock().unwrap() = None;
        let order = verification(&bench, 1, (0, 60 * (HOURS + 2)), false);
        let script = async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            verifies(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        let findings = findings(&bench, 1).await;
        assert_eq!(findings, [Finding::Proven; HOURS as usize + 2]);
        assert_eq!(bench.times(), [1]);
    });
}

/// Else nobody knows why rows come twice after a stop that went well.
#[test]
fn accepted_rows_that_could_not_be_remembered_before_a_stop_are_told() {
    on_virtual_time(async {
        let bench = Bench::new(20);
        let told = || bench.unremembered.load(Ordering::Relaxed);
        *bench.disk.unwritable.lock().unwrap() = Some("known-rows/0");
        let life = tokio::time::sleep(Duration::from_secs(60));
        bench.lives(End::Stop, life).await;
        let accepted = bench.sent.lock().unwrap().len();
        assert!(accepted > 0);
        assert_eq!(told(), accepted);
        *bench.disk.unwritable.lock().unwrap() = None;
        let life = tokio::time::sleep(Duration::from_secs(60));
        bench.lives(End::Stop, life).await;
        assert_eq!(told(), accepted, "all is remembered");
        assert!(bench.times().contains(&2));
    });
}

/// Else a start takes the timeline for one that is older than the position.
#[test]
fn a_timeline_tells_which_checkpoint_was_kept_before_it() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        let kept = timeline(&bench.disk).await.unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        // The position takes longer.
        let life = tokio::time::sleep(Duration::from_millis(200));
        bench.lives(End::Kill, life).await;
        let next = timeline(&bench.disk).await.unwrap();
        assert!(next.kept_at > kept.kept_at);
        assert_eq!(next.before, Some(kept.checkpoint));
    });
}

/// What the intake accepts meanwhile would be sent again after the next start.
#[test]
fn a_letter_that_cannot_be_kept_at_a_stop_makes_no_other_row_come_twice() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        *bench.disk.unwritable.lock().unwrap() = Some("dead-letters/");
        *bench.answers_in.lock().unwrap() = Duration::from_millis(2400);
        let first = bench.rows.lock().unwrap().len();
        // It is in the first of two batches.
        *bench.hopeless.lock().unwrap() = first..first + 1;
        for minute in 0..10 {
            bench.surfaces(HOURS + 2, 30 + minute);
        }
        let sent = || bench.sent.lock().unwrap().range(first..).count();
        let is_sent = async || sent() == BATCH;
        let script = bench.until("the other batch is accepted", is_sent);
        bench.lives(End::Stop, script).await;
        *bench.disk.unwritable.lock().unwrap() = None;
        *bench.answers_in.lock().unwrap() = Duration::ZERO;
        *bench.hopeless.lock().unwrap() = 0..0;
        let are_sent = async || sent() == 2 * BATCH;
        bench
            .lives(End::Stop, bench.until("all are", are_sent))
            .await;
        assert_eq!(bench.times(), [1]);
    });
}
