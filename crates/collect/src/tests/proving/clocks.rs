//! The time is doubtful while something else goes wrong: nothing stands still for that.

use super::*;

/// Else only an answer would tell the time, and nobody would ask for one.
#[test]
fn a_clock_that_steps_in_the_midst_of_a_window_while_requests_fail_stops_nothing() {
    for class in [
        ErrorClass::Outage,
        ErrorClass::Throttled { after: None },
        ErrorClass::Refused { heals: true },
    ] {
        on_virtual_time(async {
            let bench = Bench::new(2);
            let is_down = Arc::new(AtomicBool::default());
            let script = async {
                bench.collects().await;
                *bench.page.lock().unwrap() = 2;
                let goes_down = Arc::clone(&is_down);
                // From the second page of the live edge on.
                *bench.hook.lock().unwrap() = Some(Box::new(move |lane, _, has_link| {
                    goes_down.fetch_or(lane == Lane::Live && has_link, Ordering::Relaxed);
                    match goes_down.load(Ordering::Relaxed) {
                        true => Err(class),
                        false => Ok(()),
                    }
                }));
                let now = bench.clock.now();
                let before = bench.rows.lock().unwrap().len();
                let new = (0..4).map(|n| (now + TimeDelta::seconds(n), false));
                bench.rows.lock().unwrap().extend(new);
                let fails = async || is_down.load(Ordering::Relaxed);
                bench.until("a second page fails", fails).await;
                bench.time.lock().unwrap().0 = false;
                tokio::time::sleep(Duration::from_secs(120)).await;
                *bench.hook.lock().unwrap() = None;
                let is_sent = async || bench.sent.lock().unwrap().range(before..).count() == 4;
                bench.until("they are delivered", is_sent).await;
            };
            bench.lives(End::Stop, script).await;
            assert_eq!(bench.times(), [1], "{class:?}");
        });
    }
}
