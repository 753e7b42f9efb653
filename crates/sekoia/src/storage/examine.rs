//! Looks at the data directory and changes nothing, also while a process works on it.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

use base::files;
use rustix::fs::Access;

use super::{StorageError, local, lock::LOCK, owner};

/// No state has as many files.
const MOST_FILES: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Examined {
    /// The place, for people.
    pub(crate) place: String,
    /// Whether it is yet to be created.
    pub(crate) absent: bool,
    pub(crate) in_use: bool,
    /// Free bytes for this process, where the file system tells.
    pub(crate) free: Option<u64>,
    pub(crate) trouble: Option<StorageError>,
}

/// Looks at a data directory. A file is written and taken away again to see whether that works;
/// a directory that is yet to be created is tried out where it would be.
pub(super) fn examine(root: &Path) -> Examined {
    let existing = existing(root);
    let trouble = writable(existing).err().map(|source| StorageError::Root {
        path: root.to_owned(),
        source: owner::explained(source, root, existing),
    });
    let trouble = trouble.or_else(|| unwritable(root));
    Examined {
        place: root.display().to_string(),
        absent: existing != root,
        in_use: is_locked(root),
        free: free(existing),
        trouble,
    }
}

/// The deepest directory on the way to `root`, itself included, that is there.
fn existing(root: &Path) -> &Path {
    let here = Path::new(".");
    let ways = root.ancestors().map(|way| match way.as_os_str() {
        empty if empty.is_empty() => here,
        _ => way,
    });
    ways.into_iter().find(|way| way.exists()).unwrap_or(here)
}

/// The first file in a directory that could not be written, and why. Each is opened, and nothing is
/// written.
fn unwritable(root: &Path) -> Option<StorageError> {
    let mut names = vec![LOCK.to_owned()];
    let unlisted = local::collect(root, "", &mut names).err();
    // New files are made in their folders.
    let folders = names.iter().filter_map(|name| name.rsplit_once('/'));
    let folders: BTreeSet<String> = folders.map(|(folder, _)| folder.to_owned()).collect();
    names.truncate(MOST_FILES);
    names.extend(folders);
    let unwritable = names.into_iter().find_map(|name| {
        let path = root.join(&name);
        let opened = match path.is_dir() {
            true => rustix::fs::access(&path, Access::WRITE_OK).map_err(io::Error::from),
            false => files::open(OpenOptions::new().append(true), &path).map(drop),
        };
        let trouble = match opened {
            Ok(()) => owner::unusable_to_keeper(root, &path),
            // What was deleted meanwhile, or is damaged, is told elsewhere.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => None,
            Err(error) => Some(owner::explained(error, root, &path)),
        };
        trouble.map(|source| StorageError::Failed {
            operation: "open for writing",
            name,
            source,
        })
    });
    unwritable.or_else(|| {
        unlisted.map(|source| StorageError::Failed {
            operation: "list",
            name: "all files".to_owned(),
            source,
        })
    })
}

fn writable(directory: &Path) -> io::Result<()> {
    let probe = directory.join(format!(".check-{}.tmp", std::process::id()));
    let written = File::create_new(&probe).and_then(|file| file.sync_all());
    let removed = fs::remove_file(&probe);
    written.and(removed)
}

/// Whether a process has the directory for itself. A shared lock is held for an instant: there is
/// no way to ask for one without having it. Who starts in that instant tries again.
pub(super) fn is_locked(root: &Path) -> bool {
    files::open(OpenOptions::new().read(true), &root.join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn free(path: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(path).ok()?;
    // One without any block, such as some that stand for a service, does not tell.
    let tells = status.f_blocks > 0;
    let free = status.f_bavail.checked_mul(status.f_frsize);
    free.filter(|_| tells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{
        LocalBackend,
        tests::{as_nobody, permit},
    };

    #[test]
    fn a_look_changes_nothing_and_needs_no_lock() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/b");
        let found = examine(&root);
        assert_eq!(existing(Path::new("nowhere/below")), Path::new("."));
        assert!(found.absent && !found.in_use && found.trouble.is_none());
        assert!(found.free.is_some_and(|free| free > 0));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

        let backend = LocalBackend::open(&root).unwrap();
        let found = examine(&root);
        assert!(!found.absent && found.in_use && found.trouble.is_none());
        drop(backend);
        assert!(!examine(&root).in_use);
        LocalBackend::open(&root).unwrap();
    }

    #[test]
    fn a_folder_that_may_not_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        permit(&root, 0o777);
        let rows = root.join("known-rows");
        fs::create_dir(&rows).unwrap();
        permit(&rows, 0);
        let trouble = as_nobody(move || examine(&root)).trouble.unwrap();
        let text = base::http::chain(&trouble);
        assert!(text.contains(&rows.display().to_string()), "{text}");
        permit(&rows, 0o755);
    }

    #[test]
    fn a_file_system_that_does_not_tell_how_much_is_free_is_not_full() {
        assert_eq!(free(Path::new("/proc")), None);
        assert!(free(Path::new("/")).is_some());
    }

    #[test]
    fn a_file_in_its_place_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for root in [file.path().to_owned(), file.path().join("below")] {
            let trouble = examine(&root).trouble.unwrap().to_string();
            assert!(
                trouble.contains("cannot use the data directory"),
                "{trouble}"
            );
        }
    }
}
