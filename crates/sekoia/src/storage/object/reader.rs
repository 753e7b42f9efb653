//! A look at a folder that leaves it as it is, whoever has its lease.

use std::{io, sync::Arc};

use base::{Clock, http::Http};
use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{
    ObjectSettings,
    client::{Client, Condition},
    error::ObjectError,
    files::Files,
    lease,
};
use crate::storage::{Backend, Examined};

/// The files of a folder, for reading only.
#[derive(Clone, Debug)]
pub(crate) struct ObjectReader {
    client: Client,
    files: Arc<Files>,
}

impl ObjectReader {
    pub(crate) fn new(settings: ObjectSettings, http: Http, clock: Clock) -> Self {
        let client = Client::new(settings, http, clock).briefly();
        Self {
            files: Arc::new(Files::new(client.clone())),
            client,
        }
    }

    /// An object is written and taken away again to see whether that works.
    pub(crate) async fn examine(&self) -> Examined {
        let probed = self.probe().await;
        Examined {
            place: self.client.place().to_owned(),
            absent: false,
            in_use: matches!(probed, Ok(true)),
            free: None,
            trouble: probed.err().map(Into::into),
        }
    }

    /// The place, in words, and whether somebody has its lease, as far as the store tells.
    pub(crate) async fn presence(&self) -> (String, bool) {
        let held = lease::is_held(&self.client).await;
        (self.client.place().to_owned(), held.unwrap_or(false))
    }

    /// Writes an object that nobody else writes.
    pub(crate) async fn leave(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let put = self.client.put(name, content, &Condition::None, None);
        put.await.map(|_| ())
    }

    /// Whether somebody has the lease, once writing has worked.
    async fn probe(&self) -> Result<bool, ObjectError> {
        let key = format!(".check-{}", uuid::Uuid::new_v4().simple());
        self.client
            .put(&key, Bytes::new(), &Condition::None, None)
            .await?;
        self.client.delete(&key).await?;
        lease::is_held(&self.client).await
    }
}

fn read_only<T>() -> BoxFuture<'static, io::Result<T>>
where
    T: Send + 'static,
{
    Box::pin(std::future::ready(Err(
        io::ErrorKind::ReadOnlyFilesystem.into()
    )))
}

impl Backend for ObjectReader {
    fn read(&self, name: String) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        Box::pin(async move { Ok(self.files.read(&name).await?) })
    }

    fn write(&self, _: String, _: Bytes) -> BoxFuture<'_, io::Result<()>> {
        read_only()
    }

    fn append(&self, _: String, _: Bytes) -> BoxFuture<'_, io::Result<()>> {
        read_only()
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, io::Result<Vec<String>>> {
        Box::pin(async move { Ok(self.files.list(&prefix).await?) })
    }

    fn delete(&self, _: String) -> BoxFuture<'_, io::Result<()>> {
        read_only()
    }
}
