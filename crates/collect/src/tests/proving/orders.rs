//! Other orders come while a verification reads.

use super::*;

/// A verification that has read some pages of a window.
async fn reading() -> Arc<Bench> {
    let bench = Bench::collected(60).await;
    *bench.page.lock().unwrap() = 25;
    let slow = Duration::from_secs(10);
    bench.takes.lock().unwrap().insert(Lane::Verify, slow);
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
