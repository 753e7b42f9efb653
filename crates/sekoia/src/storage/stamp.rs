//! Tells which process works on the files, so that nobody takes another one for it.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{Storage, StorageError};

const FILE: &str = "process.json";

const VERSION: u32 = 1;

/// The life of a process that works on the files. Each start has a new one, so that a copy of the
/// files, or a folder that another process had before, is not taken for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Stamp {
    /// Told by `/health`, too.
    pub(crate) id: Uuid,
}

impl Stamp {
    pub(crate) fn new() -> Self {
        Self { id: Uuid::new_v4() }
    }

    pub(crate) async fn leave(self, storage: &Storage) -> Result<(), StorageError> {
        let text = json!({"version": VERSION, "id": self.id}).to_string();
        storage.write_lightly(FILE, text).await
    }

    /// The last one; none when there is none, or none that can be read.
    pub(crate) async fn find(storage: &Storage) -> Option<Self> {
        let text = storage.read(FILE).await.ok()??;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryBackend;

    #[tokio::test]
    async fn the_last_process_is_found() {
        let storage = Storage::new(MemoryBackend::default());
        assert_eq!(Stamp::find(&storage).await, None);
        let (first, second) = (Stamp::new(), Stamp::new());
        assert_ne!(first.id, second.id);
        for stamp in [first, second] {
            stamp.leave(&storage).await.unwrap();
            assert_eq!(Stamp::find(&storage).await, Some(stamp));
        }
        storage.write(FILE, "{").await.unwrap();
        assert_eq!(Stamp::find(&storage).await, None);
    }
}
