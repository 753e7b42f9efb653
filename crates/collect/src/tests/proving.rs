//! What verifications, backfills and orders find and leave behind, over stops, kills and other orders.

mod again;
mod bench;
mod clocks;
mod hand;
mod healing;
mod letters;
mod mass;
mod orders;
mod stops;
mod strays;
mod stubborn;

use uuid::Uuid;

use self::bench::{Bench, End, HOURS};
use super::*;
use crate::{
    order::{OrderFile as _, OrderPhase, RangeOrder, RangeProgress, RangeWork},
    verify::{Finding, Verdict, VerifyOrder, VerifyProgress, VerifyWork},
};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// From one minute of the collection to another.
fn minutes(bench: &Bench, from: i64, to: i64) -> Window {
    let at = |minutes| bench.start + TimeDelta::minutes(minutes);
    Window::new(at(from), at(to)).unwrap()
}

/// An order to verify these minutes of the collection, or to send them again.
fn verification(bench: &Bench, number: u128, range: (i64, i64), resend: bool) -> VerifyOrder {
    let range = minutes(bench, range.0, range.1);
    let words = (String::new(), String::new());
    VerifyOrder::new(id(number), range, words, VerifyWork { resend })
}

/// An order to deliver these minutes, `again` also where that was done before.
fn backfill(bench: &Bench, number: u128, range: (i64, i64), again: bool) -> BackfillOrder {
    let range = minutes(bench, range.0, range.1);
    let words = (String::new(), String::new());
    BackfillOrder::new(id(number), range, words, BackfillWork { again })
}

/// All hours that have a record.
const ALL: (i64, i64) = (0, HOURS * 60);

async fn verdicts(bench: &Bench, number: u128) -> Vec<Verdict> {
    let verdicts = Verdict::of_order(bench.disk.as_ref(), id(number)).await;
    verdicts.unwrap()
}

async fn findings(bench: &Bench, number: u128) -> Vec<Finding> {
    let verdicts = verdicts(bench, number).await.into_iter();
    verdicts.map(|verdict| verdict.finding).collect()
}

/// Leaves an order, and waits until its verification has ended.
async fn verifies(bench: &Bench, order: &VerifyOrder) {
    order.save(bench.disk.as_ref()).await.unwrap();
    ended(bench, order).await;
}

/// How far an order has got; it was taken up.
async fn progress<W: RangeWork>(bench: &Bench, order: &RangeOrder<W>) -> RangeProgress<W> {
    let progress = order.progress(bench.disk.as_ref()).await.unwrap();
    progress.unwrap()
}

/// Waits until an order has ended.
async fn ended<W: RangeWork>(bench: &Bench, order: &RangeOrder<W>) {
    let has_ended = async || {
        let progress = order.progress(bench.disk.as_ref()).await.unwrap();
        progress.is_some_and(|progress| progress.has_ended())
    };
    bench.until("the order has ended", has_ended).await;
}

/// Something that cannot be read as a row is put aside, and all else is collected.
async fn puts_aside(bench: &Bench) {
    *bench.broken.lock().unwrap() = Some(bench.start + TimeDelta::minutes(470));
    let is_kept = async || kept_letters(bench).await == 1;
    bench.until("it is a letter", is_kept).await;
    bench.collects().await;
}

/// How many dead letters there are.
async fn kept_letters(bench: &Bench) -> usize {
    let mut letters = 0;
    let look = |_| letters += 1;
    crate::letters::each(bench.disk.as_ref(), look)
        .await
        .unwrap();
    letters
}

/// What a verification of all hours finds in a life of its own.
async fn finds(bench: &Arc<Bench>, number: u128) -> Vec<Finding> {
    let order = verification(bench, number, ALL, false);
    bench.lives(End::Stop, verifies(bench, &order)).await;
    findings(bench, number).await
}

const PROVEN: [Finding; HOURS as usize] = [Finding::Proven; HOURS as usize];

#[test]
fn what_was_collected_is_proven() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        assert_eq!(finds(&bench, 1).await, PROVEN);
        assert_eq!(bench.times(), [1]);
    });
}

#[test]
fn how_far_it_has_come_is_not_told_before_that_is_known() {
    on_virtual_time(async {
        let bench = Bench::collected(20).await;
        let told = || bench.lags.load(Ordering::Relaxed);
        let before = told();
        assert!(before > 0);
        bench.time.lock().unwrap().0 = false;
        bench.tells_no_time.store(true, Ordering::Relaxed);
        let life = tokio::time::sleep(Duration::from_secs(120));
        bench.lives(End::Stop, life).await;
        assert_eq!(told(), before);
    });
}
