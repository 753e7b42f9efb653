//! Who is measured, and how each is started.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{process::Process, site::Site, stock::Dialect};

/// A program that moves rows from pages to the intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    /// The module with one of its triggers.
    Module(Trigger),
    /// The module with a service account, hiding subjects and addresses.
    Hiding,
    /// What moves the bytes and looks at none of them.
    Relay(Dialect),
    /// The same with Graph's rows, under Graph's quota: it waits as the module does.
    PacedRelay,
    /// The vendor's SDK for Python.
    Python,
}

/// The triggers of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A service account that reads the Reporting Web Service.
    Account,
    /// An app that reads the Reporting Web Service.
    Oauth,
    /// An app that reads Microsoft Graph.
    Graph,
}

impl Trigger {
    /// The module's command.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Account => "message_trace",
            Self::Oauth => "message_trace_oauth",
            Self::Graph => "message_trace_graph",
        }
    }

    /// The form of its rows.
    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Self::Account | Self::Oauth => Dialect::Reporting,
            Self::Graph => Dialect::Graph,
        }
    }
}

impl Contestant {
    /// The module with each of its triggers.
    pub(crate) const MODULES: [Self; 3] = [
        Self::Module(Trigger::Account),
        Self::Module(Trigger::Oauth),
        Self::Module(Trigger::Graph),
    ];

    /// Whose settings it gets.
    pub(crate) const fn trigger(self) -> Trigger {
        match self {
            Self::Module(trigger) => trigger,
            Self::Hiding | Self::Relay(_) | Self::PacedRelay | Self::Python => Trigger::Account,
        }
    }

    /// Its name in tables.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Module(trigger) => format!("`{}`", trigger.command()),
            Self::Hiding => format!("`{}`, all hashed", self.trigger().command()),
            Self::Relay(Dialect::Reporting) => "relay".to_owned(),
            Self::Relay(Dialect::Graph) => "relay (Graph, no quota)".to_owned(),
            Self::PacedRelay => "relay (Graph)".to_owned(),
            Self::Python => "Python SDK".to_owned(),
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// The module's binary.
    pub(crate) module: PathBuf,
    /// This program, which holds the relay.
    pub(crate) own: PathBuf,
    /// A Python that has the vendor's SDK.
    pub(crate) python: Option<PathBuf>,
}

impl Programs {
    /// The module with each of its triggers, and the loop on the vendor's SDK if it is there.
    pub(crate) fn collectors(&self) -> Vec<Contestant> {
        let python = self.python.iter().map(|_| Contestant::Python);
        Contestant::MODULES.into_iter().chain(python).collect()
    }
}

/// A place to run in, with a configuration; it is gone when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    folder: TempDir,
}

impl Seat {
    /// A fresh place whose trigger configuration has these `settings` beside those that `trigger`
    /// needs to talk to `site`.
    pub(crate) fn new(trigger: Trigger, site: &Site, settings: &Value) -> io::Result<Self> {
        let seat = Self {
            folder: TempDir::with_prefix("benchmark-")?,
        };
        for folder in [seat.config(), seat.data()] {
            fs::create_dir(folder)?;
        }
        let files = [
            ("module_configuration", "{}".to_owned()),
            (
                "trigger_configuration",
                merged([shared(site), own(trigger, site), settings.clone()]).to_string(),
            ),
            (
                "token",
                site.emulator()
                    .settings()
                    .platform
                    .token
                    .expose()
                    .to_owned(),
            ),
            ("url_callback", format!("{}/api/callback", site.sekoia())),
            ("liveness_port", "0".to_owned()),
            ("metrics_port", "0".to_owned()),
        ];
        for (name, content) in files {
            fs::write(seat.config().join(name), content)?;
        }
        if let Some(authority) = site.authority() {
            fs::write(seat.authority(), authority)?;
        }
        Ok(seat)
    }

    /// Stands for `/symphony`.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("symphony")
    }

    /// Stands for `/symphony_data`.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("symphony_data")
    }

    /// The certificate authority that is trusted here, when there is TLS.
    fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// What was printed on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn start(&self, command: &mut Command) -> io::Result<Process> {
        let log = File::create(self.folder.path().join("log"))?;
        if self.authority().exists() {
            command.env("REQUESTS_CA_BUNDLE", self.authority());
        }
        let command = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Process::start(command)
    }

    /// Starts a contestant here that collects by itself.
    pub(crate) fn collector(
        &self,
        programs: &Programs,
        contestant: Contestant,
    ) -> io::Result<Process> {
        match (contestant, &programs.python) {
            (Contestant::Module(_) | Contestant::Hiding, _) => {
                self.module(&programs.module, contestant.trigger())
            }
            (Contestant::Python, Some(python)) => self.python(python),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Starts the module here.
    pub(crate) fn module(&self, binary: &Path, trigger: Trigger) -> io::Result<Process> {
        let mut command = Command::new(binary);
        command.arg(trigger.command()).env_clear();
        command.arg("--config-dir").arg(self.config());
        command.arg("--data-dir").arg(self.data());
        self.start(&mut command)
    }

    /// Starts the module's library inside of this program, on a time of its own.
    pub(crate) fn accelerated(
        &self,
        own: &Path,
        trigger: Trigger,
        arguments: &[String],
    ) -> io::Result<Process> {
        let mut command = Command::new(own);
        command
            .arg("accelerated")
            .arg(trigger.command())
            .env_clear();
        command.arg(self.config()).arg(self.data()).args(arguments);
        self.start(&mut command)
    }

    /// Starts the relay here, which moves this many rows, under a quota of pages if there is one.
    pub(crate) fn relay(
        &self,
        own: &Path,
        site: &Site,
        rows: u64,
        page_rows: usize,
        quota: Option<u64>,
    ) -> io::Result<Process> {
        let mut command = Command::new(own);
        command.arg("relay").env_clear();
        command.args([site.microsoft(), format!("{}/intake/batch", site.sekoia())]);
        command.args([rows.to_string(), page_rows.to_string()]);
        if let Some(quota) = quota {
            command.arg("--quota").arg(quota.to_string());
        }
        self.start(&mut command)
    }

    /// Starts the loop on the vendor's SDK here, as its container would be started.
    fn python(&self, python: &Path) -> io::Result<Process> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(
            repository.join("../manifest.json"),
            self.folder.path().join("manifest.json"),
        )?;
        let mut command = Command::new(python);
        command
            .arg(repository.join("python/message_trace.py"))
            .arg("message_trace");
        command.env_clear();
        for file in fs::read_dir(self.config())? {
            let file = file?;
            // The SDK reads variables where the platform's folder is missing.
            let name = file.file_name().to_string_lossy().to_uppercase();
            command.env(name, fs::read_to_string(file.path())?);
        }
        command
            .env("URL_LOGS", "")
            .env("BENCHMARK_DATA", self.data());
        self.start(&mut command)
    }
}

/// The settings that all triggers have.
fn shared(site: &Site) -> Value {
    let settings = site.emulator().settings();
    let key = settings.intake.keys.first().map(emulator::Secret::expose);
    json!({
        "intake_key": key,
        "intake_server": format!("{}/intake", site.sekoia()),
        "timedelta": 0,
    })
}

fn own(trigger: Trigger, site: &Site) -> Value {
    let reporting = json!({
        "reporting_url": format!("{}/ecp/reportingwebservice/reporting.svc", site.microsoft()),
    });
    match trigger {
        Trigger::Account => {
            let settings = site.emulator().settings();
            let account = settings.report.accounts.first();
            let sign_in = json!({
                "account_name": account.map(|account| &account.name),
                "account_password": account.map(|account| account.password.expose()),
            });
            merged([reporting, sign_in])
        }
        Trigger::Oauth => merged([reporting, app(site)]),
        Trigger::Graph => merged([
            json!({"graph_url": format!("{}/v1.0", site.microsoft())}),
            app(site),
        ]),
    }
}

/// An app registration of the emulated organization.
fn app(site: &Site) -> Value {
    let identity = site.emulator().settings().identity;
    let app = identity.apps.first();
    let secret = app.and_then(|app| app.secrets.first());
    json!({
        "tenant_id": identity.tenant_id,
        "client_id": app.map(|app| &app.client_id),
        "client_secret": secret.map(|secret| secret.value.expose()),
        "login_url": site.microsoft(),
    })
}

fn merged(parts: impl IntoIterator<Item = Value>) -> Value {
    let objects = parts.into_iter().filter_map(|part| match part {
        Value::Object(object) => Some(object),
        _ => None,
    });
    objects.flatten().collect::<serde_json::Map<_, _>>().into()
}
