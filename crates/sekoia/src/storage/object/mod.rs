//! Keeps files in a bucket of an S3-compatible object store (contract M), and looks at those of another instance.
//!
//! Keys are those of the Python SDK: `<sub_folder>/context.json`. One instance at a time writes
//! there: see [`lease`].

mod acquire;
mod client;
mod error;
mod files;
mod lease;
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
use object_store::PutMode;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use self::{
    client::{BRIEFLY, Client, PATIENTLY},
    error::Problem,
    files::Files,
    lease::Lease,
};
pub(crate) use self::{error::ObjectError, settings::ObjectSettings};
use crate::{
    deadline::{Deadline, Step},
    log::Log,
    storage::Examined,
};

/// The way back of the lease takes no longer, as a stop must be swift (E-11).
const RELEASE: Duration = Duration::from_secs(1);

/// While the lease cannot be renewed, that is said again after this time, as of an intake that does not accept.
const AGAIN: Duration = Duration::from_secs(60);

/// Files in a folder of a bucket that this instance has for itself, or only looks at. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ObjectBackend {
    files: Arc<Files>,
    /// None for a look.
    lease: Option<Arc<Lease>>,
    /// Ends the renewal with the last clone.
    _renewing: Option<Arc<DropGuard>>,
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
        Ok(Some(Self {
            files: Arc::new(Files::new(client)),
            lease: Some(lease),
            _renewing: Some(Arc::new(ended.drop_guard())),
        }))
    }

    /// Files that another instance may be working on: nothing can be written.
    pub(crate) fn look(
        settings: ObjectSettings,
        http: Http,
        clock: Clock,
    ) -> Result<Self, ObjectError> {
        let client = Client::new(settings, http, clock, BRIEFLY)?;
        Ok(Self {
            files: Arc::new(Files::beside(client)),
            lease: None,
            _renewing: None,
        })
    }

    fn client(&self) -> &Client {
        &self.files.client
    }

    /// An object is written and taken away again to see whether that works.
    pub(crate) async fn examine(&self) -> Examined {
        let probed = self.probe().await;
        Examined {
            place: self.client().place.clone(),
            absent: false,
            in_use: matches!(probed, Ok(true)),
            free: None,
            trouble: probed.err().map(Into::into),
        }
    }

    /// The place, in words, and whether somebody has its lease, as far as the store tells.
    pub(crate) async fn presence(&self) -> (String, bool) {
        let held = lease::is_held(self.client()).await;
        (self.client().place.clone(), held.unwrap_or(false))
    }

    /// Writes an object that nobody else writes.
    pub(crate) async fn leave(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let put = self.client().put(name, content, PutMode::Overwrite, None);
        put.await.map(|_| ())
    }

    /// Whether somebody has the lease, once writing has worked.
    async fn probe(&self) -> Result<bool, ObjectError> {
        let client = self.client();
        let key = format!(".check-{}", Uuid::new_v4().simple());
        client
            .put(&key, Bytes::new(), PutMode::Overwrite, None)
            .await?;
        client.delete(&key).await?;
        lease::is_held(client).await
    }

    /// Gives the folder back, so that the next instance need not wait. Nothing is written any more.
    ///
    /// # Errors
    /// When another instance has taken it meanwhile. When the store does not answer, the lease runs
    /// out by itself.
    pub(crate) async fn close(&self, deadline: &Deadline) -> Result<(), ObjectError> {
        let Some(lease) = &self.lease else {
            return Ok(());
        };
        let end = deadline.end(Step::Files, RELEASE);
        match timeout_at(end, lease.release()).await {
            Ok(Err(error)) if matches!(*error.problem, Problem::Lost { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// What lets something be written.
    fn lease(&self) -> io::Result<&Lease> {
        let lease = self.lease.as_deref();
        lease.ok_or_else(|| io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// Renews the lease until it is lost.
async fn renew(lease: Arc<Lease>, log: Log, stop: CancellationToken) {
    // When it was said last that this fails, and whether for a reason that a person has to mend.
    let mut said: Option<(Instant, bool)> = None;
    loop {
        lease.due().await;
        let Err(error) = lease.renew().await else {
            if said.take().is_some() {
                log.info("The lease on the object store is renewed again.");
            }
            continue;
        };
        match *error.problem {
            Problem::Released => return,
            Problem::Lost { .. } => {
                log.error(format!("Stopping: {}", chain(&error)));
                stop.cancel();
                return;
            }
            _ => {}
        }
        let is_lasting = !error.problem.is_transient();
        let is_said =
            |(at, of_lasting): (Instant, bool)| at.elapsed() < AGAIN && (of_lasting || !is_lasting);
        if said.is_some_and(is_said) {
            continue;
        }
        said = Some((Instant::now(), is_lasting));
        let text = format!(
            "Cannot renew the lease on the object store, without which nothing is sent or written; \
             trying again: {}",
            chain(&error)
        );
        match is_lasting {
            true => log.error(text),
            false => log.warning(text),
        }
    }
}

#[async_trait]
impl Store for ObjectBackend {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        Ok(self.files.read(name).await?)
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        Ok(self.files.write(self.lease()?, name, content).await?)
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        Ok(self.files.append(self.lease()?, name, &content).await?)
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.files.list(prefix).await?)
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        Ok(self.files.delete(self.lease()?, name).await?)
    }

    async fn held(&self) {
        if let Some(lease) = &self.lease {
            lease.certain().await;
        }
    }
}
