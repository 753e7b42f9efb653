//! `status`: what the files and the running process tell.

use chrono::{DateTime, Utc};
use emulator::{Endpoint, Fault};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    source::page,
    world::{PATIENCE, Said, Trigger, World, program, until},
};

fn line<'a>(said: &'a Said, name: &str) -> &'a str {
    let line = said.stdout.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{name}: {said}"))
}

/// What machines get, with this exit code and its word.
async fn verdict(world: &World, code: i32, word: &str) -> Value {
    judged(&world.says(&["status", "--json"]).await, code, word)
}

fn judged(said: &Said, code: i32, word: &str) -> Value {
    let status: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (Some(code), ""),
        "{said}"
    );
    assert_eq!(status["verdict"], word, "{said}");
    assert_eq!(status["exit_code"], code, "{said}");
    status
}

/// What a status says once it shows this sign that nothing is being read, as a window is now and then.
async fn at_rest(world: &World, arguments: &[&str], sign: &str) -> Said {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let said = world.says(arguments).await;
        if said.stdout.contains(sign) || tokio::time::Instant::now() >= deadline {
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_beside_and_after_a_run() {
    let world = World::graph(30).await;
    let said = world.says(&["status"]).await;
    assert_eq!(said.code, Some(3), "{said}");
    assert!(line(&said, "process").contains("not running on"), "{said}");
    let nothing = "none kept: see its log, in Sekoia.io or on its standard error";
    assert!(line(&said, "errors").contains(nothing), "{said}");
    assert!(line(&said, "position").contains("none yet"), "{said}");

    let mut process = world.start();
    world.all_delivered().await;
    let kept = world.data().join("context.json.previous");
    until("a position is kept", || {
        kept.exists() && world.has_caught_up()
    })
    .await;
    let said = world.says(&["status"]).await;
    let elsewhere = line(&said, "process");
    assert!(
        elsewhere.contains("but not reached: no answer at port 0"),
        "{said}"
    );
    assert_eq!(said.code, Some(6), "{said}");

    world.tell_ports(&mut process).await;
    let said = at_rest(&world, &["status"], "none at work").await;
    assert!(
        line(&said, "process").contains("running since 20"),
        "{said}"
    );
    let position = line(&said, "position");
    assert!(
        position.contains("of this module: all that was received from 20"),
        "{said}"
    );
    assert!(
        line(&said, "delivered").contains("30 events since its start, "),
        "{said}"
    );
    assert!(
        line(&said, "quota").contains("of the tenant's 100 requests"),
        "{said}"
    );
    assert!(
        line(&said, "errors").contains("none since its start"),
        "{said}"
    );
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said}");
    assert!(line(&said, "gaps").contains("none until 20"), "{said}");
    assert!(line(&said, "lanes").contains("none at work"), "{said}");
    let said = at_rest(&world, &["status", "--json"], "\"lanes\": []").await;
    let status = judged(&said, 0, "well");
    assert_eq!(status["lanes"], json!([]), "{status}");
    assert_eq!(status["allowance"]["share"], 90, "{status}");
    let used = status["allowance"]["used_in_5_minutes"].as_u64();
    assert!(used >= Some(1), "{status}");
    process.stop().await;

    let status = verdict(&world, 3, "not running").await;
    assert_eq!(status["process"]["running"], false);
    assert_eq!(status["position"]["written_by"], "message-trace");
    assert!(
        status["quota"]["requests_in_5_minutes"].as_u64() >= Some(1),
        "{status}"
    );
    assert_eq!(status.get("delivered"), None, "nobody tells: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_with_their_age_and_text() {
    let world = World::graph(3).await;
    world.configure(json!({"intake_key": "another-key"}));
    let mut process = world.start();
    process.prints("it does not know the intake key").await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let errors = line(&said, "errors");
    for text in [
        "since the last success (intake ",
        "), the last one ",
        " s ago: Failed to forward 3 events; the intake 127.0.0.1 answers 422",
        "compare intake_key with the key on the intake's page in Sekoia.io",
    ] {
        assert!(errors.contains(text), "{text:?}: {said}");
    }
    assert!(!said.stdout.contains("another-key"), "{said}");

    let status = verdict(&world, 5, "failing").await;
    let errors = &status["errors"];
    assert!(errors["since_last_success"].as_u64() >= Some(1), "{status}");
    let text = errors["text"].as_str().unwrap();
    assert!(text.contains("it does not know the intake key"), "{status}");
    assert!(errors["last"].as_str().unwrap().ends_with('Z'), "{status}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_error_outlives_its_process() {
    let world = World::graph(3).await;
    world.configure(json!({"client_secret": "another~secret"}));
    let mut process = world.start();
    process.prints("the client secret is wrong").await;
    let kept = world.data().join("last_error.json");
    until("the error is kept", || kept.exists()).await;
    process.kill().await;
    let status = verdict(&world, 3, "not running").await;
    assert_eq!(status["errors"]["since_last_success"], Value::Null);
    let said = world.says(&["status"]).await;
    let errors = line(&said, "errors");
    assert!(errors.contains("the last one was "), "{said}");
    assert!(errors.contains("the client secret is wrong"), "{said}");
    let file = std::fs::read_to_string(&kept).unwrap();
    assert!(!file.contains("another~secret"), "{file}");

    world.configure(json!({}));
    let mut process = world.start();
    world.all_delivered().await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let before = "none since its start; the last one before was ";
    assert!(line(&said, "errors").contains(before), "{said}");
    assert_eq!(said.code, Some(0), "{said}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_process_could_not_go_on_is_kept() {
    let world = World::graph(0).await;
    std::fs::remove_file(world.config().join("module_configuration")).unwrap();
    let mut process = world.start();
    assert_eq!(process.ends().await.code(), Some(1));
    let said = world.says(&["status"]).await;
    let errors = line(&said, "errors");
    assert!(errors.contains("module_configuration is missing"), "{said}");
    assert_eq!(said.code, Some(3), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_process_has_an_exit_code() {
    let world = World::graph(0).await;
    let health = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    world.write(
        "liveness_port",
        &health.local_addr().unwrap().port().to_string(),
    );
    let id = "7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21";
    std::fs::create_dir_all(world.data()).unwrap();
    let stamp = json!({"version": 1, "id": id}).to_string();
    std::fs::write(world.data().join("process.json"), stamp).unwrap();
    tokio::spawn(async move {
        let body = json!({"error_count": 0, "data": id}).to_string();
        let head = "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length";
        let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
        while let Ok((mut socket, _)) = health.accept().await {
            _ = socket.read(&mut [0; 4096]).await;
            _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    verdict(&world, 4, "stuck").await;
    let said = world.says(&["status"]).await;
    assert!(line(&said, "process").contains("but stuck"), "{said}");
    assert_eq!(said.code, Some(4), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_codes_are_listed() {
    let world = World::graph(0).await;
    let said = world.says(&["status", "--help"]).await;
    let (_, codes) = said.stdout.split_once("Exit codes:\n").expect(&said.stdout);
    assert!(page("check.md").contains(codes.trim_end()), "{said}");
    world.write("metrics_port", "eighty");
    let status = verdict(&world, 1, "unknown").await;
    assert!(
        status["problem"].as_str().unwrap().contains("metrics_port"),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_the_moment_is_told_until_it_is_over() {
    let world = World::graph(3).await;
    let outage = Fault::status(503).times(1000);
    world.emulator.fault(Endpoint::Graph, outage);
    let mut process = world.start();
    process.prints("the service fails for the moment").await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let errors = line(&said, "errors");
    assert!(errors.contains("503 Service Unavailable"), "{said}");
    assert!(errors.contains("see the service health"), "{said}");
    assert_eq!(said.code, Some(5), "{said}");
    process.stop().await;
}

/// An hour of mail is missing while nothing is answered, also from the start on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_is_told_until_it_is_delivered() {
    // The first answer tells the time, without which nothing is judged.
    join_all([1, 0].map(is_told_as_behind)).await;
}

/// After so many answers, nothing but refusals.
async fn is_told_as_behind(answers: u32) {
    let world = World::graph(3).await;
    world.begin_with_the_backlog();
    let outage = Fault::status(503).after(answers);
    world.emulator.fault(Endpoint::Graph, outage);
    let mut process = world.start();
    process.prints("the service fails for the moment").await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    let behind = line(&said, "behind");
    for text in [
        "what was received from 20",
        " on is missing for longer than `timedelta` and `frequency` explain",
    ] {
        assert!(behind.contains(text), "{text:?}: {said}");
    }
    assert_eq!(said.code, Some(5), "{said}");
    let status = verdict(&world, 5, "failing").await;
    let seconds = status["behind"]["seconds"].as_u64();
    assert!((3600..3900).contains(&seconds.unwrap()), "{status}");
    let since = status["behind"]["missing_since"].as_str().unwrap();
    let since: chrono::DateTime<chrono::Utc> = since.parse().unwrap();
    let age = world.now() - since;
    assert!((3600..3900).contains(&age.num_seconds()), "{status}");

    world.emulator.clear_faults(Endpoint::Graph);
    world.all_delivered().await;
    until("all windows are done", || world.has_caught_up()).await;
    let status = verdict(&world, 0, "well").await;
    assert_eq!(status.get("behind"), None, "{status}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_over_also_where_there_is_no_mail() {
    let world = World::graph(0).await;
    let outage = Fault::status(503).times(1);
    world.emulator.fault(Endpoint::Graph, outage);
    let mut process = world.start();
    process.prints("the service fails for the moment").await;
    process.prints("answers again after 1 failed").await;
    world.tell_ports(&mut process).await;
    let kept = world.data().join("context.json.previous");
    // The first position is kept before any window is done.
    until("windows are done", || {
        kept.exists() && world.has_caught_up()
    })
    .await;
    verdict(&world, 0, "well").await;
    process.stop().await;
}

/// The intervals of a status, which follow one another.
fn timeline(status: &Value) -> Vec<(DateTime<Utc>, DateTime<Utc>, String)> {
    let at = |value: &Value| value.as_str().unwrap().parse().unwrap();
    let all = status["timeline"].as_array().unwrap();
    let all: Vec<(DateTime<Utc>, DateTime<Utc>, String)> = all
        .iter()
        .map(|one| {
            let state = one["state"].as_str().unwrap().to_owned();
            (at(&one["from"]), at(&one["to"]), state)
        })
        .collect();
    assert!(all.iter().all(|one| one.0 < one.1), "{status}");
    assert!(
        all.windows(2).all(|pair| pair[0].1 <= pair[1].0),
        "{status}"
    );
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_and_what_waits_for_what_are_told() {
    let world = World::graph(3).await;
    tells_what_waits(&world, json!({})).await;
}

/// The triggers with two services have the quota of Microsoft Graph, too, when that is the one they read.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_quota_is_told_by_the_triggers_with_two_services() {
    for trigger in [Trigger::Account, Trigger::Oauth] {
        let world = World::of(trigger, 1, 3).await;
        let settings = json!({
            "service": "graph",
            "client_id": world.emulator.settings().identity.apps[0].client_id,
            "login_url": world.running.login_url(),
            "graph_url": world.running.graph_url(),
            "start_time": 3,
        });
        tells_what_waits(&world, settings).await;
    }
}

async fn tells_what_waits(world: &World, mut settings: Value) {
    // Two requests: one tells the time, one reads the first window.
    settings["quota"] = json!(2);
    settings["frequency"] = json!(10);
    world.configure(settings);
    let mut process = world.start();
    world.tell_ports(&mut process).await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let status = loop {
        let said = world.says(&["status", "--json"]).await;
        assert!(tokio::time::Instant::now() < deadline, "{said}");
        let status: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
        let lanes = status["lanes"].as_array().cloned().unwrap_or_default();
        let waits = lanes.iter().any(|lane| lane["waits_for"] == "quota");
        if waits
            && status["timeline"]
                .as_array()
                .is_some_and(|all| all.len() > 1)
        {
            break status;
        }
    };
    let lanes = status["lanes"].as_array().unwrap();
    let waits = |lane: &&Value| lane["waits_for"] == "quota";
    let lane = lanes.iter().find(waits).unwrap();
    let at = |value: &Value| -> DateTime<Utc> { value.as_str().unwrap().parse().unwrap() };
    let known = ["live", "settling", "backlog", "backfill"];
    assert!(known.contains(&lane["lane"].as_str().unwrap()), "{status}");
    let window = &lane["window"];
    assert!(at(&window["from"]) < at(&window["to"]), "{status}");
    let wait = at(&lane["until"]) - world.now();
    assert!((1..=310).contains(&wait.num_seconds()), "{status}");
    assert_eq!(status["allowance"]["share"], 2, "{status}");
    assert_eq!(status["allowance"]["used_in_5_minutes"], 2, "{status}");
    let said = world.says(&["status"]).await;
    let lanes = line(&said, "lanes");
    assert!(
        lanes.contains("waits for the quota: next request in "),
        "{said}"
    );
    let all = timeline(&status);
    let states: Vec<&str> = all.iter().map(|one| one.2.as_str()).collect();
    assert_eq!(states, ["missing", "settling"], "{status}");
    let edge = at(&status["gaps"]["asked_until"]);
    assert_eq!(all.last().unwrap().1, edge, "{status}");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_that_is_refused_does_not_say_that_nothing_is_missing() {
    let world = World::graph(3).await;
    world.configure(json!({"client_secret": "another~secret", "start_time": 48}));
    let mut process = world.start();
    process.prints("the client secret is wrong").await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["status"]).await;
    assert!(
        line(&said, "gaps").contains("nothing has been read yet"),
        "{said}"
    );
    let status = verdict(&world, 5, "failing").await;
    assert_eq!(status["timeline"], json!([]), "{status}");
    assert_eq!(status["gaps"]["asked_until"], Value::Null, "{status}");
    process.stop().await;
}

/// A second tenant with the default ports is not taken for the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_on_other_files_is_not_believed() {
    let world = World::graph(30).await;
    let mut process = world.start();
    world.all_delivered().await;
    world.tell_ports(&mut process).await;
    verdict(&world, 0, "well").await;
    let other = tempfile::tempdir().unwrap();
    let absent = other.path().join("absent");
    // A copy of the files is not worked on either.
    let copy = other.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(world.data()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        match std::fs::copy(entry.path(), copy.join(entry.file_name())) {
            // A file that is written anew has another name for a moment.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => _ = copied.unwrap(),
        }
    }
    process.stop().await;
    let mut process = world.start();
    world.tell_ports(&mut process).await;
    for data in [other.path(), &absent, &copy] {
        let mut command = program();
        command
            .arg("status")
            .arg("--config-dir")
            .arg(world.config());
        command.arg("--data-dir").arg(data);
        let said = Said::of(command).await;
        let process = line(&said, "process");
        assert!(process.contains("not running on"), "{said}");
        assert!(process.contains("does not work on these files"), "{said}");
        assert_eq!(said.code, Some(3), "{said}");
        assert!(!said.stdout.contains("\ndelivered"), "{said}");
    }
    let absent = !absent.exists();
    assert!(absent, "a look makes nothing");
    process.stop().await;
}

/// The state of a tenant that nobody collects is not said to be worked on.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_collects_another_tenant_is_told() {
    let world = World::graph(3).await;
    let mut process = world.start();
    world.all_delivered().await;
    let config = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(world.config()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), config.path().join(entry.file_name())).unwrap();
    }
    let file = config.path().join("trigger_configuration");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    settings["tenant_id"] = "22222222-aaaa-4aaa-8aaa-222222222222".into();
    std::fs::write(&file, settings.to_string()).unwrap();
    let mut command = program();
    command.args(["status", "message_trace_graph", "--config-dir"]);
    command
        .arg(config.path())
        .arg("--data-dir")
        .arg(world.data());
    let said = Said::of(command).await;
    let told = "not running for this tenant";
    assert!(line(&said, "process").contains(told), "{said}");
    assert_eq!(said.code, Some(3), "{said}");
    process.stop().await;
}
