//! Start, restart, takeover, stop and kill.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use emulator::{Endpoint, Fault, NewRow};
use serde_json::json;

use crate::world::{Process, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn first_start_delivers_what_is_there_and_what_comes() {
    let world = World::with_backlog(3, 5_000).await;
    let mut process = world.start();
    process
        .prints("Office365 MessageTrace Trigger has started.")
        .await;
    world.all_delivered().await;
    world
        .emulator
        .add_row(NewRow::new(world.now(), "new@contoso.example"));
    world.all_delivered().await;
    until("the checkpoint is behind the new row", || {
        world.checkpoint() > world.now() - TimeDelta::seconds(15)
    })
    .await;

    let (status, health) = process.health().await;
    assert_eq!(
        (status, &health["error_count"]),
        (200, &json!(0)),
        "{health}"
    );
    let forwarded = "symphony_module_common_forwarded_events_total{intake_key=";
    process.reaches(forwarded, 5_001.0).await;
    let lag = process
        .metric("symphony_module_common_events_lags{")
        .await
        .unwrap();
    assert!((0.0..60.0).contains(&lag), "{lag}");
    world.platform_log("info", "Up to date: ").await;

    process.stop().await;
    assert!(
        process
            .output()
            .contains("Stopping Office365 MessageTrace trigger"),
        "{}",
        process.output()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_edge_is_asked_once_a_frequency() {
    let world = World::with_backlog(1, 10).await;
    world.configure(json!({"start_time": 1}));
    let mut process = world.start();
    until("three windows of the live edge are read", || {
        world.requests(Endpoint::Report).len() >= 4
    })
    .await;
    process.stop().await;
    let mut requests = world.requests(Endpoint::Report);
    // The second is for the hour before the start.
    requests.remove(1);
    let bounds: Vec<_> = requests
        .iter()
        .map(|request| request.query("$filter").unwrap())
        .collect();
    // A window ends when it is asked for, however long the request takes to arrive.
    let ends = bounds.iter().map(|bounds| -> DateTime<Utc> {
        let mut dates = bounds.split('\'').filter_map(|word| word.parse().ok());
        dates.next_back().unwrap()
    });
    let ends: Vec<_> = ends.collect();
    let gaps: Vec<_> = ends
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).num_milliseconds())
        .collect();
    assert!(gaps.iter().all(|gap| *gap > 9_000), "{gaps:?}: {bounds:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_sends_nothing_twice_and_misses_nothing() {
    restarts(&World::with_backlog(3, 3_000).await).await;
}

/// A mail comes between two lives of the trigger, the first of which finds 3 000.
pub(crate) async fn restarts(world: &World) {
    let mut first = world.start();
    world.all_delivered().await;
    first.stop_by("INT").await;
    assert_eq!(world.emulator.accepted_count(None), 3_000);

    world
        .emulator
        .add_row(NewRow::new(world.now(), "meanwhile@contoso.example"));
    let mut second = world.start();
    world.all_delivered().await;
    second.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 3_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_module_s_state_is_taken_over() {
    let world = World::with_backlog(6, 6_000).await;
    let checkpoint = (world.now() - TimeDelta::hours(2)).trunc_subsecs(6);
    let text = checkpoint.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string();
    world.write_state(&json!({"most_recent_date_requested": text, "ours": [1, "ü"]}).to_string());
    let mut command = world.command();
    command.arg("--").arg("left over");
    let mut process = Process::start(command);
    let scope = emulator::Scope {
        received_from: Some(checkpoint),
        ..Default::default()
    };
    until("all behind the checkpoint is delivered", || {
        world.emulator.verdict(&scope).missing.count == 0
    })
    .await;
    process.stop().await;

    let expected = world.emulator.rows(checkpoint, world.now()).len() as u64;
    assert!(expected > 1_000, "{expected}");
    assert_eq!(
        world.emulator.accepted_count(None),
        expected,
        "and nothing before the checkpoint"
    );
    let state = world.state();
    assert_eq!(state["ours"], json!([1, "ü"]));
    assert!(world.checkpoint() > checkpoint, "{state}");
    let raw = std::fs::read_to_string(world.data().join("context.json")).unwrap();
    assert!(
        raw.contains("+00:00\"") && raw.contains('ü') && !raw.contains('\n'),
        "{raw}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_state_is_kept_aside_and_the_last_good_one_used() {
    let world = World::with_backlog(3, 1_000).await;
    let mut process = world.start();
    world.all_delivered().await;
    until("the checkpoint is at the edge", || {
        world.checkpoint() > world.now() - TimeDelta::minutes(1)
    })
    .await;
    process.stop().await;
    let checkpoint = world.checkpoint();
    world.write_state(r#"{"most_recent_date_requ"#);

    let mut process = world.start();
    process.prints("the last good copy is used").await;
    process
        .prints(&format!("goes on with rows received at {checkpoint}"))
        .await;
    // What was read since tells whether anything comes again.
    process.prints("No records to forward").await;
    process.stop().await;
    let names = std::fs::read_dir(world.data()).unwrap();
    let aside = names
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("broken"))
        .expect("the broken file");
    assert_eq!(
        std::fs::read_to_string(aside).unwrap(),
        r#"{"most_recent_date_requ"#
    );
    assert_eq!(world.emulator.accepted_count(None), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_lose_nothing() {
    let world = World::with_backlog(24, 30_000).await;
    world.configure(json!({"chunk_size": 200}));
    world.emulator.configure(|settings| {
        settings.report.page_rows = 500;
        settings.intake.latency_ms = 5;
    });
    for kill in 0..8_u64 {
        let mut process = world.start();
        process.prints("Querying timerange").await;
        tokio::time::sleep(Duration::from_millis(30 + 61 * kill)).await;
        process.kill().await;
        let now = world.emulator.verdict(&Default::default());
        // Four batches are under way at a kill.
        let doubled = now.doubled.count;
        assert!(
            doubled <= kill * 4 * 200,
            "after {kill} kills {doubled} rows came twice:\n{now}"
        );
    }
    let mut process = world.start();
    // Before it says anything, it does not know how to stop.
    process.prints("Querying timerange").await;
    let scope = emulator::Scope::default();
    until("everything is delivered", || {
        world.emulator.verdict(&scope).missing.count == 0
    })
    .await;
    process.stop().await;
    let verdict = world.emulator.verdict(&scope);
    assert_eq!(
        (verdict.missing.count, verdict.unasked.count),
        (0, 0),
        "{verdict}"
    );
    assert!(verdict.doubled.count <= 8 * 4 * 200, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_data_directory_are_one_too_many() {
    let world = World::with_backlog(1, 10).await;
    let mut first = world.start();
    world.all_delivered().await;
    let mut second = world.start();
    assert_eq!(second.ends().await.code(), Some(1));
    assert!(
        second.output().contains("is in use by another process"),
        "{}",
        second.output()
    );
    first.stop().await;
}

/// Starts in a world, waits for a sign that the wanted state is reached, and stops.
async fn stops_while(world: &World, sign: impl AsyncFnOnce(&mut Process)) {
    let mut process = world.start();
    sign(&mut process).await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_microsoft_is_slow() {
    let world = World::with_backlog(1, 10).await;
    world
        .emulator
        .fault(Endpoint::Report, Fault::DelayAnswer { ms: 90_000 });
    stops_while(&world, async |_| {
        until("it waits for a page", || world.count(Endpoint::Report) == 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_a_page_stalls() {
    let world = World::with_backlog(1, 1_000).await;
    // An empty page would be too short to stall.
    world.begin_with_the_backlog();
    world.emulator.fault(
        Endpoint::Report,
        Fault::Stall {
            bytes: 100,
            ms: 90_000,
        },
    );
    stops_while(&world, async |_| {
        until("it waits for a page", || world.count(Endpoint::Report) == 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_it_backs_off() {
    for (status, headers, sign) in [
        (429, vec![("retry-after", "3000")], "fewer requests"),
        (503, vec![], "fails for the moment"),
        (401, vec![], "account_password"),
        (410, vec![], "message_trace_graph"),
    ] {
        let world = World::with_backlog(1, 10).await;
        world
            .emulator
            .fault(Endpoint::Report, Fault::answer(status, &headers, ""));
        stops_while(&world, async |process| process.prints(sign).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_the_intake_is_down() {
    let world = World::with_backlog(1, 10).await;
    world.begin_with_the_backlog();
    world.emulator.fault(Endpoint::Intake, Fault::status(503));
    stops_while(&world, async |process| {
        process.prints("Failed to forward 10 events").await
    })
    .await;
    assert_eq!(world.emulator.accepted_count(None), 0);
    world.nothing_was_passed();
    // What was not accepted is sent after the next start.
    world.emulator.clear_all_faults();
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_the_intake_is_slow_and_takes_a_late_answer_in() {
    let world = World::with_backlog(1, 10).await;
    world
        .emulator
        .fault(Endpoint::Intake, Fault::DelayAnswer { ms: 1_000 });
    stops_while(&world, async |_| {
        until("a batch is on its way", || {
            world.count(Endpoint::Intake) == 1
        })
        .await;
    })
    .await;
    world.emulator.clear_all_faults();
    let mut process = world.start();
    process.prints("No records to forward").await;
    process.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 10, "sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_the_intake_never_answers() {
    let world = World::with_backlog(1, 10).await;
    world
        .emulator
        .fault(Endpoint::Intake, Fault::DelayRequest { ms: 90_000 });
    stops_while(&world, async |_| {
        until("a batch is on its way", || {
            world.count(Endpoint::Intake) == 1
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_the_platform_takes_no_logs() {
    let world = World::with_backlog(1, 10).await;
    world
        .emulator
        .fault(Endpoint::Logs, Fault::DelayRequest { ms: 90_000 });
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    world.emulator.clear_all_faults();
    world.emulator.fault(Endpoint::Logs, Fault::status(500));
    stops_while(&world, async |process| {
        process.prints("Querying timerange").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_the_configuration_is_rejected() {
    let world = World::with_backlog(1, 10).await;
    world.configure(json!({"frequency": 1}));
    stops_while(&world, async |process| {
        process.prints("Configuration error").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_may_be_json() {
    let world = World::graph(3).await;
    world.write("log_format", "json");
    let mut process = world.start();
    world.all_delivered().await;
    process.prints("Trigger has started").await;
    process.stop().await;
    let output = process.output();
    assert!(output.lines().count() > 3, "{output}");
    for line in output.lines() {
        let told: serde_json::Value = serde_json::from_str(line).expect(line);
        let time = told["time"].as_str().unwrap();
        time.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        assert_eq!(told["level"], "info", "{line}");
        assert_eq!(told["logger"], "message_trace_graph", "{line}");
        assert!(told["message"].is_string(), "{line}");
    }
    world.write("log_format", "xml");
    let mut process = world.start();
    assert_eq!(process.ends().await.code(), Some(1));
    let output = process.output();
    assert!(output.contains("allowed is text or json"), "{output}");
}
