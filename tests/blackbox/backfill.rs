//! `backfill`: a past range, each row once, with or without a running trigger.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Endpoint, Fault, NewRow, Scope};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    graph::skewed,
    terminal::{colorful, in_terminal},
    world::{Process, Said, Trigger, World, repository, shape, until},
};

/// Two days of mail, and a trigger that begins an hour ago.
async fn two_days(rows: u64) -> World {
    let world = World::with_backlog(48, rows).await;
    world.configure(json!({"start_time": 1, "chunk_size": 100}));
    world
}

/// The same, read in small pages that take a while.
async fn slow(rows: u64) -> World {
    let world = two_days(rows).await;
    world.emulator.configure(|settings| {
        settings.report.page_rows = 50;
        settings.report.latency_ms = 60;
    });
    world
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command_named("backfill");
    command.args(arguments);
    command
}

async fn backfill(world: &World, arguments: &[&str]) -> Said {
    Said::of(command(world, arguments)).await
}

/// So many hours before the test began, as an argument: two of them differ by whole hours.
fn ago(world: &World, hours: i64) -> (String, DateTime<Utc>) {
    let at = world.begun - TimeDelta::hours(hours);
    let text = at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let at = text.parse().unwrap();
    (text, at)
}

fn accepted(world: &World) -> u64 {
    world.emulator.accepted_count(None)
}

/// Everything that was ever received came once.
async fn every_row_once(world: &World) {
    world.all_delivered().await;
}

fn doubled(world: &World) -> u64 {
    world.emulator.verdict(&Scope::default()).doubled.count
}

/// Waits until the trigger has come to now.
async fn up_to_date(world: &World) {
    until("the checkpoint is at the edge", || {
        world.data().join("context.json").exists()
            && world.checkpoint() > world.now() - TimeDelta::minutes(1)
    })
    .await;
}

fn progress(world: &World) -> Value {
    let text = fs::read(world.data().join("backfill-progress.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_trigger_it_is_delivered_once_and_the_trigger_begins_as_at_a_first_start() {
    let world = two_days(3_000).await;
    let ((from, start), (to, end)) = (ago(&world, 40), ago(&world, 10));
    let said = backfill(&world, &["--from", &from, "--to", &to]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let rows = world.emulator.rows(start, end).len() as u64;
    assert_eq!(accepted(&world), rows, "{said}");
    let sent = format!("{rows} accepted by the intake, ");
    assert!(said.stdout.contains(&sent), "{said}");
    assert!(!world.data().join("context.json").exists(), "no position");

    // A wider range: what is known is not read again.
    let (wider, _) = ago(&world, 44);
    let said = backfill(&world, &["--from", &wider, "--to", &to]).await;
    assert!(said.stdout.contains("1 d 6 h had been read"), "{said}");
    let said = backfill(&world, &["--from", &from, "--to", &to, "--json"]).await;
    let summary: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&summary["new"], &summary["rows"]), (&json!(0), &json!(0)));
    assert_eq!(summary["seconds_delivered_before"], 30 * 3600);
    assert_eq!(summary["outcome"], "done");

    let before = accepted(&world);
    let mut process = world.start();
    process
        .prints("No saved position: the collection begins")
        .await;
    up_to_date(&world).await;
    process.stop().await;
    let last_hour = accepted(&world) - before;
    assert!(last_hour < 200, "{last_hour} rows of the last hour");
    assert_eq!(doubled(&world), 0);
    // The rest, now that there is a state.
    let said = backfill(&world, &["--from", "-3d"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    every_row_once(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_trigger_both_get_every_row_once() {
    let world = slow(3_000).await;
    let mut process = world.start();
    up_to_date(&world).await;
    let checkpoint = world.checkpoint();
    // It takes longer than the live edge waits for its next window.
    world
        .emulator
        .configure(|settings| settings.report.latency_ms = 1_500);
    let work = backfill(&world, &["--from", "-3d"]);
    let watch = async {
        process.prints("A backfill of the rows received from").await;
        world
            .emulator
            .add_row(NewRow::new(world.now(), "new@contoso.example"));
        until("the newest rows come", || world.checkpoint() > checkpoint).await;
        until("it is under way beside it", || {
            progress(&world)["phase"] == "running"
        })
        .await;
        world
            .emulator
            .configure(|settings| settings.report.latency_ms = 60);
    };
    let (said, ()) = tokio::join!(work, watch);
    assert_eq!(said.code, Some(0), "{said}");
    assert!(
        said.stderr.contains("The running trigger delivers"),
        "{said}"
    );
    assert!(said.stderr.contains(" %  "), "plain lines: {said}");
    assert!(
        !said.stderr.contains('\u{1b}') && !said.stderr.contains('\r'),
        "{said}"
    );
    every_row_once(&world).await;
    // Nothing is left to do.
    let said = backfill(&world, &["--from", "-3d"]).await;
    assert!(said.stdout.contains(", 0 were read"), "{said}");
    process
        .prints("The backfill of the rows received from")
        .await;
    process.stop().await;
    every_row_once(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_after_kills_and_stops() {
    let world = slow(4_000).await;
    let range = ["--from", "-3d"];
    for kill in 0..3 {
        let before = accepted(&world);
        let mut process = Process::start(command(&world, &range));
        until("some rows come", || accepted(&world) > before + 300).await;
        process.kill().await;
        let most = (kill + 1) * 4 * 100;
        assert!(doubled(&world) <= most, "{} rows twice", doubled(&world));
    }
    let excused = doubled(&world);
    let before = accepted(&world);
    let mut process = Process::start(command(&world, &range));
    until("some rows come", || accepted(&world) > before + 300).await;
    process.signal("INT");
    assert_eq!(process.ends().await.code(), Some(3), "{}", process.output());
    let output = process.output();
    assert!(output.contains("Stopped at a clean point"), "{output}");
    let said = backfill(&world, &["--from", "-30h"]).await;
    assert_eq!(said.code, Some(2), "another one: {said}");
    assert!(
        said.stderr.contains("backfill --cancel` gives it up"),
        "{said}"
    );

    let said = backfill(&world, &[]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let counts = "at least # accepted by the intake";
    assert!(shape(&said.stdout).contains(counts), "{said}");
    let verdict = world.emulator.verdict(&Scope {
        received_before: Some(world.now() - TimeDelta::minutes(2)),
        ..Scope::default()
    });
    assert_eq!(verdict.missing.count, 0, "{verdict}");
    assert!(verdict.doubled.count <= excused + 400, "{verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_goes_on_with_what_a_command_began() {
    let world = slow(3_000).await;
    let mut alone = Process::start(command(&world, &["--from", "-3d"]));
    until("some rows come", || accepted(&world) > 300).await;
    alone.signal("INT");
    assert_eq!(alone.ends().await.code(), Some(3));
    assert_eq!(doubled(&world), 0);

    world
        .emulator
        .configure(|settings| settings.report.latency_ms = 400);
    let mut first = world.start();
    first.prints("A backfill of the rows received from").await;
    let mut follower = Process::start(command(&world, &["--from", "-3d"]));
    follower.prints("The running trigger delivers").await;
    let before = accepted(&world);
    until("more rows come", || accepted(&world) > before + 300).await;
    first.kill().await;
    follower.prints("The trigger has stopped").await;
    let mut second = world.start();
    second.prints(" goes on: it uses what the collection").await;
    world
        .emulator
        .configure(|settings| settings.report.latency_ms = 10);
    let code = follower.ends().await.code();
    assert_eq!(code, Some(0), "{}", follower.output());
    let scope = Scope::default();
    until("everything is delivered", || {
        world.emulator.verdict(&scope).missing.count == 0
    })
    .await;
    second.stop().await;
    // What was on its way at the kill may come twice.
    assert!(doubled(&world) <= 4 * 100, "{}", doubled(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_given_up_doubles_nothing_later() {
    let world = slow(4_000).await;
    let mut process = world.start();
    up_to_date(&world).await;
    world
        .emulator
        .configure(|settings| settings.report.latency_ms = 2_000);
    // Without empty hours, after which windows would be wide.
    let mut follower = Process::start(command(&world, &["--from", "-48h"]));
    until("some rows come", || {
        progress(&world)["rows"].as_u64() > Some(0)
    })
    .await;
    follower.signal("INT");
    assert_eq!(follower.ends().await.code(), Some(3));
    let output = follower.output();
    assert!(output.contains("The trigger keeps on with it"), "{output}");
    let cancelled = async {
        until("the rest is given up", || {
            let coverage = fs::read(world.data().join("coverage.json")).unwrap();
            let coverage: Value = serde_json::from_slice(&coverage).unwrap_or_default();
            coverage["coverage"]["unasked"] != json!([])
        })
        .await;
        // What has begun is read to its end.
        world
            .emulator
            .configure(|settings| settings.report.latency_ms = 10);
    };
    let (said, ()) = tokio::join!(backfill(&world, &["--cancel"]), cancelled);
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stdout.starts_with("Cancelled: "), "{said}");
    let rows = world
        .emulator
        .rows(world.now() - TimeDelta::days(3), world.now());
    assert!(accepted(&world) < rows.len() as u64, "it was given up");
    let said = backfill(&world, &["--cancel"]).await;
    assert!(
        said.stderr.contains("There is no backfill to cancel"),
        "{said}"
    );
    let said = backfill(&world, &["--from", "-3d"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    every_row_once(&world).await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_changes_nothing() {
    let world = two_days(2_000).await;
    let ((from, start), (to, end)) = (ago(&world, 40), ago(&world, 10));
    let range = ["--from", &from, "--to", &to, "--dry-run"];
    let rows = world.emulator.rows(start, end).len();
    let said = backfill(&world, &range).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(
        said.stdout.contains(&format!("{rows} would be sent")),
        "{said}"
    );
    assert_eq!(accepted(&world), 0);
    assert!(!world.data().exists(), "{:?}", fs::read_dir(world.data()));

    let mut process = world.start();
    up_to_date(&world).await;
    let before = accepted(&world);
    let said = backfill(&world, &range).await;
    assert!(
        said.stdout.contains(&format!("{rows} would be sent")),
        "{said}"
    );
    process.stop().await;
    assert!(
        accepted(&world) < before + 50,
        "nothing of the past was sent"
    );
    assert!(!world.data().join("backfill.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_beside_a_trigger_leaves_it_its_quota() {
    let world = World::graph(100).await;
    let mut process = world.start();
    world.all_delivered().await;
    let said = backfill(&world, &["--from", "-5h", "--dry-run"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let sentence = "at most 10 requests in 5 minutes beside it";
    assert!(said.stderr.contains(sentence), "{said}");
    process.stop().await;
}

/// Else another range is read than is meant, or what can be had is refused.
#[tokio::test(flavor = "multi_thread")]
async fn dates_are_reckoned_by_the_clock_of_the_service_once_it_is_known() {
    join_all([-2, 2].map(async |days| {
        let world = skewed(TimeDelta::days(days)).await;
        let dry = ["--from", "-2h", "--dry-run", "--json"];
        let said = backfill(&world, &dry).await;
        assert_eq!(said.code, Some(0), "{said}");
        let sentence = "The dates were reckoned as if it were";
        assert!(said.stderr.contains(sentence), "{said}");

        let mut process = world.start();
        world.backlog_delivered().await;
        up_to_date(&world).await;
        process.stop().await;
        let said = backfill(&world, &dry).await;
        assert_eq!(said.code, Some(0), "{said}");
        // One that is ahead at the very first start is doubted for a day.
        let remark = "dates are reckoned by the service's, ";
        assert!(said.stderr.contains(remark), "{said}");
        assert!(!said.stderr.contains(sentence), "{said}");
        let told: Value = serde_json::from_str(&said.stdout).unwrap();
        let from: DateTime<Utc> = told["from"].as_str().unwrap().parse().unwrap();
        let off = world.now() - TimeDelta::hours(2) - from;
        assert!(off.abs() < TimeDelta::minutes(2), "{off}: {said}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_that_cannot_be_had_are_refused() {
    let account = World::with_backlog(1, 1).await;
    let graph = World::graph(1).await;
    for (world, arguments, sentence) in [
        (
            &account,
            &["--from", "-31d"][..],
            "Reporting Web Service keeps rows for 30 days: --from is",
        ),
        (
            &graph,
            &["--from", "-91d"],
            "Microsoft Graph keeps rows for 90 days: --from is",
        ),
        (
            &graph,
            &["--from", "-1d", "--to", "-2d"],
            "must lie before --to",
        ),
        (
            &graph,
            &["--from", "2999-01-01"],
            "--from lies in the future",
        ),
        (
            &graph,
            &["--from", "-1d", "--to", "2999-01-01"],
            "--to lies in the future",
        ),
        (
            &graph,
            &["--from", "monday"],
            "is not a date: write a day such as 2026-11-01 (UTC), a time such as",
        ),
        (&graph, &[], "say where to begin"),
    ] {
        let said = backfill(world, arguments).await;
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
        assert!(said.stderr.contains(sentence), "{said}");
        assert!(!world.data().exists());
    }
    graph.configure(json!({"quota": 0}));
    let said = graph
        .says(&["backfill", "message_trace_graph", "--from", "-1d"])
        .await;
    assert_eq!(said.code, Some(10), "{said}");
    assert!(said.stderr.contains("quota"), "{said}");
    let help = graph.says(&["backfill", "--help"]).await;
    let (_, codes) = help.stdout.split_once("Exit codes:").unwrap();
    let page = fs::read_to_string(repository().join("docs/backfill.md")).unwrap();
    let codes = codes.lines().filter_map(|line| {
        let code = line.trim_start().split("  ").next()?;
        code.parse::<u8>().ok()
    });
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes.len(), 7, "{help}");
    for code in codes {
        assert!(page.contains(&format!("\n| {code} | ")), "docs: {code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_must_mend_is_said_on_the_screen() {
    let world = World::graph(10).await;
    world.configure(json!({"client_secret": "another~secret"}));
    let said = backfill(&world, &["--from", "-2h"]).await;
    assert_eq!(said.code, Some(4), "{said}");
    let advice = "put the value of a client secret into `client_secret`";
    assert!(said.stderr.contains(advice), "{said}");
    assert!(!said.to_string().contains("another~secret"), "{said}");

    // And what a running trigger meets.
    let mut process = world.start();
    process.prints("Trigger has started").await;
    let mut follower = Process::start(command(&world, &[]));
    follower.prints("The trigger says: ").await;
    assert!(follower.output().contains(advice), "{}", follower.output());
    follower.signal("TERM");
    assert_eq!(follower.ends().await.code(), Some(3));
    process.stop().await;

    world.configure(json!({"intake_key": "another-key"}));
    let mut alone = Process::start(command(&world, &[]));
    alone.prints("it does not know the intake key").await;
    alone.signal("INT");
    assert_eq!(alone.ends().await.code(), Some(3), "{}", alone.output());
    assert!(!alone.output().contains("another-key"));
    world.configure(json!({}));
    let said = backfill(&world, &[]).await;
    assert_eq!(said.code, Some(0), "{said}");
    every_row_once(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_a_bar() {
    let world = slow(1_500).await;
    world
        .emulator
        .configure(|settings| settings.report.latency_ms = 500);
    let mut command = command(&world, &["--from", "-3d"]);
    colorful(&mut command);
    let text = in_terminal(command, 80).await;
    assert!(text.contains(" %  ") && text.contains("=>"), "{text:?}");
    assert!(text.contains(" accepted, 0 known, until "), "{text:?}");
    assert!(!text.contains("100 %  \r"), "{text:?}");
    assert!(text.contains("Done: of the rows received from"), "{text:?}");
    for line in text.lines().filter(|line| line.starts_with("Delivering")) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

/// Two commands may find nothing and leave an order each: nobody waits for the first for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_in_whose_place_another_one_lies_is_not_waited_for() {
    let world = two_days(1_000).await;
    let mut process = world.start();
    up_to_date(&world).await;
    world
        .emulator
        .fault(Endpoint::Report, Fault::Hang.times(1_000_000));
    let mut first = Process::start(command(&world, &["--from", "-40h"]));
    first.prints("The running trigger delivers").await;
    let path = world.data().join("backfill.json");
    let mut other: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    other["id"] = "00000000-0000-0000-0000-000000000001".into();
    // As a command writes it: nobody sees half of it.
    let half = world.data().join("backfill.new");
    fs::write(&half, other.to_string()).unwrap();
    fs::rename(half, path).unwrap();
    first
        .prints("Another order has taken the place of this one")
        .await;
    assert_eq!(first.ends().await.code(), Some(3));
    process.stop().await;
}

/// What surfaces after the only reading is never seen.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_only_once_is_left_to_the_trigger_until_timedelta_has_passed() {
    let world = World::with_backlog(48, 2_000).await;
    world.configure(json!({"start_time": 1, "settle_time": 0, "timedelta": 120}));
    let (from, start) = ago(&world, 12);
    let said = backfill(&world, &["--from", &from]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let most = world
        .emulator
        .rows(start, world.begun - TimeDelta::minutes(110))
        .len() as u64;
    assert!((1..=most).contains(&accepted(&world)), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forgotten_rows_are_delivered_again_only_when_that_is_wanted() {
    let world = World::of(Trigger::Account, 60, 1_000).await;
    let ((from, start), (to, end)) = (ago(&world, 50), ago(&world, 40));
    let range = ["--from", &from, "--to", &to];
    let rows = world.emulator.rows(start, end).len() as u64;
    backfill(&world, &range).await;
    backfill(&world, &range).await;
    fs::remove_dir_all(world.data().join("known-rows")).unwrap();
    backfill(&world, &range).await;
    assert_eq!(accepted(&world), rows);
    let said = backfill(&world, &[&range[..], &["--again"]].concat()).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(accepted(&world), 2 * rows, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_another_module_s_position_all_is_sent_and_that_is_said() {
    let world = two_days(1_000).await;
    let (checkpoint, at) = ago(&world, 20);
    world.write_state(&json!({"most_recent_date_requested": checkpoint}).to_string());
    let ((from, start), (to, end)) = (ago(&world, 30), ago(&world, 10));
    let said = backfill(&world, &["--from", &from, "--to", &to]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(
        said.stderr.contains("It is not known what another"),
        "{said}"
    );
    assert_eq!(
        accepted(&world),
        world.emulator.rows(start, end).len() as u64
    );
    assert!(
        world.checkpoint() == end && at < end,
        "the gap behind it is closed"
    );

    // The live edge stays where it was, and nothing between is lost.
    let ((from, _), (to, _)) = (ago(&world, 6), ago(&world, 3));
    let said = backfill(&world, &["--from", &from, "--to", &to]).await;
    assert_eq!((said.code, world.checkpoint()), (Some(0), end), "{said}");
    let mut process = world.start();
    let scope = Scope {
        received_from: Some(start),
        ..Scope::default()
    };
    until("the rest comes", || {
        world.emulator.verdict(&scope).missing.count == 0
    })
    .await;
    process.stop().await;
    assert_eq!(doubled(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_asks_for_nothing_but_the_range() {
    let world = two_days(500).await;
    let ((from, start), (to, end)) = (ago(&world, 40), ago(&world, 10));
    backfill(&world, &["--from", &from, "--to", &to]).await;
    for request in world.requests(Endpoint::Report) {
        let filter = request.query("$filter").unwrap();
        let dates: Vec<DateTime<Utc>> = filter
            .split('\'')
            .filter_map(|part| part.parse().ok())
            .collect();
        let margin = TimeDelta::seconds(2);
        let within = |at: &DateTime<Utc>| start - margin <= *at && *at <= end + margin;
        assert!(dates.iter().all(within), "{filter}");
    }
}

/// What machines get when it cannot begin.
#[tokio::test(flavor = "multi_thread")]
async fn machines_get_an_object_also_on_errors() {
    let world = World::graph(1).await;
    for (changes, arguments, code, text) in [
        (json!({}), &["--from", "monday"][..], 2, "is not a date"),
        (json!({}), &[], 2, "say where to begin"),
        (json!({"quota": 0}), &["--from", "-1d"], 10, "quota"),
    ] {
        world.configure(changes);
        let arguments = [&["message_trace_graph", "--json"], arguments].concat();
        let said = backfill(&world, &arguments).await;
        assert_eq!(said.code, Some(code), "{said}");
        let told: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
        assert_eq!(
            (&told["outcome"], &told["exit_code"]),
            (&json!("failed"), &json!(code))
        );
        assert!(told["problem"].as_str().unwrap().contains(text), "{said}");
        assert_eq!(said.stderr, "", "{said}");
    }
    world.configure(json!({}));
    let said = backfill(&world, &["--cancel", "--json"]).await;
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &told["outcome"]), (Some(0), &json!("nothing")));
}

/// An order that is given up before the trigger has taken it up was not delivered.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_given_up_before_it_is_taken_up_is_cancelled() {
    let world = World::graph(30).await;
    // The time is never known, so that nothing is taken up.
    world.configure(json!({"client_secret": "another~secret"}));
    let mut process = world.start();
    process.prints("the client secret is wrong").await;
    let mut follower = Process::start(command(&world, &["--from", "-1d", "--json"]));
    follower.prints("The running trigger delivers").await;
    let said = backfill(&world, &["--cancel", "--json"]).await;
    let told: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
    assert_eq!(
        (said.code, &told["outcome"]),
        (Some(0), &json!("cancelled")),
        "{said}"
    );
    assert_eq!(told["seconds_delivered_before"], 0, "{said}");
    assert_eq!(told["accepted"], 0, "{said}");
    let code = follower.ends().await.code();
    assert_eq!(code, Some(5), "{}", follower.output());
    process.stop().await;

    // And while the trigger collects.
    world.configure(json!({}));
    let mut process = world.start();
    world.all_delivered().await;
    up_to_date(&world).await;
    let mut order = json!({
        "version": 1, "id": "7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f22", "words": ["-5h", "-4h"],
        "again": false, "cancelled": true,
    });
    let ((_, from), (_, to)) = (ago(&world, 5), ago(&world, 4));
    order["range"] = json!([from, to]);
    fs::write(world.data().join("backfill.json"), order.to_string()).unwrap();
    until("it has ended", || progress(&world)["id"] == order["id"]).await;
    assert_eq!(progress(&world)["phase"], "cancelled");
    assert_eq!(progress(&world)["asked"], 3600, "all of it was left");
    process.prints("is cancelled: 0 rows were read").await;
    process.stop().await;
}

/// What the intake does not accept is not told as sent.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_of_what_the_intake_has_accepted() {
    let world = World::graph(30).await;
    world.configure(json!({"intake_key": "another-key"}));
    let mut alone = Process::start(command(&world, &["--from", "-1d", "--json"]));
    alone.prints("it does not know the intake key").await;
    until("all is read", || progress(&world)["new"] == 30).await;
    alone.signal("INT");
    assert_eq!(alone.ends().await.code(), Some(3), "{}", alone.output());
    assert_eq!(progress(&world)["accepted"], 0);
    world.configure(json!({}));
    let said = backfill(&world, &["--json"]).await;
    let told: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
    assert_eq!(
        (&told["accepted"], &told["dry_run"]),
        (&json!(30), &json!(false)),
        "{said}"
    );
    assert_eq!(accepted(&world), 30);
    let said = backfill(&world, &["--from", "-2d", "--dry-run", "--json"]).await;
    let told: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
    assert_eq!(
        (&told["accepted"], &told["dry_run"]),
        (&json!(0), &json!(true)),
        "{said}"
    );
}

/// One that has not ended is told by `status` and `check`.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_has_not_ended_is_told() {
    let world = slow(3_000).await;
    let mut alone = Process::start(command(&world, &["--from", "-3d"]));
    until("some rows come", || accepted(&world) > 300).await;
    alone.signal("INT");
    assert_eq!(alone.ends().await.code(), Some(3));
    let said = world.says(&["status"]).await;
    for text in [
        "\nbackfill",
        " % are read",
        "nothing works on it: the trigger, once started",
    ] {
        assert!(said.stdout.contains(text), "{text}: {said}");
    }
    let said = world.says(&["check", "--json"]).await;
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    let state = told["checks"].as_array().unwrap().iter();
    let state = state.clone().find(|one| one["check"] == "state").unwrap();
    let text = state["text"].as_str().unwrap();
    assert!(
        text.contains("a backfill is not finished: of the rows"),
        "{said}"
    );
    assert!(state["facts"]["backfill"]["percent"].is_number(), "{said}");
    let said = backfill(&world, &[]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let said = world.says(&["status"]).await;
    assert!(!said.stdout.contains("\nbackfill"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_counts_as_read_while_microsoft_does_not_answer() {
    let world = two_days(100).await;
    let outage = Fault::status(503).times(1000);
    world.emulator.fault(Endpoint::Report, outage);
    let mut work = Process::start(command(&world, &["--from", "-5h", "--dry-run"]));
    work.prints("0 new, 0 known").await;
    assert!(work.output().contains("  0 %  0 new"), "{}", work.output());
    assert!(!work.output().contains("100 %"), "{}", work.output());
    work.kill().await;
}
