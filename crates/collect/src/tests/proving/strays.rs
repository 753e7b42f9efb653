//! While rows are shown that were not asked for, delivered rows are remembered for two days: also after a
//! start that cannot read until when, or does not know the time yet.

use super::*;

const FILE: &str = "outside.json";

/// How often rows were accepted when a life that began with this clock and this file has ended with an answer
/// that has all rows.
async fn accepted(skew: TimeDelta, is_known: bool, damage: bool) -> Vec<usize> {
    let bench = Bench::ahead(20, skew);
    let until = bench.clock.now() + skew + TimeDelta::hours(20);
    let kept = serde_json::json!({"version": 1, "until": until}).to_string();
    bench.disk.write(FILE, kept.into()).await.unwrap();
    bench.lives(End::Stop, bench.collects()).await;
    if damage {
        bench.disk.write(FILE, "{".into()).await.unwrap();
    }
    bench.time.lock().unwrap().0 = is_known;
    let script = async {
        tokio::time::sleep(Duration::from_secs(1800)).await;
        bench.is_unbounded.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(300)).await;
    };
    bench.lives(End::Stop, script).await;
    bench.times()
}

#[test]
fn a_damaged_file_says_that_they_may_still_be_shown() {
    on_virtual_time(async {
        let now = TimeDelta::zero();
        assert_eq!(accepted(now, true, false).await, [1]);
        assert_eq!(accepted(now, true, true).await, [1]);
    });
}

#[test]
fn a_clock_that_is_wrong_does_not_judge_it() {
    on_virtual_time(async {
        let days = TimeDelta::days(5);
        assert_eq!(accepted(days, false, false).await, [1]);
        assert_eq!(accepted(-days, false, false).await, [1]);
    });
}

#[test]
fn what_need_not_be_kept_any_more_is_not_tried() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        *bench.disk.unwritable.lock().unwrap() = Some(FILE);
        let failures = || bench.failures.load(Ordering::Relaxed);
        let script = async {
            bench.is_unbounded.store(true, Ordering::Relaxed);
            let tried = async || failures() > 0;
            bench.until("it is tried", tried).await;
            bench.is_unbounded.store(false, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(25 * 3600)).await;
            let before = failures();
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert_eq!(failures(), before);
        };
        bench.lives(End::Stop, script).await;
    });
}

#[test]
fn they_are_not_looked_out_for_for_ever() {
    on_virtual_time(async {
        let bench = Bench::new(20);
        let until = bench.clock.now() + TimeDelta::days(500);
        let kept = serde_json::json!({"version": 1, "until": until}).to_string();
        bench.disk.write(FILE, kept.into()).await.unwrap();
        let life = tokio::time::sleep(Duration::from_secs(26 * 3600));
        bench.lives(End::Stop, life).await;
        let journal = Journal::open(bench.disk.as_ref(), [3; 16], &Inventory::new()).await;
        assert_eq!(journal.unwrap().known.len(), 0);
    });
}

/// Their records are made of their rows when these are forgotten, and not before.
#[test]
fn hours_whose_rows_are_remembered_for_longer_are_open_and_are_proven_later() {
    on_virtual_time(async {
        let bench = Bench::new(20);
        let until = bench.clock.now() + TimeDelta::hours(20);
        let kept = serde_json::json!({"version": 1, "until": until}).to_string();
        bench.disk.write(FILE, kept.into()).await.unwrap();
        bench.lives(End::Stop, bench.collects()).await;
        assert_eq!(finds(&bench, 1).await, [Finding::Open; HOURS as usize]);
        let life = tokio::time::sleep(Duration::from_secs(26 * 3600));
        bench.lives(End::Stop, life).await;
        assert_eq!(finds(&bench, 2).await, PROVEN);
        assert_eq!(bench.times(), [1]);
    });
}

/// Else it would be named as missing, and come twice.
#[test]
fn a_row_that_was_delivered_under_no_hour_is_not_missing_in_its_own_when_its_key_is_forgotten() {
    on_virtual_time(async {
        let bench = Bench::new(5);
        let long_ago = bench.start - TimeDelta::days(400);
        bench.rows.lock().unwrap().push((long_ago, false));
        let script = async {
            bench.is_unbounded.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(300)).await;
            bench.is_unbounded.store(false, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(30 * 3600)).await;
        };
        bench.lives(End::Stop, script).await;
        let journal = Journal::open(bench.disk.as_ref(), [3; 16], &Inventory::new()).await;
        assert_eq!(journal.unwrap().known.len(), 0);
        let dated = bench.start + TimeDelta::minutes(150);
        bench.rows.lock().unwrap().last_mut().unwrap().0 = dated;
        for number in [1, 2] {
            assert_eq!(finds(&bench, number).await, PROVEN);
            assert_eq!(verdicts(&bench, number).await[2].accepted, 6);
        }
        assert_eq!(bench.times(), [1]);
    });
}

/// Else a start would take them for new ones.
#[test]
fn what_is_shown_on_and_on_is_remembered_on_and_on_over_a_start() {
    on_virtual_time(async {
        let bench = Bench::new(1);
        let long_ago = bench.start - TimeDelta::days(400);
        bench.rows.lock().unwrap().push((long_ago, false));
        bench.is_unbounded.store(true, Ordering::Relaxed);
        // Longer than rows are remembered that are shown once.
        for hours in [54, 1] {
            let life = tokio::time::sleep(Duration::from_secs(hours * 3600));
            bench.lives(End::Stop, life).await;
        }
        let rows = bench.rows.lock().unwrap().len();
        assert_eq!(bench.sent.lock().unwrap().len(), rows);
        assert_eq!(bench.times(), [1]);
    });
}

#[test]
fn rows_of_no_hour_do_not_count_in_the_one_in_which_they_are_seen() {
    on_virtual_time(async {
        let bench = Bench::new(20);
        let long_ago = bench.start - TimeDelta::days(400);
        let of_no_hour = (0..60).map(|n| (long_ago + TimeDelta::minutes(n), false));
        bench.rows.lock().unwrap().extend(of_no_hour);
        let seen = (HOURS + 3) * 60;
        let order = verification(&bench, 1, (seen, seen + 60), false);
        let script = async {
            bench.is_unbounded.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(300)).await;
            bench.is_unbounded.store(false, Ordering::Relaxed);
            // Until the hour has a record: they are looked out for for a day.
            tokio::time::sleep(Duration::from_secs(30 * 3600)).await;
            verifies(&bench, &order).await;
        };
        bench.lives(End::Stop, script).await;
        let rows = bench.rows.lock().unwrap().len();
        assert_eq!(bench.sent.lock().unwrap().len(), rows);
        assert_eq!(bench.times(), [1]);
        assert_eq!(findings(&bench, 1).await, [Finding::Proven]);
        assert_eq!(verdicts(&bench, 1).await[0].accepted, 0);
    });
}

/// Else it would be named as missing.
#[test]
fn a_row_that_was_delivered_under_no_hour_counts_in_the_final_hour_that_shows_it_later() {
    on_virtual_time(async {
        let bench = Bench::new(20);
        let long_ago = bench.start - TimeDelta::days(400);
        bench.rows.lock().unwrap().push((long_ago, false));
        let script = async {
            bench.is_unbounded.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(300)).await;
            bench.is_unbounded.store(false, Ordering::Relaxed);
        };
        bench.lives(End::Stop, script).await;
        // Nobody looks out for more, so that the first hours become final.
        let kept = serde_json::json!({"version": 1, "until": bench.start}).to_string();
        bench.disk.write(FILE, kept.into()).await.unwrap();
        let script = async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            bench.collects().await;
        };
        bench.lives(End::Stop, script).await;
        let dated = bench.start + TimeDelta::minutes(150);
        bench.rows.lock().unwrap().last_mut().unwrap().0 = dated;
        assert_eq!(finds(&bench, 1).await, PROVEN);
        assert_eq!(verdicts(&bench, 1).await[2].accepted, 21);
        // Also when it is not remembered any more that it was delivered.
        let life = tokio::time::sleep(Duration::from_secs(30 * 3600));
        bench.lives(End::Stop, life).await;
        assert_eq!(finds(&bench, 2).await, PROVEN);
        assert_eq!(bench.times(), [1]);
    });
}
