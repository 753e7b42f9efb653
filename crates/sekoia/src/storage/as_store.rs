//! The storage as the fetch loop sees it.

use std::io;

use async_trait::async_trait;
use base::Store;
use bytes::Bytes;

use super::{Storage, StorageError};

/// The kind of a failure is that of the file's, as somebody may tell damage from an outage by it.
fn io<T>(result: Result<T, StorageError>) -> io::Result<T> {
    result.map_err(|error| {
        let kind = match &error {
            StorageError::Failed { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    })
}

#[async_trait]
impl Store for Storage {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        io(Self::read(self, name).await)
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(Self::write(self, name, content).await)
    }

    async fn write_lightly(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(Self::write_lightly(self, name, content).await)
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(Self::append(self, name, content).await)
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        io(Self::sync(self, name).await)
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        io(Self::delete(self, name).await)
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        io(Self::list(self, prefix).await)
    }

    async fn held(&self) {
        Self::held(self).await;
    }
}

#[cfg(test)]
mod tests {
    use base::http::chain;

    use super::*;
    use crate::storage::LocalBackend;

    /// Who tells of damage tells the failure alone, without what lies behind it.
    #[tokio::test]
    async fn a_failure_says_why() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("file")).unwrap();
        let storage = Storage::new(LocalBackend::open(folder.path()).unwrap());
        let error = Store::read(&storage, "file").await.unwrap_err();
        let sentence =
            "cannot read file in the data storage: it is a folder, and not a file with content";
        assert_eq!(error.to_string(), sentence);
        assert_eq!(chain(&error), sentence, "once");
    }
}
