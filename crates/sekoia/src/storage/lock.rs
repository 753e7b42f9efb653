//! The lock on a data directory: one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
    time::Duration,
};

use base::files;
use rustix::io::Errno;
use uuid::Uuid;

use super::{LONGEST, StorageError, owner, stamp};

/// Held by the process that works on the directory.
pub(super) const LOCK: &str = ".lock";

/// Who only looks whether it is held shares it for far less than a pause, and is waited for so often at most.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(5);

/// A lock that lasts as long as its file is open.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// Whether, and how, another process has come to it.
    pub(super) lost: Option<Loss>,
    /// The file system has no locks: nothing keeps another process away.
    pub(super) is_nominal: bool,
    /// The id among the files when it was taken: that of a process before.
    found: Option<Uuid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Another process has it.
    Taken,
    /// Another process has had it meanwhile, as the id among the files tells.
    Overtaken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Ours,
    /// Its file was gone; it was made anew, and is ours.
    Anew,
    /// Its file was gone, and another process has worked on the files since.
    Lost,
}

impl Lock {
    pub(super) fn take(root: &Path) -> Result<Self, StorageError> {
        let taken = Self::try_take(root).map_err(|source| StorageError::Root {
            path: root.to_owned(),
            source: owner::explained(source, root, &root.join(LOCK)),
        })?;
        let taken = taken.map(|lock| Self {
            found: id_in(root),
            ..lock
        });
        taken.ok_or_else(|| StorageError::Locked {
            path: root.to_owned(),
        })
    }

    /// None when another process has the lock.
    fn try_take(root: &Path) -> io::Result<Option<Self>> {
        Self::try_past_looks(root, || thread::sleep(PAUSE))
    }

    fn try_past_looks(root: &Path, mut pause: impl FnMut()) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let file = files::open(&options, &root.join(LOCK))?;
        let mut looks = 0;
        let is_nominal = loop {
            match file.try_lock() {
                Ok(()) => break false,
                Err(TryLockError::WouldBlock) if looks < LOOKS && is_shared(&file) => {
                    looks += 1;
                    pause();
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                // Go on without, as the Python SDK does.
                Err(TryLockError::Error(error)) if has_no_locks(&error) => break true,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        };
        Ok(Some(Self {
            file,
            lost: None,
            is_nominal,
            found: None,
        }))
    }

    /// Looks whether the file in the directory is still the one that is locked: a process that
    /// finds none makes its own, and both would work. One that has worked meanwhile and ended, while this one
    /// stood still, has left its id: what this one remembers is older than the files then. `own` is the id
    /// that this one leaves.
    pub(super) fn check(&mut self, root: &Path, own: Uuid) -> io::Result<Held> {
        if self.lost.is_some() {
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
        let loss = match Self::try_take(root)? {
            None => Loss::Taken,
            Some(_) if self.is_overtaken(root, own) => Loss::Overtaken,
            Some(lock) => {
                let found = self.found;
                *self = Self { found, ..lock };
                return Ok(Held::Anew);
            }
        };
        self.lost = Some(loss);
        Ok(Held::Lost)
    }

    fn is_overtaken(&self, root: &Path, own: Uuid) -> bool {
        let id = id_in(root);
        // On a full disk this process may not have left its own.
        id.is_some_and(|id| id != own && Some(id) != self.found)
    }
}

/// The id of the process that worked on the files last; none when it cannot be told.
fn id_in(root: &Path) -> Option<Uuid> {
    let text = files::read(&root.join(stamp::FILE), LONGEST).ok()?;
    stamp::id_in(&text)
}

/// Whether nobody has the lock alone: who works on the directory does.
fn is_shared(file: &File) -> bool {
    file.try_lock_shared().is_ok() && file.unlock().is_ok()
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
    fn who_only_looks_keeps_nobody_away() {
        let folder = tempfile::tempdir().unwrap();
        let look = || {
            let look = File::create(folder.path().join(LOCK)).unwrap();
            look.lock_shared().unwrap();
            look
        };
        let mut looks = vec![look(), look()];
        let taken = Lock::try_past_looks(folder.path(), || drop(looks.pop()));
        let taken = taken.unwrap().unwrap();
        assert!(looks.is_empty());
        // Who works there is not waited for.
        let refused = Lock::try_past_looks(folder.path(), || panic!("it is held"));
        assert!(refused.unwrap().is_none());
        drop(taken);
        // Nor is anybody for ever.
        let _look = look();
        let mut pauses = 0;
        let refused = Lock::try_past_looks(folder.path(), || pauses += 1);
        assert!(refused.unwrap().is_none());
        assert_eq!(pauses, LOOKS);
    }

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
