//! The files in a folder of others.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::Backend;

/// A folder of a backend.
#[derive(Debug)]
pub(super) struct Inside {
    backend: Arc<dyn Backend>,
    /// Ends with a slash.
    prefix: String,
}

impl Inside {
    pub(super) fn new(backend: Arc<dyn Backend>, folder: &str) -> Self {
        Self {
            backend,
            prefix: format!("{folder}/"),
        }
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Backend for Inside {
    fn read(&self, name: String) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        self.backend.read(self.full(&name))
    }

    fn write(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.backend.write(self.full(&name), content)
    }

    fn write_lightly(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.backend.write_lightly(self.full(&name), content)
    }

    fn append(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.backend.append(self.full(&name), content)
    }

    fn sync(&self, name: String) -> BoxFuture<'_, io::Result<()>> {
        self.backend.sync(self.full(&name))
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async move {
            let names = self.backend.list(self.full(&prefix)).await?.into_iter();
            let inside = names.filter_map(|name| Some(name.strip_prefix(&self.prefix)?.to_owned()));
            Ok(inside.collect())
        })
    }

    fn delete(&self, name: String) -> BoxFuture<'_, io::Result<()>> {
        self.backend.delete(self.full(&name))
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
