//! `verify --schedule`: the trigger verifies every day by itself, and a person's own order goes first.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    verify::{
        ALL, add_late, collected, command, doubled, hour, missing, up_to_date, verified, verify,
    },
    world::{Process, Trigger, World, until},
};

const NIGHTS: &str = "verify-nights.json";

fn nights(world: &World) -> Value {
    let text = fs::read_to_string(world.data().join(NIGHTS)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn last(world: &World) -> Value {
    nights(world)["last"].clone()
}

/// A standing order, and what a trigger has made of it, as if the last quiet hours had gone by without one.
async fn a_night_was_missed(world: &World) {
    let said = verify(world, &["--schedule", "--from", "-5h"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let mut process = world.start();
    process.prints("is verified every day from ").await;
    until("it is kept", || world.data().join(NIGHTS).exists()).await;
    up_to_date(world).await;
    process.stop().await;
    let mut nights = nights(world);
    let quiet = nights["quiet"]["first"].as_i64().unwrap();
    assert_eq!(quiet, 2, "nothing is known of most hours");
    nights["next"] = json!(world.now() - TimeDelta::hours(25));
    for name in ["order", "last", "until"] {
        nights[name] = Value::Null;
    }
    fs::write(world.data().join(NIGHTS), nights.to_string()).unwrap();
    _ = fs::remove_file(world.data().join("verify-progress.json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trigger_verifies_by_itself_and_says_what_was_not_proven() {
    join_all(ALL.map(verifies_by_itself)).await;
}

async fn verifies_by_itself(trigger: Trigger) {
    let world = collected(trigger, 300).await;
    a_night_was_missed(&world).await;
    let row = add_late(&world, hour(&world, 4), 1);
    let mut process = world.start();
    process
        .prints("The daily verification has found hours that were not proven: 1 of")
        .await;
    assert_eq!((missing(&world), doubled(&world)), (0, 0));
    let metric = "symphony_module_common_verified_hours{finding=\"delivered\"";
    assert_eq!(process.metric(metric).await, Some(1.0));
    let (code, document) = verified(&world, &["--last"]).await;
    assert_eq!(code, Some(6), "{document:#}");
    assert!(document.to_string().contains(&row.trace_id.to_string()));
    process.stop().await;

    let said = world.says(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    let told = &status["verify"];
    assert_eq!(told["last"]["unproven"], 1, "{told:#}");
    assert!(
        told["last"]["hours"]["proven"].as_u64().unwrap() >= 2,
        "{told:#}"
    );
    assert!(
        told["last"]["hours"]["open"].is_null(),
        "only what is final: {told:#}"
    );
    let next: DateTime<Utc> = told["next"].as_str().unwrap().parse().unwrap();
    assert!(next > world.now() + TimeDelta::hours(5), "{told:#}");
    let said = world.says(&["status"]).await;
    assert!(said.stdout.contains("every day from 02:00 UTC"), "{said}");

    // Once a day; what was found stays said until then.
    let found = last(&world);
    let mut process = world.start();
    process.prints("is verified every day from ").await;
    up_to_date(&world).await;
    assert_eq!(process.metric(metric).await, Some(1.0));
    process.stop().await;
    assert_eq!(last(&world), found);
    let said = verify(&world, &["--schedule", "off"]).await;
    assert!(
        said.stderr
            .contains("Nothing is verified every day any more"),
        "{said}"
    );
    let said = world.says(&["status"]).await;
    assert!(!said.stdout.contains("every day"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_order_goes_first_and_a_kill_loses_nothing() {
    let world = collected(Trigger::Account, 600).await;
    a_night_was_missed(&world).await;
    add_late(&world, hour(&world, 4), 1);
    let slow = |page_rows, latency_ms| {
        world.emulator.configure(|settings| {
            settings.report.page_rows = page_rows;
            settings.report.latency_ms = latency_ms;
        });
    };
    slow(20, 1500);
    let mut first = world.start();
    first
        .prints("A verification of the rows received from")
        .await;
    until("its progress is kept", || {
        world.data().join("verify-progress.json").exists()
    })
    .await;
    first.kill().await;
    let mut second = world.start();
    second.prints(" goes on: it uses what the collection").await;
    let mut own = Process::start(command(&world, &["--from", "-2h"]));
    own.prints("The running trigger verifies").await;
    own.prints(" of 3 hours, ").await;
    slow(1000, 5);
    assert!(
        matches!(own.ends().await.code(), Some(0 | 6)),
        "{}",
        own.output()
    );
    // Then that of the day is done, from its beginning.
    until("the night has ended", || !last(&world).is_null()).await;
    second.stop().await;
    assert_eq!((missing(&world), doubled(&world)), (0, 0));
    assert_eq!(last(&world)["hours"]["delivered"], 1);
    let (code, document) = verified(&world, &["--from", "-5h"]).await;
    assert_eq!(code, Some(0), "{document:#}");
    // A restart takes neither up again.
    let mut third = world.start();
    up_to_date(&world).await;
    third.prints("is verified every day from ").await;
    third.stop().await;
    assert!(
        !third.output().contains("A verification of"),
        "{}",
        third.output()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_every_day_is_refused() {
    let world = collected(Trigger::Graph, 60).await;
    for arguments in [
        &["--schedule", "--from", "yesterday"][..],
        &["--schedule", "--from", "-400d"],
        &["--schedule", "--last"],
        &["--schedule", "never"],
    ] {
        let said = verify(&world, arguments).await;
        assert_eq!(said.code, Some(2), "{said}");
    }
    let said = verify(&world, &["--schedule", "off"]).await;
    assert!(
        said.stderr.contains("Nothing is verified every day."),
        "{said}"
    );
    for expected in ["every day from now on", "is done every day already"] {
        let said = verify(&world, &["--schedule"]).await;
        assert!(said.stderr.contains(expected), "{said}");
    }
}
