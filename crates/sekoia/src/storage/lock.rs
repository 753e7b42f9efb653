//! The lock on a data directory: one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use base::files;

use super::{StorageError, owner};

/// Held by the process that works on the directory.
pub(super) const LOCK: &str = ".lock";

/// A lock that lasts as long as its file is open.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    lost: bool,
}

/// What became of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// It is ours.
    Ours,
    /// Its file was gone; it was made anew, and is ours.
    Anew,
    /// Its file was gone, and another process has made it anew.
    Lost,
}

impl Lock {
    /// Takes the lock.
    pub(super) fn take(root: &Path) -> Result<Self, StorageError> {
        match try_lock(root) {
            Ok(Some(file)) => Ok(Self { file, lost: false }),
            Ok(None) => Err(StorageError::Locked {
                path: root.to_owned(),
            }),
            Err(source) => Err(StorageError::Root {
                path: root.to_owned(),
                source: owner::explained(source, root, &root.join(LOCK)),
            }),
        }
    }

    /// Looks whether the file in the directory is still the one that is locked: a process that
    /// finds none makes its own, and both would work.
    pub(super) fn check(&mut self, root: &Path) -> io::Result<Held> {
        if self.lost {
            return Ok(Held::Lost);
        }
        let ours = self.file.metadata()?;
        match fs::metadata(root.join(LOCK)) {
            Ok(found) if (found.dev(), found.ino()) == (ours.dev(), ours.ino()) => {
                return Ok(Held::Ours);
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        match try_lock(root)? {
            Some(file) => {
                self.file = file;
                Ok(Held::Anew)
            }
            None => {
                self.lost = true;
                Ok(Held::Lost)
            }
        }
    }

    /// Whether another process has it.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }
}

/// The file of the lock, locked; none when another process has it.
fn try_lock(root: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = files::open(&options, &root.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        // Some network file systems have no locks: go on without, as the Python SDK does.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(Some(file))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}
