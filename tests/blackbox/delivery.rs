//! The way to the intake: outages, refusals, limits, and many rows.

use chrono::TimeDelta;
use emulator::{Endpoint, Fault, NewRow, RejectionShape};
use serde_json::{Value, json};

use crate::world::{World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_large_backlog_takes_few_requests() {
    let world = World::with_backlog(24 * 9, 100_000).await;
    let mut process = world.start();
    let verdict = world.all_delivered().await;
    assert_eq!(verdict.delivered, 100_000);
    let requests = world.count(Endpoint::Report);
    assert!(requests < 100, "{requests} requests for 50 pages");
    let resident = process
        .metric("process_resident_memory_bytes")
        .await
        .unwrap();
    assert!(resident < 96e6, "{resident} bytes resident");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_intake_is_waited_out() {
    let world = World::with_backlog(2, 5_000).await;
    world
        .emulator
        .fault(Endpoint::Intake, Fault::status(503).times(4));
    world
        .emulator
        .fault(Endpoint::Intake, Fault::Reset.times(2));
    let mut process = world.start();
    process.prints("the events are kept and sent again").await;
    world.all_delivered().await;
    process.prints("The intake accepts events again").await;
    let forwarded = "symphony_module_common_forwarded_events_total{intake_key=";
    // Accepted ones only.
    process.reaches(forwarded, 5_000.0).await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_that_gets_lost_is_the_only_thing_that_doubles() {
    let world = World::with_backlog(2, 1_500).await;
    world
        .emulator
        .fault(Endpoint::Intake, Fault::ResetAfter.times(1));
    let mut process = world.start();
    until("the lost batch was sent again", || {
        world
            .emulator
            .verdict(&Default::default())
            .doubled_unacknowledged
            .count
            > 0
    })
    .await;
    let verdict = world.all_delivered().await;
    process.stop().await;
    assert!(
        (1..=1_000).contains(&verdict.doubled_unacknowledged.count),
        "{verdict}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_that_is_not_ready_is_waited_for() {
    let world = World::with_backlog(1, 10).await;
    world
        .emulator
        .fault(Endpoint::Intake, Fault::key_not_ready());
    let mut process = world.start();
    process
        .prints("A new intake takes some minutes to be ready")
        .await;
    world
        .platform_log("warning", "it does not know the intake key")
        .await;
    assert_eq!(process.health().await.0, 200);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_split() {
    let world = World::with_backlog(1, 2_000).await;
    world
        .emulator
        .configure(|settings| settings.intake.max_body_bytes = 100_000);
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    assert!(world.count(Endpoint::Intake) > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_over_the_limit_is_a_dead_letter_and_a_copy_with_its_subject_cut_goes() {
    let world = World::with_backlog(1, 100).await;
    let huge = NewRow::new(world.now() - TimeDelta::minutes(5), "huge@contoso.example");
    let id = huge.row.message_id.clone().unwrap();
    world.emulator.add_row(huge.subject(&"x".repeat(251_000)));
    let mut process = world.start();
    process.prints(&format!("message id {id}")).await;
    until("the rest is delivered", || {
        world.emulator.verdict(&Default::default()).delivered >= 100
    })
    .await;
    let forwarded = "symphony_module_common_forwarded_events_total{";
    process.reaches(forwarded, 101.0).await;
    let discarded = "symphony_module_common_discarded_events_total{";
    process.reaches(discarded, 1.0).await;
    // It is passed, and not tried again.
    until("the checkpoint moves past it", || {
        world.checkpoint() > world.now() - TimeDelta::minutes(1)
    })
    .await;
    process.stop().await;
    world.platform_log("error", &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_intake_refuses_stay_in_hand_and_the_others_go_on() {
    for shape in [
        RejectionShape::NullIds,
        RejectionShape::Errors,
        RejectionShape::Statuses,
        RejectionShape::Results,
    ] {
        let world = World::with_backlog(1, 50).await;
        // One window, so that it is one request to the intake.
        world.configure(json!({"frequency": 3600}));
        world.emulator.fault(
            Endpoint::Intake,
            Fault::RejectEvents {
                containing: String::new(),
                every: 10,
                shape,
            },
        );
        let mut process = world.start();
        let in_hand = "symphony_module_common_events_in_hand";
        let forwarded = "symphony_module_common_forwarded_events_total{";
        process.reaches(forwarded, 45.0).await;
        process.reaches(in_hand, 5.0).await;
        world.tell_ports(&mut process).await;
        let said = world.says(&["status", "--json"]).await;
        let status: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(status["in hand"]["events"], 5, "{status}");
        process.stop().await;
        let verdict = world.emulator.verdict(&Default::default());
        assert_eq!(
            (verdict.missing.count, verdict.rejected.count),
            (0, 5),
            "{verdict}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_keep_to_the_chunk_size_and_go_side_by_side() {
    let world = World::with_backlog(1, 1_000).await;
    world.configure(json!({"chunk_size": 100, "frequency": 3600}));
    world
        .emulator
        .configure(|settings| settings.intake.latency_ms = 3_000);
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    let requests = world.emulator.requests(Endpoint::Intake);
    assert_eq!(requests.len(), 10);
    let answered = requests[..4].iter().filter_map(|request| request.answered);
    let first = answered.min().unwrap();
    assert!(requests[3].at < first, "one after the other: {requests:#?}");
    assert!(requests[4].at >= first, "more than four: {requests:#?}");
}
