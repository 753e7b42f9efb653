//! The files in a folder of others.

use std::{io, sync::Arc};

use async_trait::async_trait;
use base::Store;
use bytes::Bytes;

/// A folder of a store.
#[derive(Debug)]
pub(super) struct Inside {
    store: Arc<dyn Store>,
    /// Ends with a slash.
    prefix: String,
}

impl Inside {
    pub(super) fn new(store: Arc<dyn Store>, folder: &str) -> Self {
        Self {
            store,
            prefix: format!("{folder}/"),
        }
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

#[async_trait]
impl Store for Inside {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        self.store.read(&self.full(name)).await
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.store.write(&self.full(name), content).await
    }

    async fn write_lightly(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.store.write_lightly(&self.full(name), content).await
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.store.append(&self.full(name), content).await
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        self.store.sync(&self.full(name)).await
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let names = self.store.list(&self.full(prefix)).await?.into_iter();
        let inside = names.filter_map(|name| Some(name.strip_prefix(&self.prefix)?.to_owned()));
        Ok(inside.collect())
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        self.store.delete(&self.full(name)).await
    }

    async fn held(&self) {
        self.store.held().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::storage::{MemoryBackend, Storage, conformance};

    #[tokio::test]
    async fn conforms_and_leaves_the_others_alone() {
        let all = Storage::new(MemoryBackend::default());
        all.write("a/c", "x").await.unwrap();
        all.write("other", "x").await.unwrap();
        conformance::check(all.inside("a/b")).await;
        assert_eq!(all.read("a/c").await.unwrap().unwrap(), "x");
        let names = all.list("").await.unwrap();
        assert!(names.contains(&"a/b/context.json".to_owned()), "{names:?}");
        assert_eq!(all.inside("").list("").await.unwrap(), names);
    }
}
