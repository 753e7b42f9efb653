//! What a person leaves for the loop is looked for beside it: a store that hangs delays nothing.

use super::{paging::*, *};

/// The live edge is read this often, and a page of it takes this long.
const EACH: Duration = Duration::from_secs(60);
const PAGE_TAKES: Duration = Duration::from_millis(300);

/// What is seen in ten minutes, with a row every ten seconds, while orders are read for so long before
/// that fails.
fn run_with(orders_hang: Option<Duration>) -> Seen {
    let play = Play {
        takes: (PAGE_TAKES, PAGE_TAKES),
        life: Duration::from_secs(600),
        orders_hang,
        ..Play::default()
    };
    let ages = (0..60).map(|n| TimeDelta::seconds(-10 * n));
    play.run(ages, |ask| Ok((ask.rows.to_vec(), None))).0
}

#[test]
fn orders_that_cannot_be_read_delay_no_page_and_no_stop() {
    let hang = Duration::from_secs(15);
    let seen = run_with(Some(hang));
    // The last minute may not have been asked for at the stop.
    for n in 0..53 {
        let received = Duration::from_secs(10 * n);
        let waited = seen.shown[&(n as usize)] - received;
        assert!(waited <= EACH + 2 * PAGE_TAKES, "row {n} waited {waited:?}");
    }
    let between = |reads: &[tokio::time::Instant]| reads[1] - reads[0];
    assert!(seen.order_reads.len() > 20, "it is looked for again");
    assert!(
        seen.order_reads
            .windows(2)
            .map(between)
            .all(|rest| rest >= hang),
        "one at a time"
    );
    assert!(
        seen.stopped_in < Duration::from_secs(1),
        "{:?}",
        seen.stopped_in
    );
}

#[test]
fn orders_are_looked_for_every_few_seconds_at_most() {
    let seen = run_with(None);
    let between = |reads: &[tokio::time::Instant]| reads[1] - reads[0];
    let least = seen.order_reads.windows(2).map(between).min();
    assert!(least >= Some(Duration::from_secs(5)), "{least:?}");
}
