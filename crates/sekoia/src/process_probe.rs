//! What a trigger that runs on this machine tells of itself, and the files it works on.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use base::{
    Clock,
    http::{ClientOptions, Http, Limits},
};
use bytes::Bytes;
use chrono::NaiveDateTime;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Installation, StartError,
    config::{LIVENESS_PORT, METRICS_PORT},
    log::LAST_ERROR_FILE,
    runtime::{http_client, reader},
    storage::{LocalBackend, Storage, StorageLocation, find_stamp},
};

/// A process on the same machine answers at once, or does not.
const LIMITS: Limits = Limits {
    first_byte: Duration::from_secs(3),
    total: Duration::from_secs(5),
    max_body: 4 << 20,
};

/// A trigger's files and, when it runs here, its process.
#[derive(Debug)]
pub struct ProcessProbe {
    /// The files, for reading only.
    pub storage: Storage,
    /// The place of the files, in words.
    pub place: String,
    /// The directory with the files; none when they are in an object store.
    pub root: Option<PathBuf>,
    /// Whether a process has the files for itself.
    pub in_use: bool,
    /// The port of this machine that was asked for its health.
    pub port: u16,
    /// What a process answered that works on these files; none when there was no such answer.
    pub process: Option<Answers>,
    /// Whether something else answered there.
    pub other_answers: bool,
    /// Whether that is a trigger that does not tell on which files it works, as one that waits for them.
    pub is_untold: bool,
    /// The last error that a process has kept among the files, this one or one before it.
    pub kept_error: Option<LogLine>,
}

/// The answers of a process.
#[derive(Debug)]
pub struct Answers {
    /// Whether it counts as alive (H-04).
    pub alive: bool,
    /// What it tells of its errors.
    pub errors: Errors,
    /// All metrics in the text format; empty when they could not be had. The key of the intake is among
    /// their labels (contract H-09).
    pub metrics: String,
}

/// What a process tells of its errors at `/health`.
#[derive(Debug, Default, Deserialize)]
pub struct Errors {
    /// How many there were since the last success.
    #[serde(rename = "error_count")]
    pub count: u64,
    /// The same for each side that fails, by its name.
    #[serde(default, rename = "errors")]
    pub sides: BTreeMap<String, u64>,
    /// What should have been delivered long ago; none when there is nothing.
    #[serde(default)]
    pub behind: Option<Behind>,
    /// The id that lies among the files that it works on; none when it does not tell.
    #[serde(default)]
    data: Option<Uuid>,
    #[serde(default)]
    metrics_port: Option<u16>,
    /// What it is doing, as the trigger tells it; null when it does not.
    #[serde(default)]
    pub work: Value,
    /// The last error in its log.
    pub last_error: Option<LogLine>,
    /// The last warning in its log.
    pub last_warning: Option<LogLine>,
}

/// How far a process is behind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Behind {
    /// The oldest instant that is missing, in UTC.
    pub missing_since: NaiveDateTime,
    /// How old it is.
    pub seconds: i64,
}

/// A line of a process's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// When it was written, in UTC.
    pub time: NaiveDateTime,
    /// Its text, which holds no secret and is cut where it is long.
    pub text: String,
}

impl Errors {
    /// What is wrong now, or else what was wrong last: failures that pass by themselves are
    /// warnings in the log at first.
    pub fn last(&self) -> Option<&LogLine> {
        let failing = self.last_warning.as_ref().filter(|_| self.count > 0);
        let lines = self.last_error.iter().chain(failing);
        lines.max_by_key(|line| line.time)
    }
}

impl ProcessProbe {
    /// Looks at what works on the data, without disturbing it.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub async fn find(installation: &Installation<'_>) -> Result<Self, StartError> {
        let configuration = installation.configuration()?;
        let http = http_client(&configuration)?;
        let data = &installation.directories.data;
        let reader = reader(&configuration, data, &http, Clock::system())?;
        let port = configuration.port(LIVENESS_PORT)?;
        let metrics_port = configuration.port(METRICS_PORT)?;
        let answer = Answers::from(port, metrics_port).await?;
        let is_other = answer.is_some();
        let mut triggers = answer.iter().flatten();
        let is_untold = triggers.any(|process| process.errors.data.is_none());
        let stamp = find_stamp(&reader.storage()).await;
        // Without an id it may work on any files.
        let process = answer
            .flatten()
            .filter(|process| process.errors.data.is_some() && process.errors.data == stamp);
        Ok(Self {
            port,
            other_answers: is_other && process.is_none(),
            is_untold,
            process,
            ..Self::of(&reader).await
        })
    }

    /// The files in a directory, when the configuration cannot be read: no process is asked.
    pub async fn of_directory(root: PathBuf) -> Self {
        Self::of(&StorageLocation::Directory(LocalBackend::unlocked(root))).await
    }

    async fn of(reader: &StorageLocation) -> Self {
        let (place, in_use) = reader.presence().await;
        let storage = reader.storage();
        Self {
            kept_error: kept_error(&storage).await,
            storage,
            place,
            root: reader.root().map(PathBuf::from),
            in_use,
            port: 0,
            process: None,
            other_answers: false,
            is_untold: false,
        }
    }
}

impl Answers {
    /// What answers at this port: none when nothing does, and nothing of it when it is no trigger.
    async fn from(port: u16, metrics_port: u16) -> Result<Option<Option<Self>>, StartError> {
        // No proxy leads to this machine.
        let http = Http::client(&ClientOptions::default())?;
        let Some((status, health)) = get(&http, port, "health").await else {
            return Ok(None);
        };
        let Ok(errors) = serde_json::from_slice::<Errors>(&health) else {
            return Ok(Some(None));
        };
        // The port of the settings may be that of another process.
        let metrics_port = errors.metrics_port.unwrap_or(metrics_port);
        let metrics = get(&http, metrics_port, "metrics").await;
        let text = metrics.map(|(_, body)| String::from_utf8_lossy(&body).into_owned());
        Ok(Some(Some(Self {
            alive: status == 200,
            errors,
            metrics: text.unwrap_or_default(),
        })))
    }

    /// The sum of a metric over its labels; none when there is none of that name.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let values = self.metrics.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = match rest.strip_prefix('{') {
                Some(labels) => labels.rsplit_once("} ")?.1,
                None => rest.strip_prefix(' ')?,
            };
            value.split(' ').next()?.parse::<f64>().ok()
        });
        values.reduce(|sum, value| sum + value)
    }

    /// The same for a metric of the contract or of a trigger, whose names have a common beginning.
    pub fn own_metric(&self, name: &str) -> Option<f64> {
        self.metric(&format!("{}_{name}", super::metrics::NAMESPACE))
    }
}

/// What is at a port of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtPort {
    /// Nothing answers.
    Silence,
    /// Something that is no trigger.
    Stranger,
    /// A trigger, with the id of the files that it works on, when it tells one.
    Trigger(Option<Uuid>),
}

/// What is at this port, as it answers for its health.
pub(crate) async fn at(port: u16) -> AtPort {
    let Ok(http) = Http::client(&ClientOptions::default()) else {
        return AtPort::Silence;
    };
    match get(&http, port, "health").await {
        None => AtPort::Silence,
        Some((_, body)) => match serde_json::from_slice::<Errors>(&body) {
            Ok(told) => AtPort::Trigger(told.data),
            Err(_) => AtPort::Stranger,
        },
    }
}

/// None, too, when the files cannot be read: what else is told of them says so.
async fn kept_error(storage: &Storage) -> Option<LogLine> {
    let text = storage.read(LAST_ERROR_FILE).await.ok()??;
    serde_json::from_slice(&text).ok()
}

async fn get(http: &Http, port: u16, path: &str) -> Option<(u16, Bytes)> {
    let request = http::Request::get(format!("http://127.0.0.1:{port}/{path}"));
    let answer = http
        .send(request.body(Bytes::new()).ok()?, LIMITS)
        .await
        .ok()?;
    Some((answer.status().as_u16(), answer.into_body()))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn what_fails_now_goes_before_what_failed_once() {
        let line = |second, text: &str| {
            let time = NaiveDateTime::default() + TimeDelta::seconds(second);
            Some(LogLine {
                time,
                text: text.to_owned(),
            })
        };
        let last = |count, last_error, last_warning| {
            let errors = Errors {
                count,
                last_error,
                last_warning,
                ..Errors::default()
            };
            errors.last().map(|line| line.text.clone())
        };
        assert_eq!(
            last(2, line(1, "old"), line(2, "now")).as_deref(),
            Some("now")
        );
        assert_eq!(
            last(2, line(3, "now"), line(2, "old")).as_deref(),
            Some("now")
        );
        assert_eq!(
            last(0, line(1, "old"), line(2, "advice")).as_deref(),
            Some("old")
        );
        assert_eq!(last(0, None, line(2, "advice")), None);
    }

    #[test]
    fn metrics_are_summed_over_labels() {
        let metrics =
            "# HELP a b\na_total{k=\"x} 7\"} 2\na_total{k=\"y\"} 3.5 1700000000\na_totals 9\nb 4\n";
        let answers = Answers {
            alive: true,
            errors: Errors::default(),
            metrics: metrics.to_owned(),
        };
        assert_eq!(answers.metric("a_total"), Some(5.5));
        assert_eq!(answers.metric("b"), Some(4.0));
        assert_eq!(answers.metric("a"), None);
    }
}
