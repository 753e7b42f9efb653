//! The position in `context.json`, as this module and the Python module write it.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value, json};

use super::{CHECKPOINT, SHOWN};

/// The checkpoint in a state; what stands in its place when it is not a date.
pub(super) fn checkpoint_in(object: &Map<String, Value>) -> Option<Result<DateTime<Utc>, String>> {
    let value = object.get(CHECKPOINT)?;
    let date = value.as_str().and_then(parse);
    Some(date.ok_or_else(|| {
        let text = value.to_string();
        let shown = text.get(..text.floor_char_boundary(SHOWN));
        shown.unwrap_or_default().to_owned()
    }))
}

/// The date as Python's `isoformat` and others write it; without a zone it is UTC.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    match DateTime::parse_from_rfc3339(text) {
        Ok(zoned) => Some(zoned.to_utc()),
        Err(_) => ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|utc| utc.and_utc()),
    }
}

/// As Python's `isoformat` writes it, so that the Python module can go on from here.
pub(super) fn text(checkpoint: DateTime<Utc>) -> String {
    checkpoint.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
}

/// A state that has nothing but that.
pub(in crate::triggers) fn with_checkpoint(checkpoint: DateTime<Utc>) -> String {
    json!({ CHECKPOINT: text(checkpoint) }).to_string()
}
