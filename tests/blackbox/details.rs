//! What happened to a message goes out within the event of its row, with every trigger.

use chrono::TimeDelta;
use emulator::{Discretion, Endpoint, Fault, NewRow, Scope, Status};
use serde_json::{Value, json};

use crate::world::{Process, Trigger, World, until};

/// Messages that have failed, in the world of every test here.
const FAILED: usize = 4;

/// A world with ordinary mail, and with some that has failed.
async fn world(trigger: Trigger, changes: &Value) -> World {
    let world = World::of(trigger, 1, 20).await;
    for n in 0..FAILED {
        let at = world.now() - TimeDelta::minutes(10 + i64::try_from(n).unwrap());
        let recipient = format!("o'neil+{n}@contoso.example");
        let row = NewRow::new(at, &recipient).status(Status::Failed);
        world.emulator.add_row(row);
    }
    let mut settings = json!({"details": ["failed"]});
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    configure(&world, &settings);
    world
}

/// Gives the trigger settings, and tells the ledger what follows from them.
fn configure(world: &World, settings: &Value) {
    world.configure(settings.clone());
    let discretion = Discretion::of_trigger(settings.as_object().unwrap()).unwrap();
    let emulator = &world.emulator;
    emulator.configure(|settings| settings.discretion = discretion);
}

/// The endpoint that a trigger asks for details.
fn endpoint(trigger: Trigger) -> Endpoint {
    match trigger {
        Trigger::Graph => Endpoint::GraphDetails,
        Trigger::Account | Trigger::Oauth => Endpoint::ReportDetails,
    }
}

/// The events of messages that have failed.
fn failed(world: &World) -> Vec<Value> {
    let events = world.emulator.accepted().into_iter();
    let events = events.map(|event| serde_json::from_str::<Value>(&event.text).unwrap());
    let has_failed = |event: &Value| {
        let status = event.get("status").or(event.get("Status"));
        status
            .unwrap()
            .as_str()
            .unwrap()
            .eq_ignore_ascii_case("failed")
    };
    let (failed, others): (Vec<_>, Vec<_>) = events.partition(has_failed);
    assert!(others.iter().all(|event| event.get("details").is_none()));
    failed
}

fn with_details(world: &World) -> usize {
    let failed = failed(world);
    failed
        .iter()
        .filter(|event| event.get("details").is_some())
        .count()
}

/// How many rows have gone like this.
async fn went(process: &mut Process, outcome: &str) -> usize {
    process.metric(&metric(outcome)).await.unwrap_or(0.0) as usize
}

fn metric(outcome: &str) -> String {
    format!("symphony_module_common_details_total{{outcome=\"{outcome}\"}}")
}

async fn rows_carry_what_happened(trigger: Trigger, changes: Value) {
    let world = world(trigger, &changes).await;
    let mut process = world.start();
    world.tell_ports(&mut process).await;
    world.backlog_delivered().await;
    let failed = failed(&world);
    assert!(failed.len() >= FAILED);
    for event in failed
        .iter()
        .filter(|event| event.to_string().contains("neil"))
    {
        let steps = event["details"].as_array().unwrap();
        let fail = steps.iter().find(|step| step["event"] == "Fail").unwrap();
        let date = fail["dateTime"].as_str().unwrap();
        let date = date.parse::<chrono::DateTime<chrono::Utc>>();
        assert!(date.is_ok(), "{event}");
        assert_eq!(fail.as_object().unwrap().len(), 4, "{event}");
        let data = fail["data"].as_str().unwrap();
        assert!(data.starts_with("<root>"), "{event}");
    }
    assert!(went(&mut process, "added").await >= FAILED);
    let said = world.says(&["status"]).await;
    let told = "details    of rows with the status failed: since the run began ";
    assert!(said.stdout.contains(told), "{said}");
    let said = world.says(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(status["details"]["statuses"], json!(["failed"]), "{said}");
    let said = world.says(&["check"]).await;
    let told = crate::world::shape(&said.stdout);
    assert!(
        told.contains("carry what happened to their message"),
        "{said}"
    );
    let said = world.says(&["config", world.name()]).await;
    assert!(said.stdout.contains("details_quota"), "{said}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_account() {
    rows_carry_what_happened(Trigger::Account, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_app() {
    rows_carry_what_happened(Trigger::Oauth, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_graph() {
    rows_carry_what_happened(Trigger::Graph, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_graph_in_the_form_of_the_reporting_web_service() {
    rows_carry_what_happened(Trigger::Graph, json!({"event_format": "reporting"})).await;
}

/// Details are refused: rows come without, and soon nothing is asked for any more.
async fn rows_come_without_what_is_refused(trigger: Trigger, fault: Fault) {
    let world = world(trigger, &json!({})).await;
    world.emulator.fault(endpoint(trigger), fault);
    let mut process = world.start();
    world.backlog_delivered().await;
    assert_eq!(with_details(&world), 0);
    let asked = world.count(endpoint(trigger));
    assert!((1..=2 * FAILED).contains(&asked), "{asked}");
    process
        .prints("Microsoft does not tell what happened to messages")
        .await;
    // Rows are read as before, and go at once.
    let at = world.now() - TimeDelta::seconds(2);
    let row = NewRow::new(at, "later@contoso.example").status(Status::Failed);
    world.emulator.add_row(row);
    world.all_delivered().await;
    assert_eq!(world.count(endpoint(trigger)), asked);
    assert!(went(&mut process, "paused").await >= 1);
    let output = process.output();
    assert!(!output.contains("neil"), "{output}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_to_an_account() {
    // It says nothing of the password.
    rows_come_without_what_is_refused(Trigger::Account, Fault::status(401)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_to_an_app() {
    rows_come_without_what_is_refused(Trigger::Oauth, Fault::status(403)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_by_graph() {
    rows_come_without_what_is_refused(Trigger::Graph, Fault::throttled(429, Some("7"))).await;
}

/// No row waits for a service that is slow.
async fn rows_come_without_what_is_late(trigger: Trigger) {
    let world = world(trigger, &json!({})).await;
    world
        .emulator
        .fault(endpoint(trigger), Fault::DelayAnswer { ms: 90_000 });
    let mut process = world.start();
    until("details are asked for", || {
        world.count(endpoint(trigger)) > 0
    })
    .await;
    let asked = tokio::time::Instant::now();
    world.backlog_delivered().await;
    // `frequency` is 10 s.
    let waited = asked.elapsed();
    assert!(waited < std::time::Duration::from_secs(40), "{waited:?}");
    assert_eq!(with_details(&world), 0);
    assert!(went(&mut process, "late").await >= 1);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_for_an_account() {
    rows_come_without_what_is_late(Trigger::Account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_for_an_app() {
    rows_come_without_what_is_late(Trigger::Oauth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_from_graph() {
    rows_come_without_what_is_late(Trigger::Graph).await;
}

/// The quota is kept, and the newest come first.
async fn the_newest_row_gets_the_only_call(trigger: Trigger) {
    let world = World::of(trigger, 1, 0).await;
    configure(&world, &json!({"details": ["failed"], "details_quota": 1}));
    let at = world.now() - TimeDelta::minutes(5);
    for n in 0..FAILED {
        // All of them stand on one page.
        let received = at + TimeDelta::milliseconds(i64::try_from(n).unwrap());
        let row = NewRow::new(received, &format!("user{n}@contoso.example"));
        world.emulator.add_row(row.status(Status::Failed));
    }
    let mut process = world.start();
    world.backlog_delivered().await;
    assert_eq!(world.count(endpoint(trigger)), 1);
    let newest = format!("user{}@contoso.example", FAILED - 1);
    for event in failed(&world) {
        let is_newest = event.to_string().contains(&newest);
        assert_eq!(event.get("details").is_some(), is_newest, "{event}");
    }
    for (outcome, rows) in [("added", 1), ("quota", FAILED - 1)] {
        let rows = u32::try_from(rows).unwrap();
        process.reaches(&metric(outcome), rows.into()).await;
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_quota_of_an_account() {
    the_newest_row_gets_the_only_call(Trigger::Account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_quota_of_an_app() {
    the_newest_row_gets_the_only_call(Trigger::Oauth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_the_quota_of_graph() {
    the_newest_row_gets_the_only_call(Trigger::Graph).await;
}

async fn a_kill_while_rows_wait_loses_and_doubles_nothing(trigger: Trigger) {
    let world = world(trigger, &json!({"frequency": 60})).await;
    world.emulator.fault(endpoint(trigger), Fault::Hang);
    let mut process = world.start();
    until("details are asked for", || {
        world.count(endpoint(trigger)) > 0
    })
    .await;
    process.kill().await;
    assert_eq!(failed(&world).len(), 0, "they wait");
    world.emulator.clear_all_faults();
    let mut process = world.start();
    until("they have come", || failed(&world).len() >= FAILED).await;
    // Of the others some may have been on their way at the kill, and come twice.
    until("nothing is missing", || {
        world.emulator.verdict(&Scope::default()).missing.count == 0
    })
    .await;
    let failed = failed(&world);
    let id = |event: &Value| {
        let id = event.get("id").or(event.get("MessageTraceId"));
        id.unwrap().to_string()
    };
    let ids: std::collections::BTreeSet<_> = failed.iter().map(id).collect();
    assert_eq!(ids.len(), failed.len(), "once");
    assert_eq!(with_details(&world), failed.len());
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_kill_with_an_account() {
    a_kill_while_rows_wait_loses_and_doubles_nothing(Trigger::Account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_kill_with_an_app() {
    a_kill_while_rows_wait_loses_and_doubles_nothing(Trigger::Oauth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_kill_with_graph() {
    a_kill_while_rows_wait_loses_and_doubles_nothing(Trigger::Graph).await;
}

async fn nobody_is_named_where_something_is_hidden(trigger: Trigger, changes: Value) {
    let mut hidden = json!({"addresses": "hash", "hash_key": "a key that nobody else knows"});
    for (name, value) in changes.as_object().unwrap() {
        hidden[name] = value.clone();
    }
    let world = world(trigger, &hidden).await;
    let mut process = world.start();
    // The ledger accepts no other member.
    world.backlog_delivered().await;
    let failed = failed(&world);
    assert!(with_details(&world) >= FAILED);
    let steps = failed
        .iter()
        .filter_map(|event| event["details"].as_array());
    for step in steps.flatten() {
        let mut names = step.as_object().unwrap().keys();
        assert!(
            names.all(|name| ["event", "dateTime", "action"].contains(&&**name)),
            "{step}"
        );
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_names_with_an_account() {
    nobody_is_named_where_something_is_hidden(Trigger::Account, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_names_with_an_app() {
    nobody_is_named_where_something_is_hidden(Trigger::Oauth, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_names_with_graph() {
    nobody_is_named_where_something_is_hidden(Trigger::Graph, json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_names_in_the_form_of_the_reporting_web_service() {
    let form = json!({"event_format": "reporting"});
    nobody_is_named_where_something_is_hidden(Trigger::Graph, form).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn details_leave_half_of_the_quota() {
    let world = world(Trigger::Graph, &json!({"quota": 15})).await;
    let said = world.says(&["check", world.name()]).await;
    assert_eq!(said.code, Some(10), "{said}");
    let text = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("details_quota is 10, which leaves too little of `quota` 15"),
        "{said}"
    );
}
