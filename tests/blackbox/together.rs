//! Details, mass mail, exclusions and privacy at once, and a verification of what they have left.

use std::fs;

use chrono::TimeDelta;
use emulator::{Endpoint, NewRow, Status};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    privacy::{assert_nothing_is_clear, canary, configure, given_away, hiding},
    verify::{ALL, doubled, hour, missing, up_to_date, verified, verify},
    world::{Trigger, World},
};

/// The recipients of a message, of which a window shows a thousand.
const MASS: u64 = 1300;

/// The mail of six hours, and of the fourth hour before now a message to thousands, and some that is not
/// wanted, or has failed.
async fn world(trigger: Trigger) -> World {
    let world = World::of(trigger, 6, 200).await;
    world.emulator.configure(|settings| {
        settings.graph.shown_recipients = Some(1000);
        settings.report.shown_recipients = Some(1000);
    });
    let mut settings = hiding();
    let more = json!({
        "details": ["failed"],
        "exclude_senders": ["*@unwanted.example"],
        "start_time": 7, "settle_time": 0,
        // For so long a row waits for its details.
        "frequency": 60,
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    configure(&world, &settings);
    let message = Uuid::new_v4();
    for number in 0..MASS {
        let mut row = old(&world, 30).trace_id(message);
        row.row.recipient = format!("canary{number}@contoso.example");
        world.emulator.add_row(row);
    }
    for number in 0..3 {
        let failed = old(&world, 60 + number).status(Status::Failed);
        world.emulator.add_row(failed);
        world.emulator.add_row(unwanted(&world, 90 + number));
    }
    world
}

/// A row of the fourth hour before the test, of which nothing may leave.
fn old(world: &World, seconds: i64) -> NewRow {
    let mut row = canary(world, 0);
    row.row.received = hour(world, 4) + TimeDelta::seconds(seconds);
    row
}

fn unwanted(world: &World, seconds: i64) -> NewRow {
    let mut row = old(world, seconds);
    row.row.sender = "canary@unwanted.example".to_owned();
    row
}

async fn all_at_once(trigger: Trigger) {
    let world = world(trigger).await;
    let mut process = world.start();
    world.tell_ports(&mut process).await;
    world.backlog_delivered().await;
    up_to_date(&world).await;
    let hidden = r#"symphony_module_common_mass_messages_total{outcome="hidden"}"#;
    process.reaches(hidden, 1.0).await;
    let rule = r#"symphony_module_common_excluded_rows_total{setting="exclude_senders",rule="1"}"#;
    process.reaches(rule, 3.0).await;
    let events = world.emulator.accepted().into_iter();
    let details = events.filter_map(|event| {
        let event: Value = serde_json::from_str(&event.text).unwrap();
        event.get("details").cloned()
    });
    let mut with_details = 0;
    for details in details {
        with_details += 1;
        for step in details.as_array().unwrap() {
            let names = step.as_object().unwrap().keys();
            let may_leave = ["dateTime", "event", "action"];
            assert!(
                names.clone().all(|name| may_leave.contains(&name.as_str())),
                "{step}"
            );
        }
    }
    assert!(with_details >= 3, "{with_details}");
    assert_nothing_is_clear(&given_away(&world, &mut process).await);
    process.stop().await;

    // What was delivered, of those whom the window hides, too, is what Microsoft shows.
    let (code, document) = verified(&world, &["--from", "-5h"]).await;
    assert_eq!(code, Some(0), "{document:#}");
    let verdict = verdict(&world, &document);
    assert_eq!(verdict["accepted"], verdict["shown"], "{verdict:#}");
    assert_eq!(verdict["not_shown"], 0, "{verdict:#}");
    assert!(
        verdict["shown"].as_u64().unwrap() >= MASS + 3,
        "{verdict:#}"
    );

    // A row that comes when its hour is final is named as it leaves; one that is not wanted is not missed.
    let late = old(&world, 120);
    let id = late.row.trace_id;
    world.emulator.add_row(late);
    world.emulator.add_row(unwanted(&world, 130));
    let page = world.data().join("report.html");
    let said = verify(
        &world,
        &["--from", "-5h", "--report", page.to_str().unwrap()],
    )
    .await;
    assert_eq!(said.code, Some(6), "{said}");
    let named = format!("was missing: {id} to ");
    assert_eq!(said.stdout.matches("was missing: ").count(), 1, "{said}");
    assert!(
        said.stdout.contains(&named) && said.stdout.contains(".invalid"),
        "{said}"
    );
    assert_eq!((missing(&world), doubled(&world)), (0, 0));
    assert!(
        world
            .emulator
            .verdict(&emulator::Scope::default())
            .is_clean()
    );
    let mut process = world.start();
    world.tell_ports(&mut process).await;
    up_to_date(&world).await;
    let mut all = given_away(&world, &mut process).await + &said.to_string();
    all.push_str(&fs::read_to_string(page).unwrap());
    assert_nothing_is_clear(&all);
    process.stop().await;
}

/// The verdict of the hour with the message to thousands.
fn verdict(world: &World, document: &Value) -> Value {
    let hour = hour(world, 4).timestamp();
    let mut verdicts = document["verdicts"].as_array().unwrap().iter();
    let is_it = |verdict: &&Value| {
        let at = verdict["hour"].as_str().unwrap();
        at.parse::<chrono::DateTime<chrono::Utc>>()
            .unwrap()
            .timestamp()
            == hour
    };
    verdicts.find(is_it).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_doubled_or_clear_and_all_of_it_is_proven() {
    join_all(ALL.map(all_at_once)).await;
}

/// Whom a window hides, and was not delivered, is found and delivered by a verification.
#[tokio::test(flavor = "multi_thread")]
async fn recipients_that_came_after_their_hour_was_final_are_found_although_the_window_hides_them()
{
    let world = world(Trigger::Graph).await;
    let mut process = world.start();
    world.backlog_delivered().await;
    up_to_date(&world).await;
    process.stop().await;
    let mut rows = world
        .emulator
        .rows(hour(&world, 4), hour(&world, 3))
        .into_iter();
    let of_mass = rows.find(|row| row.recipient == "canary0@contoso.example");
    for number in 0..7 {
        let mut row = old(&world, 30).trace_id(of_mass.as_ref().unwrap().trace_id);
        row.row.recipient = format!("late-canary{number}@contoso.example");
        world.emulator.add_row(row);
    }
    let before = world.count(Endpoint::Graph);
    let said = verify(&world, &["--from", "-5h"]).await;
    assert_eq!(said.code, Some(6), "{said}");
    assert_eq!(said.stdout.matches("was missing: ").count(), 7, "{said}");
    assert_eq!((missing(&world), doubled(&world)), (0, 0));
    let asked = world.count(Endpoint::Graph) - before;
    assert!(asked < 20, "{asked} requests");
    let (code, document) = verified(&world, &["--from", "-5h"]).await;
    assert_eq!(code, Some(0), "{document:#}");
}
