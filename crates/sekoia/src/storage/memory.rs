//! Keeps files in memory: for tests of whatever uses storage.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};

use super::Backend;

/// Files in memory; clones share them, as processes that follow one another share a disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryBackend(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl MemoryBackend {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, io::Result<T>> {
    Box::pin(ready(Ok(value)))
}

impl Backend for MemoryBackend {
    fn read(&self, name: String) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        done(self.files().get(&name).cloned())
    }

    fn write(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.files().insert(name, content);
        done(())
    }

    fn append(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let mut files = self.files();
        let file = files.entry(name).or_default();
        *file = Bytes::from([file.as_ref(), &content].concat());
        done(())
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, io::Result<Vec<String>>> {
        let names = self
            .files()
            .keys()
            .filter(|name| name.starts_with(&prefix))
            .cloned()
            .collect();
        done(names)
    }

    fn delete(&self, name: String) -> BoxFuture<'_, io::Result<()>> {
        self.files().remove(&name);
        done(())
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
