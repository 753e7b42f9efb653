//! The tenant's quota of queries, which others use too.

use emulator::{Endpoint, RetryAfter};
use serde_json::json;

use crate::world::{Process, World, until};

/// Waits until so many windows have been begun.
async fn begun(process: &Process, windows: usize) {
    until("the next window is begun", || {
        process.output().matches("Querying timerange").count() >= windows
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_it_waits_for_the_quota_which_survives_a_restart() {
    let world = World::graph(300).await;
    // One tells the time, and one reads the first window.
    world.configure(json!({"quota": 2}));
    let mut process = world.start();
    begun(&process, 2).await;
    // A window is begun a moment before it is asked for.
    until("both requests have come", || {
        world.count(Endpoint::Graph) >= 2
    })
    .await;
    process.stop().await;
    assert_eq!(world.count(Endpoint::Graph), 2);

    let mut process = world.start();
    // A query needs leave first, then a token, which could expire during the wait.
    process.prints("Trigger has started").await;
    assert_eq!(process.health().await.0, 200);
    process.stop().await;
    assert_eq!(world.count(Endpoint::Token), 1);
    assert_eq!(world.count(Endpoint::Graph), 2, "two in five minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_back_when_others_use_the_quota_and_loses_nothing() {
    let world = World::graph(300).await;
    world.begin_with_the_backlog();
    // One window is all there is to read.
    world.configure(json!({"frequency": 3600}));
    // It is used up for as long as a start may take.
    world
        .emulator
        .configure(|settings| settings.graph.quota.seconds = 20);
    world.emulator.consume_quota(100);
    let mut process = world.start();
    process.prints("(100 in 5 minutes) is used up").await;
    process.prints("see what else reads it").await;
    world.backlog_delivered().await;
    assert_eq!(process.health().await.0, 200);
    let requests = world.emulator.requests(Endpoint::Graph);
    let statuses: Vec<_> = requests.iter().map(|request| request.status).collect();
    // The second tells the time, the third has the rows.
    assert_eq!(statuses, [Some(429), Some(200), Some(200)]);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_in_the_pause_after_a_refusal_that_does_not_say_how_long() {
    let world = World::graph(300).await;
    world.begin_with_the_backlog();
    world.emulator.configure(|settings| {
        // For longer than a start may take.
        settings.graph.quota.seconds = 60;
        settings.graph.quota.retry_after = RetryAfter::Absent;
    });
    world.emulator.consume_quota(100);
    let mut process = world.start();
    process.prints("is used up").await;
    process.stop().await;
    assert_eq!(world.count(Endpoint::Graph), 1);
    world.nothing_was_passed();
}
