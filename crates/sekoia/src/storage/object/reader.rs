//! Looks at a folder and changes nothing, also while an instance has its lease.

use std::{io, sync::Arc};

use async_trait::async_trait;
use base::{Clock, Store, http::Http};
use bytes::Bytes;
use object_store::PutMode;

use super::{
    ObjectSettings,
    client::{BRIEFLY, Client},
    error::ObjectError,
    files::Files,
    lease,
};
use crate::storage::Examined;

#[derive(Clone, Debug)]
pub(crate) struct ObjectReader {
    client: Client,
    files: Arc<Files>,
}

impl ObjectReader {
    pub(crate) fn new(
        settings: ObjectSettings,
        http: Http,
        clock: Clock,
    ) -> Result<Self, ObjectError> {
        let client = Client::new(settings, http, clock, BRIEFLY)?;
        Ok(Self {
            files: Arc::new(Files::beside(client.clone())),
            client,
        })
    }

    /// An object is written and taken away again to see whether that works.
    pub(crate) async fn examine(&self) -> Examined {
        let probed = self.probe().await;
        Examined {
            place: self.client.place.clone(),
            absent: false,
            in_use: matches!(probed, Ok(true)),
            free: None,
            trouble: probed.err().map(Into::into),
        }
    }

    /// The place, in words, and whether somebody has its lease, as far as the store tells.
    pub(crate) async fn presence(&self) -> (String, bool) {
        let held = lease::is_held(&self.client).await;
        (self.client.place.clone(), held.unwrap_or(false))
    }

    /// Writes an object that nobody else writes.
    pub(crate) async fn leave(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let put = self.client.put(name, content, PutMode::Overwrite, None);
        put.await.map(|_| ())
    }

    /// Whether somebody has the lease, once writing has worked.
    async fn probe(&self) -> Result<bool, ObjectError> {
        let key = format!(".check-{}", uuid::Uuid::new_v4().simple());
        self.client
            .put(&key, Bytes::new(), PutMode::Overwrite, None)
            .await?;
        self.client.delete(&key).await?;
        lease::is_held(&self.client).await
    }
}

fn read_only() -> io::Result<()> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

#[async_trait]
impl Store for ObjectReader {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        Ok(self.files.read(name).await?)
    }

    async fn write(&self, _: &str, _: Bytes) -> io::Result<()> {
        read_only()
    }

    async fn append(&self, _: &str, _: Bytes) -> io::Result<()> {
        read_only()
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.files.list(prefix).await?)
    }

    async fn delete(&self, _: &str) -> io::Result<()> {
        read_only()
    }
}
