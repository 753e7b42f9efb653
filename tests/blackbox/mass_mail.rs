//! A message to more recipients than a window shows.

use std::fs;

use chrono::TimeDelta;
use emulator::{ById, Endpoint, NewRow, Settings};
use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::world::{Process, Trigger, World, until};

const ALL: [(Trigger, Endpoint); 3] = [
    (Trigger::Graph, Endpoint::Graph),
    (Trigger::Oauth, Endpoint::Report),
    (Trigger::Account, Endpoint::Report),
];

const WAITING: &str = "symphony_module_common_mass_messages_waiting_windows";
const HIDDEN: &str = r#"symphony_module_common_mass_messages_total{outcome="hidden"}"#;

fn by_id(how: ById) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.graph.by_id = how;
        settings.report.by_id = how;
    }
}

/// A world with a message to 1300, of which a window shows 1000, and its id.
async fn world(trigger: Trigger) -> (World, Uuid) {
    let world = World::of(trigger, 1, 50).await;
    world.emulator.configure(|settings| {
        settings.graph.shown_recipients = Some(1000);
        settings.report.shown_recipients = Some(1000);
    });
    let message = Uuid::new_v4();
    let received = world.now() - TimeDelta::minutes(5);
    for number in 0..1300 {
        let recipient = format!("user{number}@contoso.example");
        let row = NewRow::new(received, &recipient).trace_id(message);
        world.emulator.add_row(row);
    }
    world.begin_with_the_backlog();
    (world, message)
}

/// The questions for a message.
fn questions(world: &World, endpoint: Endpoint, message: Uuid) -> Vec<String> {
    let requests = world.requests(endpoint).into_iter();
    let filters = requests.filter_map(|request| request.query("$filter"));
    filters
        .filter(|filter| filter.contains(&message.to_string()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_recipients_are_delivered_and_it_is_told() {
    join_all(ALL.map(async |(trigger, endpoint)| {
        let (world, message) = world(trigger).await;
        let mut process = world.start();
        world.backlog_delivered().await;
        process.reaches(HIDDEN, 1.0).await;
        let questions = questions(&world, endpoint, message);
        assert_eq!(questions.len(), 1, "{questions:?}");
        let bounds = match endpoint {
            Endpoint::Graph => ["receivedDateTime ge ", "receivedDateTime le "],
            _ => ["StartDate eq ", "EndDate eq "],
        };
        for bound in bounds {
            assert!(questions[0].contains(bound), "{questions:?}");
        }
        world.tell_ports(&mut process).await;
        let said = world.says(&["status"]).await;
        let told = "1 message asked for by id since the run began, which has shown 300 more rows";
        assert!(said.stdout.contains(told), "{said}");
        process.stop().await;
        let output = process.output();
        assert!(output.contains("300 more rows"), "{output}");
        assert!(!output.contains("ERROR"), "{output}");
    }))
    .await;
}

/// How many keys of rows are on the disk: each frame is its hour, the number of its keys, a
/// checksum, and the keys of 12 bytes.
fn written_keys(world: &World) -> u64 {
    let files = fs::read_dir(world.data().join("known-rows")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|end| end == "keys"));
    let keys = segments.map(|path| {
        let (bytes, mut at, mut keys) = (fs::read(path).unwrap(), 0, 0_u64);
        while let Some(number) = bytes.get(at + 4..at + 8) {
            let number = u32::from_le_bytes(number.try_into().unwrap());
            keys += u64::from(number);
            at += 12 + 12 * number as usize;
        }
        keys
    });
    keys.sum()
}

/// Until the questions that fail are answered; meanwhile the process is killed.
async fn heals(trigger: Trigger, how: ById) {
    let (world, _) = world(trigger).await;
    world.emulator.configure(by_id(how));
    let mut process = world.start();
    waits(&mut process).await;
    world.nothing_was_passed();
    // What comes meanwhile does not wait.
    let new = NewRow::new(world.now() - TimeDelta::seconds(1), "new@contoso.example");
    let id = new.row.trace_id;
    world.emulator.add_row(new);
    until("new mail is delivered", || {
        let events = world.emulator.accepted();
        events
            .iter()
            .any(|event| event.text.contains(&id.to_string()))
    })
    .await;
    // A kill may double what was accepted a moment ago: its key is written within 50 ms.
    let accepted = world.emulator.accepted_count(None);
    until("all keys are written", || written_keys(&world) == accepted).await;
    process.kill().await;
    let mut process = world.start();
    waits(&mut process).await;
    world.emulator.configure(by_id(ById::Answered));
    world.backlog_delivered().await;
    process.reaches(WAITING, 0.0).await;
    process.stop().await;
}

async fn waits(process: &mut Process) {
    process.reaches(WAITING, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_fails_keeps_the_position_and_nothing_else() {
    let cases = ALL.map(|(trigger, _)| heals(trigger, ById::Failing));
    join_all(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_refused_is_doubted_before_it_is_believed() {
    join_all(ALL.map(async |(trigger, endpoint)| {
        for how in [ById::Refused, ById::Overlooked, ById::Empty] {
            let (world, message) = world(trigger).await;
            world.emulator.configure(by_id(how));
            let mut process = world.start();
            process.prints("asking for it by its id is no use").await;
            waits(&mut process).await;
            world.nothing_was_passed();
            process.stop().await;
            let questions = questions(&world, endpoint, message);
            assert_eq!(questions.len(), 1, "{how:?}: {questions:?}");
            // A start asks anew.
            world.emulator.configure(by_id(ById::Answered));
            let mut process = world.start();
            world.backlog_delivered().await;
            process.stop().await;
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_waited_for() {
    join_all(ALL.map(async |(trigger, _)| {
        let (world, _) = world(trigger).await;
        world.emulator.configure(by_id(ById::Slow));
        let mut process = world.start();
        world.backlog_delivered().await;
        process.stop().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_for_which_there_is_no_quota_is_asked_when_there_is() {
    let (world, _) = world(Trigger::Graph).await;
    world.configure(json!({"frequency": 3600}));
    world.emulator.configure(by_id(ById::Failing));
    let mut process = world.start();
    waits(&mut process).await;
    world.emulator.configure(|settings| {
        settings.graph.by_id = ById::Answered;
        // For longer than the pause that a failure has left may last.
        settings.graph.quota.seconds = 45;
    });
    world.emulator.consume_quota(100);
    process.prints("(100 in 5 minutes) is used up").await;
    world.backlog_delivered().await;
    process.stop().await;
}
