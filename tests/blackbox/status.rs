//! `status`: what the files and the running process tell.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Process, Said, World, until};

fn line<'a>(said: &'a Said, name: &str) -> &'a str {
    let line = said.stdout.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{name}: {said}"))
}

/// The configuration names the ports that the process has taken.
async fn tell_ports(world: &World, process: &mut Process) {
    for (key, server) in [("liveness_port", "Liveness"), ("metrics_port", "Metrics")] {
        let port = process.port(server).await;
        world.write(key, &port.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_beside_and_after_a_run() {
    let world = World::graph(30).await;
    let said = world.says(&["status"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(line(&said, "process").contains("not running on"), "{said}");
    assert!(line(&said, "position").contains("none yet"), "{said}");

    let mut process = world.start();
    world.all_delivered().await;
    let kept = world.data().join("context.json.previous");
    until("a position is kept", || kept.exists()).await;
    let said = world.says(&["status"]).await;
    let elsewhere = line(&said, "process");
    assert!(elsewhere.contains("but not reached at port 0"), "{said}");

    tell_ports(&world, &mut process).await;
    let said = world.says(&["status"]).await;
    assert!(
        line(&said, "process").contains("running since 20"),
        "{said}"
    );
    let position = line(&said, "position");
    assert!(position.contains("of this module: all that was"), "{said}");
    assert!(
        line(&said, "delivered").contains("30 events since its start, "),
        "{said}"
    );
    assert!(
        line(&said, "quota").contains("of the tenant's 100 requests"),
        "{said}"
    );
    assert!(
        line(&said, "errors").contains("none since its start"),
        "{said}"
    );
    assert_eq!(said.stderr, "");
    process.stop().await;

    let said = world.says(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(status["process"]["running"], false);
    assert_eq!(status["position"]["written_by"], "message-trace");
    assert!(
        status["quota"]["requests_in_5_minutes"].as_u64() >= Some(1),
        "{said}"
    );
    assert_eq!(status.get("delivered"), None, "nobody tells: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_with_their_age() {
    let world = World::graph(3).await;
    world.configure(json!({"intake_key": "another-key"}));
    let mut process = world.start();
    process.prints("it does not know the intake key").await;
    tell_ports(&world, &mut process).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let said = world.says(&["status"]).await;
    let errors = line(&said, "errors");
    assert!(
        errors.contains("since the last success, the last one "),
        "{said}"
    );
    assert!(errors.contains("`message-trace check`"), "{said}");
    assert!(!said.stdout.contains("another-key"), "{said}");
    process.stop().await;
}
