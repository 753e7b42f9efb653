//! The life of a process (A-03, E-01): what has to stand before the first run, and the end.

mod start;

use std::{
    io,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use base::{
    Clock,
    http::{ClientOptions, Http, SetupError, chain},
};
use http::HeaderValue;
use tokio::time;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    config::{ConfigError, Configuration, Environment, text},
    deadline::{Deadline, finish_all},
    health::{Heartbeat, Side},
    log::{Console, Log, ship},
    registry::Registry,
    run_error::RunError,
    schema::{ManifestError, ModuleManifest},
    secrets::SecretsError,
    sentry::Reporter,
    stop,
    storage::{
        LocalBackend, ObjectBackend, ObjectSettings, Storage, StorageError, StorageLocation,
        directory, leave_stamp,
    },
};

pub(super) use self::start::{Asked, Start};

/// How often it is looked whether the files are still ours.
const LOOK: Duration = Duration::from_secs(10);

/// Where a process finds its files.
#[derive(Clone, Debug)]
pub struct Directories {
    /// Configuration files, one for each key.
    pub config: PathBuf,
    /// What survives restarts.
    pub data: PathBuf,
}

impl Default for Directories {
    /// The platform's (B-01, L-01).
    fn default() -> Self {
        Self {
            config: "/symphony".into(),
            data: "/symphony_data".into(),
        }
    }
}

/// What a command works with.
#[derive(Clone, Debug)]
pub struct Installation<'a> {
    /// The triggers.
    pub registry: &'a Registry,
    /// Where its files are.
    pub directories: Directories,
    /// Its environment variables.
    pub environment: Environment,
}

impl Installation<'_> {
    pub(super) fn configuration(&self) -> Result<Configuration, ConfigError> {
        Configuration::open(&self.directories.config, self.environment.clone())
    }
}

/// What a process lives on. Tests put other things in the place of the real ones.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where its files are.
    pub directories: Directories,
    /// Its environment variables.
    pub environment: Environment,
    /// The module's manifest; when there is no such file, the compiled-in text counts.
    pub manifest: PathBuf,
    /// The way out.
    pub http: Http,
    /// Wall time.
    pub clock: Clock,
    /// Where its log lines are printed.
    pub console: Console,
    /// Ends it.
    pub stop: CancellationToken,
}

impl Host {
    /// This process, with its clock and its network.
    pub(super) fn process(
        installation: &Installation<'_>,
        console: Console,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        Ok(Self {
            http: http_client(&installation.configuration()?)?,
            directories: installation.directories.clone(),
            environment: installation.environment.clone(),
            manifest: "manifest.json".into(),
            clock: Clock::system(),
            console,
            stop,
        })
    }
}

/// Why a process could not start. Each text is one sentence for stderr.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No such command.
    #[error("there is no command {command:?}; the commands are: {}", .known.join(", "))]
    UnknownCommand {
        /// What was given.
        command: String,
        /// What could be given.
        known: Vec<String>,
    },
    /// A manifest is unusable.
    #[error("cannot start without its manifest")]
    Manifest(#[from] ManifestError),
    /// A trigger's manifest, which is compiled in, is unusable.
    #[error("cannot start with a broken trigger manifest: {0}")]
    TriggerManifest(String),
    /// A key of the configuration is missing or unusable.
    #[error("cannot start with this configuration")]
    Config(#[from] ConfigError),
    /// The log has no such form.
    #[error("log_format is {0:?}, allowed is text or json: correct it, or leave it out for text")]
    LogFormat(String),
    /// A port cannot be listened on.
    #[error("cannot listen on port {port}: choose a free one with the key {key}")]
    Port {
        /// The port.
        port: u16,
        /// The key that sets it.
        key: &'static str,
        /// The failure below.
        source: io::Error,
    },
    /// The data directory or the object store is unusable, or another process has it.
    #[error("cannot go on without data storage")]
    Storage(#[from] StorageError),
    /// Secrets that the configuration holds placeholders for could not be had.
    #[error("cannot start without the secrets")]
    Secrets(#[from] SecretsError),
    /// The HTTP client could not be made.
    #[error("cannot set up the HTTP client")]
    Http(#[from] SetupError),
    /// A run has ended with an error that no other run could do better with.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The signal handlers could not be installed.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// Lives the whole life of a process: everything from the first file to the last log line. It ends
/// at SIGTERM or SIGINT, within five seconds.
///
/// # Errors
/// When something is missing without which no run can be tried; print it with
/// [`chain`] and exit with 1. A rejected trigger configuration is no such thing: the process stays
/// up and reads it again (E-05, E-06).
pub async fn run(installation: &Installation<'_>, command: &str) -> Result<(), StartError> {
    let stop = stop::on_signals(0).map_err(StartError::Signals)?;
    let console = console(installation, command)?;
    let host = Host::process(installation, console, stop)?;
    let log = Log::new(command, host.clock.clone(), host.console.clone());
    let panics = log.clone();
    std::panic::set_hook(Box::new(move |panic| panics.error(panic.to_string())));
    live(installation.registry, command, host, log).await
}

/// Where the log goes, in the form that the key `log_format` asks for.
fn console(installation: &Installation<'_>, command: &str) -> Result<Console, StartError> {
    let format = installation.configuration()?.filled_text("log_format")?;
    match format.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("text") => Ok(Console::stderr()),
        Some("json") => Ok(Console::json(command, Clock::system())),
        Some(other) => Err(StartError::LogFormat(other.to_owned())),
    }
}

/// The way out that the key `ca_cert` (C-29) and the environment's proxies ask for.
pub(super) fn http_client(configuration: &Configuration) -> Result<Http, StartError> {
    Ok(Http::client(&client_options(configuration)?)?)
}

fn client_options(configuration: &Configuration) -> Result<ClientOptions, StartError> {
    let ca_cert = configuration.verbatim("ca_cert")?;
    let environment = &configuration.environment;
    Ok(ClientOptions::read(ca_cert, |name| {
        environment.get(name).map(text::bare)
    })?)
}

/// The object store's way out. It alone is shown the certificate of C-27 and C-28.
fn object_client(configuration: &Configuration, http: &Http) -> Result<Http, StartError> {
    let certificate = configuration.filled_text("client_cert")?;
    let key = configuration.secret("client_key")?;
    match (certificate, key) {
        (None, None) => Ok(http.clone()),
        (Some(_), None) => Err(configuration.missing("client_key").into()),
        (None, Some(_)) => Err(configuration.missing("client_cert").into()),
        (Some(certificate), Some(key)) => {
            let options = client_options(configuration)?.showing(certificate, key);
            Ok(Http::client(&options)?)
        }
    }
}

/// The files for reading only, by the way that a run goes to them.
pub(super) fn reader(
    configuration: &Configuration,
    data: &Path,
    http: &Http,
    clock: Clock,
) -> Result<StorageLocation, StartError> {
    let Some(settings) = ObjectSettings::read(configuration)? else {
        let root = directory(configuration, data)?;
        return Ok(StorageLocation::Directory(LocalBackend::unlocked(root)));
    };
    let http = object_client(configuration, http)?;
    let reader = ObjectBackend::look(settings, http, clock).map_err(StorageError::from)?;
    Ok(StorageLocation::Objects(reader))
}

/// As [`run`], on a given host.
///
/// # Errors
/// As [`run`].
pub async fn run_on(registry: &Registry, command: &str, host: Host) -> Result<(), StartError> {
    let log = Log::new(command, host.clock.clone(), host.console.clone());
    live(registry, command, host, log).await
}

async fn live(registry: &Registry, command: &str, host: Host, log: Log) -> Result<(), StartError> {
    let start = Start::open(registry, command, host, log.clone())?;
    let (configuration, http) = (&start.configuration, &start.host.http);
    let sentry = Reporter::start(configuration, &start.module, command, http)?;
    let reports = sentry.map(|(reporter, reports)| {
        log.report_to(reporter);
        reports
    });
    let platform = start.platform.clone();
    let lines = ship(&log, http.clone(), platform, start.agent.clone());

    let deadline = Deadline::of(&start.host.stop);
    let result = start.until_stop(&deadline).await;
    if let Err(error) = &result {
        log.post_error(&chain(error));
    }
    finish_all([Some(lines), reports], &deadline).await;
    result
}

/// `product/version` of the module; never the intake key (J-05, departure).
fn agent(module: &ModuleManifest) -> HeaderValue {
    HeaderValue::try_from(format!("{}/{}", module.slug, module.version))
        .unwrap_or(HeaderValue::from_static("sekoiaio-module"))
}

/// With each of so many looks at an object store it is looked for the files that a start alone writes: each of
/// them is a request.
const LOOKS_AT_OBJECTS: u64 = 6;

/// Says in the files and in `/health` that this process works on them, and looks now and then whether
/// they are still ours, where nothing is sent that would ask for it, and all there.
async fn watch_files(
    storage: Storage,
    id: Uuid,
    in_directory: bool,
    heartbeat: Heartbeat,
    log: Log,
) {
    let every = if in_directory { 1 } else { LOOKS_AT_OBJECTS };
    let mut is_left = false;
    for look in 1_u64.. {
        // A failure is told where something that matters more cannot be written.
        if !is_left && leave_stamp(&storage, id).await.is_ok() {
            heartbeat.works_on(id);
            is_left = true;
        }
        time::sleep(LOOK).await;
        waited_for(storage.held(), &heartbeat).await;
        if look.is_multiple_of(every) {
            // Of what hangs the next wait tells.
            _ = time::timeout(LOOK, storage.put_back(&log)).await;
        }
    }
}

/// Waits until the files can be had, or are certain to be ours: for a lease, or a disk that answers. Nothing is sent
/// meanwhile, and nothing else may fail that would tell of it, so each ten seconds of that count as a failure of the
/// files in `/health`, until it has come.
async fn waited_for<T>(files: impl Future<Output = T>, heartbeat: &Heartbeat) -> T {
    let mut waiting = heartbeat.attempts(Side::Checkpoint);
    let mut files = pin!(files);
    loop {
        match time::timeout(LOOK, &mut files).await {
            Ok(come) => return come,
            Err(_) => waiting.failed(),
        }
    }
}

#[cfg(test)]
mod tests;
