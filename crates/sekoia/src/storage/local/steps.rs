//! The single steps that file work is made of.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use base::files;
use uuid::Uuid;

use super::list::is_absent;

/// Files whose names begin like this hold what is in mails, or quote answers of servers: they are for the
/// user of this process alone.
const PRIVATE: [&str; 6] = [
    "dead-letters",
    "verify-hours",
    "verify-progress",
    "backfill-progress",
    "service.json",
    "last_error",
];

/// So are files of this kind.
const LOGS: &str = ".log";

/// What another process is writing is younger.
const LEFT: Duration = Duration::from_secs(60 * 60);

/// Folders of files lie so deep.
const DEPTH: u32 = 5;

/// Deletes the temporary files of processes that were killed while they wrote. What cannot be looked at stays.
pub(super) fn clear(directory: &Path) {
    clear_down(directory, DEPTH);
}

fn clear_down(directory: &Path, depth: u32) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() && depth > 0 {
            clear_down(&entry.path(), depth - 1);
        }
        let name = entry.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix('.')?.strip_suffix(".tmp"));
        let is_ours = number.is_some_and(|number| number.parse::<u64>().is_ok());
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok());
        if is_ours && metadata.is_file() && age.is_some_and(|age| age >= LEFT) {
            // It only takes room.
            _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether an open file is still the one at its path: others may have deleted or replaced it. It may live on
/// under another name, as in a backup of hard links.
pub(super) fn is_at(path: &Path, open: &File) -> io::Result<bool> {
    let found = match path.metadata() {
        Err(error) if is_absent(&error) => return Ok(false),
        found => found?,
    };
    let open = open.metadata()?;
    Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
}

/// The directory of a file, created when absent.
pub(super) fn parent(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let directory = path.parent().unwrap_or(root);
    if !directory.is_dir() {
        make_way(root, directory)?;
        fs::create_dir_all(directory)?;
        sync_directory(directory.parent().unwrap_or(root))?;
    }
    Ok(directory.to_owned())
}

/// Gives what stands in the place of a folder below the root, and is none, a name of its own.
fn make_way(root: &Path, directory: &Path) -> io::Result<()> {
    let below_root = |path: &&Path| *path != root && path.starts_with(root);
    // Only one of them is there and no folder.
    for path in directory.ancestors().take_while(below_root) {
        if is_in_the_way(path, Metadata::is_dir) {
            return rename_aside(path);
        }
    }
    Ok(())
}

/// Whether what has this name is none of a kind. A link that leads in a circle is of no kind.
fn is_in_the_way(path: &Path, is_wanted: impl FnOnce(&Metadata) -> bool) -> bool {
    match path.metadata() {
        Ok(found) => !is_wanted(&found),
        // It may be a folder above that is such a link.
        Err(error) => files::is_circle(&error) && path.is_symlink(),
    }
}

/// With which permissions a file is created, less what the user's mask takes away.
pub(super) fn mode(name: &str) -> u32 {
    let is_private = |start| name.starts_with(start) || name.contains(&format!("/{start}"));
    if PRIVATE.into_iter().any(is_private) || name.ends_with(LOGS) {
        0o600
    } else {
        0o666
    }
}

/// Writes a file that is to take the place of another. What a kill has left under this name goes first: it
/// may have been made for a file that others may read, and would keep those permissions.
pub(super) fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<File> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(mode);
    let mut file = files::open(&options, path)?;
    file.write_all(content)?;
    Ok(file)
}

/// Gives what stands in the place of a file and is none, a folder, a pipe, a device, a name of its own: with
/// it in the way nothing could be written any more.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    if is_in_the_way(path, Metadata::is_file) {
        rename_aside(path)?;
    }
    Ok(())
}

fn rename_aside(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}.aside-{}", Uuid::new_v4().simple()));
    fs::rename(path, aside)
}

/// The file that a symbolic link leads to, in whose place a new one comes: the link is somebody's wish. Any
/// other path is its own.
pub(super) fn behind_link(path: &Path) -> io::Result<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if is_link && path.is_file() {
        fs::canonicalize(path)
    } else {
        Ok(path.to_owned())
    }
}

/// Makes a rename or a new name in this directory survive a crash. Some file systems, mostly of networks, sync
/// files alone, and say so: then it survives as far as they see to that themselves.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if is_not_offered(&error) => Ok(()),
        synced => synced,
    }
}

fn is_not_offered(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_processes_have_left_is_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("tenants/x/graph");
        fs::create_dir_all(&inside).unwrap();
        let make = |path: &Path, age: Duration| {
            let file = File::create(path).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - age).unwrap();
        };
        let (old, new) = (LEFT + Duration::from_secs(9), Duration::from_secs(9));
        for directory in [folder.path(), inside.as_path()] {
            make(&directory.join(".17.tmp"), old);
            // Of others, or of one who writes at this moment.
            for name in [".tmp", "17.tmp", ".x17.tmp", ".17", "context.json"] {
                make(&directory.join(name), old);
            }
            make(&directory.join(".18.tmp"), new);
            fs::create_dir(directory.join(".19.tmp")).unwrap();
        }
        clear(folder.path());
        for directory in [folder.path(), inside.as_path()] {
            assert!(!directory.join(".17.tmp").exists());
            for name in [
                ".tmp",
                "17.tmp",
                ".x17.tmp",
                ".17",
                "context.json",
                ".18.tmp",
                ".19.tmp",
            ] {
                assert!(directory.join(name).exists(), "{name}");
            }
        }
        clear(&folder.path().join("absent"));
    }

    /// Else nothing could be written to such a file system, and the trigger would stand still.
    #[test]
    fn a_directory_that_cannot_be_synced_is_none_the_worse() {
        let unsynced = Path::new("/proc");
        let refused = File::open(unsynced).unwrap().sync_all().unwrap_err();
        assert!(is_not_offered(&refused), "{refused}");
        sync_directory(unsynced).unwrap();
        let folder = tempfile::tempdir().unwrap();
        sync_directory(folder.path()).unwrap();
        let absent = sync_directory(&folder.path().join("absent"));
        assert_eq!(absent.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
