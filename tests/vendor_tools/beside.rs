//! The vendor's SDK and this module, side by side, each against a stand-in with the same answers: they
//! differ only where `docs/migrate.md` says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use emulator::{Backlog, Emulator, Options, Running, Traffic};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::repository;
use crate::stand_in::{Answer, Answers, Asked, IDS, INTAKE, LOGS, MOVED, SECRETS, StandIn};
use crate::tool::tool;

const KEY: &str = "key-of-the-intake";
const PLACEHOLDER: &str = "********";

/// Until the first request; Python takes its time on a machine that is busy.
const START: Duration = Duration::from_secs(90);

/// From the secrets to the first events.
const FIRST: Duration = Duration::from_secs(30);

/// From the first events on. What either does later, it is not asked.
const WINDOW: Duration = Duration::from_secs(12);

/// Within that a stop has to be over.
const STOP: Duration = Duration::from_secs(5);

/// A difference, by what differs and the first cell of its row in `docs/migrate.md`.
type Departure = (&'static str, &'static str);

/// In each case.
const ALWAYS: &[Departure] = &[("agent of the intake", "intake key")];

struct Case {
    name: &'static str,
    answers: Answers,
    form: Form,
    departures: &'static [Departure],
}

/// How the configuration is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Trigger,
    Connector,
    Placeholder,
    ByteOrderMark,
    Utf16,
    /// Without the intake key.
    Incomplete,
}

const WELL: Answers = Answers {
    intake: &[Answer::new(200, IDS)],
    logs: &[Answer::new(200, "{}")],
    secrets: &[Answer::new(200, r#"{"value":{}}"#)],
};

const fn case(name: &'static str) -> Case {
    Case {
        name,
        answers: WELL,
        form: Form::Trigger,
        departures: &[],
    }
}

impl Case {
    const fn intake(mut self, answers: &'static [Answer]) -> Self {
        self.answers.intake = answers;
        self
    }

    const fn logs(mut self, answers: &'static [Answer]) -> Self {
        self.answers.logs = answers;
        self
    }

    const fn secrets(mut self, answers: &'static [Answer]) -> Self {
        self.answers.secrets = answers;
        self
    }

    const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    const fn departs(mut self, departures: &'static [Departure]) -> Self {
        self.departures = departures;
        self
    }
}

const NOT_CERTAIN: &str = "a 2xx of the intake that does not name the events";
const TOO_LARGE: &str = "a 413";
const KEY_REFUSED: &str = "a refused intake key";
const RETRY_AFTER: &str = "`Retry-After` of the intake";
const REDIRECTS: &str = "redirects of the intake and the platform";
const NO_SECRETS: &str = "placeholders for secrets";
const NULL_SECRETS: &str = "`value` of the secrets is null";
const STOPPED: &str = "a stop while the intake does not accept";

const AGAIN: Departure = ("sent again", NOT_CERTAIN);

/// All answers that the two are compared with.
const CASES: &[Case] = &[
    case("identifiers"),
    case("a page to sign in")
        .intake(&[Answer::new(200, "<html><title>Sign in</title></html>")])
        .departs(&[AGAIN]),
    case("an empty object")
        .intake(&[Answer::new(200, "{}")])
        .departs(&[AGAIN]),
    case("no content")
        .intake(&[Answer::new(204, "")])
        .departs(&[AGAIN]),
    case("413 for small events")
        .intake(&[Answer::new(413, "{}")])
        .departs(&[("sent again", TOO_LARGE), ("stop", STOPPED)]),
    case("the key is not known")
        .intake(&[Answer::new(422, r#"{"error":"INTAKE_KEY_ERROR"}"#)])
        .departs(&[("sent again", KEY_REFUSED), ("stop", STOPPED)]),
    case("429 with a pause")
        .intake(&[Answer::new(429, "").with("retry-after", "60")])
        .departs(&[("sent again", RETRY_AFTER), ("stop", STOPPED)]),
    case("500 for ever")
        .intake(&[Answer::new(500, "")])
        .departs(&[("stop", STOPPED)]),
    case("500 once").intake(&[Answer::new(500, ""), Answer::new(200, IDS)]),
    case("307 of the intake over http")
        .intake(&[Answer::new(307, "").with("location", "/moved/batch")])
        .departs(&[("moved", REDIRECTS), ("sent again", REDIRECTS)]),
    case("400 of the logs endpoint once").logs(&[Answer::new(400, "{}"), Answer::new(200, "{}")]),
    case("307 of the logs endpoint over http, once")
        .logs(&[
            Answer::new(307, "").with("location", "/moved/logs"),
            Answer::new(200, "{}"),
        ])
        .departs(&[("moved", REDIRECTS)]),
    case("secrets of the trigger")
        .secrets(&[Answer::new(
            200,
            r#"{"value":{},"node_value":{"intake_key":"key-of-the-intake","frequency":null}}"#,
        )])
        .form(Form::Placeholder),
    case("a connector leaves the trigger's secrets alone")
        .secrets(&[Answer::new(
            200,
            r#"{"value":{},"node_value":{"intake_key":"another"}}"#,
        )])
        .form(Form::Connector),
    case("secrets without value").secrets(&[Answer::new(200, r#"{"node_value":null}"#)]),
    case("secrets as empty lists").secrets(&[Answer::new(200, r#"{"value":[],"node_value":[]}"#)]),
    case("secrets of null")
        .secrets(&[Answer::new(200, r#"{"value":null}"#)])
        .departs(&[("begins", NULL_SECRETS)]),
    case("no secrets to be had")
        .secrets(&[Answer::new(500, "")])
        .departs(&[("begins", NO_SECRETS)]),
    case("a configuration with a byte order mark").form(Form::ByteOrderMark),
    case("a configuration in UTF-16").form(Form::Utf16),
    case("a configuration without the intake key").form(Form::Incomplete),
];

/// What one of the two did.
#[derive(Debug)]
struct Conduct {
    facts: BTreeMap<&'static str, String>,
    output: String,
}

/// What both are given.
struct World {
    stand_in: StandIn,
    folder: TempDir,
    settings: Value,
    form: Form,
}

impl World {
    async fn new(case: &Case, microsoft: Value) -> Self {
        let stand_in = StandIn::start(case.answers).await;
        let key = match case.form {
            Form::Placeholder => PLACEHOLDER,
            _ => KEY,
        };
        let mut settings = microsoft;
        if case.form != Form::Incomplete {
            settings["intake_key"] = json!(key);
        }
        settings["intake_server"] = json!(format!("http://{}/intake", stand_in.address));
        Self {
            stand_in,
            folder: tempfile::tempdir().expect("folder"),
            settings,
            form: case.form,
        }
    }

    /// The same environment for both.
    fn configure(&self, command: &mut Command) {
        let text = self.settings.to_string();
        let (name, value) = match self.form {
            Form::Trigger | Form::Placeholder | Form::Incomplete => ("TRIGGER_CONFIGURATION", text),
            Form::Connector => ("CONNECTOR_CONFIGURATION", text),
            Form::ByteOrderMark => (
                "TRIGGER_CONFIGURATION",
                base64(format!("\u{feff}{text}").as_bytes()),
            ),
            Form::Utf16 => {
                let units = format!("\u{feff}{text}");
                let bytes: Vec<u8> = units.encode_utf16().flat_map(u16::to_le_bytes).collect();
                ("TRIGGER_CONFIGURATION", base64(&bytes))
            }
        };
        let address = self.stand_in.address;
        command
            .env(name, value)
            .env("MODULE_CONFIGURATION", "{}")
            .env("TOKEN", "token-of-the-platform")
            .env("URL_CALLBACK", format!("http://{address}/api/callback"))
            .env("LIVENESS_PORT", "0")
            .env("METRICS_PORT", "0")
            .env("NO_PROXY", "127.0.0.1")
            .current_dir(repository())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
    }

    /// The events that the SDK sends.
    fn events(&self) -> PathBuf {
        self.folder.path().join("events.json")
    }

    /// Runs one of the two for a bounded time, and tells what it did. What the module sends first is
    /// handed to the SDK, which waits for it.
    async fn conduct(&self, mut command: Command, sdk: Option<&Self>) -> Conduct {
        self.configure(&mut command);
        let mut child = command.spawn().expect("it starts");
        let output = read(&mut child);
        let asked = |path| self.stand_in.asked(path);
        until(START, || !asked(SECRETS).is_empty()).await;
        if sdk.is_none() {
            until(START + FIRST, || self.events().exists()).await;
        }
        let is_critical = || criticals(&asked(LOGS)) != "[]";
        until(FIRST, || !asked(INTAKE).is_empty() || is_critical()).await;
        let mut facts = BTreeMap::new();
        let first = asked(INTAKE).into_iter().next();
        let begins = first.is_some();
        if let Some(sdk) = sdk {
            let sent = first.and_then(|first| first.body["jsons"].as_array().cloned());
            let sent = Value::Array(sent.unwrap_or_else(|| vec![json!("{}")]));
            let whole = sdk.folder.path().join("events.new");
            std::fs::write(&whole, sent.to_string()).expect("events");
            std::fs::rename(whole, sdk.events()).expect("events");
        }
        facts.insert("begins", begins.to_string());
        if begins {
            let end = Instant::now() + WINDOW;
            until(WINDOW, || arrived(&asked("/")) > 0).await;
            until(end - Instant::now(), || asked(INTAKE).len() > 1).await;
            let port = port(&output);
            facts.insert("health", health(port).await);
            facts.insert("elsewhere", get(port, "/nothing").await);
            facts.insert("stop", stop(&mut child).await);
            describe(&mut facts, &asked("/"));
        } else {
            facts.insert("stop", stop(&mut child).await);
        }
        facts.insert("critical", criticals(&asked(LOGS)));
        child.kill().await.ok();
        Conduct {
            facts,
            output: output.lock().expect("lock").join("\n"),
        }
    }
}

/// What the requests tell.
fn describe(facts: &mut BTreeMap<&'static str, String>, asked: &[Asked]) {
    let to = |path: &'static str| asked.iter().filter(move |asked| asked.path == path);
    let shown = |asked: &Asked| {
        let (auth, kind) = (asked.header("authorization"), asked.header("content-type"));
        format!("{} {} {auth} {kind}", asked.method, asked.path)
    };
    for (name, path) in [
        ("request for secrets", SECRETS),
        ("request with events", INTAKE),
        ("request with log lines", LOGS),
    ] {
        let first = to(path).next().map(shown);
        facts.insert(name, first.unwrap_or_default());
    }
    let mut intake = to(INTAKE);
    if let Some(first) = intake.next() {
        let agent = first.header("user-agent");
        let names_key = agent.contains(KEY);
        facts.insert("agent of the intake", format!("names the key: {names_key}"));
        facts.insert("body of the events", first.body.to_string());
        let again = intake.next().map(|next| next.body == first.body);
        let again = again.map_or("no", |same| if same { "the same" } else { "fewer" });
        facts.insert("sent again", again.to_owned());
    }
    let moved = asked.iter().any(|asked| asked.path.starts_with(MOVED));
    facts.insert("moved", moved.to_string());
    let entry = entries(asked).find(|(_, entry)| is_forwarding(entry));
    let entry = entry.map(|(_, mut entry)| {
        let date = entry["date"].as_str().unwrap_or_default().to_owned();
        let whole = date.split('.').next().unwrap_or_default();
        entry["date"] = json!(whole.replace(|c: char| c.is_ascii_digit(), "#"));
        entry.to_string()
    });
    facts.insert("log line", entry.unwrap_or_default());
    facts.insert("log line arrived", arrived(asked).to_string());
}

/// The log entries of all requests, and with which status they were answered.
fn entries(asked: &[Asked]) -> impl Iterator<Item = (u16, Value)> {
    asked.iter().flat_map(|asked| {
        let entries = asked.body["logs"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| (asked.status, entry))
    })
}

/// The lines on which the platform stops a trigger.
fn criticals(asked: &[Asked]) -> String {
    let critical = entries(asked).filter(|(_, entry)| entry["level"] == "critical");
    let texts: Vec<_> = critical
        .map(|(_, entry)| entry["message"].clone())
        .collect();
    json!(texts).to_string()
}

fn is_forwarding(entry: &Value) -> bool {
    let message = entry["message"].as_str().unwrap_or_default();
    message.starts_with("Forwarding ")
}

/// How often the line was accepted.
fn arrived(asked: &[Asked]) -> usize {
    let lines = entries(asked).filter(|(status, entry)| *status < 300 && is_forwarding(entry));
    lines.count()
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

async fn until(limit: Duration, condition: impl Fn() -> bool) {
    let end = Instant::now() + limit;
    while !condition() && Instant::now() < end {
        sleep(Duration::from_millis(50)).await;
    }
}

fn read(child: &mut Child) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    let mut output = BufReader::new(child.stderr.take().expect("stderr")).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_line().await {
            seen.lock().expect("lock").push(line);
        }
    });
    lines
}

fn port(output: &Mutex<Vec<String>>) -> u16 {
    let output = output.lock().expect("lock").join("\n");
    let rest = output.split_once("Liveness server listening on port ");
    let port = rest.and_then(|(_, rest)| rest.lines().next()?.trim().parse().ok());
    port.unwrap_or_else(|| panic!("no port in {output}"))
}

/// Status and body.
async fn get(port: u16, path: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let exchange = async {
        socket.write_all(request.as_bytes()).await?;
        socket.read_to_string(&mut answer).await
    };
    exchange.await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    format!("{status} {body}")
}

/// The status, and which of the SDK's fields are there.
async fn health(port: u16) -> String {
    let answer = get(port, "/health").await;
    let (status, body) = answer.split_once(' ').unwrap_or_default();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let fields = [
        "last_events_time",
        "last_heartbeat",
        "seconds_without_events_threshold",
        "last_heartbeat_threshold",
        "error_count",
    ];
    let kinds = fields.map(|field| match &body[field] {
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Null => "none",
        _ => "other",
    });
    format!("{status} {kinds:?}")
}

/// How it ends when it is asked to.
async fn stop(child: &mut Child) -> String {
    // One that has ended already has none.
    if let Some(id) = child.id() {
        let sent = std::process::Command::new("kill")
            .arg(id.to_string())
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill");
    }
    match timeout(STOP, child.wait()).await {
        Ok(Ok(status)) => format!("{:?}", status.code()),
        _ => "goes on".to_owned(),
    }
}

/// Mail, and the settings that lead to it.
async fn microsoft() -> (Running, Value) {
    let emulator = Emulator::new(Options {
        traffic: Traffic {
            backlog: Backlog::rows(TimeDelta::hours(1), 3),
            ..Traffic::default()
        },
        ..Options::default()
    });
    let running = emulator.serve().await.expect("the emulator");
    let identity = emulator.settings().identity;
    let settings = json!({
        "tenant_id": identity.tenant_id,
        "client_id": identity.apps[0].client_id,
        "client_secret": "emulated~client~secret",
        "login_url": running.login_url(),
        "graph_url": running.graph_url(),
        "start_time": 3,
        "frequency": 60,
        "timedelta": 0,
    });
    (running, settings)
}

async fn compare(case: &Case, python: &Path) -> Vec<String> {
    let (_running, settings) = microsoft().await;
    let module = World::new(case, settings.clone()).await;
    let mut binary = Command::new(env!("CARGO_BIN_EXE_message-trace"));
    binary.arg("message_trace_graph");
    binary.args(["--config-dir", "/nonexistent", "--data-dir"]);
    binary.arg(module.folder.path());

    let sdk = World::new(case, settings).await;
    let mut command = Command::new(python);
    let kind = match case.form {
        Form::Connector => "connector",
        _ => "trigger",
    };
    command
        .arg(repository().join("tests/vendor_tools/connector.py"))
        .arg(kind)
        .arg(sdk.folder.path());
    let (ours, theirs) = tokio::join!(
        module.conduct(binary, Some(&sdk)),
        sdk.conduct(command, None)
    );

    let departures = ALWAYS.iter().chain(case.departures);
    let allowed: BTreeSet<_> = departures.map(|(fact, _)| *fact).collect();
    let names: BTreeSet<_> = ours.facts.keys().chain(theirs.facts.keys()).collect();
    // Where only one of them begins, there is nothing else to compare.
    let alike = ours.facts["begins"] == theirs.facts["begins"];
    let names = names.into_iter().filter(|name| alike || **name == "begins");
    let mut findings = Vec::new();
    for name in names {
        let (our, their) = (ours.facts.get(name), theirs.facts.get(name));
        if (our != their) != allowed.contains(name) {
            findings.push(format!(
                "{}: {name}\n  module {our:?}\n  SDK    {their:?}",
                case.name
            ));
        }
    }
    if case.form == Form::Incomplete && ours.facts["critical"] != r#"["Configuration error"]"# {
        findings.push(format!("{}: {:?}", case.name, ours.facts));
    }
    if !findings.is_empty() {
        findings.push(format!("module:\n{}\nSDK:\n{}", ours.output, theirs.output));
    }
    findings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_and_the_module_differ_only_where_it_is_written_down() {
    let Some(tool) = tool() else { return };
    let python = tool.with_file_name("python");
    // More at once would be slow rather than quick.
    let turns = Arc::new(Semaphore::new(10));
    let runs = CASES.iter().map(|case| {
        let (python, turns) = (python.clone(), Arc::clone(&turns));
        tokio::spawn(async move {
            let _turn = turns.acquire().await;
            compare(case, &python).await
        })
    });
    let mut findings = Vec::new();
    for run in runs.collect::<Vec<_>>() {
        findings.extend(run.await.expect("a comparison"));
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn each_departure_stands_in_the_documentation() {
    let path = repository().join("docs/migrate.md");
    let text = std::fs::read_to_string(path).expect("docs/migrate.md");
    let departures = CASES.iter().flat_map(|case| case.departures);
    for (_, row) in departures.chain(ALWAYS) {
        let begin = format!("| {row} |");
        let found = text.lines().filter(|line| line.starts_with(&begin)).count();
        assert_eq!(found, 1, "a row of docs/migrate.md for {row:?}");
    }
}
