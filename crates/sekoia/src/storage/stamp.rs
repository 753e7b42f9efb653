//! Tells which process works on the files, so that nobody takes another one for it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Storage, StorageError};

pub(super) const FILE: &str = "process.json";

const VERSION: u32 = 1;

/// Leaves the id of the process that works on the files, which `/health` tells, too. Each start has a new one,
/// so that a copy of the files, or a folder that another process had before, is not taken for its own.
pub(crate) async fn leave_stamp(storage: &Storage, id: Uuid) -> Result<(), StorageError> {
    let text = json!({"version": VERSION, "id": id}).to_string();
    storage.write_lightly(FILE, text.clone()).await?;
    storage.keep(FILE, text);
    Ok(())
}

/// The id of the last one; none when there is none, or none that can be read.
pub(crate) async fn find_stamp(storage: &Storage) -> Option<Uuid> {
    id_in(&storage.read(FILE).await.ok()??)
}

/// The same in the content of the file.
pub(super) fn id_in(text: &[u8]) -> Option<Uuid> {
    let content: Value = serde_json::from_slice(text).ok()?;
    content.get("id")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryBackend;

    #[tokio::test]
    async fn the_last_process_is_found() {
        let storage = Storage::new(MemoryBackend::default());
        assert_eq!(find_stamp(&storage).await, None);
        for id in [Uuid::new_v4(), Uuid::new_v4()] {
            leave_stamp(&storage, id).await.unwrap();
            assert_eq!(find_stamp(&storage).await, Some(id));
        }
        storage.write(FILE, "{").await.unwrap();
        assert_eq!(find_stamp(&storage).await, None);
    }
}
