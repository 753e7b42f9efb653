//! When the very first run was started, as long as it has never come so far as to keep a position.
//!
//! A source that is down at the first start, for longer than the process lives, must not cost the rows
//! that this start was to read: the next one begins where the first would have.

use std::io;

use chrono::{DateTime, Utc};
use sekoia::{Storage, StorageError};
use serde::{Deserialize, Serialize};

use super::formats::{VERSION, read};

/// The file; it is gone once there is a position.
pub(super) const FIRST_START_FILE: &str = "first_start.json";

/// When it was, by the local clock, which may be wrong: by itself it moves nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FirstStart {
    version: u64,
    started: DateTime<Utc>,
}

/// The first start of a collection that has kept no position yet; none when it is this one, which is kept. A
/// file that cannot be read is replaced.
///
/// One that is still to come is told, too, as nobody knows which clock was wrong. For the next start this one is
/// kept in its place.
pub(super) async fn first_start(
    storage: &Storage,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StorageError> {
    let kept: Option<FirstStart> = read(storage, FIRST_START_FILE).await?;
    let kept = kept.map(|kept| kept.started);
    if kept.is_some_and(|started| started <= now) {
        return Ok(kept);
    }
    let first = FirstStart {
        version: VERSION,
        started: now,
    };
    let text = serde_json::to_vec(&first).unwrap_or_default();
    storage.write(FIRST_START_FILE, text).await?;
    Ok(kept)
}

/// There is a position: where the first start would have begun is settled.
pub(super) async fn is_over(storage: &Storage) -> io::Result<()> {
    let deleted = storage.delete(FIRST_START_FILE).await;
    deleted.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use sekoia::MemoryBackend;

    use super::*;

    #[tokio::test]
    async fn the_first_start_is_kept_until_there_is_a_position() {
        let storage = Storage::new(MemoryBackend::default());
        let at = |hours| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::hours(hours);
        let first = async |hours| first_start(&storage, at(hours)).await.unwrap();
        assert_eq!(first(10).await, None);
        assert_eq!(first(12).await, Some(at(10)));
        // The clock was ahead then, or is behind now.
        assert_eq!(first(9).await, Some(at(10)));
        assert_eq!(first(11).await, Some(at(9)));
        is_over(&storage).await.unwrap();
        assert_eq!(first(20).await, None);
        storage.write(FIRST_START_FILE, "{").await.unwrap();
        assert_eq!(first(21).await, None);
        assert_eq!(first(22).await, Some(at(21)));
        is_over(&storage).await.unwrap();
        is_over(&storage).await.unwrap();
    }
}
