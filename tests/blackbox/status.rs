//! `status`: what the files and the running process tell.

use emulator::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::world::{Said, World, until};

fn line<'a>(said: &'a Said, name: &str) -> &'a str {
    let line = said.stdout.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{name}: {said}"))
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

    world.tell_ports(&mut process).await;
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
async fn errors_are_told_with_their_age_and_text() {
    let world = World::graph(3).await;
    world.configure(json!({"intake_key": "another-key"}));
    let mut process = world.start();
    process.prints("it does not know the intake key").await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let errors = line(&said, "errors");
    for text in [
        "since the last success, the last one ",
        " s ago: Failed to forward 3 events; the intake 127.0.0.1 answers 422",
        "compare intake_key with the key on the intake's page in Sekoia.io",
    ] {
        assert!(errors.contains(text), "{text:?}: {said}");
    }
    assert!(!said.stdout.contains("another-key"), "{said}");

    let said = world.says(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    let errors = &status["errors"];
    assert!(errors["since_last_success"].as_u64() >= Some(1), "{said}");
    let text = errors["text"].as_str().unwrap();
    assert!(text.contains("it does not know the intake key"), "{said}");
    assert!(errors["last"].as_str().unwrap().ends_with('Z'), "{said}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_the_moment_is_told_until_it_is_over() {
    let world = World::graph(3).await;
    let outage = Fault::status(503).times(1000);
    world.emulator.fault(Endpoint::Graph, outage);
    let mut process = world.start();
    process.prints("the service fails for the moment").await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let errors = line(&said, "errors");
    assert!(errors.contains("503 Service Unavailable"), "{said}");
    assert!(errors.contains("see the service health"), "{said}");
    process.stop().await;
}
