//! What the platform asks of a trigger and tells it, beside its events.

use emulator::{Endpoint, Fault};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_intake_refuses_is_seen_while_everything_else_works() {
    let world = World::graph(3).await;
    world.emulator.fault(Endpoint::Intake, Fault::status(503));
    let mut process = world.start();
    process.prints("503 Service Unavailable").await;
    // The position is saved meanwhile, and windows without rows are read.
    let begun = tokio::time::Instant::now();
    while world.count(Endpoint::Intake) < 3 {
        assert!(begun.elapsed() < PATIENCE, "{}", process.output());
        let (status, body) = process.health().await;
        assert_eq!(status, 200, "the loop turns");
        assert!(body["errors"]["intake"].as_u64() >= Some(1), "{body}");
        assert!(body["error_count"].as_u64() >= Some(1), "{body}");
    }
    world.emulator.clear_faults(Endpoint::Intake);
    process.prints("The intake accepts events again").await;
    world.all_delivered().await;
    assert_eq!(process.health().await.1["error_count"], json!(0));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_by_head_is_answered_among_many_idle_connections() {
    let world = World::graph(3).await;
    let mut process = world.start();
    let port = process.port("Liveness").await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let mut probe = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    probe
        .write_all(b"HEAD /health HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    probe.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "no body: {answer}");
    let open = process.metric("process_open_fds").await.unwrap();
    assert!(open < 150.0, "{open} files are open");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_logs_endpoint_lose_no_line() {
    let world = World::graph(3).await;
    world
        .emulator
        .configure(|settings| settings.platform.longest_log_request = Some(800));
    for status in [400, 302, 422] {
        let fault = Fault::answer(status, &[("location", "http://192.0.2.1/logs")], "");
        world.emulator.fault(Endpoint::Logs, fault.times(1));
    }
    let mut process = world.start();
    world.all_delivered().await;
    for text in [
        "Office365 MessageTrace Trigger has started.",
        "Querying timerange ",
        "Forwarding 3 records",
    ] {
        world.platform_log("info", text).await;
    }
    process.stop().await;
    let texts: Vec<_> = world
        .emulator
        .logs()
        .into_iter()
        .map(|one| one.message)
        .collect();
    let started = texts.iter().filter(|text| text.contains("has started"));
    assert_eq!(started.count(), 1, "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_log_line_that_is_refused_does_not_hold_up_the_others() {
    let world = World::graph(3).await;
    let refused = "Events go to the intake".to_owned();
    world
        .emulator
        .configure(|settings| settings.platform.refused_log_texts = vec![refused]);
    let mut process = world.start();
    world.platform_log("info", "has started").await;
    world.platform_log("info", "Forwarding 3 records").await;
    world
        .platform_log("warning", "1 log lines could not be delivered")
        .await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_was_deleted_is_made_anew_and_a_second_process_stops_the_first() {
    let world = World::graph(3).await;
    let mut first = world.start();
    world.all_delivered().await;
    let lock = world.data().join(".lock");
    std::fs::remove_file(&lock).unwrap();
    for name in ["seed-v2", "seed-v2.copy"] {
        std::fs::remove_file(world.data().join("known-rows").join(name)).unwrap();
    }
    first.prints("it was made anew").await;
    // Else all rows are forgotten at the next start.
    first.prints("known-rows/seed-v2.copy was missing").await;
    let mut second = world.start();
    second.prints("is in use by another process").await;
    assert_eq!(second.ends().await.code(), Some(1));

    // It is not to make the lock anew before the second one comes.
    first.signal("STOP");
    std::fs::remove_file(&lock).unwrap();
    let mut second = world.start();
    second.prints("The collection goes on").await;
    first.signal("CONT");
    first
        .prints("another process has taken the data directory")
        .await;
    assert_eq!(first.ends().await.code(), Some(1));
    second.stop().await;
}

/// Secrets that the platform gives, by setting.
fn node_secrets(world: &World, secrets: serde_json::Value) {
    let secrets = secrets.as_object().unwrap().clone();
    world
        .emulator
        .configure(|settings| settings.platform.node_secrets = secrets);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_fills_placeholders() {
    let world = World::graph(3).await;
    let secrets = json!({
        "client_secret": "emulated~client~secret",
        "certificate": null,
        "intake_key": "emulated-intake-key",
    });
    node_secrets(&world, secrets);
    // The endpoint is not up at once.
    world
        .emulator
        .fault(Endpoint::Secrets, Fault::status(503).times(2));
    world.configure(json!({"client_secret": "*******", "intake_key": "*****\n"}));
    let mut process = world.start();
    world.all_delivered().await;
    process.stop().await;
    assert_eq!(world.count(Endpoint::Secrets), 3);
    assert!(!process.output().contains("consists of asterisks"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_that_nobody_fills_is_the_error() {
    for (place, answer) in [
        (
            "trigger_configuration",
            r#"{"value": [], "node_value": null}"#,
        ),
        (
            "trigger_configuration",
            r#"{"node_value": {"client_secret": null}}"#,
        ),
        (
            "connector_configuration",
            r#"{"value": {}, "node_value": {"client_secret": "emulated~client~secret"}}"#,
        ),
    ] {
        let world = World::graph(3).await;
        world
            .emulator
            .fault(Endpoint::Secrets, Fault::answer(200, &[], answer));
        world.configure(json!({"client_secret": "*******"}));
        if place == "connector_configuration" {
            let text = std::fs::read_to_string(world.config().join("trigger_configuration"));
            world.write(place, &text.unwrap());
        }
        let mut process = world.start();
        process
            .prints("client_secret consists of asterisks only, a placeholder that")
            .await;
        process.prints("CRITICAL - Configuration error").await;
        process.stop().await;
        let output = process.output();
        assert!(!output.contains("the client secret is wrong"), "{output}");
        assert_eq!(world.count(Endpoint::Token), 0, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_placeholders_the_secrets_endpoint_holds_nobody_up() {
    for answer in [
        Fault::status(500),
        Fault::status(404),
        Fault::answer(307, &[("location", "http://192.0.2.1/secrets")], ""),
        Fault::answer(200, &[("content-type", "text/html")], "<html>Sign in"),
        Fault::DelayAnswer { ms: 60_000 },
        Fault::Reset,
    ] {
        let world = World::graph(3).await;
        world.emulator.fault(Endpoint::Secrets, answer);
        let begun = tokio::time::Instant::now();
        let mut process = world.start();
        process.prints("the trigger starts without them").await;
        world.all_delivered().await;
        assert!(begun.elapsed() < PATIENCE / 2);
        process.stop().await;
    }
    // All that the endpoint may leave out.
    for answer in ["{}", r#"{"value": null}"#, r#"{"node_value": []}"#] {
        let world = World::graph(3).await;
        let answer = Fault::answer(200, &[], answer);
        world.emulator.fault(Endpoint::Secrets, answer);
        let mut process = world.start();
        world.all_delivered().await;
        process.stop().await;
        let output = process.output();
        assert!(
            !output.contains("the trigger starts without them"),
            "{output}"
        );
        assert_eq!(world.count(Endpoint::Secrets), 1);
    }
}
