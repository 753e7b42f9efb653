//! The lock on a data directory: one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use base::files;
use rustix::io::Errno;

use super::{StorageError, owner};

/// Held by the process that works on the directory.
pub(super) const LOCK: &str = ".lock";

/// A lock that lasts as long as its file is open.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// Another process has it.
    pub(super) lost: bool,
    /// The file system has no locks: nothing keeps another process away.
    pub(super) is_nominal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Ours,
    /// Its file was gone; it was made anew, and is ours.
    Anew,
    /// Its file was gone, and another process has made it anew.
    Lost,
}

impl Lock {
    pub(super) fn take(root: &Path) -> Result<Self, StorageError> {
        let taken = Self::try_take(root).map_err(|source| StorageError::Root {
            path: root.to_owned(),
            source: owner::explained(source, root, &root.join(LOCK)),
        })?;
        taken.ok_or_else(|| StorageError::Locked {
            path: root.to_owned(),
        })
    }

    /// None when another process has the lock.
    fn try_take(root: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = files::open(&options, &root.join(LOCK))?;
        let is_nominal = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => return Ok(None),
            // Go on without, as the Python SDK does.
            Err(TryLockError::Error(error)) if has_no_locks(&error) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        Ok(Some(Self {
            file,
            lost: false,
            is_nominal,
        }))
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
        let Some(lock) = Self::try_take(root)? else {
            self.lost = true;
            return Ok(Held::Lost);
        };
        *self = lock;
        Ok(Held::Anew)
    }
}

/// Whether a network file system has no locks, or none at present: NFS without its lock service has no
/// lock to give.
fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error() == Some(Errno::NOLCK.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_are_no_locks_it_goes_on_without() {
        for (errno, goes_on) in [
            (Errno::NOLCK, true),
            (Errno::NOSYS, true),
            (Errno::OPNOTSUPP, true),
            (Errno::IO, false),
            (Errno::ACCESS, false),
        ] {
            let error = io::Error::from(errno);
            assert_eq!(has_no_locks(&error), goes_on, "{error}");
        }
    }
}
