//! Who is measured, and how each is started.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use emulator::Endpoint;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Arguments, process::Process, report::say, site::Site};

/// A program that moves rows from pages to the intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contestant {
    Module(Trigger),
    /// The module with a service account, hiding subjects and addresses.
    Hiding,
    /// What moves this service's bytes and looks at none of them; it keeps to Graph's quota.
    Relay(Endpoint),
    Python,
}

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
    pub(crate) const ALL: [Self; 3] = [Self::Account, Self::Oauth, Self::Graph];

    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Account => "message_trace",
            Self::Oauth => "message_trace_oauth",
            Self::Graph => "message_trace_graph",
        }
    }

    /// Where its rows come from.
    pub(crate) const fn service(self) -> Endpoint {
        match self {
            Self::Account | Self::Oauth => Endpoint::Report,
            Self::Graph => Endpoint::Graph,
        }
    }
}

/// Rows on a full page of a service.
pub(crate) const fn page_rows(service: Endpoint) -> usize {
    match service {
        Endpoint::Graph => 5000,
        _ => 2000,
    }
}

impl Contestant {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Module(trigger) => format!("`{}`", trigger.command()),
            Self::Hiding => format!("`{}`, all hashed", Trigger::Account.command()),
            Self::Relay(Endpoint::Graph) => "relay (Graph)".to_owned(),
            Self::Relay(_) => "relay".to_owned(),
            Self::Python => "Python SDK".to_owned(),
        }
    }
}

const SDK: &str = "sekoia-automation-sdk==1.27.0";

#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) arguments: Arguments,
    pub(crate) module: PathBuf,
    /// A Python that has the vendor's SDK.
    pub(crate) python: Option<PathBuf>,
}

impl Bench {
    pub(crate) fn prepare(arguments: Arguments) -> anyhow::Result<Self> {
        Ok(Self {
            module: match &arguments.module {
                Some(file) => file.canonicalize().context("cannot find the binary")?,
                None => build()?,
            },
            python: if arguments.no_python { None } else { python() },
            arguments,
        })
    }
}

/// This program, to be told what to do instead of measuring.
pub(crate) fn inside() -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.env_clear();
    Ok(command)
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn build() -> anyhow::Result<PathBuf> {
    say("Building the static release binary of the module ...");
    let mut build = Command::new(repository().join(".ci/build-static"));
    let built = build.stderr(Stdio::inherit()).output();
    let built = built.context("cannot start .ci/build-static")?;
    if !built.status.success() {
        bail!("the module could not be built; --module names a binary instead");
    }
    let path = String::from_utf8(built.stdout)?;
    Ok(repository().join(path.trim()))
}

/// A Python with the vendor's SDK, in an environment of its own; none where it cannot be had.
fn python() -> Option<PathBuf> {
    let folder = repository().join("target/benchmark-python");
    let python = folder.join("bin/python");
    let succeeds = |command: &mut Command| {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let mut venv = Command::new("python3");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", SDK]);
    let is_there = python.exists() || succeeds(venv.args(["-m", "venv"]).arg(&folder));
    if !is_there || !succeeds(&mut install) {
        say(format_args!(
            "Python with {SDK} cannot be had: it is skipped."
        ));
        return None;
    }
    Some(python)
}

/// The files, by their names, with all that any trigger needs to talk to the emulated services at these
/// roots, and more `settings`.
pub(crate) fn inputs(
    microsoft: &str,
    sekoia: &str,
    settings: &Value,
) -> [(&'static str, String); 6] {
    let mut trigger = json!({
        "account_name": "svc@contoso.example",
        "account_password": "correct horse battery staple",
        "tenant_id": "7f1d5a3c-2b8e-4c60-9d14-0a6be35c8f21",
        "client_id": "c0ffee00-1d1d-4a4a-8b8b-5eed5eed5eed",
        "client_secret": "emulated~client~secret",
        "intake_key": "emulated-intake-key",
        "intake_server": format!("{sekoia}/intake"),
        "reporting_url": format!("{microsoft}/ecp/reportingwebservice/reporting.svc"),
        "graph_url": format!("{microsoft}/v1.0"),
        "login_url": microsoft,
    });
    if let (Some(all), Some(more)) = (trigger.as_object_mut(), settings.as_object()) {
        all.extend(more.clone());
    }
    [
        ("module_configuration", "{}".to_owned()),
        ("trigger_configuration", trigger.to_string()),
        ("token", "emulated-token".to_owned()),
        ("url_callback", format!("{sekoia}/api/callback")),
        ("liveness_port", "0".to_owned()),
        ("metrics_port", "0".to_owned()),
    ]
}

/// What stands for `/symphony` and `/symphony_data`.
pub(crate) const CONFIG: &str = "symphony";
pub(crate) const DATA: &str = "symphony_data";

/// A place to run in, with a configuration; it is gone when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    folder: TempDir,
    inputs: [(&'static str, String); 6],
}

impl Seat {
    /// A fresh place whose trigger talks to `site`, with these `settings` beside.
    pub(crate) fn new(site: &Site, settings: &Value) -> io::Result<Self> {
        let seat = Self {
            folder: TempDir::with_prefix("benchmark-")?,
            inputs: inputs(&site.microsoft, &site.sekoia, settings),
        };
        fs::create_dir(seat.path(CONFIG))?;
        fs::create_dir(seat.path(DATA))?;
        for (name, content) in &seat.inputs {
            fs::write(seat.path(CONFIG).join(name), content)?;
        }
        if let Some(authority) = &site.authority {
            fs::write(seat.path("authority.pem"), authority.pem())?;
        }
        Ok(seat)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What was printed on standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn start(&self, command: &mut Command) -> io::Result<Process> {
        let log = File::create(self.path("log"))?;
        let authority = self.path("authority.pem");
        if authority.exists() {
            command.env("REQUESTS_CA_BUNDLE", authority);
        }
        let command = command.current_dir(self.folder.path()).stdin(Stdio::null());
        Process::start(command.stdout(Stdio::null()).stderr(log))
    }

    /// Starts a contestant here that collects by itself.
    pub(crate) fn collector(&self, bench: &Bench, who: Contestant) -> anyhow::Result<Process> {
        let trigger = match who {
            Contestant::Module(trigger) => trigger,
            Contestant::Hiding => Trigger::Account,
            Contestant::Python => {
                let python = bench.python.as_deref().context("no Python")?;
                return Ok(self.python(python)?);
            }
            Contestant::Relay(_) => bail!("the relay has to be told what to move"),
        };
        let mut command = Command::new(&bench.module);
        command.arg(trigger.command()).env_clear();
        command.arg("--config-dir").arg(self.path(CONFIG));
        command.arg("--data-dir").arg(self.path(DATA));
        Ok(self.start(&mut command)?)
    }

    /// Starts the loop on the vendor's SDK here, as its container would be started.
    fn python(&self, python: &Path) -> io::Result<Process> {
        let manifest = "manifest.json";
        fs::copy(repository().join(manifest), self.path(manifest))?;
        let mut command = Command::new(python);
        command.arg(repository().join("benches/python/message_trace.py"));
        command.arg("message_trace").env_clear();
        // The SDK reads variables where the platform's folder is missing.
        let variables = self.inputs.iter();
        command.envs(variables.map(|(name, content)| (name.to_uppercase(), content)));
        command.env("URL_LOGS", "");
        command.env("BENCHMARK_DATA", self.path(DATA));
        self.start(&mut command)
    }
}
