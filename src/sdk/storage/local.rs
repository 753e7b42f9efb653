//! Keeps files in a directory of the local file system.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::{Backend, LONGEST, StorageError};
use crate::files;

/// Held by the process that works on the directory.
pub(super) const LOCK: &str = ".lock";

/// Files below it hold what is in mails: they are for the user of this process alone.
const PRIVATE: &str = "dead-letters/";

/// Files below a directory that this process has for itself.
#[derive(Clone, Debug)]
pub struct LocalBackend {
    root: Arc<Path>,
    /// The lock lasts as long as the file is open.
    _lock: Option<Arc<File>>,
    temporary: Arc<AtomicU64>,
    /// The file that was appended to last, which stays open: it is most likely the next, too, and to
    /// look for it and open it costs as much as to write to it.
    appended: Arc<Mutex<Option<(String, File)>>>,
}

impl LocalBackend {
    /// Takes the directory into use; it is created when absent.
    ///
    /// # Errors
    /// When it cannot be created or written to, or another process uses it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let root = root.into();
        let unusable = |source| StorageError::Root {
            path: root.clone(),
            source,
        };
        fs::create_dir_all(&root).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let lock = files::open(&options, &root.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StorageError::Locked { path: root }),
            // Some network file systems have no locks: go on without, as the Python SDK does.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        Ok(Self {
            root: root.into(),
            _lock: Some(Arc::new(lock)),
            temporary: Arc::default(),
            appended: Arc::default(),
        })
    }

    /// The directory as it is, whoever works on it.
    pub(in crate::sdk) fn unlocked(root: PathBuf) -> Self {
        // Temporary files have other names than those of the one who works on it.
        let (temporary, _) = Uuid::new_v4().as_u64_pair();
        Self {
            root: root.into(),
            _lock: None,
            temporary: Arc::new(temporary.into()),
            appended: Arc::default(),
        }
    }

    fn appended(&self) -> MutexGuard<'_, Option<(String, File)>> {
        self.appended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the open file, when it has this name.
    fn take_appended(&self, name: &str) -> Option<File> {
        let taken = self.appended().take_if(|(other, _)| other == name);
        taken.map(|(_, file)| file)
    }

    /// Runs file work where it may block.
    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, io::Result<T>> {
        let root = Arc::clone(&self.root);
        Box::pin(async move {
            let task = tokio::task::spawn_blocking(move || work(&root));
            task.await.map_err(io::Error::other)?
        })
    }

    /// Puts a file beside the one of this name, and then in its place. A folder that stands there
    /// is put aside.
    fn replace(
        &self,
        name: String,
        content: Bytes,
        is_light: bool,
    ) -> BoxFuture<'static, io::Result<()>> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        drop(self.take_appended(&name));
        self.blocking(move |root| {
            let path = root.join(&name);
            let directory = parent(root, &path)?;
            let temporary = directory.join(format!(".{number}.tmp"));
            let in_place = || match fs::rename(&temporary, &path) {
                Err(_) if path.is_dir() => {
                    let aside = directory.join(format!("{}.folder-{number}", file_name(&path)));
                    fs::rename(&path, aside)?;
                    fs::rename(&temporary, &path)
                }
                renamed => renamed,
            };
            let written = if is_light {
                write(&temporary, mode(&name), &content).and_then(|_| in_place())
            } else {
                write(&temporary, mode(&name), &content)
                    .and_then(|file| file.sync_all())
                    .and_then(|()| in_place())
                    .and_then(|()| sync_directory(&directory))
            };
            if written.is_err() {
                // The first error is the one to tell.
                _ = fs::remove_file(&temporary);
            }
            written
        })
    }
}

impl Backend for LocalBackend {
    fn read(&self, name: String) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        self.blocking(move |root| match files::read(&root.join(name), LONGEST) {
            Ok(content) => Ok(Some(Bytes::from(content))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn write(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.replace(name, content, false)
    }

    fn write_lightly(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.replace(name, content, true)
    }

    fn append(&self, name: String, content: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let this = self.clone();
        self.blocking(move |root| {
            let mut new_in = None;
            let open = this.take_appended(&name);
            let mut file = match open.filter(is_there) {
                Some(file) => file,
                None => {
                    let path = root.join(&name);
                    let directory = parent(root, &path)?;
                    new_in = (!path.exists()).then_some(directory);
                    let mut options = OpenOptions::new();
                    options.create(true).append(true).mode(mode(&name));
                    files::open(&options, &path)?
                }
            };
            file.write_all(&content)?;
            if let Some(directory) = new_in {
                sync_directory(&directory)?;
            }
            *this.appended() = Some((name, file));
            Ok(())
        })
    }

    fn sync(&self, name: String) -> BoxFuture<'_, io::Result<()>> {
        let this = self.clone();
        self.blocking(move |root| {
            let open = this.take_appended(&name);
            let file = match open.filter(is_there) {
                Some(file) => file,
                None => files::open(OpenOptions::new().append(true), &root.join(&name))?,
            };
            file.sync_data()?;
            *this.appended() = Some((name, file));
            Ok(())
        })
    }

    fn list(&self, prefix: String) -> BoxFuture<'_, io::Result<Vec<String>>> {
        self.blocking(move |root| {
            let mut names = Vec::new();
            collect(root, "", &mut names)?;
            names.retain(|name| name.starts_with(&prefix));
            names.sort_unstable();
            Ok(names)
        })
    }

    fn delete(&self, name: String) -> BoxFuture<'_, io::Result<()>> {
        drop(self.take_appended(&name));
        self.blocking(move |root| {
            let path = root.join(&name);
            match fs::remove_file(&path) {
                Ok(()) => sync_directory(&parent(root, &path)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            }
        })
    }
}

/// Whether an open file is still to be found in some directory: others may have deleted it.
fn is_there(file: &File) -> bool {
    file.metadata().is_ok_and(|file| file.nlink() > 0)
}

/// The directory of a file, created when absent.
fn parent(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let directory = path.parent().unwrap_or(root);
    if !directory.is_dir() {
        fs::create_dir_all(directory)?;
        sync_directory(directory.parent().unwrap_or(root))?;
    }
    Ok(directory.to_owned())
}

/// With which permissions a file is created, less what the user's mask takes away.
fn mode(name: &str) -> u32 {
    if name.starts_with(PRIVATE) {
        0o600
    } else {
        0o666
    }
}

fn write(path: &Path, mode: u32, content: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(mode);
    let mut file = files::open(&options, path)?;
    file.write_all(content)?;
    Ok(file)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Makes a rename or a new name in this directory survive a crash.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// All files below `directory` as relative names; those that begin with a dot are ours.
fn collect(directory: &Path, prefix: &str, names: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::storage::{Storage, conformance};

    #[tokio::test]
    async fn conforms() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("made/on/demand");
        conformance::check(Storage::new(LocalBackend::open(&root).unwrap())).await;
        let left = fs::read_dir(&root).unwrap().filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.ends_with(".tmp").then_some(name)
        });
        assert_eq!(left.count(), 0, "no temporary files stay");
    }

    #[tokio::test]
    async fn a_file_that_was_deleted_by_others_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let backend = LocalBackend::open(directory.path()).unwrap();
        let append = |text: &'static str| backend.append("a/b".to_owned(), text.into());
        let content = || fs::read_to_string(directory.path().join("a/b"));
        append("one,").await.unwrap();
        append("two,").await.unwrap();
        assert_eq!(content().unwrap(), "one,two,");
        backend.sync("a/b".to_owned()).await.unwrap();
        fs::remove_dir_all(directory.path().join("a")).unwrap();
        let lost = backend.sync("a/b".to_owned()).await.unwrap_err();
        assert_eq!(lost.kind(), io::ErrorKind::NotFound, "it cannot be safe");
        append("three").await.unwrap();
        assert_eq!(content().unwrap(), "three");
        backend
            .write("a/b".to_owned(), "new,".into())
            .await
            .unwrap();
        append("four").await.unwrap();
        assert_eq!(content().unwrap(), "new,four", "not to the one replaced");
        let write = |name: &str| backend.write(name.to_owned(), "x".into());
        write("a/other").await.unwrap();
        assert!(backend.appended().is_some(), "it is another file");
        backend.delete("a/b".to_owned()).await.unwrap();
        assert!(backend.appended().is_none(), "nobody keeps what is deleted");
    }

    #[tokio::test]
    async fn what_is_in_mails_is_for_the_user_of_this_process_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let backend = LocalBackend::open(directory.path()).unwrap();
        let name = "dead-letters/1.jsonl";
        let mode = || {
            let file = fs::metadata(directory.path().join(name)).unwrap();
            file.permissions().mode() & 0o777
        };
        backend.append(name.to_owned(), "x".into()).await.unwrap();
        assert_eq!(mode(), 0o600, "appended to");
        backend.write(name.to_owned(), "y".into()).await.unwrap();
        assert_eq!(mode(), 0o600, "written");
    }

    #[tokio::test]
    async fn what_is_no_file_is_told_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let backend = LocalBackend::open(root).unwrap();
        fs::create_dir_all(root.join("state/inside")).unwrap();
        let pipe = std::process::Command::new("mkfifo")
            .arg(root.join("pipe"))
            .status();
        assert!(pipe.unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", root.join("endless")).unwrap();
        for name in ["state", "pipe", "endless"] {
            let error = backend.read(name.to_owned()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
            let appended = backend.append(name.to_owned(), "x".into()).await;
            assert!(appended.is_err(), "{name}");
            assert!(backend.sync(name.to_owned()).await.is_err(), "{name}");
            let write = |text: &'static str| backend.write(name.to_owned(), text.into());
            write("new").await.unwrap();
            assert_eq!(fs::read_to_string(root.join(name)).unwrap(), "new");
        }
        let aside = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let aside = aside.filter(|path| path.join("inside").is_dir()).count();
        assert_eq!(aside, 1, "what was in the folder is kept");
        let long = File::create(root.join("long")).unwrap();
        long.set_len(LONGEST as u64 + 1).unwrap();
        let error = backend.read("long".to_owned()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(backend);
        fs::remove_file(root.join(LOCK)).unwrap();
        fs::rename(root.join("state"), root.join("other")).unwrap();
        let pipe = std::process::Command::new("mkfifo")
            .arg(root.join(LOCK))
            .status();
        assert!(pipe.unwrap().success());
        assert!(matches!(
            LocalBackend::open(root),
            Err(StorageError::Root { .. })
        ));
        assert!(
            !crate::sdk::storage::is_locked(root),
            "and it is not waited for"
        );
    }

    #[test]
    fn one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = LocalBackend::open(directory.path()).unwrap();
        let error = LocalBackend::open(directory.path()).unwrap_err();
        assert!(
            error.to_string().contains("in use by another process"),
            "{error}"
        );
        drop(first);
        LocalBackend::open(directory.path()).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = LocalBackend::open(file.path().join("x")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot use the data directory"),
            "{error}"
        );
    }
}
