//! Where the files of a process are, as its configuration says: taken into use from its start to its end, or
//! only looked at.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::{
    Examined, LocalBackend, ObjectBackend, Storage, StorageError, examine, is_locked, work_as_owner,
};
use crate::{
    config::{ConfigError, Configuration},
    deadline::Deadline,
};

/// The directory of the files, where they are in none of an object store: the data directory, or what
/// `sub_folder` makes of it (C-20).
pub(crate) fn directory(
    configuration: &Configuration,
    data: &Path,
) -> Result<PathBuf, ConfigError> {
    Ok(match configuration.filled_text("sub_folder")? {
        Some(below) => data.join(below),
        None => data.to_owned(),
    })
}

/// Where files are: taken into use by this process until it closes them, or ones that another process may be
/// working on.
#[derive(Debug)]
pub(crate) enum StorageLocation {
    Directory(LocalBackend),
    Objects(ObjectBackend),
}

impl StorageLocation {
    pub(crate) fn storage(&self) -> Storage {
        match self {
            Self::Directory(directory) => Storage::new(directory.clone()),
            Self::Objects(objects) => Storage::new(objects.clone()),
        }
    }

    /// The directory; none for an object store.
    pub(crate) fn root(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(&directory.root),
            Self::Objects(_) => None,
        }
    }

    /// The id that a process leaves among them that works on them.
    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::Directory(directory) => directory.id,
            Self::Objects(_) => Uuid::new_v4(),
        }
    }

    /// The place, in words, and whether a process has it for itself.
    pub(crate) async fn presence(&self) -> (String, bool) {
        match self {
            Self::Directory(LocalBackend { root, .. }) => {
                (root.display().to_string(), is_locked(root))
            }
            Self::Objects(objects) => objects.presence().await,
        }
    }

    /// Leaves a file for the process that works on the others.
    pub(crate) async fn leave(&self, name: &str, content: Bytes) -> Result<(), StorageError> {
        match self {
            Self::Directory(_) => self.storage().write(name, content).await,
            Self::Objects(objects) => Ok(objects.leave(name, content).await?),
        }
    }

    /// Makes this process work as the user whose files they are, when it is root.
    pub(crate) fn works_as_owner(&self) -> Result<(), StorageError> {
        // Nobody owns objects.
        self.root().map_or(Ok(()), work_as_owner)
    }

    /// Tries out whether files could be written, and looks who does.
    pub(crate) async fn examine(&self) -> Examined {
        match self {
            Self::Directory(directory) => examine(&directory.root),
            Self::Objects(objects) => objects.examine().await,
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
