//! Where a collection stands, in the state file that the Python module of this trigger uses too.

use std::io;

use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, Utc};

use crate::{
    collect::Checkpoint,
    sdk::{Log, StateFile},
};

/// The state file (contract O-05).
pub(super) const STATE_FILE: &str = "context.json";

/// Its key for the mark: everything received before it has been delivered.
const MARK: &str = "most_recent_date_requested";

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
