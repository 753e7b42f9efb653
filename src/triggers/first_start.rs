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
struct FirstStart {
    version: u64,
    started: DateTime<Utc>,
}

/// The first start of a collection that has kept no position yet: that of an earlier process, or this
/// one's, which is kept. A file that cannot be read is replaced.
///
/// # Errors
/// When the storage cannot be read or written.
pub(super) async fn first_start(
    storage: &Storage,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, StorageError> {
    let kept: Option<FirstStart> = read(storage, FIRST_START_FILE).await?;
    if let Some(kept) = kept.filter(|kept| kept.started <= now) {
        return Ok(kept.started);
    }
    let first = FirstStart {
        version: VERSION,
        started: now,
    };
    let text = serde_json::to_vec(&first).unwrap_or_default();
    storage.write(FIRST_START_FILE, text).await?;
    Ok(now)
}

/// There is a position: where the first start would have begun is settled.
///
/// # Errors
/// When the file cannot be deleted.
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
        assert_eq!(first_start(&storage, at(10)).await.unwrap(), at(10));
        assert_eq!(first_start(&storage, at(12)).await.unwrap(), at(10));
        // A clock that was ahead then is not believed.
        assert_eq!(first_start(&storage, at(9)).await.unwrap(), at(9));
        is_over(&storage).await.unwrap();
        assert_eq!(first_start(&storage, at(20)).await.unwrap(), at(20));
        storage.write(FIRST_START_FILE, "{").await.unwrap();
        assert_eq!(first_start(&storage, at(21)).await.unwrap(), at(21));
        is_over(&storage).await.unwrap();
        is_over(&storage).await.unwrap();
    }
}
