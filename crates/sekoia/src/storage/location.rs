//! Where the files of a process are, as its configuration says.

use std::path::{Path, PathBuf};

use base::{Clock, http::Http};
use bytes::Bytes;

use super::{
    Examined, LocalBackend, ObjectReader, ObjectSettings, Storage, StorageError, examine,
    is_locked, work_as_owner,
};
use crate::config::{ConfigError, Configuration};

/// The place of the files (C-19, C-20).
#[derive(Debug)]
pub(crate) enum StorageLocation {
    /// The data directory, or what `sub_folder` makes of it.
    Directory(PathBuf),
    /// A folder of an object store.
    Objects(Box<ObjectSettings>),
}

impl StorageLocation {
    /// Reads where files are, when the data directory is `data`.
    ///
    /// # Errors
    /// When a key is missing or not usable.
    pub(crate) fn read(configuration: &Configuration, data: &Path) -> Result<Self, ConfigError> {
        let backend = configuration.filled_text("file_backend")?;
        if backend.is_some_and(|backend| backend.eq_ignore_ascii_case("s3")) {
            return ObjectSettings::read(configuration)
                .map(Box::new)
                .map(Self::Objects);
        }
        Ok(Self::Directory(
            match configuration.filled_text("sub_folder")? {
                Some(below) => data.join(below),
                None => data.to_owned(),
            },
        ))
    }

    /// The files for reading only, whoever works on them.
    ///
    /// # Errors
    /// When there can be no client with these settings.
    pub(crate) fn reader(self, http: Http, clock: Clock) -> Result<StorageReader, StorageError> {
        match self {
            Self::Directory(root) => Ok(StorageReader::Directory(root)),
            Self::Objects(settings) => {
                let reader = ObjectReader::new(*settings, http, clock)?;
                Ok(StorageReader::Objects(Box::new(reader)))
            }
        }
    }
}

/// Files that another process may be working on.
#[derive(Debug)]
pub(crate) enum StorageReader {
    Directory(PathBuf),
    Objects(Box<ObjectReader>),
}

impl StorageReader {
    /// The files.
    pub(crate) fn storage(&self) -> Storage {
        match self {
            Self::Directory(root) => Storage::new(LocalBackend::unlocked(root.clone())),
            Self::Objects(objects) => Storage::new(ObjectReader::clone(objects)),
        }
    }

    /// The directory; none for an object store.
    pub(crate) fn root(&self) -> Option<PathBuf> {
        match self {
            Self::Directory(root) => Some(root.clone()),
            Self::Objects(_) => None,
        }
    }

    /// The place, in words, and whether a process has it for itself.
    pub(crate) async fn presence(&self) -> (String, bool) {
        match self {
            Self::Directory(root) => (root.display().to_string(), is_locked(root)),
            Self::Objects(objects) => objects.presence().await,
        }
    }

    /// Leaves a file to whoever works on the others.
    pub(crate) async fn leave(&self, name: &str, content: Bytes) -> Result<(), StorageError> {
        match self {
            Self::Directory(_) => self.storage().write(name, content).await,
            Self::Objects(objects) => Ok(objects.leave(name, content).await?),
        }
    }

    /// Makes this process work as the user whose files they are, when it is root.
    pub(crate) fn works_as_owner(&self) -> Result<(), StorageError> {
        match self {
            Self::Directory(root) => work_as_owner(root),
            // Nobody owns objects.
            Self::Objects(_) => Ok(()),
        }
    }

    /// Tries out whether files could be written, and looks who does.
    pub(crate) async fn examine(&self) -> Examined {
        match self {
            Self::Directory(root) => examine(root),
            Self::Objects(objects) => objects.examine().await,
        }
    }
}
