//! The life of a process (A-03, E-01): what has to stand before the first run, and the end.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use base::{
    Clock,
    http::{ClientOptions, Http, SetupError, chain},
};
use http::{HeaderValue, Response, request::Parts};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use tokio::{sync::watch, time};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    callback::Callback,
    changes,
    config::{ConfigError, Configuration, Environment, SettingsMap, text},
    context::Context,
    deadline::Deadline,
    health::Heartbeat,
    log::{Console, Keeper, Log, Shipper},
    metrics::Metrics,
    platform::Platform,
    registry::{Item, Registry},
    run_error::RunError,
    run_loop::RunLoop,
    schema::{ManifestError, ModuleManifest},
    secrets::{Asker, Secrets, SecretsError},
    sentry::Sentry,
    serve::{Server, serve},
    settings, stop,
    storage::{
        Around, ObjectSettings, Opened, Reader, Stamp, StateFile, Storage, StorageError,
        Whereabouts,
    },
};

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
        directories: Directories,
        environment: Environment,
        console: Console,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        let configuration = Configuration::open(&directories.config, environment.clone())?;
        Ok(Self {
            http: http_client(&configuration)?,
            directories,
            environment,
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
pub async fn run(
    registry: &Registry,
    command: &str,
    directories: Directories,
    environment: Environment,
) -> Result<(), StartError> {
    let stop = stop::on_signals(0).map_err(StartError::Signals)?;
    let console = console(command, &directories, &environment)?;
    let host = Host::process(directories, environment, console, stop)?;
    let log = Log::new(command, host.clock.clone(), host.console.clone());
    let panics = log.clone();
    std::panic::set_hook(Box::new(move |panic| panics.error(panic.to_string())));
    live(registry, command, host, log).await
}

/// Where the log goes, in the form that the key `log_format` asks for.
fn console(
    command: &str,
    directories: &Directories,
    environment: &Environment,
) -> Result<Console, StartError> {
    let configuration = Configuration::open(&directories.config, environment.clone())?;
    let format = configuration.filled_text("log_format")?;
    match format.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("text") => Ok(Console::stderr()),
        Some("json") => Ok(Console::json(command, Clock::system())),
        Some(other) => Err(StartError::LogFormat(other.to_owned())),
    }
}

/// The way out that the key `ca_cert` (C-29) and the environment's proxies ask for.
///
/// # Errors
/// When one of them cannot be used.
pub fn http_client(configuration: &Configuration) -> Result<Http, StartError> {
    Ok(Http::client(&client_options(configuration)?)?)
}

fn client_options(configuration: &Configuration) -> Result<ClientOptions, StartError> {
    let ca_cert = configuration.verbatim("ca_cert")?;
    let environment = configuration.environment();
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
) -> Result<Reader, StartError> {
    let whereabouts = Whereabouts::read(configuration, data)?;
    let http = match whereabouts {
        Whereabouts::Directory(_) => http.clone(),
        Whereabouts::Objects(_) => object_client(configuration, http)?,
    };
    Ok(whereabouts.reader(http, clock))
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
    let sentry = Sentry::start(
        &start.configuration,
        &start.module,
        command,
        &start.host.http,
    )?;
    if let Some(sentry) = &sentry {
        log.report_to(sentry.reporter());
    }
    let (http, platform) = (start.host.http.clone(), start.platform.clone());
    let shipper = Shipper::start(&log, http, platform, start.agent.clone());

    let deadline = Deadline::of(&start.host.stop);
    let result = start.until_stop(&deadline).await;
    if let Err(error) = &result {
        log.post_error(&chain(error));
    }
    let reports = async {
        if let Some(sentry) = sentry {
            sentry.finish(&deadline).await;
        }
    };
    tokio::join!(shipper.finish(&deadline), reports);
    result
}

/// `product/version` of the module; never the intake key (J-05, departure).
fn agent(module: &ModuleManifest) -> HeaderValue {
    HeaderValue::try_from(format!("{}/{}", module.slug, module.version))
        .unwrap_or(HeaderValue::from_static("sekoiaio-module"))
}

/// Says in the files and in `/health` that this process works on them, and looks now and then whether
/// they are still ours, where nothing is sent that would ask for it.
async fn watch(storage: Storage, heartbeat: Heartbeat) {
    let stamp = Stamp::new();
    let mut is_left = false;
    loop {
        // A failure is told where something that matters more cannot be written.
        if !is_left && stamp.leave(&storage).await.is_ok() {
            heartbeat.works_on(stamp.id);
            is_left = true;
        }
        time::sleep(LOOK).await;
        storage.held().await;
    }
}

/// What stands after the first steps of a start.
pub(super) struct Start<'a> {
    pub(super) item: &'a Item,
    pub(super) module: ModuleManifest,
    pub(super) configuration: Configuration,
    pub(super) host: Host,
    pub(super) log: Log,
    platform: Platform,
    agent: HeaderValue,
}

impl<'a> Start<'a> {
    /// Finds the trigger, its manifest and its configuration.
    pub(super) fn open(
        registry: &'a Registry,
        command: &str,
        host: Host,
        log: Log,
    ) -> Result<Self, StartError> {
        let item = registry.find(command)?;
        let module = ModuleManifest::load(&host.manifest, registry.module_manifest())?;
        let (directory, environment) = (&host.directories.config, host.environment.clone());
        let configuration = Configuration::open(directory, environment)?;
        Ok(Self {
            item,
            platform: Platform::read(&configuration)?,
            agent: agent(&module),
            module,
            configuration,
            host,
            log,
        })
    }

    /// The servers listen first: `/health` answers while secrets are waited for.
    async fn until_stop(self, deadline: &Deadline) -> Result<(), StartError> {
        let heartbeat = Heartbeat::new(self.host.clock.clone(), self.log.clone());
        let metrics = Metrics::new(self.host.clock.clone());
        self.log.time_errors(metrics.register(
            "last_error_timestamp_seconds",
            "When the last error was logged, in seconds since 1970; 0 for never",
            Gauge::default(),
        ));
        self.introduce(&metrics);
        let (health, scraped) = (heartbeat.clone(), metrics.clone());
        let _liveness = self
            .listen("liveness_port", 8000, "Liveness", move |request| {
                health.answer(request)
            })
            .await?;
        let scrapes = self
            .listen("metrics_port", 8020, "Metrics", move |request| {
                scraped.answer(request)
            })
            .await?;
        heartbeat.serves_metrics_on(scrapes.port);
        let Some(opened) = self.open_storage(&self.host.directories.data).await? else {
            return Ok(());
        };
        let storage = opened.storage();
        let log = self.log.clone();
        let keeper = Keeper::start(log.clone(), storage.clone());
        let _watch =
            AbortOnDropHandle::new(tokio::spawn(watch(storage.clone(), heartbeat.clone())));
        let result = self.run_with(storage, heartbeat, metrics, deadline).await;
        if let Err(error) = &result {
            log.remember(&chain(error));
        }
        keeper.finish(deadline).await;
        result.and(opened.close(deadline).await.map_err(StartError::from))
    }

    /// Says in the metrics what this process is.
    fn introduce(&self, metrics: &Metrics) {
        let manifest = &self.item.manifest;
        let labels = manifest.labels.iter();
        let mut labels: Vec<(String, String)> = labels
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        labels.push(("command".to_owned(), manifest.command.clone()));
        labels.push(("version".to_owned(), self.module.version.clone()));
        let info = Family::<Vec<(String, String)>, Gauge>::default();
        let info = metrics.register(
            "message_trace_info",
            "What this process is: its version, its command, and the labels of its manifest",
            info,
        );
        info.get_or_create(&labels).set(1);
    }

    /// Runs the trigger until the stop.
    async fn run_with(
        self,
        storage: Storage,
        heartbeat: Heartbeat,
        metrics: Metrics,
        deadline: &Deadline,
    ) -> Result<(), StartError> {
        let (told, secrets) = watch::channel(Secrets::default());
        match self.secrets().await {
            Err(SecretsError::Stopped) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(Asked::Got(found)) => _ = told.send(found),
            Ok(Asked::Nobody) => {}
            Ok(Asked::InVain) => {
                let asking = self.asker().later(self.configuration.clone(), told);
                tokio::spawn(asking);
            }
        }
        if self.configuration.object("module_configuration")?.is_none() {
            return Err(self.configuration.missing("module_configuration").into());
        }
        let context = self.context(storage, heartbeat, metrics);
        let (noticed, changes) = watch::channel(0);
        let stop = self.host.stop.clone();
        let watching = changes::watch(self.configuration.clone(), noticed, self.log.clone(), stop);
        let _watching = AbortOnDropHandle::new(tokio::spawn(watching));
        RunLoop::new(&self, secrets, changes, context, deadline.clone())
            .turn()
            .await?;
        Ok(())
    }

    /// What surrounds the runs.
    pub(super) fn context(
        &self,
        storage: Storage,
        heartbeat: Heartbeat,
        metrics: Metrics,
    ) -> Context {
        let Host {
            http, clock, stop, ..
        } = self.host.clone();
        let callback = Callback {
            platform: self.platform.clone(),
            http: http.clone(),
            agent: self.agent.clone(),
            clock: clock.clone(),
            log: self.log.clone(),
            heartbeat: heartbeat.clone(),
            stop: stop.clone(),
        };
        Context {
            clock,
            http,
            stop,
            log: self.log.clone(),
            storage,
            metrics,
            heartbeat,
            callback,
            module_configuration: SettingsMap::default(),
            configuration: self.configuration.clone(),
        }
    }

    async fn listen(
        &self,
        key: &'static str,
        default: u16,
        purpose: &'static str,
        answer: impl Fn(&Parts) -> Response<String> + Send + Sync + 'static,
    ) -> Result<Server, StartError> {
        let port = self.configuration.port(key, default)?;
        let server = serve(port, answer)
            .await
            .map_err(|source| StartError::Port { port, key, source })?;
        self.log.info(format!(
            "{purpose} server listening on port {}",
            server.port
        ));
        Ok(server)
    }

    /// Takes the place of the files into use. None when the stop came while it was waited for.
    pub(super) async fn open_storage(&self, data: &Path) -> Result<Option<Opened>, StartError> {
        match Whereabouts::read(&self.configuration, data)? {
            Whereabouts::Directory(root) => self.open_directory(root).await,
            Whereabouts::Objects(settings) => self.open_objects(*settings, data).await,
        }
    }

    /// A disk may hang, which must not hold up a stop.
    async fn open_directory(&self, root: PathBuf) -> Result<Option<Opened>, StartError> {
        let path = root.clone();
        let (log, stop) = (self.log.clone(), self.host.stop.clone());
        let opening = tokio::task::spawn_blocking(move || Opened::directory(root, log, stop));
        let Some(opened) = self.host.stop.run_until_cancelled(opening).await else {
            return Ok(None);
        };
        let opened = opened.map_err(|error| StorageError::Root {
            path,
            source: io::Error::other(error),
        })?;
        Ok(Some(opened?))
    }

    async fn open_objects(
        &self,
        settings: ObjectSettings,
        data: &Path,
    ) -> Result<Option<Opened>, StartError> {
        let around = Around {
            http: object_client(&self.configuration, &self.host.http)?,
            clock: &self.host.clock,
            log: &self.log,
            stop: &self.host.stop,
            host: self.host.environment.get("HOSTNAME").unwrap_or_default(),
        };
        let opened = Opened::objects(settings, around).await?;
        if let Some(opened) = &opened {
            let storage = opened.storage();
            let telling = self.tell_of_left_state(&storage, data);
            _ = self.host.stop.run_until_cancelled(telling).await;
        }
        Ok(opened)
    }

    /// The data directory is not used beside an object store; a position in it would be missed.
    async fn tell_of_left_state(&self, objects: &Storage, data: &Path) {
        let below = self.configuration.filled_text("sub_folder");
        let left = data
            .join(below.ok().flatten().unwrap_or_default())
            .join(StateFile::USUAL_NAME);
        if left.is_file() && matches!(objects.read(StateFile::USUAL_NAME).await, Ok(None)) {
            self.log.warning(format!(
                "The state in {} is not used, as file_backend is S3, and the bucket has none yet: \
                 to go on from there, stop the trigger, copy the folder's files into the bucket, \
                 and start it.",
                left.display()
            ));
        }
    }

    pub(super) fn asker(&self) -> Asker {
        Asker {
            platform: self.platform.clone(),
            http: self.host.http.clone(),
            agent: self.agent.clone(),
            log: self.log.clone(),
            stop: self.host.stop.clone(),
        }
    }

    /// Asks the platform for secrets, as patiently as the configuration needs them.
    pub(super) async fn secrets(&self) -> Result<Asked, SecretsError> {
        let asker = self.asker();
        if settings::waits_for_secrets(self.item, &self.module, &self.configuration) {
            // Whoever runs the module without the platform fills the settings in.
            let needed = asker.has_address() || !self.module.configuration.secrets().is_empty();
            return match needed {
                true => asker.patiently().await.map(Asked::Got),
                false => Ok(Asked::Nobody),
            };
        }
        if !asker.has_address() {
            return Ok(Asked::Nobody);
        }
        match asker.briefly().await {
            Ok(secrets) => Ok(Asked::Got(secrets)),
            Err(SecretsError::Stopped) => Err(SecretsError::Stopped),
            Err(error) => {
                self.log.warning(format!(
                    "The platform's secrets are not to be had at the moment, and the configuration \
                     waits for none: the trigger starts without them: {}",
                    chain(&error)
                ));
                Ok(Asked::InVain)
            }
        }
    }
}

/// What came of asking the platform for secrets.
pub(super) enum Asked {
    /// Its answer.
    Got(Secrets),
    /// No answer, and none is needed.
    InVain,
    /// There is nobody to ask.
    Nobody,
}

impl Asked {
    pub(super) fn secrets(self) -> Secrets {
        match self {
            Self::Got(secrets) => secrets,
            Self::InVain | Self::Nobody => Secrets::default(),
        }
    }
}

#[cfg(test)]
mod tests;
