//! A run as data: the mail, the switches, what breaks when, and the lives of the module.

mod harm;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::{Map, Value, json};

pub use self::harm::{Damage, Harm, StatePart};
use crate::{Clock, Discretion, Emulator, Endpoint, FaultRule, Options, Settings, Traffic};

/// The version of the format that this crate reads and writes.
const VERSION: u32 = 1;

/// A run that can be repeated, as JSON.
///
/// ```
/// let scenario: emulator::Scenario = r#"{
///     "version": 1,
///     "traffic": { "rate": 0.5, "lateness": [[0.5, 60], [1.0, 3600]] },
///     "settings": { "graph": { "page_rows": 100 } },
///     "timeline": [
///         { "at": 600, "do": { "fault": { "endpoint": "intake", "seconds": 3600,
///                                         "rule": { "kind": "answer", "status": 503 } } } },
///         { "at": 7200, "do": "stop_traffic" }
///     ],
///     "lives": [ { "seconds": 900, "end": "kill", "away": 60 }, { "seconds": 7200 } ]
/// }"#
/// .parse()?;
/// assert_eq!(scenario.lives.len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    #[serde(deserialize_with = "known_version")]
    version: u32,
    /// When it starts, for a clock that can be set; the shape of a day depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<DateTime<Utc>>,
    /// The mail of the tenant.
    #[serde(default)]
    pub traffic: Traffic,
    /// Switches that differ from the default.
    #[serde(default)]
    pub settings: Changes,
    /// Settings of the trigger that differ from what the one who runs it chooses. Of them the
    /// emulator looks at those that say what is not sent ([`Discretion`]).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub trigger: Map<String, Value>,
    /// What happens when.
    #[serde(default)]
    pub timeline: Vec<Event>,
    /// The lives of the module, one after the other. The emulator has no use for them.
    #[serde(default)]
    pub lives: Vec<ModuleLife>,
    /// Settings of the trigger that are others with the second of these lives, with the third, and so on.
    /// The emulator has no use for them: they must not say what is not sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts: Vec<Map<String, Value>>,
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        VERSION => Ok(VERSION),
        other => Err(D::Error::custom(format!(
            "a scenario of version {other}; this program knows version {VERSION}"
        ))),
    }
}

/// Changes of [`Settings`], in the form of `PATCH /_emulator/settings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Changes(Value);

impl Default for Changes {
    fn default() -> Self {
        Self(json!({}))
    }
}

impl TryFrom<Value> for Changes {
    type Error = serde_json::Error;

    fn try_from(changes: Value) -> Result<Self, Self::Error> {
        Settings::default().merged(&changes)?;
        Ok(Self(changes))
    }
}

impl From<Changes> for Value {
    fn from(changes: Changes) -> Self {
        changes.0
    }
}

impl Changes {
    /// The settings with these changes.
    pub(crate) fn laid_over(&self, settings: &Settings) -> Settings {
        // What fits the default settings fits any.
        settings
            .merged(&self.0)
            .unwrap_or_else(|_| settings.clone())
    }
}

/// Something that happens in a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Seconds after the start.
    pub at: u64,
    /// What it is.
    #[serde(rename = "do")]
    pub action: Action,
}

impl Event {
    /// An endpoint is broken for so many seconds.
    pub fn outage(at: u64, endpoint: Endpoint, seconds: u64, rule: impl Into<FaultRule>) -> Self {
        Self {
            at,
            action: Action::Fault {
                endpoint,
                seconds: Some(seconds),
                rule: rule.into(),
            },
        }
    }
}

/// What happens in a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Answers of an endpoint are broken.
    Fault {
        /// The endpoint.
        endpoint: Endpoint,
        /// For how long; none for until it is cleared, or has struck often enough.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
        /// What goes wrong.
        #[serde(deserialize_with = "known_fields")]
        rule: FaultRule,
    },
    /// The faults of an endpoint are cleared.
    Clear(Endpoint),
    /// All faults are cleared.
    ClearAll,
    /// Switches are turned.
    Settings(Changes),
    /// No further mail is received.
    StopTraffic,
    /// Mail is received again.
    ResumeTraffic,
    /// One message to so many recipients is received.
    MassMail(u32),
    /// The module's clock is so many seconds ahead of the true time from now on. The emulator has no
    /// use for it: [`Emulator::module_time`] shows it to the one who runs the module.
    ModuleClock(i64),
    /// [`Freshness`](crate::Freshness) is about what can be seen from now on.
    BeginFreshness,
}

/// A rule of nothing but fields that it knows: its parts are flattened, which serde cannot check.
fn known_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FaultRule, D::Error> {
    let given = Value::deserialize(deserializer)?;
    let rule: FaultRule = serde_json::from_value(given.clone()).map_err(D::Error::custom)?;
    let known = serde_json::to_value(&rule).map_err(D::Error::custom)?;
    let names = given.as_object().into_iter().flat_map(Map::keys);
    match names.into_iter().find(|name| known.get(name).is_none()) {
        Some(name) => Err(D::Error::custom(format!(
            "unknown field `{name}` of a fault"
        ))),
        None => Ok(rule),
    }
}

/// A life of the module: it runs, ends, and stays away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleLife {
    /// For how many seconds it runs.
    pub seconds: u64,
    /// How it ends.
    #[serde(default)]
    pub end: Ending,
    /// How many seconds pass after its end.
    #[serde(default)]
    pub away: u64,
    /// What happens to its state meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
}

/// How a life of the module ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It is asked to stop, and stops.
    #[default]
    Stop,
    /// It is killed.
    Kill,
}

impl Scenario {
    /// A scenario of this traffic, in which nothing happens.
    pub fn new(traffic: Traffic) -> Self {
        Self {
            version: VERSION,
            start: None,
            traffic,
            settings: Changes::default(),
            trigger: Map::new(),
            timeline: Vec::new(),
            lives: Vec::new(),
            restarts: Vec::new(),
        }
    }

    /// An emulator at the beginning of the scenario, which begins now by this clock. What happens
    /// in the scenario happens to it by itself when it is due.
    pub fn begin(&self, clock: Clock) -> Emulator {
        let mut settings = self.settings.laid_over(&Settings::default());
        // What the module does not send is not expected.
        settings.discretion = Discretion::of_trigger(&self.trigger).unwrap_or_default();
        let emulator = Emulator::new(Options {
            clock,
            traffic: self.traffic.clone(),
            settings,
        });
        emulator.world().plan(&self.timeline);
        emulator
    }

    /// What happens when, for people: seconds after the start, and a sentence.
    pub fn plan(&self) -> Vec<(u64, String)> {
        let mut lines: Vec<(u64, String)> = Vec::new();
        for event in &self.timeline {
            lines.push((event.at, event.action.to_string()));
        }
        let mut at = 0;
        for life in &self.lives {
            lines.push((at, String::from("the module starts")));
            at += life.seconds;
            let end = match life.end {
                Ending::Stop => "the module is stopped",
                Ending::Kill => "the module is killed",
            };
            lines.push((at, String::from(end)));
            if let Some(Damage { to, harm }) = life.damage {
                lines.push((at, format!("the state is damaged: {to:?} is {harm:?}")));
            }
            at += life.away;
        }
        lines.sort_by_key(|(at, _)| *at);
        lines
    }

    /// The scenario as JSON in one line.
    pub fn to_json(&self) -> String {
        json!(self).to_string()
    }
}

impl std::str::FromStr for Scenario {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

/// What happens when, for people.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.plan() {
            writeln!(f, "  {:>9}  {line}", clock_face(at))?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault {
                endpoint,
                seconds,
                rule,
            } => {
                write!(f, "{} at {endpoint}", rule.fault.name())?;
                match seconds {
                    Some(seconds) => write!(f, " for {}", clock_face(*seconds)),
                    None => Ok(()),
                }
            }
            Self::Clear(endpoint) => write!(f, "no more faults at {endpoint}"),
            Self::ClearAll => f.write_str("no more faults"),
            Self::Settings(Changes(changes)) => write!(f, "settings change: {changes}"),
            Self::StopTraffic => f.write_str("no more mail is received"),
            Self::ResumeTraffic => f.write_str("mail is received again"),
            Self::MassMail(recipients) => {
                write!(f, "a message to {recipients} recipients is received")
            }
            Self::BeginFreshness => f.write_str("freshness is looked at from here on"),
            Self::ModuleClock(0) => f.write_str("the module's clock is right"),
            Self::ModuleClock(ahead) => {
                let direction = if *ahead < 0 { "behind" } else { "ahead" };
                let seconds = clock_face(ahead.unsigned_abs());
                write!(f, "the module's clock is {seconds} {direction}")
            }
        }
    }
}

/// Seconds as `1:02:03`.
fn clock_face(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}", seconds % 60)
}
