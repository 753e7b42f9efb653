//! Keeps files in a bucket of an S3-compatible object store (contract M).
//!
//! Keys are those of the Python SDK: `<sub_folder>/context.json`. One instance at a time writes
//! there: see [`lease`].

mod acquire;
mod client;
mod error;
mod files;
mod lease;
mod reader;
mod settings;
#[cfg(test)]
mod tests;
mod transport;

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use base::{
    Clock, Store,
    http::{Http, chain},
};
use bytes::Bytes;
use tokio::time::timeout_at;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::{
    client::{Client, PATIENTLY},
    error::Problem,
    files::Files,
    lease::Lease,
};
pub(crate) use self::{error::ObjectError, reader::ObjectReader, settings::ObjectSettings};
use crate::{
    deadline::{Deadline, Step},
    log::Log,
};

/// The way back of the lease takes no longer, as a stop must be swift (E-11).
const RELEASE: Duration = Duration::from_secs(1);

/// Files in a folder of a bucket that this instance has for itself. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ObjectBackend(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    files: Files,
    lease: Arc<Lease>,
    /// Ends the renewal.
    _renewing: DropGuard,
}

impl ObjectBackend {
    /// Takes the folder into use: waits until no other instance does, and until the store answers.
    /// None when the stop came first. `log` hears of waits, warnings and the loss of the lease, which
    /// cancels `stop`. `host` is the name of this machine, which another instance tells when it finds ours.
    ///
    /// # Errors
    /// When another instance uses it and goes on doing so, or the store refuses for a reason that
    /// waiting does not cure.
    pub(crate) async fn open(
        settings: ObjectSettings,
        http: Http,
        clock: &Clock,
        log: &Log,
        stop: &CancellationToken,
        host: &str,
    ) -> Result<Option<Self>, ObjectError> {
        for secret in settings.secrets() {
            log.hide_text(secret);
        }
        let client = Client::new(settings, http, clock.clone(), PATIENTLY)?;
        let taken = acquire::take(&client, host, clock, log, stop).await?;
        let Some(lease) = taken.map(Arc::new) else {
            return Ok(None);
        };
        let ended = CancellationToken::new();
        let renewal = renew(Arc::clone(&lease), log.clone(), stop.clone());
        tokio::spawn(ended.clone().run_until_cancelled_owned(renewal));
        Ok(Some(Self(Arc::new(Shared {
            files: Files::new(client),
            lease,
            _renewing: ended.drop_guard(),
        }))))
    }

    /// Gives the folder back, so that the next instance need not wait. Nothing is written any more.
    ///
    /// # Errors
    /// When another instance has taken it meanwhile. When the store does not answer, the lease runs
    /// out by itself.
    pub(crate) async fn close(&self, deadline: &Deadline) -> Result<(), ObjectError> {
        let end = deadline.end(Step::Files, RELEASE);
        match timeout_at(end, self.0.lease.release()).await {
            Ok(Err(error)) if matches!(*error.problem, Problem::Lost { .. }) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Renews the lease until it is lost.
async fn renew(lease: Arc<Lease>, log: Log, stop: CancellationToken) {
    let mut failing = false;
    loop {
        lease.due().await;
        match lease.renew().await {
            Ok(()) if failing => {
                failing = false;
                log.info("The lease on the object store is renewed again.");
            }
            Ok(()) => {}
            Err(error) => match *error.problem {
                Problem::Released => return,
                Problem::Lost { .. } => {
                    log.error(format!("Stopping: {}", chain(&error)));
                    stop.cancel();
                    return;
                }
                _ if failing => {}
                _ => {
                    failing = true;
                    log.warning(format!(
                        "Cannot renew the lease on the object store, trying again: {}",
                        chain(&error)
                    ));
                }
            },
        }
    }
}

#[async_trait]
impl Store for ObjectBackend {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        Ok(self.0.files.read(name).await?)
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        Ok(self.0.files.write(&self.0.lease, name, content).await?)
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        Ok(self.0.files.append(&self.0.lease, name, &content).await?)
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.0.files.list(prefix).await?)
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        Ok(self.0.files.delete(&self.0.lease, name).await?)
    }

    async fn held(&self) {
        self.0.lease.certain().await;
    }
}
