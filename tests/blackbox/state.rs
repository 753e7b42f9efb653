//! State that is damaged, moved, or of somebody else.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use emulator::NewRow;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::world::{Process, Trigger, World, until};

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
    until("the checkpoint is at the edge", || {
        world.data().join("context.json").exists()
            && world.checkpoint() > world.now() - TimeDelta::minutes(1)
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
    for some in damages().chunks(4) {
        // Each trigger has its share, as all of them go the same way.
        let triggers = ALL.into_iter().cycle();
        join_all(
            some.iter()
                .zip(triggers)
                .map(|(harm, trigger)| with_damage(trigger, *harm)),
        )
        .await;
    }
}

async fn with_damage(trigger: Trigger, (damage, harm): Harm) {
    let world = stopped_for_three_hours(trigger).await;
    harm(&world);
    let status = world.says(&["status"]).await;
    assert!(
        damage == "the far future" || status.stdout.contains("coverage.json tells"),
        "{status}"
    );
    every_row_once_after(&world, "The saved position cannot be used").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_position_and_timeline_the_known_rows_are_the_witness() {
    join_all(ALL.map(without_position_and_timeline)).await;
}

async fn without_position_and_timeline(trigger: Trigger) {
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

fn moved_to(world: &World, position: DateTime<Utc>) {
    let text = json!({"most_recent_date_requested": position.to_rfc3339()});
    world.write_state(&text.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_was_moved_on_is_told_listed_and_taken_back() {
    join_all(ALL.map(with_a_moved_position)).await;
}

async fn with_a_moved_position(trigger: Trigger) {
    let world = World::of(trigger, 1, 50).await;
    let mut process = world.start();
    world.all_delivered().await;
    caught_up(&world).await;
    process.stop().await;
    let kept = world.checkpoint();
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

/// The files of delivered rows, oldest first.
fn segments(world: &World) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(file(world, "known-rows")).unwrap();
    let mut names: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|end| end == "keys"));
    names.sort();
    names
}

fn make_pipe(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

fn endless(path: &std::path::Path) {
    std::os::unix::fs::symlink("/dev/zero", path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_delivered_rows_that_is_gone_is_said() {
    let harms: [Harm; 5] = [
        ("truncated", |world| {
            fs::write(&segments(world)[0], "").unwrap()
        }),
        ("deleted", |world| {
            fs::remove_file(&segments(world)[0]).unwrap()
        }),
        ("a folder", |world| {
            let path = &segments(world)[0];
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("a pipe", |world| {
            let path = &segments(world)[0];
            fs::remove_file(path).unwrap();
            make_pipe(path);
        }),
        ("endless", |world| {
            let path = &segments(world)[0];
            fs::remove_file(path).unwrap();
            endless(path);
        }),
    ];
    let triggers = ALL.into_iter().cycle();
    let all = harms.into_iter().zip(triggers);
    join_all(all.map(|(harm, trigger)| without_a_segment(trigger, harm))).await;
}

async fn without_a_segment(trigger: Trigger, (harm, damage): Harm) {
    let world = stopped_for_three_hours(trigger).await;
    let rows = timeline(&world)["segments"].clone();
    let rows: u64 = rows
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(rows, 200, "{harm}");
    damage(&world);
    let mut process = world.start();
    process
        .prints("The memory of delivered rows is damaged")
        .await;
    process
        .prints("has 0 of 200 rows: 200 may be sent twice")
        .await;
    // It goes on, with new rows remembered.
    let row = NewRow::new(world.now(), "after@contoso.example");
    world.emulator.add_row(row);
    until("the new row is delivered", || {
        world.emulator.verdict(&Default::default()).missing.count == 0
    })
    .await;
    process.stop().await;
    let mut process = world.start();
    process.prints("goes on with rows received at").await;
    assert!(!process.output().contains("rows: 200 may"), "said once");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_place_of_the_known_rows_is_said_and_makes_way() {
    let puts = [make_pipe, endless, |path: &std::path::Path| {
        fs::write(path, "x").unwrap();
    }];
    for (trigger, put) in ALL.into_iter().zip(puts) {
        let world = stopped_for_three_hours(trigger).await;
        let folder = file(&world, "known-rows");
        fs::remove_dir_all(&folder).unwrap();
        put(&folder);
        let mut process = world.start();
        process
            .prints("The memory of delivered rows is damaged")
            .await;
        let row = NewRow::new(world.now(), "after@contoso.example");
        world.emulator.add_row(row);
        until("the new row is delivered", || {
            world.emulator.verdict(&Default::default()).missing.count == 0
        })
        .await;
        process.stop().await;
        assert!(!segments(&world).is_empty(), "with {}", world.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_is_neither_waited_for_nor_read_without_end() {
    let files = [
        "context.json",
        "context.json.previous",
        "coverage.json",
        "quota.json",
        "backfill.json",
        "backfill-progress.json",
        "last_error.json",
        "tenant.json",
        "known-rows/seed-v2",
        "known-rows/seed-v2.copy",
        "proof/open.json",
        "proof/beside.v1",
    ];
    let puts: [fn(&std::path::Path); 3] =
        [make_pipe, endless, |path| fs::create_dir(path).unwrap()];
    for (which, name) in files.into_iter().enumerate() {
        join_all(puts.map(|put| with_no_file(ALL[which % 3], name, put))).await;
    }
}

async fn with_no_file(trigger: Trigger, name: &str, put: fn(&std::path::Path)) {
    let world = World::of(trigger, 1, 5).await;
    for folder in ["known-rows", "proof"] {
        fs::create_dir_all(file(&world, folder)).unwrap();
    }
    put(&file(&world, name));
    let status = world.says(&["status"]).await;
    assert!(status.code.is_some(), "{name}: {status}");
    let mut process = world.start();
    process.prints("has started").await;
    until("everything is delivered", || {
        world.emulator.verdict(&Default::default()).missing.count == 0
    })
    .await;
    let verdict = world.emulator.verdict(&Default::default());
    assert!(verdict.is_clean(), "{name}: {verdict}");
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 100_000, "{name}: {peak} kB");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_or_configuration_of_pipes_is_said_and_a_stop_is_swift() {
    let world = World::with_backlog(1, 5).await;
    fs::create_dir_all(world.data()).unwrap();
    make_pipe(&file(&world, ".lock"));
    let mut process = world.start();
    assert_eq!(process.ends().await.code(), Some(1));
    assert!(
        process.output().contains("cannot use the data directory"),
        "{}",
        process.output()
    );

    for put in [make_pipe, endless] {
        let world = World::with_backlog(1, 5).await;
        let path = world.config().join("trigger_configuration");
        fs::remove_file(&path).unwrap();
        put(&path);
        let mut process = world.start();
        process
            .prints("put a file there that holds the value")
            .await;
        process.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_token_without_end_is_said() {
    for put in [make_pipe, endless] {
        let world = World::of(Trigger::Graph, 1, 5).await;
        world.configure(json!({"credential": "workload_identity", "client_secret": null}));
        let token = world.config().join("token-of-the-workload");
        put(&token);
        let mut command = world.command();
        command.env("AZURE_FEDERATED_TOKEN_FILE", &token);
        let mut process = Process::start(command);
        process.prints("and not a file with content").await;
        process.stop().await;
    }
}

/// The number of the signal that asks for a stop.
const TERM: u32 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_hangs_does_not_hold_up_a_stop() {
    // The authorities of the system are read before anything else, also from a pipe.
    let world = World::with_backlog(1, 5).await;
    let authorities = world.config().join("authorities");
    make_pipe(&authorities);
    let mut command = world.command();
    command.env("SSL_CERT_FILE", &authorities);
    let mut process = Process::start(command);
    until("the signals are listened for", || {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        caught & (1 << (TERM - 1)) != 0
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_size_of_files_is_said_and_survived() {
    join_all(ALL.map(with_small_files)).await;
}

async fn with_small_files(trigger: Trigger) {
    let world = World::of(trigger, 1, 300).await;
    let command = world.command();
    let command = command.as_std();
    let mut limited = tokio::process::Command::new("bash");
    limited
        .arg("-c")
        .arg("ulimit -f 1; exec \"$0\" \"$@\"")
        .arg(command.get_program())
        .args(command.get_args());
    let mut process = Process::start(limited);
    process.prints("raise its limit (`ulimit -f`").await;
    process.stop().await;
    // Once it is raised, all goes on; what could not be remembered may come twice.
    let mut process = world.start();
    process.prints("has started").await;
    until("everything is delivered", || {
        world.emulator.verdict(&Default::default()).missing.count == 0
    })
    .await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_has_written_is_not_touched() {
    for (name, text) in [
        (
            "context.json",
            r#"{"message_trace_format":2,"most_recent_date_requested":"2026-01-01T00:00:00Z"}"#,
        ),
        ("coverage.json", r#"{"version":2}"#),
        ("quota.json", r#"{"version":2}"#),
        ("backfill.json", r#"{"version":2}"#),
        ("backfill-progress.json", r#"{"version":2}"#),
        ("tenant.json", r#"{"version":2}"#),
        ("known-rows/seed-v3", "later"),
        ("proof/2026-11-29.v2", "later"),
    ] {
        let world = World::of(Trigger::Graph, 1, 5).await;
        for folder in ["known-rows", "proof"] {
            fs::create_dir_all(file(&world, folder)).unwrap();
        }
        fs::write(file(&world, name), text).unwrap();
        let said = "which is later than the";
        let status = world.says(&["status"]).await;
        assert!(status.stdout.contains(said), "{status}");
        let check = world.says(&["check"]).await;
        assert!(check.stdout.contains(said), "{check}");
        for arguments in [&["backfill", "--from", "-1h"][..], &["backfill"]] {
            let backfill = world.says(arguments).await;
            assert_eq!(backfill.code, Some(1), "{backfill}");
            assert!(backfill.stderr.contains(said), "{backfill}");
        }
        let mut process = world.start();
        assert_eq!(process.ends().await.code(), Some(1), "{name}");
        let output = process.output();
        assert!(output.contains(name) && output.contains(said), "{output}");
        assert_eq!(fs::read_to_string(file(&world, name)).unwrap(), text);
        assert_eq!(world.emulator.accepted_count(None), 0);
    }
}

/// Another organization from now on, with this GUID.
fn is_of(world: &World, tenant: &str) {
    world
        .emulator
        .configure(|settings| settings.identity.tenant_id = tenant.to_owned());
    world.configure(json!({"tenant_id": tenant}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_tenant_has_a_state_of_its_own_and_the_first_is_found_again() {
    let (one, other) = (
        "11111111-1111-4111-8111-111111111111",
        "22222222-2222-4222-8222-222222222222",
    );
    for trigger in [Trigger::Graph, Trigger::Oauth] {
        let world = World::of(trigger, 1, 100).await;
        is_of(&world, one);
        let mut process = world.start();
        world.all_delivered().await;
        caught_up(&world).await;
        process.stop().await;
        let first = world.state();

        // The emulator has the same mail for it; all of it is new to this one.
        is_of(&world, other);
        let check = world.says(&["check"]).await;
        assert!(check.stdout.contains("none yet"), "{check}");
        let mut process = world.start();
        process.prints("has the folder tenants/").await;
        until("its own rows are delivered", || {
            world.emulator.accepted_count(None) == 200
        })
        .await;
        let status = world.says(&["status", "--json"]).await;
        let facts: Value = serde_json::from_str(&status.stdout).unwrap();
        assert_eq!(facts["tenant"]["name"], other, "{status}");
        process.stop().await;
        assert_eq!(world.state(), first, "as it was");

        // Written in another way, it is the same.
        is_of(&world, one);
        world.configure(json!({"tenant_id": one.to_uppercase()}));
        let mut process = world.start();
        process
            .prints(&format!(
                "goes on with rows received at {}",
                world.checkpoint()
            ))
            .await;
        let row = NewRow::new(world.now(), "back@contoso.example");
        world.emulator.add_row(row);
        until("the new row is delivered", || {
            world.emulator.accepted_count(None) == 201
        })
        .await;
        process.stop().await;
        assert!(
            !process.output().contains("tenants/"),
            "{}",
            process.output()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_goes_where_the_trigger_of_its_tenant_goes() {
    let other = "22222222-2222-4222-8222-222222222222";
    let world = World::of(Trigger::Oauth, 20, 100).await;
    world.configure(json!({"start_time": 1}));
    let mut process = world.start();
    caught_up(&world).await;
    process.stop().await;
    let first = timeline(&world);
    let sent = world.emulator.accepted_count(None);
    world
        .emulator
        .configure(|settings| settings.identity.tenant_id = other.to_owned());
    world.configure(json!({"start_time": 1, "tenant_id": other}));
    let said = world.says(&["backfill", "--from", "-21h"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(world.emulator.accepted_count(None), sent + 100, "{said}");
    let folder = format!("tenants/{other}/reporting");
    assert!(file(&world, &folder).join("coverage.json").exists());
    assert_eq!(timeline(&world), first);
    // Beside its trigger, too.
    let mut process = world.start();
    process
        .prints(&format!("The state is in the folder {folder}"))
        .await;
    let said = world.says(&["backfill", "--from", "-30h"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stderr.contains("The running trigger"), "{said}");
    process.stop().await;
    assert_eq!(world.emulator.accepted_count(None), sent + 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_mail_by_another_service_goes_on_without_a_gap() {
    let world = World::of(Trigger::Oauth, 1, 100).await;
    let mut process = world.start();
    world.all_delivered().await;
    caught_up(&world).await;
    process.stop().await;
    let graph = json!({
        "reporting_url": null,
        "graph_url": world.running.graph_url(),
        "event_format": "reporting",
        "start_time": 0,
    });
    world.configure(graph);
    world
        .emulator
        .add_row(NewRow::new(world.now(), "away@contoso.example"));
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut process = Process::start(world.command_named("message_trace_graph"));
    process
        .prints("it is the same mail, so that it goes on")
        .await;
    until("the new row is delivered", || {
        world.emulator.verdict(&Default::default()).missing.count == 0
    })
    .await;
    process.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 101);
}
