//! Whole process lives on virtual time with an HTTP service in memory.

use std::{
    fs,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::DateTime;
use http::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{self, Instant},
};

use super::*;
use crate::{
    Context, Findings, RunError, Trigger,
    serve::serve,
    storage::{LocalBackend, MemoryBackend},
    testing::{Doubtful, Fake},
};

const MODULE: &str = r#"{"name": "Module", "slug": "mod", "version": "1.2.3", "configuration": {
    "type": "object", "properties": {"api_key": {"type": "string"}}, "required": ["api_key"],
    "secrets": ["api_key"]}}"#;

/// A run that falters fails after this time.
const FALTERS: Duration = Duration::from_secs(185);

/// Does what its setting `what` says.
struct Example;

#[derive(Deserialize)]
struct Settings {
    what: String,
    password: base::Secret,
}

impl Trigger for Example {
    const MANIFEST: &'static str = r#"{"docker_parameters": "example", "name": "Example",
        "description": "Does things", "arguments": {"type": "object", "properties": {
            "what": {"type": "string"},
            "password": {"type": "string", "minLength": 4},
            "frequency": {"type": "integer", "default": 60, "minimum": 10, "maximum": 600}},
        "required": ["what", "password"], "secrets": ["password"]}, "results": {}}"#;
    const ALIASES: &'static [&'static str] = &["example_alias"];
    type Settings = Settings;

    async fn run(settings: Settings, context: Context) -> Result<(), RunError> {
        let password = settings.password.expose();
        match settings.what.as_str() {
            "fail" => Err(RunError::failed(format!("no luck with {password}"))),
            "panic" => panic!("lost {password}"),
            "hang" => std::future::pending().await,
            "falter" => {
                context.log.info("faltering");
                let stopped = time::timeout(FALTERS, context.stop.cancelled()).await;
                stopped.map_err(RunError::failed)
            }
            _ => {
                let key = context.module_configuration.get::<String>("api_key");
                context
                    .log
                    .info(format!("idle with {password} and {key:?}"));
                let letters = password.len();
                context
                    .log
                    .info(format!("the password has {letters} letters"));
                context.stop.cancelled().await;
                Ok(())
            }
        }
    }

    fn validate(settings: Settings, _: &Context) -> Result<(), RunError> {
        match settings.what.as_str() {
            "unfit" => Err(RunError::configuration("it is unfit")),
            _ => Ok(()),
        }
    }

    async fn check(_: Settings, _: Context, _: &mut Findings<'_>) {}
}

struct Life {
    directory: tempfile::TempDir,
    fake: Fake,
    stop: CancellationToken,
    lines: Arc<Mutex<Vec<String>>>,
    process: JoinHandle<Result<(), StartError>>,
}

/// The files of a configuration with these settings.
fn with(trigger: &str) -> [(&str, &str); 2] {
    [
        ("module_configuration", "{}"),
        ("trigger_configuration", trigger),
    ]
}

/// Starts a process with these files; ports are free ones.
fn live(command: &'static str, files: &[(&str, &str)], fake: Fake) -> Life {
    live_as(MODULE, command, files, fake)
}

/// The same for another module.
fn live_as(
    module: &'static str,
    command: &'static str,
    files: &[(&str, &str)],
    fake: Fake,
) -> Life {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    fs::create_dir(&config).unwrap();
    let common = [
        ("liveness_port", "0"),
        ("metrics_port", "0"),
        ("token", "t0ken-of-the-trigger"),
    ];
    for (name, content) in common.iter().chain(files) {
        fs::write(config.join(name), content).unwrap();
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let stop = CancellationToken::new();
    let host = Host {
        directories: Directories {
            config,
            data: directory.path().join("data"),
        },
        environment: [("URL_CALLBACK", "http://platform/callback")]
            .into_iter()
            .collect(),
        manifest: directory.path().join("manifest.json"),
        http: fake.http(),
        clock: Clock::virtual_from(DateTime::from_timestamp(1_795_000_000, 0).unwrap()),
        console: Console::new(move |line| sink.lock().unwrap().push(line.to_owned())),
        stop: stop.clone(),
    };
    let process = tokio::spawn(async move {
        let registry = Registry::new(module).register::<Example>();
        run_on(&registry, command, host).await
    });
    Life {
        directory,
        fake,
        stop,
        lines,
        process,
    }
}

fn platform() -> Fake {
    Fake::answering(|request| match request.uri().path() {
        "/secrets" => (200, json!({"value": {"api_key": "s3cret-key"}}).to_string()),
        _ => (200, String::new()),
    })
}

/// Gives no secrets in these seconds, and else this password.
fn platform_down(seconds: Range<u64>, password: &str) -> Fake {
    let since = Instant::now();
    let secrets = json!({"node_value": {"password": password}}).to_string();
    Fake::answering(move |request| match request.uri().path() {
        "/secrets" if seconds.contains(&since.elapsed().as_secs()) => (503, String::new()),
        "/secrets" => (200, secrets.clone()),
        _ => (200, String::new()),
    })
}

impl Life {
    fn said(&self, text: &str) -> usize {
        self.lines
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }

    /// Level and message of everything posted to the logs endpoint.
    fn posted(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let bodies = self.fake.bodies("/logs");
        let entries = bodies
            .iter()
            .flat_map(|body| body["logs"].as_array().unwrap());
        entries
            .map(|entry| (text(&entry["level"]), text(&entry["message"])))
            .collect()
    }

    /// The body of `/health`.
    async fn health(&self) -> Value {
        let lines = self.lines.lock().unwrap().clone();
        let told = |line: &String| {
            let (_, port) = line.split_once("Liveness server listening on port ")?;
            port.parse::<u16>().ok()
        };
        let port = lines.iter().find_map(told).unwrap();
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n";
        socket.write_all(request).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.directory.path().join("config").join(name), content).unwrap();
    }

    /// Stops the process, which must end well within five seconds, and searches for secrets.
    async fn end(mut self) -> Result<(), StartError> {
        self.stop.cancel();
        let started = Instant::now();
        let result = (&mut self.process).await.unwrap();
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
        let told = format!("{:?} {:?} {result:?}", self.lines, self.posted());
        for secret in ["hunter2", "s3cret-key", "t0ken-of-the-trigger"] {
            assert!(!told.contains(secret), "{told}");
        }
        result
    }
}

const IDLE: &str = r#"{"what": "idle", "password": "hunter2"}"#;

#[tokio::test(start_paused = true)]
async fn a_quiet_life() {
    let files = with(IDLE);
    let life = live("example_alias", &files, platform());
    time::sleep(Duration::from_secs(6)).await;
    assert_eq!(life.said("INFO - Liveness server listening on port "), 1);
    assert_eq!(
        life.said("example_alias - INFO - idle with *** and Some(\"***\")"),
        1
    );
    assert!(
        life.posted()
            .contains(&("info".into(), "idle with *** and Some(\"***\")".into()))
    );
    let request = life.fake.requests().pop().unwrap();
    assert_eq!(request.headers()["user-agent"], "mod/1.2.3");
    assert!(
        life.directory.path().join("data").is_dir(),
        "made on demand"
    );
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rejected_configuration_is_told_and_read_again() {
    let rejected = r#"{"password": "*", "frequency": 5}"#;
    let files = with(rejected);
    let life = live("example", &files, platform());
    time::sleep(Duration::from_secs(500)).await;
    let posted = life.posted();
    let errors: Vec<_> = posted
        .iter()
        .filter(|(level, _)| level == "error")
        .collect();
    let text = &errors[0].1;
    for sentence in [
        "trigger_configuration: frequency is 5, allowed is a whole number from 10 to 600",
        "trigger_configuration: what is missing, allowed is a text",
        "password consists of asterisks only, a placeholder that the platform has not filled",
    ] {
        assert!(text.contains(sentence), "{text}");
    }
    let criticals = posted
        .iter()
        .filter(|(level, _)| level == "critical")
        .count();
    assert_eq!(
        (criticals, life.said("CRITICAL - Configuration error")),
        (1, 1)
    );
    life.write("trigger_configuration", IDLE);
    time::sleep(Duration::from_secs(121)).await;
    assert_eq!(life.said("idle with"), 1);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_absent_or_broken_configuration_is_an_error_that_may_pass() {
    let life = live("example", &[("module_configuration", "{}")], platform());
    time::sleep(Duration::from_secs(30)).await;
    assert!(life.said("An exception occurred\ntrigger_configuration is missing: write it to") > 0);
    life.write("trigger_configuration", "{\n,");
    time::sleep(Duration::from_secs(130)).await;
    assert!(life.said("is not valid JSON: key must be a string at line 2 column 1") > 0);
    assert_eq!(life.said("CRITICAL"), 0);
    life.write("trigger_configuration", IDLE);
    time::sleep(Duration::from_secs(130)).await;
    assert_eq!(life.said("idle with"), 1);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn failing_runs_back_off_and_become_critical_after_half_an_hour() {
    for what in ["fail", "panic"] {
        let configuration = json!({"what": what, "password": "hunter2"}).to_string();
        let files = with(&configuration);
        let life = live("example", &files, platform());
        time::sleep(Duration::from_secs(1790)).await;
        let runs = life.said("An exception occurred");
        assert!((15..60).contains(&runs), "{runs}");
        assert_eq!(life.said("CRITICAL"), 0);
        time::sleep(Duration::from_secs(600)).await;
        assert_eq!(life.said("successive uncatched errors"), 1);
        life.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_even_a_hanging_run() {
    let configuration = r#"{"what": "hang", "password": "hunter2"}"#;
    let files = with(configuration);
    let down = Fake::answering(|request| match request.uri().path() {
        "/secrets" => (200, json!({"value": {"api_key": "s3cret-key"}}).to_string()),
        _ => (503, String::new()),
    });
    let life = live("example", &files, down);
    time::sleep(Duration::from_secs(100)).await;
    assert_eq!(
        life.said("cannot deliver log lines"),
        1,
        "said once per outage"
    );
    life.end().await.unwrap();
}

/// A module without secrets of its own, as this one is.
const PLAIN_MODULE: &str = r#"{"name": "Module", "slug": "mod", "version": "1.2.3",
    "configuration": {"type": "object", "properties": {}, "required": [], "secrets": []}}"#;

#[tokio::test(start_paused = true)]
async fn a_start_without_placeholders_waits_five_seconds_and_a_late_answer_counts() {
    for (late, begun) in [("hunter2", 1), ("another one", 2)] {
        let files = with(IDLE);
        let life = live_as(PLAIN_MODULE, "example", &files, platform_down(0..60, late));
        time::sleep(Duration::from_secs(6)).await;
        assert_eq!(life.said("idle with ***"), 1, "it does not wait");
        assert_eq!(life.said("the trigger starts without them"), 1);
        time::sleep(Duration::from_secs(600)).await;
        assert_eq!(life.said("idle with ***"), begun, "{late}");
        assert_eq!(life.said("the run begins anew"), begun - 1);
        let last = format!("the password has {} letters", late.len());
        assert_eq!(life.said(&last), 1, "it runs with what the platform told");
        life.end().await.unwrap();
    }
}

#[test]
fn the_credentials_of_a_proxy_are_hidden_from_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let variable = ("HTTPS_PROXY", "http://svc:Pa55-word@p:3128");
    let host = Host {
        directories: Directories {
            config: directory.path().to_owned(),
            data: directory.path().join("data"),
        },
        environment: [variable].into_iter().collect(),
        manifest: directory.path().join("manifest.json"),
        http: platform().http(),
        clock: Clock::system(),
        console: Console::new(|_| {}),
        stop: CancellationToken::new(),
    };
    let log = Log::new("example", Clock::system(), Console::new(|_| {}));
    let registry = Registry::new(MODULE).register::<Example>();
    Start::open(&registry, "example", host, log.clone()).unwrap();
    assert_eq!(log.masked("with Pa55-word"), "with ***");
}

#[tokio::test(start_paused = true)]
async fn secrets_that_come_late_set_right_at_once_what_was_wrong_without_them() {
    let fake = platform_down(0..20, "hunter2");
    let files = with(r#"{"what": "idle", "password": "abc"}"#);
    let life = live_as(PLAIN_MODULE, "example", &files, fake);
    time::sleep(Duration::from_secs(10)).await;
    assert_eq!(life.said("CRITICAL - Configuration error"), 1);
    // Else it is looked again after two minutes.
    time::sleep(Duration::from_secs(90)).await;
    assert_eq!(life.said("idle with ***"), 1);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn secrets_that_are_not_to_be_had_between_two_runs_are_asked_for_again() {
    // So long that who asks beside the run has given up.
    let fake = platform_down(0..900, "hunter2");
    let files = with(r#"{"password": "first"}"#);
    let life = live_as(PLAIN_MODULE, "example", &files, fake);
    time::sleep(Duration::from_secs(100)).await;
    assert_eq!(life.said("CRITICAL - Configuration error"), 1);
    let changed = r#"{"what": "idle", "password": "*****"}"#;
    life.write("trigger_configuration", changed);
    time::sleep(Duration::from_secs(700)).await;
    assert_eq!(life.said("idle with"), 0);
    time::sleep(Duration::from_secs(500)).await;
    assert_eq!(life.said("idle with ***"), 1);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_between_two_runs_counts_at_once_each_time_also_without_the_secrets() {
    let files = with(r#"{"password": "first"}"#);
    let fake = platform_down(0..900, "hunter2");
    let life = live_as(PLAIN_MODULE, "example", &files, fake);
    time::sleep(Duration::from_secs(10)).await;
    life.write("trigger_configuration", r#"{"password": "second"}"#);
    time::sleep(Duration::from_secs(40)).await;
    let changed = r#"{"what": "idle", "password": "second"}"#;
    life.write("trigger_configuration", changed);
    // A change is noticed within half a minute, and the pause between two runs takes two.
    time::sleep(Duration::from_secs(50)).await;
    assert_eq!(life.said("idle with"), 1);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn secrets_that_are_not_to_be_had_at_a_change_stay_and_are_asked_for_again() {
    for (later, begun) in [("hunter2", 2), ("another one", 3)] {
        let since = Instant::now();
        let fake = Fake::answering(move |request| {
            let down = Duration::from_secs(90)..Duration::from_secs(400);
            let password = if since.elapsed() < down.start {
                "hunter2"
            } else {
                later
            };
            match request.uri().path() {
                "/secrets" if down.contains(&since.elapsed()) => (503, String::new()),
                "/secrets" => {
                    let secrets = json!({"node_value": {"password": password}});
                    (200, secrets.to_string())
                }
                _ => (200, String::new()),
            }
        });
        let files = with(r#"{"what": "idle", "password": "first"}"#);
        let life = live_as(PLAIN_MODULE, "example", &files, fake);
        time::sleep(Duration::from_secs(100)).await;
        assert_eq!(life.said("the password has 7 letters"), 1);
        let changed = r#"{"frequency": 77, "what": "idle", "password": "first"}"#;
        life.write("trigger_configuration", changed);
        time::sleep(Duration::from_secs(200)).await;
        assert_eq!(life.said("The settings have changed (frequency)"), 1);
        assert_eq!(life.said("those that it gave before stay"), 1);
        assert_eq!(life.said("starts without them"), 0);
        assert_eq!(life.said("the password has 7 letters"), 2);
        time::sleep(Duration::from_secs(300)).await;
        assert_eq!(life.said("idle with"), begun, "{later}");
        assert_eq!(life.said("have come; they change nothing"), 3 - begun);
        assert_eq!(life.said("is again what the trigger runs with"), 0);
        life.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_while_secrets_are_asked_for_is_followed_by_another_meanwhile() {
    let since = Instant::now();
    let fake = Fake::answering(move |request| match request.uri().path() {
        "/secrets" if (100..400).contains(&since.elapsed().as_secs()) => (503, String::new()),
        "/secrets" => (200, json!({"value": {"api_key": "s3cret-key"}}).to_string()),
        _ => (200, String::new()),
    });
    let faltering = r#"{"what": "falter", "password": "hunter2"}"#;
    let life = live("example", &with(faltering), fake);
    time::sleep(FALTERS - Duration::from_secs(40)).await;
    let changed = faltering.replacen('{', r#"{"frequency": 77, "#, 1);
    life.write("trigger_configuration", &changed);
    // It is noticed within half a minute, and asking takes 49 seconds at least.
    time::sleep(Duration::from_secs(44)).await;
    let requests = life.fake.requests();
    let asked = requests
        .iter()
        .filter(|one| one.uri().path() == "/secrets")
        .count();
    assert_eq!(life.said("faltering"), 2);
    assert!((2..11).contains(&asked), "{asked}: it is being asked");
    // The second run has what was changed.
    time::sleep(Duration::from_secs(350)).await;
    assert_eq!(life.said("those that it gave before stay"), 1);
    assert_eq!(life.said("the trigger goes on with the settings"), 0);
    assert_eq!(life.said("have come; they change nothing"), 1);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_change_from_settings_of_no_use_names_none() {
    let unfit = IDLE.replace("idle", "unfit");
    let life = live("example", &with(&unfit), platform());
    time::sleep(Duration::from_secs(10)).await;
    assert_eq!(life.said("idle with"), 1);
    life.write("trigger_configuration", IDLE);
    time::sleep(Duration::from_secs(60)).await;
    assert_eq!(life.said("The settings have changed: the run ends"), 1);
    assert_eq!(life.said("idle with"), 2);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn placeholders_that_cannot_be_filled_are_the_error() {
    let configuration = r#"{"what": "idle", "password": "*****"}"#;
    let files = with(configuration);
    let down = Fake::answering(|_| (503, String::new()));
    let life = live_as(PLAIN_MODULE, "example", &files, down);
    time::sleep(Duration::from_secs(200)).await;
    let asked = life.fake.requests();
    let asked = asked.iter().filter(|one| one.uri().path() == "/secrets");
    assert_eq!(asked.count(), 10);
    let error = chain(&life.end().await.unwrap_err());
    assert!(
        error.starts_with("cannot start without the secrets: "),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_not_possible_says_why() {
    let expect = async |command, files: &[(&str, &str)], sentence: &str| {
        let life = live(command, files, platform());
        time::sleep(Duration::from_secs(200)).await;
        let error = chain(&life.end().await.unwrap_err());
        assert!(error.contains(sentence), "{error}");
    };
    let unknown = r#"there is no command "exampl"; the commands are: example"#;
    expect("exampl", &[], unknown).await;
    let missing = "module_configuration is missing: write `{}` to the file";
    expect("example", &[], missing).await;
    for (key, value, sentence) in [
        ("module_configuration", "[]", "found a list"),
        ("liveness_port", "x", "is not a port"),
        ("url_callback", "x", "is not a URL"),
    ] {
        expect("example", &[(key, value)], sentence).await;
    }

    let taken = serve(0, |_| Response::new(String::new())).await.unwrap();
    let port = taken.port.to_string();
    let sentence =
        format!("cannot listen on port {port}: choose a free one with the key metrics_port");
    expect("example", &[("metrics_port", &port)], &sentence).await;
}

#[tokio::test(start_paused = true)]
async fn the_data_directory_belongs_to_one_process() {
    let files = [
        ("module_configuration", "{}"),
        ("trigger_configuration", IDLE),
        ("sub_folder", "below"),
    ];
    let life = live("example", &files, platform());
    time::sleep(Duration::from_secs(1)).await;
    let data = life.directory.path().join("data/below");
    let error = LocalBackend::open(&data).unwrap_err();
    assert!(matches!(error, StorageError::Locked { .. }));
    life.end().await.unwrap();
    LocalBackend::open(&data).unwrap();
}

#[tokio::test(start_paused = true)]
async fn errors_reach_sentry_without_secrets() {
    let configuration = r#"{"what": "fail", "password": "hunter2"}"#;
    let files = [
        ("module_configuration", "{}"),
        ("trigger_configuration", configuration),
        ("sentry_dsn", "http://public@sentry.example/42"),
        ("playbook_uuid", "p-1"),
        ("environment", "test"),
    ];
    let life = live("example", &files, platform());
    time::sleep(Duration::from_secs(2)).await;
    let requests = life.fake.requests();
    let report = requests
        .iter()
        .find(|request| request.uri().host() == Some("sentry.example"));
    let report = report.expect("a report");
    assert_eq!(report.uri().path(), "/api/42/envelope/");
    let text = String::from_utf8_lossy(report.body());
    for part in [
        "no luck with ***",
        r#""playbook_uuid":"p-1""#,
        r#""module":"Module""#,
    ] {
        assert!(text.contains(part), "{text}");
    }
    for secret in ["hunter2", "s3cret-key", "t0ken"] {
        assert!(!text.contains(secret), "{text}");
    }
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_is_used_with_secrets_asked_for_again() {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let fake = Fake::answering(move |request| match request.uri().path() {
        "/secrets" => {
            let mut asked = count.lock().unwrap();
            *asked += 1;
            let key = format!("key-{asked}");
            (200, json!({"value": {"api_key": key}}).to_string())
        }
        _ => (200, String::new()),
    });
    let files = with(IDLE);
    let life = live("example", &files, fake);
    let file = life
        .directory
        .path()
        .join("config")
        .join("trigger_configuration");
    time::sleep(Duration::from_secs(100)).await;
    assert_eq!((life.said("idle with"), *asked.lock().unwrap()), (1, 1));
    let changed = IDLE.replacen('{', r#"{"frequency": 77, "#, 1);
    fs::write(&file, changed).unwrap();
    time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        life.said("The settings have changed (api_key, frequency)"),
        1
    );
    assert_eq!((life.said("idle with"), *asked.lock().unwrap()), (2, 2));
    // What cannot be used is told once, and what was used goes on.
    fs::write(&file, r#"{"what": "idle", "password": "x"}"#).unwrap();
    time::sleep(Duration::from_secs(600)).await;
    assert_eq!(
        life.said("the trigger goes on with the settings that it has"),
        1
    );
    assert_eq!(life.said("idle with"), 2);
    assert_eq!(life.said("CRITICAL"), 0);
    // A key that is read at the start only is named.
    fs::write(file.with_file_name("token"), "another").unwrap();
    time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        life.said("Another value stands in the configuration for token"),
        1
    );
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_run_has_half_a_minute_to_end_when_only_the_settings_have_changed() {
    let fake = Fake::answering(|request| match request.uri().path() {
        "/secrets" => (200, json!({"value": {"api_key": "s3cret-key"}}).to_string()),
        _ => (200, String::new()),
    });
    let hanging = r#"{"what": "hang", "password": "hunter2"}"#;
    let life = live("example", &with(hanging), fake);
    let file = life
        .directory
        .path()
        .join("config")
        .join("trigger_configuration");
    time::sleep(Duration::from_secs(10)).await;
    fs::write(&file, hanging.replace("hang", "idle")).unwrap();
    let mut waited = 0;
    while life.said("The settings have changed (what)") == 0 {
        time::sleep(Duration::from_secs(1)).await;
        waited += 1;
        assert!(waited < 60, "a change is noticed within a minute");
    }
    time::sleep(Duration::from_secs(25)).await;
    assert_eq!(life.said("The run did not end in time"), 0);
    time::sleep(Duration::from_secs(15)).await;
    assert_eq!(life.said("The run did not end in time"), 1);
    assert_eq!(life.said("idle with ***"), 1);
    life.end().await.unwrap();
}

/// As when the lease of an object store cannot be renewed: nothing is sent, and no request fails.
#[tokio::test(start_paused = true)]
async fn health_counts_it_while_nobody_knows_whose_the_files_are() {
    let clock = Clock::virtual_from(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
    let log = Log::new("example", clock.clone(), Console::new(|_| {}));
    let heartbeat = Heartbeat::new(clock, log.clone());
    let known = Instant::now() + Duration::from_secs(65);
    let storage = Storage::new(Doubtful(MemoryBackend::default(), known));
    let watching = watch_files(storage, Uuid::new_v4(), true, heartbeat.clone(), log);
    let watch = tokio::spawn(watching);
    let mut counts = Vec::new();
    for seconds in [15, 40, 15] {
        time::sleep(Duration::from_secs(seconds)).await;
        counts.push(heartbeat.errors(Side::Checkpoint));
    }
    assert_eq!(counts, [0, 4, 0]);
    watch.abort();
}

/// Else `status` knows nothing of the process that runs.
#[tokio::test(start_paused = true)]
async fn a_process_whose_folder_is_deleted_leaves_its_id_again() {
    let life = live("example", &with(IDLE), platform());
    time::sleep(Duration::from_secs(15)).await;
    let data = life.directory.path().join("data");
    let stamp = fs::read(data.join("process.json")).unwrap();
    fs::remove_dir_all(&data).unwrap();
    time::sleep(Duration::from_secs(30)).await;
    assert_eq!(fs::read(data.join("process.json")).unwrap(), stamp);
    assert_eq!(life.said("process.json was missing"), 1);
    assert_eq!(life.said("it was made anew"), 1, "the lock");
    let health = life.health().await;
    let told = serde_json::from_slice::<Value>(&stamp).unwrap();
    assert_eq!(health["data"], told["id"]);
    life.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn health_counts_it_while_a_start_waits_for_its_files() {
    let fake = Fake::answering(|request| match request.uri().host() {
        Some("store.example") => (503, String::new()),
        _ => (200, json!({"value": {"api_key": "s3cret-key"}}).to_string()),
    });
    let files = [
        ("module_configuration", "{}"),
        ("trigger_configuration", IDLE),
        ("file_backend", "S3"),
        ("aws_bucket_name", "bucket"),
        ("aws_access_key_id", "id"),
        ("aws_secret_access_key", "hunter2-of-the-store"),
        ("aws_default_region", "eu-west-3"),
        ("aws_s3_endpoint_url", "http://store.example:9000"),
    ];
    let life = live("example", &files, fake);
    time::sleep(Duration::from_secs(65)).await;
    let health = life.health().await;
    assert!(
        health["errors"]["checkpoint"].as_u64() >= Some(6),
        "{health}"
    );
    assert!(life.said("The object store is not ready, trying again") > 0);
    life.end().await.unwrap();
}
