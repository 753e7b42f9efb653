//! Keeps files in memory: for tests of code that uses storage.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use base::{Store, lock};
use bytes::Bytes;

/// Files in memory; clones share them, as processes that follow one another share a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryBackend(Arc<Mutex<BTreeMap<String, Bytes>>>);

#[async_trait]
impl Store for MemoryBackend {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        Ok(lock(&self.0).get(name).cloned())
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        lock(&self.0).insert(name.to_owned(), content);
        Ok(())
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.entry(name.to_owned()).or_default();
        *file = Bytes::from([file.as_ref(), &content].concat());
        Ok(())
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let files = lock(&self.0);
        let names = files.keys().filter(|name| name.starts_with(prefix));
        Ok(names.cloned().collect())
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        lock(&self.0).remove(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Storage, conformance};

    #[tokio::test]
    async fn conforms() {
        conformance::check(Storage::new(MemoryBackend::default())).await;
    }
}
