//! The storage of a process, from its start to its end.

use std::path::PathBuf;

use super::{Around, LocalBackend, ObjectBackend, ObjectSettings, Storage, StorageError};

/// Files that this process has for itself until it closes them.
#[derive(Debug)]
pub(in crate::sdk) struct Opened {
    storage: Storage,
    objects: Option<ObjectBackend>,
}

impl Opened {
    /// A directory.
    ///
    /// # Errors
    /// As [`LocalBackend::open`].
    pub(in crate::sdk) fn directory(root: PathBuf) -> Result<Self, StorageError> {
        Ok(Self {
            storage: Storage::new(LocalBackend::open(root)?),
            objects: None,
        })
    }

    /// A folder of an object store; None when the stop came while it was waited for.
    ///
    /// # Errors
    /// As [`ObjectBackend::open`].
    pub(in crate::sdk) async fn objects(
        settings: ObjectSettings,
        around: Around<'_>,
    ) -> Result<Option<Self>, StorageError> {
        let opened = ObjectBackend::open(settings, around).await?;
        Ok(opened.map(|objects| Self {
            storage: Storage::new(objects.clone()),
            objects: Some(objects),
        }))
    }

    /// The files.
    pub(in crate::sdk) fn storage(&self) -> Storage {
        self.storage.clone()
    }

    /// Lets the next process have them.
    ///
    /// # Errors
    /// When another one has taken them meanwhile.
    pub(in crate::sdk) async fn close(self) -> Result<(), StorageError> {
        match self.objects {
            Some(objects) => Ok(objects.close().await?),
            None => Ok(()),
        }
    }
}
