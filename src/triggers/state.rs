//! Where a collection stands, in the state file that the Python module of this trigger uses too.

use std::io;

use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::words::{moment, span};

use crate::{
    collect::Checkpoint,
    sdk::{Log, Peek, StateFile, Storage, StorageError},
};

/// The state file (contract O-05).
pub(super) const STATE_FILE: &str = "context.json";

/// Its key for the mark: everything received before it has been delivered.
const MARK: &str = "most_recent_date_requested";

/// Whether there is a position, so that a collection has begun.
pub(super) fn has_mark(state: &StateFile) -> bool {
    state.get::<String>(MARK).is_some()
}

/// The position in these files, for people.
pub(super) async fn mark(storage: &Storage) -> io::Result<Option<DateTime<Utc>>> {
    let found = Found::in_storage(storage).await;
    Ok(match found.map_err(io::Error::other)? {
        Found::Mark { mark, .. } | Found::Copy { mark, .. } => Some(mark),
        Found::Nothing | Found::Unusable(_) => None,
    })
}

/// Where to begin: at the mark of the last run or of the Python module, else `start_time` ago.
///
/// A mark in the future, which a wrong clock leaves behind, is brought back to now.
pub(super) fn begin(
    state: &StateFile,
    log: &Log,
    now: DateTime<Utc>,
    start_time: TimeDelta,
) -> DateTime<Utc> {
    let first = (now - start_time).trunc_subsecs(0);
    let Some(text) = state.get::<String>(MARK) else {
        log.info(format!(
            "No saved position: the collection begins with rows received at {first}."
        ));
        return first;
    };
    match parse(&text) {
        Some(mark) if mark <= now => {
            log.info(format!(
                "The collection goes on with rows received at {mark}."
            ));
            mark
        }
        Some(mark) => {
            log.warning(format!(
                "The saved position {mark} lies in the future; the collection goes on from now. \
                 Check the clock of this machine."
            ));
            now
        }
        None => {
            log.error(format!(
                "The saved position {text:?} in {STATE_FILE} is not a date; the collection begins \
                 with rows received at {first}. To go on elsewhere, stop the trigger, set `{MARK}` \
                 to a date such as 2026-05-04T09:00:00+00:00, and start it."
            ));
            first
        }
    }
}

/// What there is of a state, for people; nothing is mended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no position.
    Nothing,
    /// A position.
    Mark {
        mark: DateTime<Utc>,
        /// Whether the Python module left it.
        by_python: bool,
    },
    /// No usable position, and why.
    Unusable(String),
    /// A broken file, why, and the position in its copy.
    Copy { mark: DateTime<Utc>, reason: String },
}

impl Found {
    pub(super) async fn in_storage(storage: &Storage) -> Result<Self, StorageError> {
        let Peek { current, copy } = StateFile::peek(storage, STATE_FILE).await?;
        // This module keeps a copy, and the Python module does not.
        let by_python = copy.is_none();
        let copied = copy.and_then(|object| mark_in(&object)?.ok());
        let broken = match current {
            None => return Ok(Self::Nothing),
            Some(Ok(object)) => match mark_in(&object) {
                None => return Ok(Self::Nothing),
                Some(Ok(mark)) => return Ok(Self::Mark { mark, by_python }),
                Some(Err(text)) => return Ok(Self::Unusable(format!("{text} is not a date"))),
            },
            Some(Err(reason)) => reason,
        };
        Ok(match copied {
            Some(mark) => Self::Copy {
                mark,
                reason: broken,
            },
            None => Self::Unusable(broken),
        })
    }
}

impl Found {
    /// Whether it is as it should be, what there is to say, and the same for machines. `begins`
    /// says where a run without a position begins.
    pub(super) fn tell(&self, now: DateTime<Utc>, begins: &str) -> (bool, String, Value) {
        let facts = |mark: Option<DateTime<Utc>>, writer: Option<&str>| json!({"complete_until": mark, "written_by": writer});
        match self {
            Self::Nothing => (
                true,
                format!("none yet: the first run {begins}"),
                facts(None, None),
            ),
            Self::Mark { mark, by_python } => {
                let (writer, name) = if *by_python {
                    ("the Python module", "python")
                } else {
                    ("this module", "message-trace")
                };
                let age = now - *mark;
                let is_past = age >= TimeDelta::zero();
                let text = if is_past {
                    format!(
                        "of {writer}: all that was received before {} ({} ago) is delivered",
                        moment(*mark),
                        span(age)
                    )
                } else {
                    format!(
                        "the position that {writer} left is in the future, at {}: check the clock \
                         of this machine; a run goes on from now",
                        moment(*mark)
                    )
                };
                (is_past, text, facts(Some(*mark), Some(name)))
            }
            Self::Unusable(reason) => {
                let text = format!(
                    "{STATE_FILE} cannot be used ({reason}), so that a run {begins}: set the \
                     position in it, or take the file away"
                );
                (false, text, facts(None, None))
            }
            Self::Copy { mark, reason } => {
                let text = format!(
                    "{STATE_FILE} is broken ({reason}): a run puts it aside, and goes on at {} \
                     with the last good copy",
                    moment(*mark)
                );
                (true, text, facts(Some(*mark), Some("message-trace")))
            }
        }
    }
}

/// The mark in a state; what stands in its place when it is not a date.
fn mark_in(object: &Map<String, Value>) -> Option<Result<DateTime<Utc>, String>> {
    let value = object.get(MARK)?;
    let date = value.as_str().and_then(parse);
    Some(date.ok_or_else(|| value.to_string()))
}

/// The date as Python's `isoformat` and others write it; without a zone it is UTC.
fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    match DateTime::parse_from_rfc3339(text) {
        Ok(zoned) => Some(zoned.to_utc()),
        Err(_) => ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|utc| utc.and_utc()),
    }
}

/// Keeps the mark in the state file.
#[derive(Debug)]
pub(super) struct Position(pub(super) StateFile);

impl Checkpoint for Position {
    async fn save(&mut self, mark: DateTime<Utc>) -> io::Result<()> {
        // As Python's `isoformat` writes it, so that the Python module can go on from here.
        self.0
            .set(MARK, mark.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string());
        self.0.save().await.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_to_write_a_date() {
        let date = parse("2026-05-04T09:03:07.123456+00:00").unwrap();
        for text in [
            "2026-05-04T09:03:07.123456Z",
            "2026-05-04T09:03:07.123456",
            "2026-05-04 09:03:07.123456",
            "2026-05-04T11:03:07.123456+02:00",
            "2026-05-04T09:03:07.123456+00:00\n",
        ] {
            assert_eq!(parse(text), Some(date), "{text}");
        }
        assert_eq!(parse("yesterday"), None);
    }
}
