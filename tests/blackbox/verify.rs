//! `verify`: that nothing is missing is proven, and what is missing is found and delivered.

use std::{fs, path::PathBuf};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use emulator::{Fault, NewRow, Scope, TraceRow};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    privacy::{configure, hiding},
    world::{Process, Said, Trigger, World, until},
};

pub(crate) const ALL: [Trigger; 3] = [Trigger::Account, Trigger::Graph, Trigger::Oauth];

/// The mail of six hours, all of it collected and read for the last time; the trigger is stopped.
pub(crate) async fn collected(trigger: Trigger, rows: u64) -> World {
    let world = World::of(trigger, 6, rows).await;
    world.configure(json!({"start_time": 7, "settle_time": 0, "chunk_size": 100}));
    run_once(&world).await;
    world
}

/// Starts the trigger until it has come to now.
async fn run_once(world: &World) {
    let mut process = world.start();
    process.prints(" collection ").await;
    up_to_date(world).await;
    process.stop().await;
}

pub(crate) async fn up_to_date(world: &World) {
    until("the checkpoint is at the edge", || {
        world.data().join("context.json").exists()
            && world.checkpoint() > world.now() - TimeDelta::minutes(1)
    })
    .await;
}

/// The beginning of the full hour some hours before the test began.
///
/// It is the same hour for a whole test, also when a full hour passes meanwhile.
pub(crate) fn hour(world: &World, ago: i64) -> DateTime<Utc> {
    let hour = TimeDelta::hours(1);
    (world.begun - hour * i32::try_from(ago).unwrap())
        .duration_trunc(hour)
        .unwrap()
}

pub(crate) fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command_named("verify");
    command.args(arguments);
    command
}

pub(crate) async fn verify(world: &World, arguments: &[&str]) -> Said {
    Said::of(command(world, arguments)).await
}

pub(crate) async fn verified(world: &World, arguments: &[&str]) -> (Option<i32>, Value) {
    let said = verify(world, &[arguments, &["--json"]].concat()).await;
    let document = serde_json::from_str(&said.stdout);
    (said.code, document.unwrap_or_else(|_| panic!("{said}")))
}

/// The verdict of the hour some hours ago.
fn verdict(document: &Value, hour: DateTime<Utc>) -> &Value {
    let verdicts = document["verdicts"].as_array().unwrap().iter();
    let at = |verdict: &Value| {
        verdict["hour"]
            .as_str()
            .unwrap()
            .parse::<DateTime<Utc>>()
            .unwrap()
    };
    let mut found = verdicts.filter(|verdict| at(verdict) == hour);
    found
        .next()
        .unwrap_or_else(|| panic!("{hour} in {document:#}"))
}

/// The file of a day.
fn day(world: &World, hour: DateTime<Utc>) -> PathBuf {
    world
        .data()
        .join(format!("proof/{}.v1", hour.format("%Y-%m-%d")))
}

pub(crate) fn doubled(world: &World) -> u64 {
    world.emulator.verdict(&Scope::default()).doubled.count
}

pub(crate) fn missing(world: &World) -> u64 {
    world.emulator.verdict(&Scope::default()).missing.count
}

/// A row that Microsoft shows only now, although it was received in an hour that is final.
pub(crate) fn add_late(world: &World, hour: DateTime<Utc>, number: i64) -> TraceRow {
    let received = hour + TimeDelta::seconds(61 + 17 * number);
    let row = NewRow::new(received, &format!("late-{number}@contoso.example"));
    let added = row.row.clone();
    world.emulator.add_row(row);
    added
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hour_is_proven_with_the_figures_of_the_service() {
    join_all(ALL.map(is_proven)).await;
}

async fn is_proven(trigger: Trigger) {
    let world = collected(trigger, 600).await;
    let (code, document) = verified(&world, &["--from", "-5h"]).await;
    assert_eq!(code, Some(0), "{document:#}");
    assert_eq!(document["outcome"], "proven");
    // Not the fifth: when a full hour passes meanwhile, it is not asked for.
    for ago in 3..=4 {
        let hour = hour(&world, ago);
        let rows = world.emulator.rows(hour, hour + TimeDelta::hours(1)).len();
        assert!(rows > 0);
        let verdict = verdict(&document, hour);
        assert_eq!(verdict["finding"], "proven", "{verdict:#}");
        assert_eq!(
            (&verdict["accepted"], &verdict["shown"]),
            (&json!(rows), &json!(rows))
        );
        assert_eq!(verdict["statuses_differ"], false);
    }
    let newest = document["verdicts"].as_array().unwrap().last();
    assert_eq!(newest.unwrap()["finding"], "open", "{document:#}");
    // Nothing was sent, and what was found is there without asking again.
    assert_eq!(doubled(&world), 0);
    let requests = world.requests(trigger_pages(trigger)).len();
    let (code, last) = verified(&world, &["--last"]).await;
    assert_eq!((code, &last["verdicts"]), (Some(0), &document["verdicts"]));
    assert_eq!(world.requests(trigger_pages(trigger)).len(), requests);
    // The collection goes on as if nothing had been.
    run_once(&world).await;
    world.all_delivered().await;
}

fn trigger_pages(trigger: Trigger) -> emulator::Endpoint {
    match trigger {
        Trigger::Graph => emulator::Endpoint::Graph,
        Trigger::Account | Trigger::Oauth => emulator::Endpoint::Report,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_came_after_its_hour_was_final_is_named_and_delivered_once() {
    join_all(ALL.map(is_named_and_delivered)).await;
}

async fn is_named_and_delivered(trigger: Trigger) {
    let world = collected(trigger, 300).await;
    let hour = hour(&world, 4);
    let rows: Vec<TraceRow> = (0..2)
        .map(|number| add_late(&world, hour, number))
        .collect();
    assert_eq!(missing(&world), 2);
    let said = verify(&world, &["--from", "-5h"]).await;
    assert_eq!(said.code, Some(6), "{said}");
    for row in rows {
        let named = format!("was missing: {} to {}", row.trace_id, row.recipient);
        assert!(said.stdout.contains(&named), "{said}");
    }
    assert!(
        said.stderr.contains("were missing: 2. Delivered now: 2"),
        "{said}"
    );
    assert_eq!((missing(&world), doubled(&world)), (0, 0));
    // They count from now on.
    let (code, document) = verified(&world, &["--from", "-5h"]).await;
    assert_eq!(code, Some(0), "{document:#}");
    run_once(&world).await;
    assert_eq!((missing(&world), doubled(&world)), (0, 0));
    let (code, _) = verified(&world, &["--from", "-5h"]).await;
    assert_eq!(code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_trigger_verifies_beside_its_work_and_goes_on_after_a_stop() {
    join_all(ALL.map(async |trigger| {
        let world = collected(trigger, 600).await;
        let answers_in = |ms| {
            world.emulator.configure(|settings| {
                settings.report.page_rows = 20;
                // Fewer requests, as they count in the quota.
                settings.graph.page_rows = 60;
                settings.report.latency_ms = ms;
                settings.graph.latency_ms = ms;
            });
        };
        let late = add_late(&world, hour(&world, 3), 1);
        let mut first = world.start();
        // It has the files for itself then.
        first.prints("The collection goes on with").await;
        up_to_date(&world).await;
        answers_in(1500);
        let mut follower = Process::start(command(&world, &["--from", "-6h"]));
        follower.prints("The running trigger verifies").await;
        first
            .prints("A verification of the rows received from")
            .await;
        until("its progress is kept", || {
            world.data().join("verify-progress.json").exists()
        })
        .await;
        first.kill().await;
        follower.prints("The trigger has stopped").await;
        let other = verify(&world, &["--from", "-2h"]).await;
        assert_eq!(other.code, Some(2), "another one: {other}");
        let mut second = world.start();
        second.prints(" goes on: it uses what the collection").await;
        let before = world.checkpoint();
        answers_in(5);
        assert_eq!(
            follower.ends().await.code(),
            Some(6),
            "{}",
            follower.output()
        );
        second
            .prints("The verification of the rows received from")
            .await;
        until("the live edge went on", || world.checkpoint() > before).await;
        second.stop().await;
        assert_eq!(
            (missing(&world), doubled(&world)),
            (0, 0),
            "{}",
            late.trace_id
        );
        let (code, document) = verified(&world, &["--from", "-6h"]).await;
        assert_eq!(code, Some(0), "{document:#}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_goes_on_where_it_was_or_is_given_up() {
    let world = collected(Trigger::Account, 600).await;
    world.emulator.configure(|settings| {
        settings.report.page_rows = 20;
        settings.report.latency_ms = 1500;
    });
    let mut alone = Process::start(command(&world, &["--from", "-6h"]));
    alone.prints(" hours, ").await;
    alone.signal("INT");
    assert_eq!(alone.ends().await.code(), Some(3), "{}", alone.output());
    assert!(alone.output().contains("Stopped at a clean point"));
    let said = verify(&world, &["--cancel"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let said = verify(&world, &["--cancel"]).await;
    assert!(
        said.stderr.contains("There is no verification to cancel"),
        "{said}"
    );
    let said = verify(&world, &[]).await;
    assert_eq!(said.code, Some(2), "nothing to go on with: {said}");
    let mut alone = Process::start(command(&world, &["--from", "-6h"]));
    alone.prints(" hours, ").await;
    alone.kill().await;
    world
        .emulator
        .configure(|settings| settings.report.latency_ms = 5);
    let said = verify(&world, &[]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(doubled(&world), 0);
}

/// Else it waits for ever: nothing is known of the time before Microsoft has answered.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_mend_is_said_and_ends_it() {
    let world = collected(Trigger::Graph, 50).await;
    let is_set = |changes: Value| {
        let mut settings = json!({"start_time": 7, "settle_time": 0, "chunk_size": 100});
        let changes = changes.as_object().unwrap().clone();
        settings.as_object_mut().unwrap().extend(changes);
        world.configure(settings);
    };
    let advice = "put the value of a client secret into `client_secret`";
    is_set(json!({"client_secret": "another~secret"}));
    let said = verify(&world, &["--from", "-5h"]).await;
    assert_eq!(said.code, Some(4), "{said}");
    assert!(said.stderr.contains(advice), "{said}");
    assert!(said.stdout.starts_with("Not finished: of the "), "{said}");
    assert!(!said.stdout.contains("of the 0 hours"), "{said}");

    // And what a running trigger meets. One that it has not begun is given up.
    let mut process = world.start();
    process.prints("Trigger has started").await;
    let mut follower = Process::start(command(&world, &[]));
    follower.prints("The trigger says: ").await;
    assert!(follower.output().contains(advice), "{}", follower.output());
    let said = verify(&world, &["--cancel"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let code = follower.ends().await.code();
    assert_eq!(code, Some(5), "{}", follower.output());
    process.stop().await;

    let said = verify(&world, &["--from", "-5h"]).await;
    assert_eq!(said.code, Some(4), "{said}");
    is_set(json!({}));
    // What was in the way before is not taken for what is now, also while no answer has come yet.
    world
        .emulator
        .configure(|settings| settings.graph.latency_ms = 1500);
    let said = verify(&world, &[]).await;
    assert_eq!(said.code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_is_given_up_also_when_microsoft_does_not_answer_from_the_start_on() {
    let world = collected(Trigger::Account, 50).await;
    let outage = Fault::status(503).times(1000);
    world.emulator.fault(emulator::Endpoint::Report, outage);
    let mut alone = Process::start(command(&world, &["--from", "-5h"]));
    alone.prints("nothing read yet").await;
    alone.signal("INT");
    assert_eq!(alone.ends().await.code(), Some(3), "{}", alone.output());
    assert!(alone.output().contains("Stopped at a clean point"));
    let said = verify(&world, &["--cancel"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stdout.starts_with("Cancelled: of the "), "{said}");
    let said = verify(&world, &["--cancel"]).await;
    assert!(
        said.stderr.contains("There is no verification to cancel"),
        "{said}"
    );
    assert_eq!(doubled(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_said_and_an_hour_that_is_sent_again_is_proven_again() {
    for trigger in ALL {
        let world = collected(trigger, 300).await;
        let hour = hour(&world, 4);
        let text = fs::read_to_string(day(&world, hour)).unwrap();
        let number = format!("\"hour\":{},", hour.timestamp() / 3600);
        assert!(text.contains(&number), "{text}");
        let damaged = text.replace(&number, &number.replace("hour", "houz"));
        fs::write(day(&world, hour), damaged).unwrap();
        let said = verify(&world, &["--from", "-5h"]).await;
        assert_eq!(said.code, Some(7), "{said}");
        assert!(said.stdout.contains("is damaged where it was"), "{said}");
        assert_eq!(doubled(&world), 0, "nothing is sent because of it");

        let again = hour.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let rows = world.emulator.rows(hour, hour + TimeDelta::hours(1)).len() as u64;
        let said = verify(&world, &["--resend", &again]).await;
        assert_eq!(said.code, Some(0), "{said}");
        assert!(said.stderr.contains("come a second time"), "{said}");
        assert!(
            said.stdout.contains(&format!("sent again: {rows} rows")),
            "{said}"
        );
        assert_eq!(doubled(&world), rows);
        let (code, document) = verified(&world, &["--from", "-5h"]).await;
        assert_eq!(code, Some(0), "{document:#}");
        assert_eq!(verdict(&document, hour)["accepted"], rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_forty_that_differ_are_sent_only_when_a_person_says_so() {
    for trigger in ALL {
        let world = collected(trigger, 300).await;
        let hour = hour(&world, 4);
        let before = world.emulator.rows(hour, hour + TimeDelta::hours(1)).len() as u64;
        for number in 0..60 {
            add_late(&world, hour, number);
        }
        let said = verify(&world, &["--from", "-5h"]).await;
        assert_eq!(said.code, Some(7), "{said}");
        assert!(said.stdout.contains("more than 40 rows differ"), "{said}");
        assert!(said.stdout.contains("--resend"), "{said}");
        assert_eq!(missing(&world), 60);
        let again = hour.format("%Y-%m-%dT%H:%MZ").to_string();
        let said = verify(&world, &["--resend", &again]).await;
        assert_eq!(said.code, Some(0), "{said}");
        assert_eq!((missing(&world), doubled(&world)), (0, before));
        let (code, document) = verified(&world, &["--from", "-5h"]).await;
        assert_eq!(code, Some(0), "{document:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_from_a_backup_lacks_rows_which_come_once_more() {
    for trigger in ALL {
        let world = collected(trigger, 300).await;
        let hour = hour(&world, 4);
        let backup = fs::read(day(&world, hour)).unwrap();
        add_late(&world, hour, 1);
        assert_eq!(verify(&world, &["--from", "-5h"]).await.code, Some(6));
        fs::write(day(&world, hour), backup).unwrap();
        fs::remove_dir_all(world.data().join("known-rows")).unwrap();
        // The row was accepted, but that is not in the ledger.
        let said = verify(&world, &["--from", "-5h"]).await;
        assert_eq!(said.code, Some(6), "{said}");
        assert_eq!((missing(&world), doubled(&world)), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_memory_of_rows_takes_its_key_back_from_the_ledger() {
    for trigger in ALL {
        let world = collected(trigger, 300).await;
        for seed in ["seed-v2", "seed-v2.copy"] {
            fs::remove_file(world.data().join("known-rows").join(seed)).unwrap();
        }
        let before = world.checkpoint();
        let mut process = world.start();
        process.prints("is taken back from proof/").await;
        // All is delivered already: what was read since the start tells whether it comes again.
        until("the live edge went on", || world.checkpoint() > before).await;
        world.all_delivered().await;
        process.stop().await;
        assert_eq!(doubled(&world), 0);
        let (code, document) = verified(&world, &["--from", "-5h"]).await;
        assert_eq!(code, Some(0), "{document:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_is_written_as_lines_of_values_and_as_a_page() {
    let world = collected(Trigger::Account, 300).await;
    add_late(&world, hour(&world, 4), 3);
    // In the first second of an hour nothing of it is asked for yet.
    until("no full hour is near", || {
        (1..3570).contains(&(world.now().timestamp() % 3600))
    })
    .await;
    let path = world.data().join("report.html");
    let said = verify(
        &world,
        &["--from", "-5h", "--csv", "--report", path.to_str().unwrap()],
    )
    .await;
    assert_eq!(said.code, Some(6), "{said}");
    let mut lines = said.stdout.lines();
    let columns = lines.next().unwrap().split(',').count();
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 6, "{said}");
    assert!(
        lines.iter().all(|line| line.split(',').count() == columns),
        "{said}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains(",delivered,"))
            .count(),
        1
    );
    let page = fs::read_to_string(path).unwrap();
    assert_eq!(page.matches("<rect").count(), 6);
    assert!(page.contains("late-3@contoso.example"));
}

/// Also those that were named before addresses were to be hidden.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_row_is_named_without_its_recipient_where_addresses_are_hidden() {
    join_all(ALL.map(is_named_without_its_recipient)).await;
}

async fn is_named_without_its_recipient(trigger: Trigger) {
    let world = collected(trigger, 100).await;
    add_late(&world, hour(&world, 4), 1);
    assert_eq!(verify(&world, &["--from", "-5h"]).await.code, Some(6));
    let kept = || fs::read_to_string(world.data().join("verify-hours.jsonl")).unwrap();
    assert!(kept().contains("late-1@contoso.example"));

    let mut settings = hiding();
    for (name, value) in [("start_time", 7), ("settle_time", 0), ("chunk_size", 100)] {
        settings[name] = value.into();
    }
    configure(&world, &settings);
    run_once(&world).await;
    let last = verify(&world, &["--last"]).await;
    assert_eq!(last.code, Some(6), "{last}");
    let row = add_late(&world, hour(&world, 4), 2);
    let before = kept();
    let path = world.data().join("report.html");
    let said = verify(
        &world,
        &["--from", "-5h", "--report", path.to_str().unwrap()],
    )
    .await;
    assert_eq!(said.code, Some(6), "{said}");
    assert!(said.stdout.contains(&row.trace_id.to_string()), "{said}");
    assert!(said.stdout.contains(".invalid"), "{said}");
    let (_, document) = verified(&world, &["--last"]).await;
    let lines = verify(&world, &["--last", "--csv"]).await;
    let page = fs::read_to_string(path).unwrap();
    let told = [last, said, lines].map(|said| said.to_string());
    for text in [document.to_string(), page, before, kept()]
        .iter()
        .chain(&told)
    {
        assert!(!text.contains("late-"), "{text}");
    }
    assert_eq!(missing(&world), 0);
}

/// Before anything is read, as hours may pass until it is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_written_is_refused_at_once() {
    let world = collected(Trigger::Account, 10).await;
    let before = world.count(emulator::Endpoint::Report);
    let said = verify(
        &world,
        &["--from", "-5h", "--report", "/proc/none/report.html"],
    )
    .await;
    assert_eq!(said.code, Some(2), "{said}");
    assert!(
        said.stderr
            .contains("cannot write the report /proc/none/report.html"),
        "{said}"
    );
    let said = verify(&world, &["--resend", "tomorrow"]).await;
    assert_eq!(said.code, Some(2), "{said}");
    assert!(
        said.stderr.contains("--resend \"tomorrow\" is not a date"),
        "{said}"
    );
    let said = verify(&world, &["--schedule", "off", "--from", "-7d"]).await;
    assert_eq!(said.code, Some(2), "{said}");
    assert_eq!(world.count(emulator::Endpoint::Report), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_before_the_collection_are_not_proven() {
    let world = collected(Trigger::Account, 100).await;
    let (code, document) = verified(&world, &["--from", "-12h"]).await;
    assert_eq!(code, Some(7), "{document:#}");
    let early = verdict(&document, hour(&world, 11));
    assert_eq!(early["reason"], "this module has not collected it");
    assert_eq!(verdict(&document, hour(&world, 4))["finding"], "proven");
}
