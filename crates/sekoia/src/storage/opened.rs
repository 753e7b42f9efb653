//! The storage of a process, from its start to its end.

use super::{LocalBackend, ObjectBackend, Storage, StorageError};
use crate::deadline::Deadline;

/// Files that this process has for itself until it closes them.
#[derive(Debug)]
pub(crate) enum Opened {
    Directory(LocalBackend),
    Objects(ObjectBackend),
}

impl Opened {
    pub(crate) fn storage(&self) -> Storage {
        match self {
            Self::Directory(directory) => Storage::new(directory.clone()),
            Self::Objects(objects) => Storage::new(objects.clone()),
        }
    }

    /// The same files for lines that come each second; none in an object store, which is not for that.
    pub(crate) fn for_lines(&self) -> Option<Storage> {
        match self {
            Self::Directory(directory) => Some(Storage::new(directory.aside())),
            Self::Objects(_) => None,
        }
    }

    /// Lets the next process have them, unless another one has taken them meanwhile.
    pub(crate) async fn close(self, deadline: &Deadline) -> Result<(), StorageError> {
        match self {
            Self::Directory(directory) => directory.ensure_ours(),
            Self::Objects(objects) => Ok(objects.close(deadline).await?),
        }
    }
}
