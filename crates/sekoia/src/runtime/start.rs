//! A start, step by step: what has to stand before the first run.

use std::{io, path::PathBuf};

use base::http::chain;
use http::{HeaderValue, Response, request::Parts};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    RunError,
    changes::Watching,
    concealer,
    config::{Configuration, LIVENESS_PORT, METRICS_PORT, SettingsMap},
    context::Context,
    deadline::{Deadline, finish_all},
    health::Heartbeat,
    log::{Log, keep_last_error, keep_last_lines},
    metrics::Metrics,
    platform::Platform,
    registry::{Item, Registry},
    run_loop::RunLoop,
    schema::ModuleManifest,
    secrets::{Asker, Secrets, SecretsError},
    serve::{Server, serve},
    settings::{self, MODULE, Settings},
    storage::{
        LocalBackend, ObjectBackend, ObjectSettings, StateFile, Storage, StorageError,
        StorageLocation, directory, go_on_as_owner,
    },
};

use super::{Host, StartError, agent, object_client, reader, waited_for, watch_files};

/// What stands after the first steps of a start.
pub(crate) struct Start<'a> {
    pub(crate) item: &'a Item,
    pub(crate) module: ModuleManifest,
    pub(crate) configuration: Configuration,
    pub(crate) host: Host,
    pub(crate) log: Log,
    pub(super) platform: Platform,
    pub(super) agent: HeaderValue,
}

impl<'a> Start<'a> {
    /// Finds the trigger, its manifest and its configuration.
    pub(crate) fn open(
        registry: &'a Registry,
        command: &str,
        host: Host,
        log: Log,
    ) -> Result<Self, StartError> {
        let item = registry.find(command)?;
        let module = ModuleManifest::load(&host.manifest, registry.module_manifest)?;
        let (directory, environment) = (&host.directories.config, host.environment.clone());
        let configuration = Configuration::open(directory, environment)?;
        concealer::hide_proxies(&log, &configuration.environment);
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
    pub(super) async fn until_stop(self, deadline: &Deadline) -> Result<(), StartError> {
        let heartbeat = Heartbeat::new(self.host.clock.clone(), self.log.clone());
        let metrics = Metrics::new(self.host.clock.clone());
        self.log.time_errors(metrics.figure(
            "last_error_timestamp_seconds",
            "When the last error was logged, in seconds since 1970; 0 for never",
        ));
        self.introduce(&metrics);
        let (health, scraped) = (heartbeat.clone(), metrics.clone());
        let _liveness = self
            .listen(LIVENESS_PORT, "Liveness", move |request| {
                health.answer(request)
            })
            .await?;
        let scrapes = self
            .listen(METRICS_PORT, "Metrics", move |request| {
                scraped.answer(request)
            })
            .await?;
        heartbeat.serves_metrics_on(scrapes.port);
        let Some(opened) = waited_for(self.open_storage(), &heartbeat).await? else {
            return Ok(());
        };
        let storage = opened.storage();
        let log = self.log.clone();
        let error = keep_last_error(log.clone(), storage.clone());
        let lines = opened.for_lines();
        let lines = lines.map(|storage| keep_last_lines(log.clone(), storage));
        let _watch = AbortOnDropHandle::new(tokio::spawn(watch_files(
            storage.clone(),
            opened.id(),
            opened.root().is_some(),
            heartbeat.clone(),
            log.clone(),
        )));
        let result = self.run_with(storage, heartbeat, metrics, deadline).await;
        if let Err(error) = &result {
            log.remember(&chain(error));
        }
        finish_all([Some(error), lines], deadline).await;
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
        let info: Family<Vec<(String, String)>, Gauge> = metrics.figure(
            "message_trace_info",
            "What this process is: its version, its command, and the labels of its manifest",
        );
        info.get_or_create(&labels).set(1);
    }

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
            Ok(Asked::InVain(error)) => {
                self.log.warning(format!(
                    "The platform's secrets are not to be had at the moment, and the configuration \
                     waits for none: the trigger starts without them: {}",
                    chain(&error)
                ));
                let asking = self.asker().later(self.configuration.clone(), told);
                tokio::spawn(asking);
            }
        }
        self.configuration.required(MODULE)?;
        let context = self.context(storage, heartbeat, metrics);
        let (noticed, changes) = watch::channel(0);
        let watching = Watching::begin(self.configuration.clone()).await;
        let _watching = watching.map(|watching| {
            let watching = watching.watch(noticed, self.log.clone());
            AbortOnDropHandle::new(tokio::spawn(watching))
        });
        RunLoop::new(&self, secrets, changes, context, deadline.clone())
            .turn()
            .await?;
        Ok(())
    }

    pub(crate) fn context(
        &self,
        storage: Storage,
        heartbeat: Heartbeat,
        metrics: Metrics,
    ) -> Context {
        Context {
            clock: self.host.clock.clone(),
            http: self.host.http.clone(),
            ending: self.host.stop.clone(),
            stop: self.host.stop.clone(),
            log: self.log.clone(),
            storage,
            metrics,
            heartbeat,
            module_configuration: SettingsMap::default(),
            configuration: self.configuration.clone(),
            agent: self.agent.clone(),
        }
    }

    async fn listen(
        &self,
        key: (&'static str, u16),
        purpose: &'static str,
        answer: impl Fn(&Parts) -> Response<String> + Send + Sync + 'static,
    ) -> Result<Server, StartError> {
        let port = self.configuration.port(key)?;
        let (key, _) = key;
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
    pub(crate) async fn open_storage(&self) -> Result<Option<StorageLocation>, StartError> {
        match ObjectSettings::read(&self.configuration)? {
            None => {
                let root = directory(&self.configuration, &self.host.directories.data)?;
                self.open_directory(root).await
            }
            Some(settings) => self.open_objects(settings).await,
        }
    }

    pub(crate) fn reader(&self) -> Result<StorageLocation, StartError> {
        let (host, data) = (&self.host, &self.host.directories.data);
        reader(&self.configuration, data, &host.http, host.clock.clone())
    }

    /// A disk may hang, which must not hold up a stop.
    async fn open_directory(&self, root: PathBuf) -> Result<Option<StorageLocation>, StartError> {
        let path = root.clone();
        let (log, stop) = (self.log.clone(), self.host.stop.clone());
        let configuration = self.host.directories.config.clone();
        let opening = tokio::task::spawn_blocking(move || {
            go_on_as_owner(&root, &configuration, &log)?;
            // When another process takes it, because the lock was deleted, `stop` is cancelled.
            Ok::<_, StorageError>(LocalBackend::open(root)?.watched(log, stop))
        });
        let Some(opened) = self.host.stop.run_until_cancelled(opening).await else {
            return Ok(None);
        };
        let opened = opened.map_err(|error| StorageError::Root {
            path,
            source: io::Error::other(error),
        })?;
        Ok(Some(StorageLocation::Directory(opened?)))
    }

    async fn open_objects(
        &self,
        settings: ObjectSettings,
    ) -> Result<Option<StorageLocation>, StartError> {
        let http = object_client(&self.configuration, &self.host.http)?;
        let (clock, stop) = (&self.host.clock, &self.host.stop);
        let host = self.host.environment.get("HOSTNAME").unwrap_or_default();
        let opened = ObjectBackend::open(settings, http, clock, &self.log, stop, host).await;
        let Some(objects) = opened.map_err(StorageError::from)? else {
            return Ok(None);
        };
        let opened = StorageLocation::Objects(objects);
        let storage = opened.storage();
        let telling = self.tell_of_left_state(&storage);
        _ = stop.run_until_cancelled(telling).await;
        Ok(Some(opened))
    }

    /// The data directory is not used beside an object store; a position in it would be missed.
    async fn tell_of_left_state(&self, objects: &Storage) {
        let Ok(left) = directory(&self.configuration, &self.host.directories.data) else {
            return;
        };
        let left = left.join(StateFile::NAME);
        if left.is_file() && matches!(objects.read(StateFile::NAME).await, Ok(None)) {
            self.log.warning(format!(
                "The state in {} is not used, as file_backend is S3, and the bucket has none yet: \
                 to go on from there, stop the trigger, copy the folder's files into the bucket, \
                 and start it.",
                left.display()
            ));
        }
    }

    /// The settings in the configuration with these secrets, if they fit the manifests.
    pub(crate) fn fitting(&self, secrets: &Secrets) -> Result<Settings, RunError> {
        let (configuration, log) = (&self.configuration, &self.log);
        Settings::read(self.item, &self.module, Some(secrets), configuration, log)
    }

    pub(crate) fn asker(&self) -> Asker {
        Asker {
            platform: self.platform.clone(),
            http: self.host.http.clone(),
            agent: self.agent.clone(),
            log: self.log.clone(),
            stop: self.host.stop.clone(),
        }
    }

    /// Asks the platform for secrets, as patiently as the configuration needs them.
    pub(crate) async fn secrets(&self) -> Result<Asked, SecretsError> {
        let asker = self.asker();
        // Without the platform, a person fills the settings in.
        if !asker.has_address() && self.module.configuration.secrets().is_empty() {
            return Ok(Asked::Got(Secrets::default()));
        }
        if settings::waits_for_secrets(self.item, &self.module, &self.configuration) {
            return asker.patiently().await.map(Asked::Got);
        }
        match asker.briefly().await {
            Ok(secrets) => Ok(Asked::Got(secrets)),
            Err(SecretsError::Stopped) => Err(SecretsError::Stopped),
            Err(error) => Ok(Asked::InVain(error)),
        }
    }
}

pub(crate) enum Asked {
    /// None of them where there is nobody to ask, which stays so for the life of the process.
    Got(Secrets),
    /// No answer, and none is needed; why there is none.
    InVain(SecretsError),
}

impl Asked {
    pub(crate) fn secrets(self) -> Secrets {
        match self {
            Self::Got(secrets) => secrets,
            Self::InVain(_) => Secrets::default(),
        }
    }
}
