//! More events are refused than the hand holds.

use super::*;

/// So many fill the hand.
const HOLDS: usize = 20;

/// One that holds few events in hand, and whose intake refuses these rows.
fn refusing(refused: std::ops::Range<usize>) -> Arc<Bench> {
    let bench = Bench::new(20);
    bench.holds.store(HOLDS, Ordering::Relaxed);
    *bench.refused.lock().unwrap() = refused;
    bench
}

#[test]
fn others_go_on_while_more_are_refused_than_the_hand_holds() {
    on_virtual_time(async {
        let refused = 40..70;
        let bench = refusing(refused.clone());
        let rows = bench.rows.lock().unwrap().len();
        let others = rows - refused.len();
        let is_done = async || {
            let sent = bench.sent.lock().unwrap().range(..rows).count();
            sent == others && kept_letters(&bench).await == refused.len()
        };
        let script = async {
            tokio::select! {
                () = bench.until("others are sent, and these are letters", is_done) => {}
                () = receives(&bench) => {}
            }
            // What is new is delivered before the stop.
            tokio::time::sleep(Duration::from_secs(600)).await;
        };
        bench.lives(End::Stop, script).await;
        let most = bench.most_held.load(Ordering::Relaxed);
        assert!((HOLDS + 1..=2 * HOLDS).contains(&most), "{most}");
        assert_eq!(bench.standstills.load(Ordering::Relaxed), 0);
        assert_eq!(kept_letters(&bench).await, refused.len());
        assert_eq!(bench.times(), [1]);
        let sent = bench.sent.lock().unwrap();
        assert!(refused.clone().all(|n| !sent.contains_key(&n)));
        assert_eq!(sent.len() + refused.len(), bench.rows.lock().unwrap().len());
    });
}

/// Else it is told how long it takes to read what was read at once.
#[test]
fn that_there_is_no_more_to_read_while_an_event_is_in_hand_is_told() {
    on_virtual_time(async {
        let bench = refusing(40..41);
        let told = || *bench.only_waits.lock().unwrap();
        let script = async {
            tokio::time::sleep(Duration::from_secs(150)).await;
            assert_eq!(told(), Some(1));
            *bench.refused.lock().unwrap() = 0..0;
            tokio::time::sleep(Duration::from_secs(600)).await;
            assert_eq!(told(), None);
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
    });
}

/// Rows are received on and on: what is accepted of them shows that the intake is well.
async fn receives(bench: &Bench) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let now = bench.clock.now();
        bench.rows.lock().unwrap().push((now, false));
    }
}

#[test]
fn where_all_is_refused_so_much_is_held_and_no_more_and_that_is_said() {
    on_virtual_time(async {
        let bench = refusing(0..1000);
        let script = async {
            tokio::time::sleep(Duration::from_secs(7200)).await;
            // Four batches of five may be on their way when the hand becomes full.
            let most = bench.most_held.load(Ordering::Relaxed);
            assert!((2 * HOLDS..2 * HOLDS + 5).contains(&most), "{most}");
            let said = bench.standstills.load(Ordering::Relaxed);
            assert!(said > 60, "{said}");
            let snapshots = bench.snapshots.load(Ordering::Relaxed);
            assert!(snapshots > 60, "it is told once a minute: {snapshots}");
            assert_eq!(kept_letters(&bench).await, 0);
            *bench.refused.lock().unwrap() = 0..0;
            let is_done =
                async || bench.sent.lock().unwrap().len() == bench.rows.lock().unwrap().len();
            bench.until("all is delivered", is_done).await;
        };
        bench.lives(End::Stop, script).await;
        assert_eq!(bench.times(), [1]);
        assert_eq!(kept_letters(&bench).await, 0);
    });
}
