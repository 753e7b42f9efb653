//! The place where the module runs: a fresh directory with a mocked configuration.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Damage, Emulator, Running, Scenario, Settings};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    arguments::Trigger,
    disk::{Apart, Disk},
};

/// Seconds between two queries: the least that the manifest allows, so that there is much to see.
const FREQUENCY: u64 = 10;

/// Events in one request to the intake, unless the setting `chunk_size` says otherwise.
const CHUNK_SIZE: u64 = 1000;

/// Requests to the intake that the module has on their way at most.
const REQUESTS: u64 = 4;

/// The file of the trigger's settings.
pub(crate) const SETTINGS_FILE: &str = "trigger_configuration";

/// A fresh directory that a module process runs in; it is deleted on drop.
#[derive(Debug)]
pub(crate) struct Site {
    /// The disk of the state, where it has one of its own; it goes before the directory.
    pub(crate) disk: Option<Disk>,
    directory: TempDir,
    /// The port of `/health`.
    pub(crate) health: u16,
    /// The port of the Prometheus metrics.
    pub(crate) metrics: u16,
}

impl Site {
    /// Writes what the platform's runtime would have written, but for the settings of a trigger.
    pub(crate) fn create(
        emulator: &Emulator,
        running: &Running,
        apart: Option<Apart>,
    ) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("playground-").tempdir();
        let [health, metrics] = free_ports().context("no port is free on this machine")?;
        let mut site = Self {
            disk: None,
            directory: directory.context("cannot make a temporary directory")?,
            health,
            metrics,
        };
        let settings = emulator.settings();
        let files = [
            ("module_configuration", json!({}).to_string()),
            ("token", settings.platform.token.expose().to_owned()),
            ("url_callback", running.callback_url()),
            ("url_logs", running.logs_url()),
            ("url_secrets", running.secrets_url()),
            ("intake_url", running.intake_url()),
            ("liveness_port", health.to_string()),
            ("metrics_port", metrics.to_string()),
        ];
        for directory in [site.configuration(), site.draft(), site.data()] {
            fs::create_dir(&directory).with_context(|| format!("cannot make {directory:?}"))?;
        }
        // Without one, the switch "Disk full" does it in another way, and says so.
        site.disk = apart.and_then(|apart| Disk::make(&site.data(), apart).ok());
        for folder in [site.configuration(), site.draft()] {
            for (name, content) in &files {
                let path = folder.join(name);
                fs::write(&path, content).with_context(|| format!("cannot write {path:?}"))?;
            }
        }
        Ok(site)
    }

    /// Writes the settings of the trigger into one of the folders of a configuration, in one step.
    pub(crate) fn configure(&self, folder: &Path, form: &Map<String, Value>) -> anyhow::Result<()> {
        let (path, new) = (folder.join(SETTINGS_FILE), folder.join(".new"));
        let text = serde_json::to_string_pretty(form)?;
        fs::write(&new, text).with_context(|| format!("cannot write {new:?}"))?;
        fs::rename(&new, &path).with_context(|| format!("cannot write {path:?}"))
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Stands for `/symphony`.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.path().join("symphony")
    }

    /// The same with settings that are still being written.
    pub(crate) fn draft(&self) -> PathBuf {
        self.path().join("draft")
    }

    /// Stands for `/symphony_data`.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("symphony_data")
    }

    /// Empties the state, for a start from nothing.
    pub(crate) fn forget(&self) -> anyhow::Result<()> {
        let data = self.data();
        // The directory itself stays: a disk may be mounted there.
        let empty = || {
            for entry in fs::read_dir(&data)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
            io::Result::Ok(())
        };
        empty().with_context(|| format!("cannot empty {data:?}"))
    }

    /// Does the harm of a scenario to the module's state. What is not there cannot be harmed.
    pub(crate) fn damage(&self, Damage { to, harm }: Damage) -> anyhow::Result<()> {
        for file in to.files(&self.data()) {
            let harmed = harm.apply_to(&file);
            harmed.with_context(|| format!("cannot harm {file:?}"))?;
        }
        Ok(())
    }

    /// A file of the module's state, as JSON; none while it is not there.
    pub(crate) fn state(&self, file: &str) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.data().join(file)).ok()?).ok()
    }

    /// Everything received before this instant has been delivered, says the module.
    pub(crate) fn checkpoint(&self) -> Option<DateTime<Utc>> {
        let state = self.state("context.json")?;
        let checkpoint = state.get("most_recent_date_requested")?.as_str()?;
        Some(DateTime::parse_from_rfc3339(checkpoint).ok()?.to_utc())
    }

    /// The settings that the module was started with.
    fn settings(&self) -> anyhow::Result<Value> {
        let form = fs::read(self.configuration().join(SETTINGS_FILE))?;
        Ok(serde_json::from_slice(&form)?)
    }

    /// How many rows can be on their way to the intake at a moment.
    pub(crate) fn in_flight(&self) -> u64 {
        let form = self.settings().unwrap_or_default();
        let chunk = form.get("chunk_size").and_then(Value::as_u64);
        REQUESTS * chunk.unwrap_or(CHUNK_SIZE)
    }

    /// How often the module asks.
    pub(crate) fn frequency(&self) -> anyhow::Result<TimeDelta> {
        let form = self.settings()?;
        let seconds = form.get("frequency").and_then(Value::as_i64);
        seconds
            .and_then(TimeDelta::try_seconds)
            .context("the setting `frequency` is no number of seconds")
    }

    /// Leaves the directory where it is.
    pub(crate) fn keep(self) -> PathBuf {
        self.directory.keep()
    }
}

/// The form of the trigger, filled in with what works in the emulated organization.
pub(crate) fn form(
    trigger: Trigger,
    scenario: &Scenario,
    emulator: &Emulator,
    running: &Running,
) -> anyhow::Result<Map<String, Value>> {
    let settings = emulator.settings();
    let key = settings
        .intake
        .keys
        .first()
        .context("the emulator has no intake key")?;
    // One hour more than the mail reaches back, since the module starts a moment later.
    let start_time = (scenario.traffic.backlog.span.num_seconds() + 3599) / 3600 + 1;
    let collection = json!({
        "intake_key": key.expose(),
        "intake_server": running.intake_url(),
        "frequency": FREQUENCY,
        "timedelta": 0,
        "start_time": start_time,
    });
    let own = match trigger {
        Trigger::Account => account(&settings, running)?,
        Trigger::Graph | Trigger::Oauth => app(&settings, running)?,
    };
    let service = match trigger {
        Trigger::Graph => json!({"graph_url": running.graph_url()}),
        // And the service that takes its place once it has ended.
        _ => json!({"reporting_url": running.reporting_url(), "graph_url": running.graph_url()}),
    };
    let chosen = Value::Object(scenario.trigger.clone());
    let mut form = Map::new();
    for part in [collection, own, service, chosen] {
        if let Value::Object(part) = part {
            form.extend(part);
        }
    }
    Ok(form)
}

/// A service account of the emulated organization, and the app through which it signs in to Graph.
fn account(settings: &Settings, running: &Running) -> anyhow::Result<Value> {
    let account = settings.report.accounts.first();
    let account = account.context("the emulator has no account")?;
    let app = settings.identity.apps.first();
    let app = app.context("the emulator has no app")?;
    Ok(json!({
        "account_name": account.name,
        "account_password": account.password.expose(),
        "client_id": app.client_id,
        "login_url": running.login_url(),
    }))
}

/// An app registration of the emulated organization.
fn app(settings: &Settings, running: &Running) -> anyhow::Result<Value> {
    let app = settings
        .identity
        .apps
        .first()
        .context("the emulator has no app")?;
    let secret = app
        .secrets
        .first()
        .context("the emulator's app has no secret")?;
    Ok(json!({
        "tenant_id": settings.identity.tenant_id,
        "client_id": app.client_id,
        "client_secret": secret.value.expose(),
        "login_url": running.login_url(),
    }))
}

/// Two ports that nobody listens on. They lie below those that a system gives out by itself: one of
/// these could be gone before the module takes it. Both are held while they are chosen, so that they
/// differ.
fn free_ports() -> io::Result<[u16; 2]> {
    let (first, second) = (free_port()?, free_port()?);
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}

fn free_port() -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..100 {
        let drawn = Uuid::new_v4().as_u128() % 10_000;
        let port = 20_000 + u16::try_from(drawn).unwrap_or(0);
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use emulator::{Harm, StatePart, Traffic};

    use super::*;
    use crate::world::World;

    #[tokio::test]
    async fn harm_is_done_to_what_is_there() {
        let world = World::begin(Scenario::new(Traffic::default()), None);
        let site = world.await.unwrap().site;
        let damage = |to, harm| site.damage(Damage { to, harm }).unwrap();
        damage(StatePart::KnownRows, Harm::Emptied);
        damage(StatePart::Positions, Harm::Emptied);

        let (known, place) = (site.data().join("known-rows"), site.data());
        fs::create_dir(&known).unwrap();
        for (name, age) in [
            ("0000000000.keys", 20),
            ("0000000001.keys", 10),
            ("seed-v2", 30),
        ] {
            fs::write(known.join(name), "rows").unwrap();
            let file = fs::File::options().append(true).open(known.join(name));
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 - age);
            file.unwrap().set_modified(written).unwrap();
        }
        fs::write(place.join("context.json"), "{}").unwrap();
        damage(StatePart::KnownRows, Harm::Emptied);
        damage(StatePart::Positions, Harm::Removed);
        let text = |name: &str| fs::read_to_string(known.join(name)).unwrap();
        let texts = ["0000000000.keys", "0000000001.keys", "seed-v2"].map(text);
        assert_eq!(texts, ["rows", "", "rows"]);
        assert!(!place.join("context.json").exists());
    }

    #[tokio::test]
    async fn as_many_rows_are_on_their_way_as_the_settings_allow() {
        let world = World::begin(Scenario::new(Traffic::default()), None);
        let site = world.await.unwrap().site;
        assert_eq!(site.in_flight(), 4_000);
        let form = json!({ "chunk_size": 50 });
        let form = form.as_object().unwrap();
        site.configure(&site.configuration(), form).unwrap();
        assert_eq!(site.in_flight(), 200);
    }
}
