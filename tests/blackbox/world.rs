//! The world of a test: the emulator on real sockets, a configuration, and the real binary.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Backlog, Emulator, Endpoint, Options, Running, Scope, Traffic, Verdict};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rustix::{
    fs::statvfs,
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Nothing that a test waits for takes longer, however loaded the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// A stop takes no longer (departure E-11).
pub(crate) const STOP: Duration = Duration::from_secs(5);

/// What a process would take from the environment of the test itself: ways to a network that no test
/// leaves, other identities, and how a terminal is to look.
const AMBIENT: [&str; 17] = [
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
];

/// The program, without what the environment of the test itself says.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_message-trace"));
    clean(&mut command);
    command
}

pub(crate) fn clean(command: &mut Command) {
    for name in AMBIENT {
        command.env_remove(name);
    }
}

/// Which trigger a world is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trigger {
    /// With a service account.
    Account,
    /// As an app, from Microsoft Graph.
    Graph,
    /// As an app, from the Reporting Web Service.
    Oauth,
}

impl Trigger {
    fn command(self) -> &'static str {
        match self {
            Self::Account => "message_trace",
            Self::Graph => "message_trace_graph",
            Self::Oauth => "message_trace_oauth",
        }
    }

    /// What its configuration has beside the settings that all triggers share.
    fn settings(self, emulator: &Emulator, running: &Running) -> Value {
        let identity = emulator.settings().identity;
        let app = json!({
            "tenant_id": identity.tenant_id,
            "client_id": identity.apps[0].client_id,
            "client_secret": "emulated~client~secret",
            "login_url": running.login_url(),
        });
        let own = match self {
            Self::Account => json!({
                "account_name": "svc@contoso.example",
                "account_password": "correct horse battery staple",
                "reporting_url": running.reporting_url(),
                "start_time": 240,
            }),
            // Few windows, as the quota lets few requests through at once.
            Self::Graph => json!({"graph_url": running.graph_url(), "start_time": 3}),
            Self::Oauth => json!({"reporting_url": running.reporting_url(), "start_time": 240}),
        };
        match self {
            Self::Account => own,
            Self::Graph | Self::Oauth => changed(app, own),
        }
    }
}

/// Settings with these changes; null takes a setting away.
fn changed(mut settings: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("an object of settings")
    };
    for (key, value) in changes {
        if value.is_null() {
            settings.as_object_mut().unwrap().remove(&key);
        } else {
            settings[key] = value;
        }
    }
    settings
}

/// A folder in memory, where there is room for it: a process syncs its files many times, and a disk takes
/// its time for each. A container may have 64 MiB of memory for files, which the program would warn of.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let found = statvfs(memory).ok();
    let room = found.and_then(|found| found.f_bavail.checked_mul(found.f_frsize));
    let in_memory = room.filter(|bytes| *bytes > 1 << 30);
    in_memory
        .and_then(|_| TempDir::new_in(memory).ok())
        .unwrap_or_else(|| TempDir::new().unwrap())
}

/// Emulator, configuration and data directory. All are gone when it is dropped.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) running: Running,
    trigger: Trigger,
    folder: TempDir,
    oldest: DateTime<Utc>,
    /// When the test began, by the emulator's clock.
    pub(crate) begun: DateTime<Utc>,
}

impl World {
    /// A world with this mail and a valid configuration.
    pub(crate) async fn new(trigger: Trigger, options: Options) -> Self {
        let span = options.traffic.backlog.span;
        let emulator = Emulator::new(options);
        let running = emulator.serve().await.unwrap();
        let begun = emulator.clock().now();
        let world = Self {
            emulator,
            running,
            trigger,
            folder: folder(),
            oldest: begun - span - TimeDelta::seconds(1),
            begun,
        };
        fs::create_dir(world.config()).unwrap();
        world.write("module_configuration", "{}");
        world.write("token", "emulated-token");
        world.write("url_callback", &world.running.callback_url());
        world.write("liveness_port", "0");
        world.write("metrics_port", "0");
        world.configure(json!({}));
        world
    }

    /// A world with `rows` rows received in the last `hours` hours.
    pub(crate) async fn with_backlog(hours: i64, rows: u64) -> Self {
        Self::of(Trigger::Account, hours, rows).await
    }

    /// The same for another trigger.
    pub(crate) async fn of(trigger: Trigger, hours: i64, rows: u64) -> Self {
        let backlog = Backlog::rows(TimeDelta::hours(hours), rows);
        let traffic = Traffic {
            backlog,
            ..Traffic::default()
        };
        let options = Options {
            traffic,
            ..Options::default()
        };
        Self::new(trigger, options).await
    }

    /// The same for Microsoft Graph, with the rows of the last hour.
    pub(crate) async fn graph(rows: u64) -> Self {
        Self::of(Trigger::Graph, 1, rows).await
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file of the configuration.
    pub(crate) fn write(&self, key: &str, text: &str) {
        fs::write(self.config().join(key), text).unwrap();
    }

    /// Writes the trigger's configuration: one that works, with these changes. Null takes a
    /// setting away.
    pub(crate) fn configure(&self, changes: Value) {
        let shared = json!({
            "intake_key": "emulated-intake-key",
            "intake_server": self.running.intake_url(),
            "frequency": 10,
            "timedelta": 0,
        });
        let own = self.trigger.settings(&self.emulator, &self.running);
        let settings = changed(changed(shared, own), changes);
        self.write("trigger_configuration", &settings.to_string());
    }

    /// Writes the state file.
    pub(crate) fn write_state(&self, text: &str) {
        fs::create_dir_all(self.data()).unwrap();
        fs::write(self.data().join("context.json"), text).unwrap();
    }

    /// Writes the state of a collection that has come to where the mail of this world begins.
    pub(crate) fn begin_with_the_backlog(&self) {
        let checkpoint = self.oldest.to_rfc3339();
        self.write_state(&json!({"most_recent_date_requested": checkpoint}).to_string());
    }

    /// That the collection has not passed the mail of this world.
    pub(crate) fn nothing_was_passed(&self) {
        // Nothing is judged, and nothing kept, before the service has told the time.
        if !self.data().join("context.json").exists() {
            return;
        }
        assert!(
            self.checkpoint() <= self.oldest,
            "the checkpoint {} is behind {}",
            self.checkpoint(),
            self.oldest
        );
    }

    /// The state file.
    pub(crate) fn state(&self) -> Value {
        let text = fs::read_to_string(self.data().join("context.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Everything received before it has been delivered, as the state file says.
    pub(crate) fn checkpoint(&self) -> DateTime<Utc> {
        let state = self.state();
        state["most_recent_date_requested"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Whether that is nearly everything. The state file must be there.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.now() - self.checkpoint() < TimeDelta::minutes(10)
    }

    /// The command line that starts the trigger here.
    pub(crate) fn command(&self) -> Command {
        self.command_named(self.trigger.command())
    }

    /// The command line that starts the trigger here by another name.
    pub(crate) fn command_named(&self, name: &str) -> Command {
        let mut command = program();
        command
            .arg(name)
            .arg("--config-dir")
            .arg(self.config())
            .arg("--data-dir")
            .arg(self.data());
        command
    }

    /// Starts the trigger.
    pub(crate) fn start(&self) -> Process {
        Process::start(self.command())
    }

    /// Waits until all that can be seen was delivered, and is content with the ledger.
    pub(crate) async fn all_delivered(&self) -> Verdict {
        self.delivered(Scope::default()).await
    }

    /// The same for the backlog, apart from its last seconds: they may be due a while later.
    pub(crate) async fn backlog_delivered(&self) -> Verdict {
        self.delivered(Scope {
            received_before: Some(self.begun - TimeDelta::seconds(2)),
            ..Scope::default()
        })
        .await
    }

    async fn delivered(&self, scope: Scope) -> Verdict {
        until("everything is delivered", || {
            self.emulator.verdict(&scope).missing.count == 0
        })
        .await;
        let verdict = self.emulator.verdict(&scope);
        assert!(verdict.is_clean(), "{verdict}");
        verdict
    }

    /// How many requests an endpoint got.
    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        self.emulator.requests(endpoint).len()
    }

    /// Waits until the platform has a log entry of this level with this text.
    pub(crate) async fn platform_log(&self, level: &str, text: &str) {
        let is_there = || {
            let logs = self.emulator.logs();
            let mut entries = logs.iter().filter(|entry| entry.level == level);
            entries.any(|entry| entry.message.contains(text))
        };
        let deadline = Instant::now() + PATIENCE;
        while !is_there() {
            let what = format!("waited in vain for a log entry {level} with {text:?}");
            assert!(
                Instant::now() < deadline,
                "{what}: {:#?}",
                self.emulator.logs()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The requests for rows: all but those that only ask for the time.
    pub(crate) fn requests(&self, endpoint: Endpoint) -> Vec<emulator::RecordedRequest> {
        let all = self.emulator.requests(endpoint).into_iter();
        all.filter(|request| request.query("$top").as_deref() != Some("1"))
            .collect()
    }

    /// The emulator's time, which is the machine's.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.emulator.clock().now()
    }
}

impl World {
    /// The command of this world's trigger.
    pub(crate) fn name(&self) -> &'static str {
        self.trigger.command()
    }

    /// The configuration names the ports that the process has taken, so that it can be asked.
    pub(crate) async fn tell_ports(&self, process: &mut Process) {
        for (key, server) in [("liveness_port", "Liveness"), ("metrics_port", "Metrics")] {
            let port = process.port(server).await;
            self.write(key, &port.to_string());
        }
    }

    /// What a command for people says here.
    pub(crate) async fn says(&self, arguments: &[&str]) -> Said {
        let mut command = self.command_named(arguments[0]);
        command.args(&arguments[1..]);
        Said::of(command).await
    }
}

/// What a command said until its end.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) async fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await;
        let output = output.expect("an end").unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
        } = self;
        write!(f, "exit code {code:?}\n{stdout}\nstderr:\n{stderr}")
    }
}

/// Waits until a condition holds. One that costs time is asked less often.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = Instant::now();
        if condition() {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20).max(asked.elapsed() * 5)).await;
    }
}

/// A started process and what it prints. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut output = BufReader::new(child.stderr.take().unwrap()).lines();
        let seen = Arc::clone(&lines);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = output.next_line().await {
                seen.lock().unwrap().push(line);
            }
        });
        Self {
            child,
            lines,
            reader: Some(reader),
        }
    }

    /// What was printed on standard error so far.
    pub(crate) fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits until a text was printed.
    pub(crate) async fn prints(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.output().contains(text) {
            let ended = self.child.try_wait().unwrap();
            let waited = Instant::now() < deadline && ended.is_none();
            assert!(
                waited,
                "waited in vain for {text:?} ({ended:?}):\n{}",
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let signal = match name {
            "CONT" => Signal::CONT,
            "INT" => Signal::INT,
            "STOP" => Signal::STOP,
            "TERM" => Signal::TERM,
            other => panic!("no test sends {other}"),
        };
        // At once: another process would take its time, which no stop may be charged with.
        let pid = Pid::from_raw(self.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end and gives the exit status.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended
            .unwrap_or_else(|_| panic!("did not end:\n{}", self.output()))
            .unwrap();
        // The last lines may still be on their way through the pipe.
        if let Some(reader) = self.reader.take() {
            reader.await.unwrap();
        }
        status
    }

    /// Asks for a stop, which must succeed in time.
    pub(crate) async fn stop(&mut self) {
        self.stop_by("TERM").await;
    }

    pub(crate) async fn stop_by(&mut self, signal: &str) {
        let asked = Instant::now();
        self.signal(signal);
        let status = self.ends().await;
        assert!(status.success(), "{status}:\n{}", self.output());
        assert!(
            asked.elapsed() <= STOP,
            "a stop took {:?}:\n{}",
            asked.elapsed(),
            self.output()
        );
    }

    /// Ends it as a crash does.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// The port of a server, from the line that tells it.
    pub(crate) async fn port(&mut self, server: &str) -> u16 {
        let announcement = format!("{server} server listening on port ");
        self.prints(&announcement).await;
        let output = self.output();
        let (_, rest) = output.split_once(&announcement).unwrap();
        rest.lines().next().unwrap().trim().parse().unwrap()
    }

    /// The status and body of `/health`.
    pub(crate) async fn health(&mut self) -> (u16, Value) {
        let port = self.port("Liveness").await;
        let (status, body) = get(port, "/health").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The metrics in the text format.
    pub(crate) async fn metrics(&mut self) -> String {
        let port = self.port("Metrics").await;
        get(port, "/metrics").await.1
    }

    /// The value of a metric with all its labels; none when there is no such line.
    pub(crate) async fn metric(&mut self, name: &str) -> Option<f64> {
        let metrics = self.metrics().await;
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}

impl Process {
    /// Waits until a metric has a value; more than that is wrong.
    pub(crate) async fn reaches(&mut self, name: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        while self.metric(name).await != Some(value) {
            let found = self.metric(name).await;
            let waited = Instant::now() < deadline && found.is_none_or(|found| found <= value);
            assert!(waited, "{name} is {found:?} instead of {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Process {
    /// Waits until a metric has at least this value.
    pub(crate) async fn comes_to(&mut self, name: &str, value: f64) {
        let deadline = Instant::now() + PATIENCE;
        while self.metric(name).await.is_none_or(|found| found < value) {
            let waited = Instant::now() < deadline;
            assert!(waited, "{name} is less than {value}:\n{}", self.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A GET without any HTTP library, as a probe makes it.
pub(crate) async fn get(port: u16, path: &str) -> (u16, String) {
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Ports that nobody listens on. They lie below those that a system gives out by itself: one of these
/// could be gone before it is taken. All are held while they are chosen, so that they differ.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let mut random = StdRng::from_os_rng();
    let mut draw = || {
        let mut ports =
            std::iter::repeat_with(|| random.random_range(20_000_u16..30_000)).take(100);
        let listener = ports.find_map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok());
        listener.expect("a free port")
    };
    let sockets = [(); N].map(|()| draw());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// The repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text without what differs from run to run, and without its line breaks.
pub(crate) fn shape(text: &str) -> String {
    let words = text.split_whitespace().map(|word| match word {
        address if address.contains("…@") => "@",
        figure if figure.contains(|c: char| c.is_ascii_digit()) => "#",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}
