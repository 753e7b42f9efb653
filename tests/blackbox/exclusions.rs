//! Rows that are not wanted, with every trigger.

use chrono::TimeDelta;
use emulator::{Discretion, NewRow, Scope, Status};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{Trigger, World, until};

const ALL: [Trigger; 3] = [Trigger::Account, Trigger::Graph, Trigger::Oauth];

/// Rows of one sender that are in the backlog of every test here.
const NEWS: usize = 6;

/// A world with ordinary mail, and with mail that rules are about.
async fn world(trigger: Trigger) -> World {
    let world = World::of(trigger, 1, 10).await;
    for n in 0..NEWS {
        // So young that they are soon read again.
        let at = world.now() - TimeDelta::seconds(15 + i64::try_from(n).unwrap());
        let mut row = NewRow::new(at, &format!("reader{n}@contoso.example"));
        row.row.sender = "Weekly@News.example".to_owned();
        world.emulator.add_row(row);
    }
    let at = world.now() - TimeDelta::minutes(10);
    world
        .emulator
        .add_row(NewRow::new(at, "archive@contoso.example"));
    let failed = NewRow::new(at, "gone@contoso.example").status(Status::Failed);
    world.emulator.add_row(failed);
    world
}

/// Gives the trigger settings, and tells the ledger what follows from them.
fn configure(world: &World, settings: &Value) {
    world.configure(settings.clone());
    // A text is taken for a list by the module alone.
    let lists = settings.as_object().unwrap().clone();
    let discretion = Discretion::of_trigger(&lists).unwrap();
    world
        .emulator
        .configure(|settings| settings.discretion = discretion);
}

fn rules() -> Value {
    json!({
        "exclude_senders": ["nobody@example.org", "*@news.EXAMPLE"],
        "exclude_recipients": ["Archive@contoso.example"],
        "exclude_statuses": ["failed"],
    })
}

async fn are_left_out_counted_and_delivered_without_the_rule(trigger: Trigger) {
    let world = world(trigger).await;
    configure(&world, &rules());
    let mut process = world.start();
    world.backlog_delivered().await;
    process.reaches(BY_SECOND_SENDER, 6.0).await;
    until("everything is read", || world.has_caught_up()).await;
    assert_eq!(process.metric(BY_RECIPIENT).await, Some(1.0));
    assert_eq!(process.metric(BY_STATUS).await, Some(1.0));
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let told = "excluded   since the run began, by exclude_senders 2: 6 rows, exclude_recipients 1: 1 row, \
                exclude_statuses 1: 1 row";
    assert!(said.stdout.contains(told), "{said}");
    let said = world.says(&["status", "--json"]).await;
    let status: Value = serde_json::from_str(&said.stdout).unwrap();
    let first = json!({"setting": "exclude_senders", "rule": 2, "rows": 6});
    assert_eq!(status["excluded"][0], first, "{said}");
    let said = world.says(&["check"]).await;
    for told in [
        "2 of exclude_senders, 1 of exclude_recipients, 1 of exclude_statuses",
        "of the rows fit a rule and are not sent",
    ] {
        assert!(shape_of(&said.stdout).contains(told), "{told}: {said}");
    }
    // They are read again and again, and counted once.
    let before = process.metric(EXCLUDED_READINGS).await.unwrap();
    process.comes_to(EXCLUDED_READINGS, before + 1.0).await;
    assert_eq!(process.metric(BY_SECOND_SENDER).await, Some(6.0));
    process.kill().await;
    let files = std::fs::read_to_string(world.data().join("exclusions.json")).unwrap();
    assert!(!files.to_lowercase().contains("example"), "{files}");

    // Over a restart nothing of them is taken for delivered, nor forgotten to be left out.
    let mut process = world.start();
    process.reaches(BY_SECOND_SENDER, 6.0).await;
    world.backlog_delivered().await;
    process.stop().await;

    // Without the first rule its rows are delivered, and counted as what they are: not as late ones.
    let mut fewer = rules();
    fewer["exclude_senders"] = json!([]);
    configure(&world, &fewer);
    let mut process = world.start();
    let verdict = world.backlog_delivered().await;
    assert_eq!(verdict.doubled_unacknowledged.count, 0, "{verdict}");
    assert_eq!(process.metric(LATE).await, Some(0.0));
    process.stop().await;
}

const BY_SECOND_SENDER: &str =
    "symphony_module_common_excluded_rows_total{setting=\"exclude_senders\",rule=\"2\"}";
const BY_RECIPIENT: &str =
    "symphony_module_common_excluded_rows_total{setting=\"exclude_recipients\",rule=\"1\"}";
const BY_STATUS: &str =
    "symphony_module_common_excluded_rows_total{setting=\"exclude_statuses\",rule=\"1\"}";
const EXCLUDED_READINGS: &str = "symphony_module_common_source_rows_total{kind=\"excluded\"}";
const LATE: &str = "symphony_module_common_source_rows_total{kind=\"late\"}";

/// Without line breaks, which depend on the width.
fn shape_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_account() {
    are_left_out_counted_and_delivered_without_the_rule(Trigger::Account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_graph() {
    are_left_out_counted_and_delivered_without_the_rule(Trigger::Graph).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_app() {
    are_left_out_counted_and_delivered_without_the_rule(Trigger::Oauth).await;
}

/// In the form of the first trigger, too, by which rows have other names and statuses.
#[tokio::test(flavor = "multi_thread")]
async fn of_graph_in_the_form_of_the_reporting_web_service() {
    let world = world(Trigger::Graph).await;
    let mut settings = rules();
    settings["event_format"] = "reporting".into();
    configure(&world, &settings);
    let mut process = world.start();
    world.backlog_delivered().await;
    process.reaches(BY_SECOND_SENDER, 6.0).await;
    process.reaches(BY_STATUS, 1.0).await;
    process.stop().await;
}

/// A status that is excluded hides a row until it has another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_sent_once_it_has_another_status() {
    let world = World::graph(0).await;
    let now = world.now();
    let row = NewRow::new(now - TimeDelta::minutes(2), "slow@contoso.example");
    let row = row.status(Status::Pending);
    let trace_id = row.row.trace_id;
    // Later than the first reading, however long a start takes, and before the second one, which is due
    // when a quarter of the row's age has passed.
    let changes = now + TimeDelta::seconds(25);
    world.emulator.add_row(row.then(changes, Status::Delivered));
    configure(&world, &json!({"exclude_statuses": ["pending"]}));
    let mut process = world.start();
    process.reaches(BY_STATUS, 1.0).await;
    let times = |status| {
        let emulator = &world.emulator;
        emulator.times_delivered(trace_id, "slow@contoso.example", status)
    };
    until("its last status is delivered", || {
        times(Status::Delivered) == 1
    })
    .await;
    assert_eq!(times(Status::Pending), 0);
    let changed = "symphony_module_common_source_rows_total{kind=\"changed\"}";
    assert_eq!(process.metric(changed).await, Some(1.0));
    assert_eq!(process.metric(LATE).await, Some(0.0));
    process.stop().await;
}

/// A row that is shown only when its time was read before is left out like any other, and is none that came
/// late when it is delivered without the rule.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_surfaces_late_is_left_out_too() {
    join_all(ALL.map(async |trigger| {
        let world = World::of(trigger, 1, 0).await;
        configure(
            &world,
            &json!({"exclude_recipients": ["archive@contoso.example"]}),
        );
        let received = world.now() - TimeDelta::minutes(1);
        let before = NewRow::new(received, "ada@contoso.example");
        world.emulator.add_row(before);
        let mut process = world.start();
        world.backlog_delivered().await;
        // From now on it is seen when that minute is read again.
        let row = NewRow::new(received, "archive@contoso.example");
        let trace_id = row.row.trace_id;
        world.emulator.add_row(row);
        process.reaches(BY_RECIPIENT, 1.0).await;
        let times = || {
            let emulator = &world.emulator;
            emulator.times_delivered(trace_id, "archive@contoso.example", Status::Delivered)
        };
        assert_eq!(times(), 0);
        assert_eq!(process.metric(LATE).await, Some(0.0));
        process.stop().await;
        configure(&world, &json!({}));
        let mut process = world.start();
        until("it is delivered without the rule", || times() == 1).await;
        assert_eq!(process.metric(LATE).await, Some(0.0));
        process.stop().await;
        assert!(world.emulator.verdict(&Scope::default()).is_clean());
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_takes_most_rows_is_said() {
    let world = World::graph(0).await;
    for n in 0..60 {
        let at = world.now() - TimeDelta::minutes(5) - TimeDelta::seconds(n);
        world
            .emulator
            .add_row(NewRow::new(at, "all@contoso.example"));
    }
    configure(&world, &json!({"exclude_senders": ["*@fabrikam.example"]}));
    let said = world.says(&["check"]).await;
    let told = "the rule exclude_senders 1 takes out 60 of 60 rows, which are not sent";
    assert!(shape_of(&said.stdout).contains(told), "{said}");
    assert_eq!(said.code, Some(0), "a warning: {said}");
    let mut process = world.start();
    let told = "More than half of the rows are not sent: the rule exclude_senders 1 takes out 60 of 60 rows.";
    process.prints(told).await;
    assert!(
        !process.output().contains("fabrikam"),
        "no address in the log"
    );
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_is_excluded() {
    let world = world(Trigger::Oauth).await;
    configure(&world, &rules());
    let said = world
        .says(&["backfill", "--from", "-1h", "--dry-run", "--json"])
        .await;
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(told["excluded"], 8, "{said}");
    assert_eq!(
        told["rows"].as_u64().unwrap(),
        8 + told["new"].as_u64().unwrap()
    );
}

/// Lists may come as a text; what does not fit is named with its place.
#[tokio::test(flavor = "multi_thread")]
async fn lists_may_be_texts_and_are_bounded() {
    let world = World::graph(0).await;
    world.configure(json!({"exclude_senders": "a@b.example; *@c.example,\n d@e.example"}));
    let said = world.says(&["config", "message_trace_graph"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let list = r#"["a@b.example","*@c.example","d@e.example"]"#;
    assert!(said.stdout.contains(list), "{said}");
    let many: Vec<String> = (0..101).map(|n| format!("{n}@b.example")).collect();
    for (settings, told) in [
        (
            json!({"exclude_senders": ["a@b.example", "c.example"]}),
            "exclude_senders 2 is \"c.example\", allowed is an address such as name@example.org, or \
             *@example.org for all addresses of a domain; it lacks an `@`",
        ),
        (
            json!({"exclude_statuses": "Failed"}),
            "did you mean \"failed\"?",
        ),
        (
            json!({"exclude_recipients": many}),
            "exclude_recipients is a list of 101, allowed is a list of at most 100 different items",
        ),
    ] {
        world.configure(settings);
        let said = world.says(&["config", "message_trace_graph"]).await;
        assert_eq!(said.code, Some(10), "{said}");
        assert!(shape_of(&said.stderr).contains(told), "{told}: {said}");
    }
}
