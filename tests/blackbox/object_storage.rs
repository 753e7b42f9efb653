//! State in an object store (`file_backend` S3).

use std::{fs, path::PathBuf, time::Duration};

use chrono::TimeDelta;
use emulator::{
    Authority, ConditionalWrites, Endpoint, Fault, Flaws, NewRow, ObjectStore, RunningStore, Scope,
    TlsFront,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{Process, STOP, World, free_ports, until};

/// A world whose state is kept in a bucket.
struct Stored {
    world: World,
    store: ObjectStore,
    running: Option<RunningStore>,
}

impl Stored {
    async fn new(hours: i64, rows: u64) -> Self {
        Self::with(hours, rows, ConditionalWrites::Checked).await
    }

    async fn with(hours: i64, rows: u64, conditional_writes: ConditionalWrites) -> Self {
        let world = World::with_backlog(hours, rows).await;
        let store = ObjectStore::new(conditional_writes).unwrap();
        // After an outage it is served there again: nobody else may get the port meanwhile.
        let [port] = free_ports();
        let running = store.serve_on(port).await.unwrap();
        for (key, value) in [
            ("file_backend", "s3\n"),
            ("sub_folder", "playbook/7"),
            ("aws_bucket_name", ObjectStore::BUCKET),
            ("aws_access_key_id", ObjectStore::ACCESS_KEY),
            ("aws_secret_access_key", ObjectStore::SECRET_KEY),
            ("aws_default_region", "eu-west-3"),
            ("aws_s3_endpoint_url", running.url().as_str()),
        ] {
            world.write(key, value);
        }
        Self {
            world,
            store,
            running: Some(running),
        }
    }

    /// The file that is an object.
    fn object(&self, name: &str) -> PathBuf {
        self.store.files().as_ref().join("playbook/7").join(name)
    }

    /// Waits until the state in the bucket has come to now, and is written: the copy comes last.
    async fn up_to_date(&self) {
        until("the checkpoint is at the edge", || {
            let copy = self.object("context.json.previous");
            let state = fs::read(copy).unwrap_or_default();
            // It may be read while it is replaced.
            let state: Value = serde_json::from_slice(&state).unwrap_or_default();
            let checkpoint = state["most_recent_date_requested"].as_str();
            checkpoint
                .and_then(|checkpoint| checkpoint.parse().ok())
                .is_some_and(|checkpoint: chrono::DateTime<chrono::Utc>| {
                    checkpoint > self.world.now() - TimeDelta::minutes(1)
                })
        })
        .await;
    }

    /// The process ends by itself, and says why.
    async fn ends_with(&self, mut process: Process, said: &[&str]) {
        assert_eq!(process.ends().await.code(), Some(1), "{}", process.output());
        let output = process.output();
        for text in said {
            assert!(output.contains(text), "{text:?} is not in:\n{output}");
        }
        assert!(!output.contains(ObjectStore::SECRET_KEY), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_the_bucket() {
    let stored = Stored::new(3, 3_000).await;
    let world = &stored.world;
    let mut first = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    first.stop().await;
    assert!(!world.data().exists(), "no local files beside it");

    world
        .emulator
        .add_row(NewRow::new(world.now(), "meanwhile@contoso.example"));
    let mut second = world.start();
    world.all_delivered().await;
    assert!(
        !second.output().contains("Another instance"),
        "the lease was given back: {}",
        second.output()
    );
    second.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 3_001);
}

/// All of a verification is in the bucket: its order, its progress, its verdicts, and the standing order.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_works_in_the_bucket_alone_and_beside_a_trigger() {
    let stored = Stored::new(6, 300).await;
    let world = &stored.world;
    world.configure(json!({"start_time": 7, "settle_time": 0}));
    let run = async || {
        let process = world.start();
        world.all_delivered().await;
        stored.up_to_date().await;
        process
    };
    run().await.stop().await;
    let late = crate::verify::add_late(world, crate::verify::hour(world, 4), 1);
    let said = world.says(&["verify", "--from", "-5h"]).await;
    assert_eq!(said.code, Some(6), "{said}");
    let named = format!("was missing: {} to {}", late.trace_id, late.recipient);
    assert!(said.stdout.contains(&named), "{said}");

    let mut process = run().await;
    crate::verify::add_late(world, crate::verify::hour(world, 4), 2);
    let said = world.says(&["verify", "--from", "-5h"]).await;
    assert_eq!(said.code, Some(6), "{said}");
    assert!(
        said.stderr.contains("The running trigger verifies"),
        "{said}"
    );
    let said = world.says(&["verify", "--last"]).await;
    assert_eq!(said.code, Some(6), "{said}");
    // Last: in the quiet hours of the night it is done at once.
    let said = world.says(&["verify", "--schedule"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(stored.object("verify-schedule.json").exists());
    process.prints("is verified every day from ").await;
    process.stop().await;
    assert_eq!(world.emulator.verdict(&Scope::default()).missing.count, 0);
    assert_eq!(world.emulator.verdict(&Scope::default()).doubled.count, 0);
    let said = world.says(&["status"]).await;
    assert!(said.stdout.contains("every day from "), "{said}");
    assert!(!world.data().exists(), "no local files beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_succeeds_within_a_minute_with_a_third_of_the_answers_failing() {
    let stored = Stored::new(3, 3_000).await;
    let world = &stored.world;
    stored.store.flaws(Flaws {
        failing: 0.35,
        seed: 7,
        ..Flaws::default()
    });
    let begun = Instant::now();
    let mut first = world.start();
    first.prints("Querying timerange").await;
    assert!(begun.elapsed() < Duration::from_secs(60));
    world.all_delivered().await;
    stored.up_to_date().await;
    first.stop().await;
    assert!(
        !first.output().contains("is not ready"),
        "{}",
        first.output()
    );
    assert_eq!(world.emulator.accepted_count(None), 3_000);
    // A start that finds a state has more to read.
    let begun = Instant::now();
    let mut second = world.start();
    second.prints("Querying timerange").await;
    assert!(begun.elapsed() < Duration::from_secs(60));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_swift_when_store_and_logs_endpoint_and_intake_hang() {
    let stored = Stored::new(3, 3_000).await;
    let world = &stored.world;
    let mut process = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    stored.store.flaws(Flaws {
        hanging: true,
        ..Flaws::default()
    });
    for endpoint in [Endpoint::Logs, Endpoint::Intake, Endpoint::Report] {
        world
            .emulator
            .fault(endpoint, Fault::DelayAnswer { ms: 600_000 });
    }
    world
        .emulator
        .add_row(NewRow::new(world.now(), "new@contoso.example"));
    let asked = world.count(Endpoint::Report);
    until("Microsoft is asked again", || {
        world.count(Endpoint::Report) > asked
    })
    .await;
    let begun = Instant::now();
    process.signal("TERM");
    process.ends().await;
    assert!(begun.elapsed() < STOP, "{:?}", begun.elapsed());
    let output = process.output();
    assert!(!output.contains("was cut off"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_slept_past_its_lease_sends_nothing_twice() {
    let stored = Stored::new(3, 3_000).await;
    let world = &stored.world;
    let mut first = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    // Rows that it has read and not sent yet, when it falls asleep.
    world.emulator.fault(Endpoint::Intake, Fault::status(503));
    for n in 0..50 {
        let row = NewRow::new(world.now(), &format!("{n}@contoso.example"));
        world.emulator.add_row(row);
    }
    first.prints("503 Service Unavailable").await;
    first.signal("STOP");
    world.emulator.clear_faults(Endpoint::Intake);
    let mut second = world.start();
    second.prints("waiting up to").await;
    second.prints("ended without giving its lease back").await;
    world.all_delivered().await;
    first.signal("CONT");
    first.prints("has taken over").await;
    assert_eq!(first.ends().await.code(), Some(1), "{}", first.output());
    second.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 3_050);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_is_left_to_the_trigger_in_the_bucket_or_done_on_it() {
    let stored = Stored::new(30, 1_000).await;
    let world = &stored.world;
    world.configure(json!({"start_time": 1}));
    let alone = ["backfill", "--from", "-40h", "--to", "-20h"];
    let said = world.says(&alone).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(world.emulator.accepted_count(None) > 100, "{said}");
    assert!(!world.data().exists(), "no local files beside it");

    let mut process = world.start();
    stored.up_to_date().await;
    let said = world.says(&["backfill", "--from", "-40h"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(said.stderr.contains("The running trigger"), "{said}");
    world.all_delivered().await;
    process.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_says_so_and_stops_without_conditional_writes_too() {
    let stored = Stored::with(1, 10, ConditionalWrites::Unknown).await;
    let world = &stored.world;
    let mut first = world.start();
    world.all_delivered().await;
    let said = "another instance works on the same files: stop that one";
    stored.ends_with(world.start(), &[said]).await;
    world
        .emulator
        .add_row(NewRow::new(world.now(), "new@contoso.example"));
    world.all_delivered().await;
    let output = first.output();
    assert!(output.contains("has no conditional writes"), "{output}");
    first.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_whose_lease_was_taken_stops_and_leaves_the_files_alone() {
    let stored = Stored::new(1, 10).await;
    let world = &stored.world;
    let first = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    let taken = json!({"owner": "another", "host": "host-2", "renewal": 1}).to_string();
    let (lease, state) = (stored.object(".lease"), stored.object("context.json"));
    first.signal("STOP");
    stored.store.replace("playbook/7/.lease", &taken);
    stored.store.replace("playbook/7/context.json", "{}");
    first.signal("CONT");
    stored
        .ends_with(first, &["another instance on host-2 has taken over"])
        .await;
    assert_eq!(fs::read_to_string(lease).unwrap(), taken);
    assert_eq!(fs::read_to_string(state).unwrap(), "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_is_waited_out() {
    let mut stored = Stored::new(1, 10).await;
    let port = stored.running.take().unwrap().url().port().unwrap();
    let mut process = stored.world.start();
    process
        .prints("The object store is not ready, trying again")
        .await;
    stored.running = Some(stored.store.serve_on(port).await.unwrap());
    stored.world.all_delivered().await;
    stored.up_to_date().await;

    stored.running = None;
    process.prints("in the data storage").await;
    let world = &stored.world;
    world
        .emulator
        .add_row(NewRow::new(world.now(), "new@contoso.example"));
    stored.running = Some(stored.store.serve_on(port).await.unwrap());
    stored.world.all_delivered().await;
    stored.up_to_date().await;
    process.stop().await;

    let mut process = stored.world.start();
    process.prints("No records to forward").await;
    process.stop().await;
    assert_eq!(stored.world.emulator.accepted_count(None), 11, "sent once");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_while_the_store_is_out_of_reach() {
    let mut stored = Stored::new(1, 10).await;
    let mut process = stored.world.start();
    stored.world.all_delivered().await;
    stored.running = None;
    process.prints("no answer: check aws_s3_endpoint_url").await;
    process.stop().await;
    let mut process = stored.world.start();
    process.prints("The object store is not ready").await;
    assert_eq!(process.health().await.0, 200);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_named_with_what_to_do() {
    let stored = Stored::new(1, 0).await;
    for (key, value, said) in [
        (
            "aws_secret_access_key",
            "wrong",
            "check aws_secret_access_key",
        ),
        ("aws_access_key_id", "wrong", "check aws_access_key_id"),
        ("aws_bucket_name", "absent", "there is no such bucket"),
        ("aws_s3_endpoint_url", "", "aws_s3_endpoint_url is missing"),
    ] {
        let path = stored.world.config().join(key);
        let right = fs::read_to_string(&path).unwrap();
        stored.world.write(key, value);
        stored.ends_with(stored.world.start(), &[said]).await;
        stored.world.write(key, &right);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_was_left_on_the_disk_is_pointed_out() {
    let stored = Stored::new(1, 0).await;
    let left = stored.world.data().join("playbook/7");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("context.json"), "{}").unwrap();
    let mut process = stored.world.start();
    process.prints("is not used, as file_backend is S3").await;
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_and_status_look_at_the_bucket_beside_a_running_trigger() {
    let stored = Stored::new(1, 30).await;
    let world = &stored.world;
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let place = "folder playbook/7 of bucket ";
    assert!(said.stdout.contains(place), "{said}");
    assert!(
        said.stdout.contains("none yet: the first run begins"),
        "{said}"
    );
    let left = stored.store.files().as_ref().join("playbook/7");
    let left = fs::read_dir(left).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing is left behind");

    let mut process = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(
        said.stdout.contains("; a trigger is running on it"),
        "{said}"
    );
    assert!(
        said.stdout.contains("of this module: all that was"),
        "{said}"
    );
    let said = world.says(&["status"]).await;
    assert!(said.stdout.contains(place), "{said}");
    assert!(
        said.stdout.contains("but not reached: no answer at port 0"),
        "{said}"
    );
    process.stop().await;

    world.write("aws_secret_access_key", "another-secret");
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(11), "{said}");
    assert!(
        said.stdout.contains("check aws_secret_access_key"),
        "{said}"
    );
    assert!(!said.to_string().contains("another-secret"), "{said}");
    world.write("aws_bucket_name", "");
    let said = world.says(&["check", "message_trace"]).await;
    assert_eq!(said.code, Some(10), "{said}");
    assert!(said.stdout.contains("aws_bucket_name is missing"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_store_is_shown_the_client_s_certificate() {
    let stored = Stored::new(1, 10).await;
    let world = &stored.world;
    let authority = Authority::new();
    let certificate = authority.certificate(&["127.0.0.1"]).asking_for(&authority);
    let server = stored.running.as_ref().unwrap().url().authority();
    let front = TlsFront::start(server.parse().unwrap(), certificate);
    let front = front.await.unwrap();
    world.write("ca_cert", authority.pem());
    world.write(
        "aws_s3_endpoint_url",
        &format!("https://{}", front.address()),
    );
    let mut process = world.start();
    process
        .prints("The object store is not ready, trying again")
        .await;
    process.stop().await;

    let client = authority.client_certificate();
    world.write("client_cert", &client.certificate);
    stored
        .ends_with(world.start(), &["client_key is missing"])
        .await;
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(10), "{said}");
    assert!(said.stdout.contains("client_key is missing"), "{said}");
    world.write("client_key", &client.key);
    let mut process = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let said = world.says(&["status"]).await;
    assert!(said.stdout.contains("of this module: all that"), "{said}");
    let said = world
        .says(&["backfill", "--from", "-30m", "--to", "-20m", "--dry-run"])
        .await;
    assert_eq!(said.code, Some(0), "{said}");
    process.stop().await;

    world.write("client_key", "hunter2");
    let said = world.says(&["status"]).await;
    assert_eq!(said.code, Some(1), "{said}");
    let text = "client_cert and client_key hold no usable";
    assert!(said.stderr.contains(text), "{said}");
    stored
        .ends_with(
            world.start(),
            &["client_cert and client_key hold no usable"],
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_state_in_the_bucket_skips_and_doubles_nothing() {
    type Harm = fn(&Stored);
    let harms: [(Harm, &str); 4] = [
        (
            |stored| fs::write(stored.object("context.json"), "{}").unwrap(),
            "as coverage.json tells",
        ),
        (
            |stored| {
                for name in ["context.json", "context.json.previous"] {
                    fs::write(stored.object(name), "\0\0\0").unwrap();
                }
            },
            "as coverage.json tells",
        ),
        (
            |stored| {
                for name in ["context.json", "context.json.previous", "coverage.json"] {
                    fs::remove_file(stored.object(name)).unwrap();
                }
            },
            "The newest row that is known was received in the hour",
        ),
        (
            |stored| fs::remove_file(stored.object("coverage.json")).unwrap(),
            "The file coverage.json cannot be used (it is missing)",
        ),
    ];
    for (harm, said) in harms {
        let stored = Stored::new(1, 200).await;
        let world = &stored.world;
        let mut first = world.start();
        world.all_delivered().await;
        stored.up_to_date().await;
        first.stop().await;
        harm(&stored);
        let row = NewRow::new(world.now(), "away@contoso.example");
        world.emulator.add_row(row);
        world.configure(json!({"start_time": 0}));
        let mut second = world.start();
        second.prints(said).await;
        world.all_delivered().await;
        second.stop().await;
        assert_eq!(world.emulator.accepted_count(None), 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_gone_from_the_bucket_is_said() {
    let stored = Stored::new(1, 200).await;
    let world = &stored.world;
    let mut first = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    first.stop().await;
    fs::remove_file(stored.object("known-rows/0000000000.keys")).unwrap();
    let mut second = world.start();
    second
        .prints("has 0 of 200 rows: 200 may be sent twice")
        .await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_has_a_folder_of_its_own_in_the_bucket() {
    let stored = Stored::new(1, 100).await;
    let world = &stored.world;
    let mut first = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    first.stop().await;
    let state = fs::read(stored.object("context.json")).unwrap();

    // Whether it is another one cannot be told of a domain: what is known is not sent again.
    let other = "svc@fabrikam.example";
    world.emulator.configure(|settings| {
        settings.report.accounts[0].name = other.to_owned();
    });
    world.configure(json!({"account_name": other}));
    let mut second = world.start();
    second
        .prints("has the folder tenants/fabrikam.example/reporting")
        .await;
    let row = NewRow::new(world.now(), "new@fabrikam.example");
    world.emulator.add_row(row);
    world.all_delivered().await;
    second.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 101);
    assert_eq!(fs::read(stored.object("context.json")).unwrap(), state);
    let folder = stored.object("tenants/fabrikam.example/reporting");
    assert!(folder.join("context.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_has_written_to_the_bucket_is_not_touched() {
    let stored = Stored::new(1, 5).await;
    let world = &stored.world;
    let path = stored.object("coverage.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, r#"{"version":2}"#).unwrap();
    let process = world.start();
    stored
        .ends_with(process, &["coverage.json", "later than the 1"])
        .await;
    assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"version":2}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_for_a_bug_report_is_made_of_the_bucket_which_has_no_log() {
    let stored = Stored::new(1, 30).await;
    let world = &stored.world;
    let mut process = world.start();
    world.all_delivered().await;
    stored.up_to_date().await;
    assert!(!stored.object("last_lines.log").exists());
    process.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let said = world
        .says(&["support", "--output", archive.to_str().unwrap()])
        .await;
    assert_eq!(said.code, Some(0), "{said}");
    for text in [
        "state/coverage.json (",
        "log.txt: they are not kept in an object store: see the log in Sekoia.io",
    ] {
        assert!(said.stdout.contains(text), "{text}: {said}");
    }
}
