//! Where a trigger keeps what must survive a restart (L-01 to L-03).
//!
//! [`Storage`] is a handle on one [`Store`] of files; [`StateFile`] is the JSON object of the contract on
//! top of it.

#[cfg(test)]
mod conformance;
mod examine;
mod local;
mod location;
mod lock;
mod memory;
mod object;
mod owner;
mod stamp;
mod state_file;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use base::{Store, lock};
use bytes::Bytes;

pub(super) use self::{
    examine::Examined,
    location::{StorageLocation, directory},
    object::{ObjectBackend, ObjectSettings},
    owner::{go_on_as_owner, work_as_owner},
    stamp::{find_stamp, leave_stamp},
};
use self::{
    examine::{examine, is_locked},
    object::ObjectError,
};
pub use self::{
    local::LocalBackend,
    memory::MemoryBackend,
    state_file::{Peek, StateFile},
};
use crate::log::Log;

/// No stored file is longer: segments of delivered rows are closed at a quarter of
/// it, and the rest of the state is far smaller.
const LONGEST: usize = 16 << 20;

/// Why something could not be kept or found again.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Not a plain relative name.
    #[error("{0:?} cannot be the name of a stored file: use a relative path of plain names")]
    Name(String),
    /// The place itself cannot be used.
    #[error("cannot use the data directory {path}: {}", cure(.source))]
    Root {
        /// The directory.
        path: PathBuf,
        /// The failure below.
        source: io::Error,
    },
    /// The files belong to another user.
    #[error(
        "the files in the data directory {path} belong to {owner}, and this command works as {me}, whose \
         files the trigger could not use: give the command as that user, e.g. with `{command}`"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose files they are.
        owner: String,
        /// Who this process is.
        me: String,
        /// The command that works.
        command: String,
    },
    /// Another process works on the same data.
    #[error(
        "the data directory {path} is in use by another process: stop that one or give this one a directory of its own"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the data now, as the lock was deleted.
    #[error(
        "another process has taken the data directory {path}, as the file .lock in it was deleted: this \
         one sends and writes nothing more"
    )]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has worked on the data meanwhile, as the lock was deleted.
    #[error(
        "the file .lock in the data directory {path} was deleted, and process.json there tells of another \
         process: this one does not know what that one has sent, and sends and writes nothing more"
    )]
    Overtaken {
        /// The directory.
        path: PathBuf,
    },
    /// The object store cannot be used, or no longer.
    #[error("cannot use the object store")]
    Object(#[from] ObjectError),
    /// An operation on one file failed.
    #[error("cannot {operation} {name} in the data storage: {source}")]
    Failed {
        /// What was tried: read, write, append to, sync, list or delete.
        operation: &'static str,
        /// The file, or the prefix of a list.
        name: String,
        /// The failure below.
        source: io::Error,
    },
}

/// What makes a data directory usable again.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there, of space or of inodes"
        }
        _ => "make it a directory that the user of this process may write to",
    }
}

impl StorageError {
    /// Why a file can have no content, when it is not that the storage fails: something else is in
    /// its place, or it is far too long.
    pub fn is_damage(&self) -> Option<String> {
        match self {
            Self::Failed { source, .. } if source.kind() == io::ErrorKind::InvalidData => {
                Some(source.to_string())
            }
            _ => None,
        }
    }
}

/// Handle on a [`Store`] of files, which gets only names that are allowed; cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn Store>,
    /// What stands before each name: nothing, or a folder and a slash.
    prefix: String,
    /// What is written again when another program takes it away, of all folders.
    kept: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl Storage {
    /// A handle on any store.
    pub fn new(backend: impl Store) -> Self {
        Self {
            store: Arc::new(backend),
            prefix: String::new(),
            kept: Arc::default(),
        }
    }

    /// The files in a folder of these; all of them when its name is empty.
    #[must_use]
    pub fn inside(&self, folder: &str) -> Self {
        let mut inside = self.clone();
        if !folder.is_empty() {
            inside.prefix.push_str(folder);
            inside.prefix.push('/');
        }
        inside
    }

    /// A name as the store has it.
    fn full(&self, name: &str) -> Result<String, StorageError> {
        Ok(format!("{}{}", self.prefix, checked(name)?))
    }

    /// The whole file; None when there is none.
    ///
    /// # Errors
    /// When the name is not allowed or the store fails.
    pub async fn read(&self, name: &str) -> Result<Option<Bytes>, StorageError> {
        let result = self.store.read(&self.full(name)?).await;
        result.map_err(failed("read", name))
    }

    /// Replaces the file atomically and durably; fails as [`read`](Self::read), as do the others.
    pub async fn write(&self, name: &str, content: impl Into<Bytes>) -> Result<(), StorageError> {
        let result = self.store.write(&self.full(name)?, content.into()).await;
        result.map_err(failed("write", name))
    }

    /// Replaces the file atomically, but may lose it when the machine crashes soon after.
    pub async fn write_lightly(
        &self,
        name: &str,
        content: impl Into<Bytes>,
    ) -> Result<(), StorageError> {
        let result = self
            .store
            .write_lightly(&self.full(name)?, content.into())
            .await;
        result.map_err(failed("write", name))
    }

    /// Adds to the end of the file, but may lose it when the machine crashes before a
    /// [`sync`](Self::sync).
    pub async fn append(&self, name: &str, content: impl Into<Bytes>) -> Result<(), StorageError> {
        let result = self.store.append(&self.full(name)?, content.into()).await;
        result.map_err(failed("append to", name))
    }

    /// Makes durable what was appended to the file.
    ///
    /// # Errors
    /// As [`read`](Self::read); some of what was appended may be lost then, even when a later call succeeds.
    pub async fn sync(&self, name: &str) -> Result<(), StorageError> {
        let result = self.store.sync(&self.full(name)?).await;
        result.map_err(failed("sync", name))
    }

    /// The names that start with `prefix`, sorted; an empty prefix gives all.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let result = self.store.list(&format!("{}{prefix}", self.prefix)).await;
        let names = result.map_err(failed("list", prefix))?.into_iter();
        let inside = names.filter_map(|name| Some(name.strip_prefix(&self.prefix)?.to_owned()));
        Ok(inside.collect())
    }

    /// Waits until this instance is certain to be the only one that works with the files: what is
    /// to be done once must be done by one instance. It never comes back when another one has them:
    /// this one is being stopped then.
    pub async fn held(&self) {
        self.store.held().await;
    }

    /// Has the file written again with this content when another program takes it away: one that a start
    /// alone writes, and the next one needs.
    pub fn keep(&self, name: &str, content: impl Into<Bytes>) {
        let name = format!("{}{name}", self.prefix);
        lock(&self.kept).insert(name, content.into());
    }

    /// Forgets what a run has had kept: the next one may be another tenant's. The process is the same.
    pub fn keep_no_more(&self) {
        lock(&self.kept).retain(|name, _| name == stamp::FILE);
    }

    /// Writes again what is kept and has gone, and says so. Only who has the [held](Self::held) files may do
    /// that: they are another instance's else.
    pub async fn put_back(&self, log: &Log) {
        let kept = lock(&self.kept).clone();
        for (name, content) in kept {
            // A failure is told where something that matters more cannot be read or written.
            if matches!(self.store.read(&name).await, Ok(None))
                && self.store.write(&name, content).await.is_ok()
            {
                log.warning(format!(
                    "{name} was missing among the files that this process works on, and is written again \
                     from memory: the next start needs it, or a command does. Delete no files of a \
                     trigger that runs."
                ));
            }
        }
    }

    /// Takes the file away; no error when it is not there.
    pub async fn delete(&self, name: &str) -> Result<(), StorageError> {
        let result = self.store.delete(&self.full(name)?).await;
        result.map_err(failed("delete", name))
    }
}

/// The kind of a failure is that of the file's, as somebody may tell damage from an outage by it.
fn io<T>(result: Result<T, StorageError>) -> io::Result<T> {
    result.map_err(|error| {
        let kind = match &error {
            StorageError::Failed { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    })
}

#[async_trait]
impl Store for Storage {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        io(Self::read(self, name).await)
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(Self::write(self, name, content).await)
    }

    async fn write_lightly(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(Self::write_lightly(self, name, content).await)
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        io(Self::append(self, name, content).await)
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        io(Self::sync(self, name).await)
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        io(Self::delete(self, name).await)
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        io(Self::list(self, prefix).await)
    }

    async fn held(&self) {
        Self::held(self).await;
    }

    fn keep(&self, name: &str, content: Bytes) {
        Self::keep(self, name, content);
    }
}

fn failed<'a>(
    operation: &'static str,
    name: &'a str,
) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::Failed {
        operation,
        name: name.to_owned(),
        source: explained(source),
    }
}

/// With the cure, where the system does not say it.
fn explained(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::FileTooLarge {
        let cure = "this process may not write files as long as this: raise its limit (`ulimit -f`, \
                    or LimitFSIZE of systemd), and start it again";
        io::Error::new(error.kind(), cure)
    } else {
        error
    }
}

/// A relative name of plain parts. A leading dot is the store's own.
fn checked(name: &str) -> Result<&str, StorageError> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('\0');
    if name.split('/').all(plain) {
        Ok(name)
    } else {
        Err(StorageError::Name(name.to_owned()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
        path::Path,
    };

    use base::http::chain;

    use super::*;

    /// Does something with the rights on files of a user who has none: also where tests are run by root,
    /// who has all of them.
    pub(crate) fn as_nobody<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::spawn(|| {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65_534));
            work()
        });
        thread.join().unwrap()
    }

    pub(crate) fn permit(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn names_stay_inside() {
        let storage = Storage::new(MemoryBackend::default());
        for name in [
            "",
            "/etc/passwd",
            "../x",
            "a//b",
            "a/",
            ".lock",
            "a/.b",
            "a\0",
        ] {
            let result = storage.write(name, "x").await;
            assert!(matches!(result, Err(StorageError::Name(_))), "{name:?}");
        }
        storage.write("a/b..c", "x").await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_conforms_and_leaves_the_others_alone() {
        let all = Storage::new(MemoryBackend::default());
        all.write("a/c", "x").await.unwrap();
        all.write("other", "x").await.unwrap();
        conformance::check(all.inside("a/b")).await;
        assert_eq!(all.read("a/c").await.unwrap().unwrap(), "x");
        let names = all.list("").await.unwrap();
        assert!(names.contains(&"a/b/context.json".to_owned()), "{names:?}");
        assert_eq!(all.inside("").list("").await.unwrap(), names);
    }

    #[tokio::test]
    async fn what_others_take_away_is_written_again_and_said() {
        let backend = MemoryBackend::default();
        let all = Storage::new(backend.clone());
        let (log, lines) = crate::log::tests::log();
        let own = all.inside("tenants/a/graph");
        let id = uuid::Uuid::from_u128(1);
        leave_stamp(&all, id).await.unwrap();
        for (name, text) in [("one", "1"), ("two", "2")] {
            own.write(name, text).await.unwrap();
            own.keep(name, text);
        }
        let said = || lines.lock().unwrap().len();
        all.put_back(&log).await;
        assert_eq!(said(), 0);
        // Nobody is to write over what is there.
        own.write("two", "another").await.unwrap();
        own.delete("one").await.unwrap();
        all.delete(stamp::FILE).await.unwrap();
        all.put_back(&log).await;
        assert_eq!(said(), 2, "{lines:?}");
        let first = lines.lock().unwrap()[0].clone();
        assert!(first.contains("process.json was missing"), "{first}");
        assert_eq!(own.read("one").await.unwrap().unwrap(), "1");
        assert_eq!(own.read("two").await.unwrap().unwrap(), "another");
        assert_eq!(find_stamp(&all).await, Some(id));
        // Another run has other files, and the process is the same.
        all.keep_no_more();
        for name in all.list("").await.unwrap() {
            all.delete(&name).await.unwrap();
        }
        all.put_back(&log).await;
        assert_eq!(all.list("").await.unwrap(), [stamp::FILE]);
    }

    #[test]
    fn a_full_disk_is_no_matter_of_rights() {
        let said = |source| {
            let path = PathBuf::from("/data");
            StorageError::Root { path, source }.to_string()
        };
        for errno in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
            let text = said(errno.into());
            assert!(
                text.ends_with("make room there, of space or of inodes"),
                "{text}"
            );
        }
        let text = said(rustix::io::Errno::ACCESS.into());
        assert!(text.contains("may write to"), "{text}");
    }

    /// Who tells of damage tells the failure alone, without what lies behind it.
    #[tokio::test]
    async fn a_failure_says_why() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("file")).unwrap();
        let storage = Storage::new(LocalBackend::open(folder.path()).unwrap());
        let error = Store::read(&storage, "file").await.unwrap_err();
        let sentence =
            "cannot read file in the data storage: it is a folder, and not a file with content";
        assert_eq!(error.to_string(), sentence);
        assert_eq!(chain(&error), sentence, "once");
    }
}
