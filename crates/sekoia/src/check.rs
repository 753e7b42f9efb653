//! Whether a trigger could run: its settings, its data, and what else it tries out itself.

mod surroundings;

use std::{fmt, time::Duration};

use base::{Clock, http::chain};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Context, Installation, RunError, StartError,
    config::{ConfigError, PORTS, SettingsMap},
    health::Heartbeat,
    log::{Console, Log},
    metrics::Metrics,
    runtime::{Host, Start},
    settings::{self, Settings},
    storage::{Examined, Storage},
};

/// Below this, the data directory counts as full: the memory of a busy collection is about that.
const LEAST_FREE: u64 = 64 << 20;

/// One thing that a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name, the same for people and machines.
    pub name: &'static str,
    /// The exit code of a check that fails on it first; 0 when it never fails, as a run copes with it.
    pub exit_code: u8,
    /// What is looked at, for a list.
    pub about: &'static str,
}

impl Topic {
    /// The configuration.
    pub const SETTINGS: Self = Self {
        name: "settings",
        exit_code: 10,
        about: "the configuration fits the trigger's manifest",
    };

    /// The data directory.
    pub const DATA: Self = Self {
        name: "data",
        exit_code: 11,
        about: "the data directory can be written, and has free space",
    };

    /// The ports of a trigger.
    pub const PORTS: Self = Self {
        name: "ports",
        exit_code: 20,
        about: "the ports for health and metrics are free, or the running trigger's",
    };

    /// The platform.
    pub const PLATFORM: Self = Self {
        name: "platform",
        exit_code: 21,
        about: "the platform is reached and takes the token; nothing is started",
    };

    /// What is looked at for every trigger.
    pub(super) const COMMON: [Self; 4] = [Self::SETTINGS, Self::DATA, Self::PORTS, Self::PLATFORM];
}

/// What became of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be.
    Pass,
    /// A run would go on with it, but a person should know.
    Warn,
    /// It is not, and a run would suffer.
    Fail,
    /// It was not tried.
    Skipped,
}

impl Outcome {
    /// Its word, the same for people and machines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }
}

/// One line of a check. It holds no secret.
#[derive(Clone, Debug)]
pub struct CheckFinding {
    /// What was looked at; a topic may have several findings.
    pub topic: Topic,
    /// What became of it.
    pub outcome: Outcome,
    /// What was found and, after a failure, what to do.
    pub text: String,
    /// The same for machines, by name.
    pub facts: Map<String, Value>,
}

impl CheckFinding {
    fn new(topic: Topic, outcome: Outcome, text: impl AsRef<str>, facts: Value) -> Self {
        Self {
            topic,
            outcome,
            text: text.as_ref().to_owned(),
            facts: match facts {
                Value::Object(facts) => facts,
                _ => Map::new(),
            },
        }
    }
}

/// Takes the findings of a check as they come.
pub struct Findings<'a> {
    report: &'a mut (dyn FnMut(CheckFinding) + Send),
    log: Log,
    /// What the settings are like, told when they turn out to be usable.
    summary: String,
    /// Sentences about what fits but looks wrong.
    suspicions: Vec<String>,
    /// What was found around the trigger.
    around: Vec<CheckFinding>,
    /// The next check may come after this time.
    pause: Duration,
}

impl fmt::Debug for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Findings")
    }
}

impl Findings<'_> {
    /// It is as it should be.
    pub fn pass(&mut self, topic: Topic, text: impl AsRef<str>, facts: Value) {
        self.tell(CheckFinding::new(topic, Outcome::Pass, text, facts));
    }

    /// A run would go on with it, but a person should know.
    pub fn warn(&mut self, topic: Topic, text: impl AsRef<str>, facts: Value) {
        self.tell(CheckFinding::new(topic, Outcome::Warn, text, facts));
    }

    /// It is not as it should be; the text says what to do.
    pub fn fail(&mut self, topic: Topic, text: impl AsRef<str>, facts: Value) {
        self.tell(CheckFinding::new(topic, Outcome::Fail, text, facts));
    }

    /// It was not tried; the text says why.
    pub fn skip(&mut self, topic: Topic, text: impl AsRef<str>) {
        let finding = CheckFinding::new(topic, Outcome::Skipped, text, Value::Null);
        self.tell(finding);
    }

    /// A check soon after this one would do harm: the next may come after `pause`.
    pub fn rest(&mut self, pause: Duration) {
        self.pause = self.pause.max(pause);
    }

    /// Whether the trigger can work with its settings, as far as that can be told without trying.
    pub fn settings(&mut self, usable: Result<(), RunError>) {
        match usable {
            Ok(()) => {
                let summary = std::mem::take(&mut self.summary);
                self.pass(Topic::SETTINGS, summary, Value::Null);
                for suspicion in std::mem::take(&mut self.suspicions) {
                    self.warn(Topic::SETTINGS, suspicion, Value::Null);
                }
            }
            Err(error) => {
                for line in chain(&error).lines() {
                    self.fail(Topic::SETTINGS, line, Value::Null);
                }
            }
        }
    }

    /// Tells what was found around the trigger: data directory, ports and platform.
    pub fn surroundings(&mut self) {
        for finding in std::mem::take(&mut self.around) {
            self.tell(finding);
        }
    }

    fn tell(&mut self, mut finding: CheckFinding) {
        finding.text = self.log.masked(&finding.text);
        (self.report)(finding);
    }
}

/// Checks whether a trigger could run with its configuration, and reports what it finds, in order.
/// Nothing is changed, and the trigger may be running meanwhile. On return the time
/// that is to pass before the next check, if any.
///
/// # Errors
/// When there is no such command, or this program itself is not able to look.
pub async fn check(
    installation: &Installation<'_>,
    command: &str,
    report: &mut (dyn FnMut(CheckFinding) + Send),
) -> Result<Duration, StartError> {
    let registry = installation.registry;
    let topics = registry.find(command)?.topics;
    let clock = Clock::system();
    let quiet = Console::new(|_| {});
    let log = Log::new(command, clock, quiet.clone());
    let mut findings = Findings {
        report,
        log: log.clone(),
        summary: String::new(),
        suspicions: Vec::new(),
        around: Vec::new(),
        pause: Duration::ZERO,
    };
    let started = Host::process(installation, quiet, CancellationToken::new())
        .and_then(|host| Start::open(registry, command, host, log))
        .and_then(|start| Ok((start.reader()?, start)));
    let prepared = match started {
        Ok((reader, start)) => {
            let examined = reader.examine().await;
            let in_use = examined.in_use;
            findings.around.push(of_data(examined));
            findings.around.extend(start.ports(&reader, in_use).await);
            findings.around.push(start.platform().await);
            let settings = start.settings().await;
            settings.map(|settings| (start, reader, settings))
        }
        Err(error @ (StartError::Config(_) | StartError::Http(_))) => Err(RunError::failed(error)),
        Err(error) => return Err(error),
    };
    match prepared {
        Ok((start, reader, settings)) => {
            let manifest = &start.item.manifest;
            let names = settings.trigger.0.keys();
            let count = names.filter(|name| manifest.arguments.knows(name)).count();
            findings.summary = format!("all {count} fit {}", manifest.command);
            findings.suspicions = settings.suspicions;
            let context = start.look_context(reader.storage(), settings.module);
            (start.item.check)(settings.trigger, context, &mut findings).await;
        }
        Err(error) => {
            findings.settings(Err(error));
            findings.surroundings();
            for topic in topics {
                findings.skip(*topic, "the settings must be right first");
            }
        }
    }
    Ok(findings.pause)
}

/// The one command whose settings the configuration fits.
///
/// # Errors
/// A sentence, when it fits none or several, or cannot be read.
pub fn only_fitting<'a>(installation: &Installation<'a>) -> Result<&'a str, String> {
    let failed = |error: ConfigError| chain(&error);
    let configuration = installation.configuration().map_err(failed)?;
    let key = settings::of_trigger(&configuration).map_err(failed)?;
    let given = configuration.required(key).map_err(failed)?;
    match installation.registry.fitting(&given).as_slice() {
        [item] => Ok(&item.manifest.command),
        [] => Err(format!(
            "the settings in {key} fit no trigger as they are: name the trigger they are for"
        )),
        several => {
            let commands = several.iter().map(|item| item.manifest.command.as_str());
            let commands = commands.collect::<Vec<_>>().join(", ");
            Err(format!(
                "the settings in {key} fit several triggers: name the one they are for ({commands})"
            ))
        }
    }
}

impl Start<'_> {
    pub(super) async fn settings(&self) -> Result<Settings, RunError> {
        for key in PORTS {
            self.configuration.port(key).map_err(RunError::failed)?;
        }
        let secrets = self.secrets().await.map_err(RunError::failed)?.secrets();
        self.fitting(&secrets)
    }

    /// Surroundings for a look: the data is not taken into use.
    pub(super) fn look_context(&self, storage: Storage, module: SettingsMap) -> Context {
        let heartbeat = Heartbeat::new(self.host.clock.clone(), self.log.clone());
        let metrics = Metrics::new(self.host.clock.clone());
        let mut context = self.context(storage, heartbeat, metrics);
        context.module_configuration = module;
        context
    }
}

fn of_data(examined: Examined) -> CheckFinding {
    let place = &examined.place;
    let (outcome, text) = match (&examined.trouble, examined.free) {
        (Some(trouble), _) => (Outcome::Fail, chain(trouble)),
        (None, Some(free)) if free < LEAST_FREE => (
            Outcome::Fail,
            format!("{place} has only {} free: make room", bytes(free)),
        ),
        (None, free) => {
            let free = free.map_or_else(String::new, |free| format!(", {} free", bytes(free)));
            let absent = if examined.absent {
                ", to be created"
            } else {
                ""
            };
            let running = if examined.in_use {
                "; a trigger is running on it, and a second one would not start"
            } else {
                ""
            };
            let text = format!("{place} is writable{absent}{free}{running}");
            (Outcome::Pass, text)
        }
    };
    let facts = json!({
        "place": examined.place,
        "free_bytes": examined.free,
        "in_use": examined.in_use,
    });
    CheckFinding::new(Topic::DATA, outcome, text, facts)
}

fn bytes(count: u64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let mega = count as f64 / 1e6;
    if mega < 1000.0 {
        format!("{mega:.0} MB")
    } else {
        format!("{:.1} GB", mega / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined(free: u64) -> Examined {
        Examined {
            place: "/data".to_owned(),
            absent: false,
            in_use: true,
            free: Some(free),
            trouble: None,
        }
    }

    #[test]
    fn a_full_disk_fails() {
        let found = of_data(examined(63_000_000));
        assert_eq!(found.outcome, Outcome::Fail);
        assert_eq!(found.text, "/data has only 63 MB free: make room");
        let found = of_data(examined(75_340_000_000));
        assert_eq!(found.outcome, Outcome::Pass);
        assert_eq!(
            found.text,
            "/data is writable, 75.3 GB free; a trigger is running on it, and a second one would not \
             start"
        );
        assert_eq!(found.facts["in_use"], true);
    }
}
