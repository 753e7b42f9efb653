//! State that is damaged, moved, or of somebody else.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use emulator::NewRow;
use serde_json::{Value, json};

use crate::world::{Trigger, World, until};

const ALL: [Trigger; 3] = [Trigger::Account, Trigger::Graph, Trigger::Oauth];

/// A trigger has delivered all that there was, and was stopped. Three hours later, as the state says,
/// new rows are there.
async fn stopped_for_three_hours(trigger: Trigger) -> World {
    let world = World::of(trigger, 1, 200).await;
    let mut process = world.start();
    world.all_delivered().await;
    caught_up(&world).await;
    process.stop().await;
    world
}

async fn caught_up(world: &World) {
    until("the mark is at the edge", || {
        world.data().join("context.json").exists()
            && world.mark() > world.now() - TimeDelta::minutes(1)
    })
    .await;
}

fn file(world: &World, name: &str) -> std::path::PathBuf {
    world.data().join(name)
}

fn timeline(world: &World) -> Value {
    serde_json::from_slice(&fs::read(file(world, "coverage.json")).unwrap()).unwrap()
}

/// All that was received is delivered once, those that came while the trigger was away, too.
async fn every_row_once_after(world: &World, said: &str) {
    for n in 0..20 {
        let row = NewRow::new(world.now(), &format!("away{n}@contoso.example"));
        world.emulator.add_row(row);
    }
    // A collection that began anew would skip them.
    world.configure(json!({"start_time": 0}));
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut process = world.start();
    process.prints(said).await;
    world.all_delivered().await;
    process.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 220);
}

/// What is done to the state, in words and in fact.
type Harm = (&'static str, fn(&World));

/// Ways to make the position unusable while the timeline is whole.
fn damages() -> Vec<Harm> {
    fn both(world: &World, text: &str) {
        fs::write(file(world, "context.json"), text).unwrap();
        fs::write(file(world, "context.json.previous"), text).unwrap();
    }
    vec![
        ("an empty object", |world| world.write_state("{}")),
        ("null", |world| world.write_state("null")),
        ("a number", |world| {
            world.write_state(r#"{"most_recent_date_requested": 1795000000}"#);
        }),
        ("a null in it", |world| {
            world.write_state(r#"{"most_recent_date_requested": null}"#);
        }),
        ("a flipped bit", |world| {
            let text = fs::read_to_string(file(world, "context.json")).unwrap();
            world.write_state(&text.replace("20", "2p"));
        }),
        ("another key", |world| {
            world.write_state(r#"{"most_recent_date_requestee": "2026-01-01T00:00:00Z"}"#);
        }),
        ("no file", |world| {
            fs::remove_file(file(world, "context.json")).unwrap();
        }),
        ("no file and no copy", |world| {
            fs::remove_file(file(world, "context.json")).unwrap();
            fs::remove_file(file(world, "context.json.previous")).unwrap();
        }),
        ("both empty objects", |world| both(world, "{}")),
        ("both zeroed", |world| both(world, &"\0".repeat(64))),
        ("the far future", |world| {
            world.write_state(r#"{"most_recent_date_requested": "9026-01-01T00:00:00+00:00"}"#);
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_position_skips_and_doubles_nothing() {
    for (which, (damage, harm)) in damages().into_iter().enumerate() {
        // Each trigger has its share, as all of them go the same way.
        let world = stopped_for_three_hours(ALL[which % 3]).await;
        eprintln!("{damage} with {}", world.name());
        harm(&world);
        let status = world.says(&["status"]).await;
        assert!(
            damage == "the far future" || status.stdout.contains("coverage.json tells"),
            "{status}"
        );
        every_row_once_after(&world, "The saved position cannot be used").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_position_and_timeline_the_known_rows_are_the_witness() {
    for trigger in ALL {
        let world = stopped_for_three_hours(trigger).await;
        for name in ["context.json", "context.json.previous", "coverage.json"] {
            fs::write(file(&world, name), "\0\0\0\0").unwrap();
        }
        every_row_once_after(
            &world,
            "The newest row that is known was received in the hour",
        )
        .await;
    }
}

fn moved_to(world: &World, position: DateTime<Utc>) {
    let text = json!({"most_recent_date_requested": position.to_rfc3339()});
    world.write_state(&text.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_was_moved_on_is_told_listed_and_taken_back() {
    for trigger in ALL {
        let world = World::of(trigger, 1, 50).await;
        let mut process = world.start();
        world.all_delivered().await;
        caught_up(&world).await;
        process.stop().await;
        let kept = world.mark();
        let row = world.now();
        world
            .emulator
            .add_row(NewRow::new(row, "skipped@contoso.example"));
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        moved_to(&world, world.now());

        let mut process = world.start();
        process.prints("The saved position was moved from").await;
        process.prints(&format!("moved from {kept} to")).await;
        caught_up(&world).await;
        let skipped = || timeline(&world)["coverage"]["skipped"].clone();
        until("what is skipped is kept", || {
            skipped().as_array().is_some_and(|all| all.len() == 1)
        })
        .await;
        let status = world.says(&["status"]).await;
        assert!(status.stdout.contains("skipped by position"), "{status}");
        let status = world.says(&["status", "--json"]).await;
        let facts: Value = serde_json::from_str(&status.stdout).unwrap();
        let window = &facts["gaps"]["skipped_by_position"][0];
        let from: DateTime<Utc> = window[0].as_str().unwrap().parse().unwrap();
        assert_eq!(from, kept, "{status}");
        assert_eq!(world.emulator.accepted_count(None), 50);
        process.stop().await;

        let said = world.says(&["backfill", "--skipped"]).await;
        assert_eq!(said.code, Some(0), "{said}");
        world.all_delivered().await;
        assert_eq!(world.emulator.accepted_count(None), 51);
        assert_eq!(skipped(), json!([]));
        let said = world.says(&["backfill", "--skipped"]).await;
        assert!(said.stderr.contains("Nothing is skipped"), "{said}");
    }
}
