//! The storage of a process, from its start to its end.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::{Around, LocalBackend, ObjectBackend, ObjectSettings, Storage, StorageError};
use crate::{deadline::Deadline, log::Log};

/// Files that this process has for itself until it closes them.
#[derive(Debug)]
pub(crate) struct Opened {
    storage: Storage,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Directory(LocalBackend),
    Objects(ObjectBackend),
}

impl Opened {
    /// A directory. When another process takes it, because the lock was deleted, `log` hears of it, and
    /// `stop` is cancelled.
    ///
    /// # Errors
    /// As [`LocalBackend::open`].
    pub(crate) fn directory(
        root: PathBuf,
        log: Log,
        stop: CancellationToken,
    ) -> Result<Self, StorageError> {
        let directory = LocalBackend::open(root)?.watched(log, stop);
        Ok(Self {
            storage: Storage::new(directory.clone()),
            place: Place::Directory(directory),
        })
    }

    /// A folder of an object store; None when the stop came while it was waited for.
    ///
    /// # Errors
    /// As [`ObjectBackend::open`].
    pub(crate) async fn objects(
        settings: ObjectSettings,
        around: Around<'_>,
    ) -> Result<Option<Self>, StorageError> {
        let opened = ObjectBackend::open(settings, around).await?;
        Ok(opened.map(|objects| Self {
            storage: Storage::new(objects.clone()),
            place: Place::Objects(objects),
        }))
    }

    /// The files.
    pub(crate) fn storage(&self) -> Storage {
        self.storage.clone()
    }

    /// The same files for lines that come each second; none in an object store, which is not for that.
    pub(crate) fn for_lines(&self) -> Option<Storage> {
        match &self.place {
            Place::Directory(directory) => Some(Storage::new(directory.aside())),
            Place::Objects(_) => None,
        }
    }

    /// Lets the next process have them.
    ///
    /// # Errors
    /// When another one has taken them meanwhile.
    pub(crate) async fn close(self, deadline: &Deadline) -> Result<(), StorageError> {
        match self.place {
            Place::Objects(objects) => Ok(objects.close(deadline).await?),
            Place::Directory(directory) => directory.ensure_ours(),
        }
    }
}
