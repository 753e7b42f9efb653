//! A configuration that changes while the trigger runs.

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Backlog, Endpoint, NewRow, Options, TestCertificate, Traffic};
use serde_json::json;

use crate::world::{Trigger, World, until};

/// Rows that come while the trigger runs.
fn add_row(world: &World, name: &str) {
    let row = NewRow::new(
        world.now() - TimeDelta::minutes(2),
        &format!("{name}@contoso.example"),
    );
    world.emulator.add_row(row);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_secret_is_used_without_a_restart() {
    let world = World::graph(20).await;
    world.configure(json!({"client_secret": "wrong~secret"}));
    let mut process = world.start();
    process.prints("the client secret is wrong").await;
    let ports = (
        process.port("Liveness").await,
        process.port("Metrics").await,
    );
    world.configure(json!({}));
    process
        .prints("The settings have changed (client_secret): the run ends")
        .await;
    world.all_delivered().await;
    assert_eq!(
        (
            process.port("Liveness").await,
            process.port("Metrics").await
        ),
        ports
    );
    assert_eq!(
        process.output().matches("server listening on port").count(),
        2
    );
    assert_eq!(process.health().await.0, 200);
    process.stop().await;
    assert!(
        !process.output().contains("CRITICAL"),
        "{}",
        process.output()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_configuration_is_read_again_as_soon_as_it_is_right() {
    let world = World::graph(20).await;
    world.configure(json!({"frequency": 1}));
    let mut process = world.start();
    process.prints("frequency is 1, allowed is").await;
    process.prints("Configuration error").await;
    world.configure(json!({}));
    // The next look at it would be two minutes later.
    world.all_delivered().await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_configuration_is_a_warning_and_the_old_one_goes_on() {
    let world = World::graph(20).await;
    let mut process = world.start();
    world.all_delivered().await;
    let file = world.config().join("trigger_configuration");
    let good = std::fs::read_to_string(&file).unwrap();
    for (bad, said) in [
        (
            good.replace("\"frequency\":10", "\"frequency\":\"10s\""),
            "frequency is \"10s\"",
        ),
        (good.trim_end_matches('}').to_owned(), "is not valid JSON"),
        (
            good.replace(
                "\"client_secret\":",
                "\"credential\":\"certificate\",\"certificate\":",
            ),
            "certificate: ",
        ),
        (
            good.replace("emulated-intake-key", ""),
            "intake_key is missing",
        ),
    ] {
        assert_ne!(bad, good);
        std::fs::write(&file, bad).unwrap();
        world
            .platform_log(
                "warning",
                "the trigger goes on with the settings that it has",
            )
            .await;
        process.prints(said).await;
    }
    add_row(&world, "still-collected");
    world.all_delivered().await;
    // Put back, it is what runs.
    std::fs::write(&file, &good).unwrap();
    process
        .prints("The configuration is again what the trigger runs with")
        .await;
    process.stop().await;
    let output = process.output();
    assert!(
        !output.contains("CRITICAL") && !output.contains("ERROR"),
        "{output}"
    );
    assert_eq!(output.matches("Trigger has started").count(), 1, "{output}");
    assert!(!output.contains("emulated~client~secret"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_kubernetes_swaps_are_noticed() {
    let world = World::graph(20).await;
    let file = world.config().join("trigger_configuration");
    let in_config = |name: &str| world.config().join(name);
    for version in ["..1", "..2"] {
        std::fs::create_dir(in_config(version)).unwrap();
        if version == "..2" {
            world.configure(json!({"frequency": 20}));
        }
        std::fs::copy(&file, in_config(version).join("trigger_configuration")).unwrap();
    }
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("..1", in_config("..data")).unwrap();
    std::os::unix::fs::symlink("..data/trigger_configuration", &file).unwrap();
    let mut process = world.start();
    world.all_delivered().await;
    std::os::unix::fs::symlink("..2", in_config("..data_tmp")).unwrap();
    std::fs::rename(in_config("..data_tmp"), in_config("..data")).unwrap();
    process
        .prints("The settings have changed (frequency)")
        .await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_intake_and_another_tenant_begin_without_a_restart() {
    let options = Options {
        traffic: Traffic {
            backlog: Backlog::rows(TimeDelta::hours(1), 20),
            ..Traffic::default()
        },
        ..Options::default()
    };
    let world = World::new(Trigger::Graph, options).await;
    world.emulator.configure(|settings| {
        settings.intake.keys.push("another-intake-key".into());
    });
    let mut process = world.start();
    world.all_delivered().await;
    world.configure(json!({"intake_key": "another-intake-key"}));
    process
        .prints("The settings have changed (intake_key)")
        .await;
    add_row(&world, "for-the-other-intake");
    until(
        "the other intake has it, and nothing of what the first one has",
        || world.emulator.accepted_count(Some("another-intake-key")) == 1,
    )
    .await;
    // The same organization by another name is no other; a domain of somebody else is.
    world.configure(json!({"tenant_id": "11111111-2222-4333-8444-555555555555"}));
    process
        .prints("The settings have changed (intake_key, tenant_id)")
        .await;
    until("it has a state of its own", || {
        world.data().join("tenants").is_dir()
    })
    .await;
    process.stop().await;
    // One that sent all again would have passed by 1.
    let accepted = |key| world.emulator.accepted_count(key);
    assert_eq!(
        (accepted(None), accepted(Some("another-intake-key"))),
        (20, 1)
    );
    assert!(world.count(Endpoint::Token) > 1);
}

/// A certificate that ends in so many days, with its key.
fn certificate(now: DateTime<Utc>, days: i64) -> String {
    let TestCertificate { certificate, key } = TestCertificate::ending(now + TimeDelta::days(days));
    format!("{certificate}{key}")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_certificate_is_told_everywhere() {
    for (days, outcome, said) in [
        (90, "pass", "in 89 days"),
        (20, "warn", "in 19 days: upload a new one"),
        (0, "warn", "has ended at"),
    ] {
        let world = World::graph(0).await;
        world.configure(json!({
            "credential": "certificate", "client_secret": null, "certificate": certificate(world.now(), days),
        }));
        let screen = world.says(&["check"]).await;
        let line = screen.stdout.lines().find(|line| line.contains(said));
        let line = line.unwrap_or_else(|| panic!("{said}: {screen}"));
        assert!(line.starts_with(outcome), "{screen}");
        let mut process = world.start();
        if days < 30 {
            process.prints(said).await;
            let level = if days == 0 { "error" } else { "warning" };
            world.platform_log(level, said).await;
        }
        process.prints("Trigger has started").await;
        world.tell_ports(&mut process).await;
        let name = "symphony_module_common_certificate_end_timestamp_seconds ";
        until("the metric is there", || {
            process.output().contains("Events go to")
        })
        .await;
        let end = process.metric(name).await.unwrap();
        let left = end - world.now().timestamp() as f64;
        assert!((left / 86_400.0 - days as f64).abs() < 0.1, "{left}");
        let screen = world.says(&["status"]).await;
        let line = screen
            .stdout
            .lines()
            .find(|line| line.starts_with("certificate"));
        assert!(line.is_some_and(|line| line.contains(said)), "{screen}");
        process.stop().await;
    }
}
