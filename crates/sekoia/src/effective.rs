//! The configuration that counts, and where each part of it comes from.

use std::collections::BTreeSet;

use base::{Clock, http::chain};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    Installation, RunError, StartError,
    config::{ConfigError, Configuration, PORTS, Place},
    log::{Console, Log},
    platform::Platform,
    registry::Item,
    runtime::{Host, Start},
    schema::{ModuleManifest, Schema, shown_name},
    settings::{self, MODULE, SERVER, Settings},
    storage::{MemoryBackend, Storage},
};

/// The platform's keys that are texts (section C of the contract), and whether they are secret.
pub(super) const TEXTS: [(&str, bool); 25] = [
    ("token", true),
    ("url_callback", false),
    ("url_logs", false),
    ("url_secrets", false),
    ("intake_url", false),
    ("file_backend", false),
    ("sub_folder", false),
    ("aws_bucket_name", false),
    ("aws_access_key_id", true),
    ("aws_secret_access_key", true),
    ("aws_session_token", true),
    ("aws_default_region", false),
    ("aws_s3_endpoint_url", false),
    ("client_cert", true),
    ("client_key", true),
    ("ca_cert", true),
    ("sentry_dsn", true),
    ("environment", false),
    ("log_format", false),
    ("community_uuid", false),
    ("playbook_uuid", false),
    ("playbook_run_uuid", false),
    ("node_run_uuid", false),
    ("trigger_configuration_uuid", false),
    ("connector_configuration_uuid", false),
];

/// A value of the configuration.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The object it is a part of; none for a key of its own.
    pub object: Option<&'static str>,
    /// Its name.
    pub name: String,
    /// The value as it counts; none when it must not be shown.
    pub value: Option<Value>,
    /// Whether it does not have its form, and may be a secret in the wrong place: it is not shown either.
    pub doubtful: bool,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether anybody reads it.
    pub known: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file or a variable.
    Given(Place),
    /// The manifest or the contract.
    Default,
    /// The value of another key.
    From(&'static str),
}

impl Origin {
    /// Its word for people and machines; of another key, its name.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Given(Place::File(_)) => "file",
            Self::Given(Place::Variable(_)) => "environment",
            Self::Default => "default",
            Self::From(key) => key,
        }
    }
}

/// A configuration as it counts.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Its values.
    pub values: Vec<Effective>,
    /// Sentences about what cannot be used.
    pub problems: Vec<String>,
    /// Sentences about what can be used and looks wrong.
    pub suspicions: Vec<String>,
}

/// The configuration of a trigger as it counts, what is wrong with it, and what only looks wrong,
/// in sentences. The platform's secrets endpoint is not asked.
///
/// # Errors
/// When there is no such command, or something cannot be read at all.
pub fn effective(installation: &Installation<'_>, command: &str) -> Result<Judged, StartError> {
    let registry = installation.registry;
    let item = registry.find(command)?;
    let module = ModuleManifest::load("manifest.json".as_ref(), registry.module_manifest)?;
    let configuration = installation.configuration()?;
    let mut judged = Judged::default();
    let key = settings::of_trigger(&configuration)?;
    for part in [
        object(&configuration, key, &item.manifest.arguments),
        object(&configuration, MODULE, &module.configuration),
        platform(&configuration),
    ] {
        match part {
            Ok(values) => judged.values.extend(values),
            Err(error) => judged.problems.push(chain(&error)),
        }
    }
    if judged.problems.is_empty() {
        let log = Log::new(command, Clock::system(), Console::new(|_| {}));
        match Settings::read(item, &module, None, &configuration, &log) {
            Ok(settings) => {
                judged.suspicions.clone_from(&settings.suspicions);
                // What the platform may still fill in is not judged.
                if !settings::waits_for_secrets(item, &module, &configuration) {
                    let usable = validate(installation, item, settings);
                    judged.problems.extend(usable.err().iter().flat_map(lines));
                }
            }
            Err(error) => judged.problems.extend(lines(&error)),
        }
    }
    Ok(judged)
}

fn validate(
    installation: &Installation<'_>,
    item: &Item,
    settings: Settings,
) -> Result<(), RunError> {
    let silent = Console::new(|_| {});
    let host = Host::process(installation, silent, CancellationToken::new());
    let host = host.map_err(RunError::failed)?;
    let command = &item.manifest.command;
    let log = Log::new(command, host.clock.clone(), host.console.clone());
    let start = Start::open(installation.registry, command, host, log);
    let start = start.map_err(RunError::failed)?;
    let storage = Storage::new(MemoryBackend::default());
    let context = start.look_context(storage, settings.module);
    (item.validate)(settings.trigger, &context)
}

fn lines(error: &RunError) -> Vec<String> {
    chain(error).lines().map(str::to_owned).collect()
}

/// The settings in an object of the configuration, with the defaults of its schema.
fn object(
    configuration: &Configuration,
    key: &'static str,
    schema: &Schema,
) -> Result<Vec<Effective>, ConfigError> {
    let place = configuration.place(key)?;
    let (Some(place), Some(mut given)) = (place, configuration.object(key)?) else {
        return Err(configuration.missing(key));
    };
    let is_filled = |value: &Value| !value.is_null() && value.as_str() != Some("");
    let filled = given.0.iter().filter(|(_, value)| is_filled(value));
    let filled: BTreeSet<String> = filled.map(|(name, _)| name.clone()).collect();
    let takes_intake = key != MODULE && schema.knows(SERVER);
    let placed = takes_intake && settings::place_intake(configuration, &mut given)?;
    let complete = schema.completed(given);
    let doubtful = schema.doubtful(&complete);
    let value = |(name, value): (String, Value)| {
        let known = schema.knows(&name);
        let secret = schema.hides(&name);
        let origin = if filled.contains(&name) {
            Origin::Given(place.clone())
        } else if placed && name == SERVER {
            Origin::From("intake_url")
        } else {
            Origin::Default
        };
        Effective {
            object: Some(key),
            value: shown(value, secret || !known),
            doubtful: doubtful.contains(&name),
            name: shown_name(&name).to_owned(),
            origin,
            known,
        }
    };
    Ok(complete.0.into_iter().map(value).collect())
}

fn platform(configuration: &Configuration) -> Result<Vec<Effective>, ConfigError> {
    let mut values = Vec::new();
    let mut add = |name: &str, value: Value, secret: bool, origin: Origin| {
        values.push(Effective {
            object: None,
            name: name.to_owned(),
            value: shown(value, secret),
            doubtful: false,
            origin,
            known: true,
        });
    };
    for (key, secret) in TEXTS {
        let text = configuration.filled_text(key)?;
        if let (Some(text), Some(place)) = (text, configuration.place(key)?) {
            add(key, text.into(), secret, Origin::Given(place));
        }
    }
    for (key, default) in PORTS {
        let port = configuration.port((key, default))?;
        let filled = configuration.filled_text(key)?.is_some();
        let place = configuration.place(key)?.filter(|_| filled);
        add(
            key,
            port.into(),
            false,
            place.map_or(Origin::Default, Origin::Given),
        );
    }
    let Platform { logs, secrets, .. } = Platform::read(configuration)?;
    for (key, url) in [("url_logs", logs), ("url_secrets", secrets)] {
        let given = configuration.filled_text(key)?.is_some();
        if let Some(url) = url.filter(|_| !given) {
            add(key, url.into(), false, Origin::From("url_callback"));
        }
    }
    Ok(values)
}

/// The value, unless it is or holds a secret.
fn shown(value: Value, secret: bool) -> Option<Value> {
    (!secret && may_be_shown(&value)).then_some(value)
}

/// Whether a value has nothing in it that may be a secret in a place where nobody expects one.
fn may_be_shown(value: &Value) -> bool {
    match value {
        Value::String(text) => !(text.contains("://") && text.contains('@')),
        Value::Array(items) => items
            .iter()
            .all(|item| item.is_string() && may_be_shown(item)),
        Value::Object(_) => false,
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}
