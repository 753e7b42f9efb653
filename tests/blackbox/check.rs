//! `check`: every failure is provoked, and its text is what a person needs.

use chrono::TimeDelta;
use emulator::{Endpoint, Fault, ServicePrincipal, Settings};
use serde_json::{Value, json};

use crate::world::{Process, Said, Trigger, World, repository, shape, until};

/// The lines with an outcome.
fn lines<'a>(said: &'a Said, outcome: &str) -> Vec<&'a str> {
    let lines = said.stdout.lines();
    lines.filter(|line| line.starts_with(outcome)).collect()
}

/// That a check fails with this code, on this one topic, and says all this.
async fn fails(world: &World, code: i32, topic: &str, texts: &[&str]) -> Said {
    let said = world.says(&["check", world.name()]).await;
    assert_eq!(said.code, Some(code), "{said}");
    let failed = lines(&said, "fail");
    for line in &failed {
        assert!(line.contains(&format!("  {topic}  ")), "{said}");
    }
    for text in texts {
        assert!(
            failed.iter().any(|line| line.contains(text)),
            "{text:?}: {said}"
        );
    }
    for secret in [
        "emulated~client~secret",
        "correct horse",
        "emulated-intake-key",
    ] {
        assert!(!said.to_string().contains(secret), "{said}");
    }
    assert_eq!(said.stderr, "");
    said
}

async fn changed(trigger: Trigger, change: impl FnOnce(&mut Settings)) -> World {
    let world = World::of(trigger, 1, 30).await;
    world.emulator.configure(change);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_passes_and_nothing_is_changed() {
    for trigger in [Trigger::Graph, Trigger::Oauth, Trigger::Account] {
        let world = World::of(trigger, 1, 30).await;
        let said = world.says(&["check"]).await;
        assert_eq!(said.code, Some(0), "{said}");
        assert!(
            said.stdout.contains(&format!("fit {}\n", world.name())),
            "{said}"
        );
        for text in [
            "is writable, to be created, ",
            "answers in",
            " s of 127.0.0.1",
            "30 rows received in the last hour, the newest at 20",
            "…@",
            "accepts the key (asked with an empty batch)",
            "none yet: the first run begins",
        ] {
            assert!(said.stdout.contains(text), "{text:?}: {said}");
        }
        assert!(lines(&said, "fail").is_empty());
        let skipped = lines(&said, "skipped").len();
        assert_eq!(
            skipped,
            usize::from(!matches!(trigger, Trigger::Graph)),
            "{said}"
        );
        assert_eq!(world.emulator.accepted_count(None), 0);
        assert!(!world.data().exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_expired_secret() {
    let world = changed(Trigger::Graph, |_| {}).await;
    world.configure(json!({"client_secret": "another~secret"}));
    let wrong = [
        "AADSTS7000215",
        "the client secret is wrong",
        "put the value of a client secret",
    ];
    let said = fails(&world, 14, "sign-in", &wrong).await;
    assert!(!said.to_string().contains("another~secret"), "{said}");
    assert_eq!(lines(&said, "skipped").len(), 3, "{said}");

    let world = changed(Trigger::Oauth, |settings| {
        settings.identity.apps[0].secrets[0].expired = true;
    })
    .await;
    let expired = [
        "AADSTS7000222",
        "has expired; create a new one in the app registration",
    ];
    fails(&world, 14, "sign-in", &expired).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password() {
    let world = changed(Trigger::Account, |settings| {
        settings.report.accounts.clear()
    })
    .await;
    let said = fails(
        &world,
        14,
        "sign-in",
        &["check `account_name` and `account_password`"],
    )
    .await;
    assert_eq!(lines(&said, "skipped").len(), 3, "{said}");
}

/// An account is locked after some wrong passwords in a row.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_not_tried_again_soon() {
    let world = changed(Trigger::Account, |settings| {
        settings.report.accounts.clear()
    })
    .await;
    let mut command = world.command_named("check");
    command.arg("--wait=1");
    let mut waiting = Process::start(command);
    waiting.prints("Checking again in 15 min").await;
    waiting.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission() {
    for (trigger, permission) in [
        (Trigger::Graph, "ExchangeMessageTrace.Read.All"),
        (Trigger::Oauth, "ReportingWebService.Read.All"),
    ] {
        let world = changed(trigger, |settings| settings.identity.apps[0].roles.clear()).await;
        let consent = "have an administrator grant consent";
        let said = fails(&world, 15, "permission", &[permission, consent]).await;
        assert!(
            said.stdout
                .contains("sign-in            the app has a token"),
            "{said}"
        );
    }
    for (trigger, role) in [
        (
            Trigger::Oauth,
            "assign `Security Reader` or `Global Reader`",
        ),
        (Trigger::Account, "`Reports reader` and `Security reader`"),
    ] {
        let world = changed(trigger, |settings| settings.report.permitted = false).await;
        let said = fails(&world, 15, "permission", &[role]).await;
        assert!(
            lines(&said, "skipped")
                .iter()
                .any(|line| line.contains("query")),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_service_principal() {
    for missing in [
        ServicePrincipal::Missing,
        ServicePrincipal::MissingForbidden,
    ] {
        let world = changed(Trigger::Graph, |settings| {
            settings.graph.service_principal = missing;
        })
        .await;
        let create = "`New-MgServicePrincipal -AppId 8bd644d1-64a1-4d4b-ae52-2e0cbf64e373`";
        let texts = [create, "takes hours"];
        let said = fails(&world, 16, "service principal", &texts).await;
        assert!(
            said.stdout
                .contains("permission         the app is granted"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_refused() {
    let world = World::of(Trigger::Oauth, 1, 0).await;
    world
        .emulator
        .fault(Endpoint::Report, Fault::status(404).times(9));
    fails(
        &world,
        17,
        "query",
        &["use the trigger `message_trace_graph`"],
    )
    .await;
}

/// What fails for the moment may come from anything on the way: it shows nothing of who asks.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_proves_no_step_before_the_query() {
    for (trigger, endpoint, steps) in [
        (Trigger::Graph, Endpoint::Graph, &["service principal"][..]),
        (
            Trigger::Account,
            Endpoint::Report,
            &["sign-in", "permission"],
        ),
    ] {
        let world = World::of(trigger, 1, 0).await;
        world.emulator.fault(endpoint, Fault::status(503).times(9));
        let said = fails(&world, 17, "query", &["503"]).await;
        let skipped = lines(&said, "skipped");
        for step in steps {
            let of_step = format!("  {step}  ");
            let is_skipped = skipped.iter().any(|line| line.contains(&of_step));
            assert!(is_skipped, "{step}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_intake_key() {
    let world = World::graph(0).await;
    world.configure(json!({"intake_key": "another-key"}));
    let texts = [
        "it does not know the intake key",
        "compare intake_key with the key",
    ];
    let said = fails(&world, 18, "intake", &texts).await;
    assert!(!said.to_string().contains("another-key"), "{said}");
    assert!(
        said.stdout.contains("no row was received in the last hour"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_that_does_not_take_an_empty_batch_tells_nothing_of_the_key() {
    let world = World::graph(0).await;
    let refusal = Fault::answer(400, &[], "jsons is empty");
    world.emulator.fault(Endpoint::Intake, refusal.times(9));
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(
        said.stdout
            .contains("whether it accepts the key is not known"),
        "{said}"
    );
}

/// What claims success and proves nothing is no intake.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_proves_nothing_is_not_believed() {
    for (status, body) in [
        (200, "<html><title>Sign in</title></html>"),
        (200, ""),
        (200, "{}"),
        (200, r#"{"error":"INTAKE_KEY_ERROR"}"#),
        (204, ""),
    ] {
        let world = World::graph(0).await;
        let answer = Fault::answer(status, &[], body);
        world.emulator.fault(Endpoint::Intake, answer.times(9));
        let said = world.says(&["check"]).await;
        assert_eq!(lines(&said, "fail").len(), 1, "{status} {body}: {said}");
        assert_eq!(said.code, Some(18), "{status} {body}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server() {
    let world = World::graph(0).await;
    world.configure(
        json!({"login_url": "https://login.invalid", "intake_server": "http://127.0.0.1:9"}),
    );
    let texts = ["cannot connect to host: login.invalid", "127.0.0.1"];
    let said = fails(&world, 12, "network", &texts).await;
    assert_eq!(lines(&said, "fail").len(), 2, "{said}");
    assert_eq!(lines(&said, "skipped").len(), 5, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock() {
    for (ahead, text) in [
        (600, "is 10 min behind that of 127"),
        (-600, "is 10 min ahead of that"),
    ] {
        let world = changed(Trigger::Graph, |settings| {
            settings.transport.skew_seconds = ahead
        })
        .await;
        // A position goes by the service's clock.
        let position = world.now() + TimeDelta::seconds(ahead - 10);
        let state = json!({"most_recent_date_requested": position.to_rfc3339()});
        world.write_state(&state.to_string());
        // The collection copes with it.
        let said = world.says(&["check"]).await;
        assert_eq!(said.code, Some(0), "{said}");
        let clock = lines(&said, "warn");
        assert!(
            clock[0].contains(text) && clock[0].contains("keep it so with NTP"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_written() {
    let world = World::graph(0).await;
    std::fs::write(world.data(), "a file").unwrap();
    let text = "make it a directory that the user of this process may write to";
    let said = fails(&world, 11, "data", &[text]).await;
    assert!(
        said.stdout.contains("accepts the key"),
        "all else is tried: {said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings() {
    let world = World::graph(0).await;
    world.configure(json!({"frequency": 3, "client_secret": null}));
    let texts = [
        "frequency is 3, allowed is a whole number from 10 to 86400",
        "client_secret is missing",
    ];
    let said = fails(&world, 10, "settings", &texts).await;
    assert_eq!(lines(&said, "skipped").len(), 8, "{said}");
    assert!(said.stdout.contains("pass     data"), "{said}");
    assert!(said.stdout.contains("pass     platform"), "{said}");
    assert_eq!(world.count(Endpoint::Token), 0);

    let settings = json!({"credential": "certificate", "client_secret": null, "certificate": "x"});
    world.configure(settings);
    fails(&world, 10, "settings", &["certificate: "]).await;
    world.write("trigger_configuration", "{\"frequency\":\n oops}");
    fails(
        &world,
        10,
        "settings",
        &["is not valid JSON", "line 2 column 2"],
    )
    .await;
    std::fs::remove_file(world.config().join("trigger_configuration")).unwrap();
    fails(
        &world,
        10,
        "settings",
        &["trigger_configuration is missing: write it to the file"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_without_an_app_is_refused_for() {
    let world = World::of(Trigger::Account, 1, 0).await;
    world.configure(json!({
        "client_id": null, "quota": 10, "details_quota": 9, "details": ["failed"],
    }));
    let text = "details_quota is 9, which leaves too little of `quota` 10";
    fails(&world, 10, "settings", &[text]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_trigger_the_one_that_fits_is_meant() {
    let world = World::graph(0).await;
    world.configure(json!({"graph_url": null}));
    let said = world.says(&["check"]).await;
    let several = "fit several triggers: name the one they are for (message_trace_graph, message_trace_oauth)";
    assert!(said.stderr.contains(several), "{said}");
    assert_eq!((said.code, said.stdout.as_str()), (Some(10), ""), "{said}");
    world.configure(json!({"frequency": 3}));
    let said = world.says(&["check"]).await;
    assert!(said.stderr.contains("fit no trigger as they are"), "{said}");
    let said = world.says(&["check", "messagetrace"]).await;
    assert!(
        said.stderr
            .contains("the commands are: message_trace_graph,"),
        "{said}"
    );
    assert_eq!(said.code, Some(1), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_get_an_object_also_when_nothing_can_be_checked() {
    let world = World::graph(0).await;
    let nothing = async |arguments: &[&str], trigger: Value, code: i32, check: &str, text: &str| {
        let said = world
            .says(&[&["check", "--json"], arguments].concat())
            .await;
        assert_eq!(
            (said.code, said.stderr.as_str()),
            (Some(code), ""),
            "{said}"
        );
        let object: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
        assert_eq!(object["trigger"], trigger, "{said}");
        assert_eq!(object["passed"], false, "{said}");
        assert_eq!(object["exit_code"], code, "{said}");
        let [failure] = object["checks"].as_array().unwrap().as_slice() else {
            panic!("one failure: {said}")
        };
        assert_eq!(failure["check"], check, "{said}");
        assert_eq!(failure["outcome"], "fail", "{said}");
        assert_eq!(failure["facts"], json!({}), "{said}");
        assert!(failure["text"].as_str().unwrap().contains(text), "{said}");
    };
    let unknown = "the commands are: message_trace_graph,";
    nothing(&["nosuch"], json!("nosuch"), 1, "start", unknown).await;
    world.configure(json!({"graph_url": null}));
    nothing(&[], Value::Null, 10, "settings", "fit several triggers").await;
    world.configure(json!({"frequency": 3}));
    nothing(&["--wait"], Value::Null, 10, "settings", "fit no trigger").await;
    std::fs::remove_file(world.config().join("trigger_configuration")).unwrap();
    let missing = "trigger_configuration is missing: write it to";
    nothing(&[], Value::Null, 10, "settings", missing).await;
    let said = world.says(&["config", "--json"]).await;
    let object: Value = serde_json::from_str(&said.stdout).expect(&said.stdout);
    assert_eq!((said.code, &object["trigger"]), (Some(10), &Value::Null));
    assert!(
        object["problems"][0].as_str().unwrap().contains(missing),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_trigger_it_tells_what_was_delivered() {
    let world = World::graph(30).await;
    let mut process = world.start();
    world.all_delivered().await;
    until("a position is kept", || {
        world.data().join("context.json.previous").exists() && world.has_caught_up()
    })
    .await;
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    assert!(
        said.stdout
            .contains("; a trigger is running on it, and a second one would not start"),
        "{said}"
    );
    assert!(
        said.stdout
            .contains("of this module: all that was received from 20"),
        "{said}"
    );
    assert!(said.stdout.contains("is delivered"), "{said}");
    process.stop().await;
    assert_eq!(world.emulator.accepted_count(None), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_that_a_run_would_begin_with() {
    let world = World::graph(0).await;
    let checkpoint = (world.now() - TimeDelta::minutes(200)).to_rfc3339();
    world.write_state(&json!({"most_recent_date_requested": checkpoint}).to_string());
    let said = world.says(&["check"]).await;
    assert!(
        said.stdout
            .contains("state              of the Python module: the collection goes on at 20"),
        "{said}"
    );
    assert!(said.stdout.contains(" UTC (3 h ago)"), "{said}");
    for (text, said) in [
        (
            json!({"most_recent_date_requested": "soon"}).to_string(),
            "\"soon\" is not a date",
        ),
        (
            r#"{"most_recent"#.to_owned(),
            "context.json is broken: EOF while parsing",
        ),
        (
            json!({"most_recent_date_requested": "2100-01-01T00:00:00Z"}).to_string(),
            "is in the future, at 2100-01-01",
        ),
    ] {
        world.write_state(&text);
        fails(&world, 19, "state", &[said]).await;
        let kept = std::fs::read_to_string(world.data().join("context.json")).unwrap();
        assert_eq!(kept, text, "nothing is mended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_get_one_object() {
    let world = changed(Trigger::Graph, |settings| {
        settings.graph.service_principal = ServicePrincipal::Missing;
    })
    .await;
    let said = world
        .says(&["check", "--json", "message_trace_graph"])
        .await;
    assert_eq!(said.code, Some(16), "{said}");
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["trigger"], "message_trace_graph");
    assert_eq!(
        (&report["passed"], &report["exit_code"]),
        (&json!(false), &json!(16))
    );
    let checks = report["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["check"] == name).unwrap();
    assert_eq!(of("service principal")["outcome"], "fail");
    assert_eq!(of("query")["outcome"], "skipped");
    assert_eq!(of("intake")["facts"]["key_accepted"], true);
    assert!(of("data")["facts"]["free_bytes"].as_u64().unwrap() > 0);
    let permissions = &of("permission")["facts"]["permissions"];
    assert_eq!(permissions[0], "ExchangeMessageTrace.Read.All");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_shows_what_is_said() {
    let page = std::fs::read_to_string(repository().join("docs/check.md")).unwrap();
    let page = shape(&page);
    let shown = async |world: &World, outcome: &str| {
        let said = world.says(&["check", world.name()]).await;
        let place = world.data().display().to_string();
        let found = lines(&said, outcome);
        assert!(!found.is_empty(), "{said}");
        // What a query finds differs too much, and so does where a run begins.
        let differs = |line: &str| line.contains("  query  ") || line.contains("  state  ");
        for line in found.iter().filter(|line| !differs(line)) {
            let line = shape(&line.replace(&place, "symphony_data"));
            assert!(page.contains(&line), "docs/check.md lacks {line}");
        }
    };
    type Change = fn(&mut Settings);
    let mistakes: [Change; 4] = [
        |settings| settings.identity.apps[0].secrets[0].value = "another".into(),
        |settings| settings.identity.apps[0].secrets[0].expired = true,
        |settings| settings.identity.apps[0].roles.clear(),
        |settings| settings.graph.service_principal = ServicePrincipal::Missing,
    ];
    shown(&World::graph(30).await, "pass").await;
    for mistake in mistakes {
        shown(&changed(Trigger::Graph, mistake).await, "fail").await;
    }
    let world = World::graph(0).await;
    world.configure(json!({"intake_key": "another-key"}));
    shown(&world, "fail").await;
    let said = world.says(&["check", "--help"]).await;
    let (_, codes) = said.stdout.split_once("Exit codes:").unwrap();
    assert!(
        page.contains(&shape(codes)),
        "docs/check.md lacks exit codes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_wait_until_everything_passes() {
    let world = changed(Trigger::Graph, |settings| {
        settings.graph.service_principal = ServicePrincipal::Missing;
    })
    .await;
    let waiting = world.says(&["check", "--wait=1"]);
    let cure = async {
        until("it has asked twice", || world.count(Endpoint::Graph) >= 2).await;
        world.emulator.configure(|settings| {
            settings.graph.service_principal = ServicePrincipal::Present;
        });
    };
    let (said, ()) = tokio::join!(waiting, cure);
    assert_eq!(said.code, Some(0), "{said}");
    assert_eq!(
        said.stdout.matches("  service principal  ").count(),
        2,
        "only changes are told: {said}"
    );
    assert_eq!(said.stdout.matches("sign-in").count(), 1, "{said}");
    assert_eq!(
        said.stderr.matches("Checking again every 1 s").count(),
        1,
        "{said}"
    );
}

/// Ports that others have, and those of the trigger that runs here.
#[tokio::test(flavor = "multi_thread")]
async fn ports_are_free_or_our_own() {
    let world = World::graph(3).await;
    let taken = tokio::net::TcpListener::bind(("0.0.0.0", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    world.write("metrics_port", &port.to_string());
    let text = format!("port {port} cannot be listened on");
    fails(&world, 20, "ports", &[&text, "with the key metrics_port"]).await;
    drop(taken);
    // It is free, but for one of the two.
    world.write("liveness_port", &port.to_string());
    fails(&world, 20, "ports", &[&text, "with the key metrics_port"]).await;

    world.write("liveness_port", "0");
    world.write("metrics_port", "0");
    let mut process = world.start();
    world.all_delivered().await;
    world.tell_ports(&mut process).await;
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(0), "{said}");
    let own = said.stdout.matches("is the running trigger's").count();
    assert_eq!(own, 2, "{said}");
    // Another folder: the ports are not its own.
    let other = tempfile::tempdir().unwrap();
    let mut command = crate::world::program();
    command.arg("check").arg("--config-dir").arg(world.config());
    command.arg("--data-dir").arg(other.path());
    let said = Said::of(command).await;
    assert_eq!(said.code, Some(20), "{said}");
    process.stop().await;
}

/// The platform's token is tried without starting anything.
#[tokio::test(flavor = "multi_thread")]
async fn the_platform_takes_the_token_or_not() {
    let world = World::graph(3).await;
    let said = world.says(&["check"]).await;
    assert!(
        said.stdout.contains("the platform takes the token"),
        "{said}"
    );
    world.write("token", "another-token");
    let texts = [
        "the platform refuses the secrets with status 401",
        "start the trigger again",
    ];
    let said = fails(&world, 21, "platform", &texts).await;
    assert!(!said.to_string().contains("another-token"), "{said}");
    world.write("url_callback", "http://127.0.0.1:9/callback");
    let said = world.says(&["check"]).await;
    assert_eq!(said.code, Some(0), "the collection goes on: {said}");
    assert!(lines(&said, "warn")[0].contains("is not known"), "{said}");
    assert!(world.emulator.logs().is_empty());
}

/// A refusal of the query is told once.
#[tokio::test(flavor = "multi_thread")]
async fn a_permission_has_one_outcome() {
    let world = World::graph(3).await;
    let refused = emulator::Fault::answer(
        403,
        &[("content-type", "application/json")],
        r#"{"error":{"code":"Forbidden","message":"no"}}"#,
    );
    world.emulator.fault(Endpoint::Graph, refused.times(1000));
    let said = world.says(&["check"]).await;
    let of_permission = |line: &&str| line.contains("permission  ");
    let told: Vec<_> = said.stdout.lines().filter(of_permission).collect();
    assert_eq!(told.len(), 1, "{said}");
    assert!(
        said.code == Some(15) || told[0].starts_with("pass"),
        "{said}"
    );
}

/// The lines of JSON until one of this check, of a process that is still at work.
async fn lines_until(
    lines: &mut tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
    check: &str,
) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    while found.last().is_none_or(|line| line["check"] != check) {
        let line = tokio::time::timeout(crate::world::PATIENCE, lines.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("waited in vain for {check}: {found:#?}"));
        found.push(serde_json::from_str(&line.unwrap().expect("no end")).unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_get_each_line_as_soon_as_it_was_tried() {
    let world = World::graph(3).await;
    // The query is never answered.
    world
        .emulator
        .configure(|settings| settings.graph.latency_ms = 86_400_000);
    let mut command = world.command_named("check");
    command
        .arg("--json-lines")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true);
    let mut checking = command.spawn().unwrap();
    let out = tokio::io::BufReader::new(checking.stdout.take().unwrap());
    let mut out = tokio::io::AsyncBufReadExt::lines(out);
    let found = lines_until(&mut out, "clock").await;
    assert_eq!(found[0]["check"], "settings", "{found:#?}");
    for line in &found {
        assert_eq!(line["outcome"], "pass", "{line}");
        assert!(
            line["text"].is_string() && line["facts"].is_object(),
            "{line}"
        );
    }
    until("the query is asked", || world.count(Endpoint::Graph) > 0).await;
    assert_eq!(checking.try_wait().unwrap(), None);
    checking.kill().await.unwrap();

    world
        .emulator
        .configure(|settings| settings.graph.latency_ms = 0);
    world.configure(json!({"intake_key": "another-key"}));
    let said = world.says(&["check", "--json-lines"]).await;
    let lines: Vec<Value> = said
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [found @ .., outcome] = lines.as_slice() else {
        panic!("no lines: {said}")
    };
    let expected = json!({"trigger": world.name(), "passed": false, "exit_code": 18});
    assert_eq!((outcome, said.code), (&expected, Some(18)), "{said}");
    let whole = world.says(&["check", "--json"]).await;
    let whole: Value = serde_json::from_str(&whole.stdout).unwrap();
    let names = |list: &[Value]| -> Vec<(Value, Value)> {
        let name = |line: &Value| (line["check"].clone(), line["outcome"].clone());
        list.iter().map(name).collect()
    };
    assert_eq!(names(found), names(whole["checks"].as_array().unwrap()));

    world.configure(json!({"frequency": 3}));
    let said = world.says(&["check", "--json-lines"]).await;
    assert_eq!(
        (said.code, said.stdout.lines().count()),
        (Some(10), 2),
        "{said}"
    );
}
