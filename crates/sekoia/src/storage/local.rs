//! Keeps files in a directory of the local file system.

mod list;
mod steps;

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use base::{Store, files, lock};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(super) use self::list::collect;
use self::list::is_absent;
use self::steps::{behind_link, clear, is_at, mode, parent, put_aside, sync_directory, write};
use super::{
    LONGEST, StorageError,
    lock::{Held, Lock, Loss},
    owner,
};
use crate::log::Log;

/// Why what was added to a file is not safe.
const SWAPPED: &str = "another program has deleted or replaced it meanwhile";

/// Files below a directory that this process has for itself.
#[derive(Clone, Debug)]
pub struct LocalBackend {
    pub(super) root: Arc<Path>,
    /// The id that the process leaves that works on them.
    pub(super) id: Uuid,
    /// None for a look.
    lock: Option<Arc<Mutex<Lock>>>,
    /// Hears of a lock that is lost, and ends the process then.
    watch: Option<(Log, CancellationToken)>,
    temporary: Arc<AtomicU64>,
    /// The file that was appended to last, which stays open: it is most likely the next, too, and to
    /// look for it and open it costs as much as to write to it.
    appended: Arc<Mutex<Option<Appended>>>,
    /// Files in whose place something else was found when more was added: what was added before is not safe,
    /// which the next sync says.
    swapped: Arc<Mutex<BTreeSet<String>>>,
}

#[derive(Debug)]
struct Appended {
    name: String,
    file: File,
    /// Whether all that was added to it is safe.
    is_synced: bool,
}

impl LocalBackend {
    /// Takes the directory into use; it is created when absent.
    ///
    /// # Errors
    /// When it cannot be created or written to, or another process uses it.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|error| StorageError::Root {
            path: root.clone(),
            source: owner::explained(error, &root, &root),
        })?;
        let lock = Lock::take(&root)?;
        clear(&root);
        Ok(Self {
            lock: Some(Arc::new(Mutex::new(lock))),
            temporary: Arc::default(),
            ..Self::unlocked(root)
        })
    }

    /// The same directory; a file that is appended to here stays open beside the one there.
    pub(crate) fn aside(&self) -> Self {
        Self {
            appended: Arc::default(),
            swapped: Arc::default(),
            ..self.clone()
        }
    }

    /// The directory without its lock: another process may work on it.
    pub(crate) fn unlocked(root: PathBuf) -> Self {
        // Temporary files have other names than those of the one who works on it.
        let (temporary, _) = Uuid::new_v4().as_u64_pair();
        Self {
            root: root.into(),
            id: Uuid::new_v4(),
            lock: None,
            watch: None,
            temporary: Arc::new(temporary.into()),
            appended: Arc::default(),
            swapped: Arc::default(),
        }
    }

    /// Says in this log when the lock is lost to another process, and ends this one by this token. Says at
    /// once when it keeps nobody away.
    #[must_use]
    pub(crate) fn watched(self, log: Log, stop: CancellationToken) -> Self {
        if self
            .lock
            .as_deref()
            .is_some_and(|lock| base::lock(lock).is_nominal)
        {
            log.warning(format!(
                "The file system of the data directory {} has no locks: nothing keeps a second process \
                 from working there, and sending everything twice. Make sure that there is only one.",
                self.root.display()
            ));
        }
        Self {
            watch: Some((log, stop)),
            ..self
        }
    }

    /// That no other process has taken the directory.
    pub(crate) fn ensure_ours(&self) -> Result<(), StorageError> {
        let lock = self.lock.as_ref();
        let path = || self.root.to_path_buf();
        match lock.and_then(|lock| base::lock(lock).lost) {
            None => Ok(()),
            Some(Loss::Taken) => Err(StorageError::Taken { path: path() }),
            Some(Loss::Overtaken) => Err(StorageError::Overtaken { path: path() }),
        }
    }

    /// Looks for the file of the lock, and says what became of it.
    async fn check_lock(&self) -> Held {
        let Some(lock) = self.lock.clone() else {
            return Held::Ours;
        };
        let id = self.id;
        let look = self.blocking(move |root| base::lock(&lock).check(root, id));
        // A directory that cannot be looked at cannot be written either, which is said.
        let held = look.await.unwrap_or(Held::Ours);
        if let Some((log, stop)) = &self.watch {
            match held {
                Held::Ours => {}
                Held::Anew => log.warning(format!(
                    "The file .lock in the data directory {} was deleted while this process works \
                     there; it was made anew. Without it a second process could begin to work there, \
                     and send everything twice.",
                    self.root.display()
                )),
                Held::Lost if stop.is_cancelled() => {}
                Held::Lost => {
                    if let Err(error) = self.ensure_ours() {
                        log.error(format!("Stopping: {error}"));
                    }
                    stop.cancel();
                }
            }
        }
        held
    }

    /// Takes the open file, when it has this name.
    fn take_appended(&self, name: &str) -> Option<Appended> {
        lock(&self.appended).take_if(|appended| appended.name == name)
    }

    /// What was added to the file counts no more: it is replaced, or deleted.
    fn forget_appended(&self, name: &str) {
        drop(self.take_appended(name));
        lock(&self.swapped).remove(name);
    }

    /// Runs file work where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let root = Arc::clone(&self.root);
        let task = tokio::task::spawn_blocking(move || work(&root));
        task.await.map_err(io::Error::other)?
    }

    /// The same with one file: what is not permitted is told with its owner.
    async fn on_file<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(&Path, String) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let name = name.to_owned();
        self.blocking(move |root| {
            let path = root.join(&name);
            work(root, name).map_err(|error| owner::explained(error, root, &path))
        })
        .await
    }

    /// Puts a file beside the one of this name, and then in its place.
    async fn replace(&self, name: &str, content: Bytes, is_light: bool) -> io::Result<()> {
        // A process that stood still must not write over what another has written since.
        self.check_lock().await;
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        self.forget_appended(name);
        let this = self.clone();
        self.on_file(name, move |root, name| {
            this.ensure_ours().map_err(io::Error::other)?;
            let own = root.join(&name);
            let path = behind_link(&own)?;
            let directory = parent(root, &path)?;
            let temporary = match path.file_name() {
                // Others may have files there.
                Some(file) if path != own => format!(".{}.{number}.tmp", file.display()),
                _ => format!(".{number}.tmp"),
            };
            let temporary = directory.join(temporary);
            let written = write(&temporary, mode(&name), &content).and_then(|file| {
                if !is_light {
                    file.sync_all()?;
                }
                put_aside(&path)?;
                fs::rename(&temporary, &path)?;
                match is_light {
                    true => Ok(()),
                    false => sync_directory(&directory),
                }
            });
            if written.is_err() {
                // The first error is the one to tell.
                _ = fs::remove_file(&temporary);
            }
            written
        })
        .await
    }
}

#[async_trait]
impl Store for LocalBackend {
    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        self.on_file(name, move |root, name| {
            match files::read(&root.join(name), LONGEST) {
                Ok(content) => Ok(Some(Bytes::from(content))),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.replace(name, content, false).await
    }

    async fn write_lightly(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.replace(name, content, true).await
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        let this = self.clone();
        self.on_file(name, move |root, name| {
            this.ensure_ours().map_err(io::Error::other)?;
            let mut new_in = None;
            let path = root.join(&name);
            let mut file = match this.take_appended(&name) {
                Some(open) if is_at(&path, &open.file)? => open.file,
                other => {
                    if other.is_some_and(|other| !other.is_synced) {
                        lock(&this.swapped).insert(name.clone());
                    }
                    let directory = parent(root, &path)?;
                    put_aside(&path)?;
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
            *lock(&this.appended) = Some(Appended {
                name,
                file,
                is_synced: false,
            });
            Ok(())
        })
        .await
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        let this = self.clone();
        self.on_file(name, move |root, name| {
            let path = root.join(&name);
            let open = this.take_appended(&name);
            let was_swapped = lock(&this.swapped).remove(&name);
            let file = match open {
                // What was added is not in the one that is there now.
                _ if was_swapped => return Err(io::Error::new(io::ErrorKind::NotFound, SWAPPED)),
                None => files::open(OpenOptions::new().append(true), &path)?,
                Some(open) if is_at(&path, &open.file)? => open.file,
                Some(_) => return Err(io::Error::new(io::ErrorKind::NotFound, SWAPPED)),
            };
            file.sync_data()?;
            *lock(&this.appended) = Some(Appended {
                name,
                file,
                is_synced: true,
            });
            Ok(())
        })
        .await
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let prefix = prefix.to_owned();
        self.blocking(move |root| {
            let mut names = Vec::new();
            collect(root, &prefix, &mut names)?;
            names.sort_unstable();
            Ok(names)
        })
        .await
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        self.check_lock().await;
        self.forget_appended(name);
        let this = self.clone();
        self.on_file(name, move |root, name| {
            this.ensure_ours().map_err(io::Error::other)?;
            let path = root.join(&name);
            put_aside(&path)?;
            match fs::remove_file(&path) {
                Ok(()) => sync_directory(&parent(root, &path)?),
                Err(error) if is_absent(&error) => Ok(()),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn held(&self) {
        if self.check_lock().await == Held::Lost {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Storage, conformance, lock::LOCK};

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
        let append = |text: &'static str| backend.append("a/b", text.into());
        let content = || fs::read_to_string(directory.path().join("a/b"));
        append("one,").await.unwrap();
        append("two,").await.unwrap();
        assert_eq!(content().unwrap(), "one,two,");
        backend.sync("a/b").await.unwrap();
        fs::remove_dir_all(directory.path().join("a")).unwrap();
        let lost = backend.sync("a/b").await.unwrap_err();
        assert_eq!(lost.kind(), io::ErrorKind::NotFound, "it cannot be safe");
        append("three").await.unwrap();
        assert_eq!(content().unwrap(), "three");
        backend.write("a/b", "new,".into()).await.unwrap();
        append("four").await.unwrap();
        assert_eq!(content().unwrap(), "new,four", "not to the one replaced");
        let write = |name: &'static str| backend.write(name, "x".into());
        write("a/other").await.unwrap();
        assert!(lock(&backend.appended).is_some(), "it is another file");
        backend.delete("a/b").await.unwrap();
        assert!(
            lock(&backend.appended).is_none(),
            "nobody keeps what is deleted"
        );
    }

    /// Else a restart would not know what was added.
    #[tokio::test]
    async fn nothing_is_added_to_a_file_that_lives_on_in_a_backup() {
        let directory = tempfile::tempdir().unwrap();
        let (own, backup) = (
            directory.path().join("log"),
            directory.path().join("backup"),
        );
        let backend = LocalBackend::open(directory.path()).unwrap();
        let append = |text: &'static str| backend.append("log", text.into());
        let content = |path: &Path| fs::read_to_string(path).unwrap();
        append("one,").await.unwrap();
        fs::hard_link(&own, &backup).unwrap();
        fs::remove_file(&own).unwrap();
        append("two,").await.unwrap();
        assert_eq!(
            (content(&own), content(&backup)),
            ("two,".into(), "one,".into())
        );
        // A copy is put in its place.
        fs::copy(&own, directory.path().join("copy")).unwrap();
        append("three").await.unwrap();
        fs::rename(directory.path().join("copy"), &own).unwrap();
        let lost = backend.sync("log").await.unwrap_err();
        assert_eq!(lost.kind(), io::ErrorKind::NotFound, "it cannot be safe");
        assert!(lost.to_string().contains(SWAPPED), "{lost}");
        append("four").await.unwrap();
        backend.sync("log").await.unwrap();
        assert_eq!(content(&own), "two,four");
        // More is added before anybody asks whether it is safe.
        fs::copy(&own, directory.path().join("copy")).unwrap();
        append(",five").await.unwrap();
        fs::rename(directory.path().join("copy"), &own).unwrap();
        append(",six").await.unwrap();
        let lost = backend.sync("log").await.unwrap_err();
        assert!(lost.to_string().contains(SWAPPED), "{lost}");
        backend.sync("log").await.unwrap();
        assert_eq!(content(&own), "two,four,six");
        // What was safe before is no matter of the next sync.
        fs::remove_file(&own).unwrap();
        append("seven").await.unwrap();
        backend.sync("log").await.unwrap();
        assert_eq!(content(&own), "seven");
    }

    /// Else no start would succeed, and nothing would be written.
    #[tokio::test]
    async fn what_stands_in_the_place_of_a_folder_makes_way_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let backend = LocalBackend::open(root).unwrap();
        fs::write(root.join("a"), "a file").unwrap();
        assert_eq!(backend.read("a/b/c").await.unwrap(), None);
        backend.delete("a/b/c").await.unwrap();
        assert_eq!(fs::read_to_string(root.join("a")).unwrap(), "a file");
        backend.append("a/b/c", "new".into()).await.unwrap();
        fs::remove_dir_all(root.join("a/b")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", root.join("a/b")).unwrap();
        assert_eq!(backend.read("a/b/c").await.unwrap(), None);
        backend.write("a/b/c", "newer".into()).await.unwrap();
        assert_eq!(backend.read("a/b/c").await.unwrap().unwrap(), "newer");
        let aside = |folder: &Path, start: &str| {
            let names = fs::read_dir(folder).unwrap();
            let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.find(|name| name.starts_with(start)).unwrap()
        };
        let kept = root.join(aside(root, "a.aside-"));
        assert_eq!(fs::read_to_string(kept).unwrap(), "a file");
        aside(&root.join("a"), "b.aside-");
        // One that leads in a circle, in the place of a folder that has folders in it.
        std::os::unix::fs::symlink("ring", root.join("ring")).unwrap();
        assert_eq!(backend.list("ring/").await.unwrap(), [""; 0]);
        backend.delete("ring/a/b").await.unwrap();
        assert!(root.join("ring").is_symlink());
        backend.append("ring/a/b", "new".into()).await.unwrap();
        assert_eq!(backend.list("ring/").await.unwrap(), ["ring/a/b"]);
        aside(root, "ring.aside-");
        // A link whose volume is missing: what is behind it comes back.
        std::os::unix::fs::symlink(root.join("none"), root.join("volume")).unwrap();
        assert!(backend.write("volume/x", "x".into()).await.is_err());
        assert!(root.join("volume").is_symlink());
    }

    #[tokio::test]
    async fn what_is_in_mails_is_for_the_user_of_this_process_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let backend = LocalBackend::open(directory.path()).unwrap();
        for name in [
            "dead-letters/1.jsonl",
            "dead-letters-outcome.json",
            "last_lines.log",
            "tenants/x/graph/verify-hours.jsonl",
            "service.json",
        ] {
            let mode = || {
                let file = fs::metadata(directory.path().join(name)).unwrap();
                file.permissions().mode() & 0o777
            };
            backend.append(name, "x".into()).await.unwrap();
            assert_eq!(mode(), 0o600, "{name} appended to");
            backend.write(name, "y".into()).await.unwrap();
            assert_eq!(mode(), 0o600, "{name} written");
        }
    }

    /// It was made for a file that others may read.
    #[tokio::test]
    async fn what_a_kill_has_left_lends_its_permissions_to_no_file() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let backend = LocalBackend::open(root).unwrap();
        let number = backend.temporary.load(Ordering::Relaxed);
        let left = root.join(format!(".{number}.tmp"));
        fs::write(&left, "half of coverage.json, which is longer").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        backend.write("service.json", "y".into()).await.unwrap();
        assert!(!left.exists(), "it was used");
        let file = root.join("service.json");
        assert_eq!(fs::read_to_string(&file).unwrap(), "y");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    fn make_pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    }

    #[tokio::test]
    async fn what_is_no_file_is_told_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let backend = LocalBackend::open(root).unwrap();
        fs::create_dir_all(root.join("state/inside")).unwrap();
        make_pipe(&root.join("pipe"));
        std::os::unix::fs::symlink("/dev/zero", root.join("endless")).unwrap();
        std::os::unix::fs::symlink("circle", root.join("circle")).unwrap();
        for name in ["state", "pipe", "endless", "circle"] {
            let error = backend.read(name).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
            assert!(backend.sync(name).await.is_err(), "{name}");
        }
        let stands_in = |name: &str, path: &Path| match name {
            "state" => fs::create_dir_all(path.join("inside")).unwrap(),
            "pipe" => make_pipe(path),
            "circle" => std::os::unix::fs::symlink(name, path).unwrap(),
            _ => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        };
        for name in ["state", "pipe", "endless", "circle"] {
            let path = root.join(name);
            let make = |path: &Path| stands_in(name, path);
            backend.append(name, "more".into()).await.unwrap();
            backend.sync(name).await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "more");
            fs::remove_file(&path).unwrap();
            make(&path);
            backend.write(name, "new".into()).await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
            fs::remove_file(&path).unwrap();
            make(&path);
            backend.delete(name).await.unwrap();
            assert!(!path.exists(), "{name}");
            backend.append(name, "again".into()).await.unwrap();
        }
        let aside = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let aside = aside.filter(|path| path.join("inside").is_dir()).count();
        assert_eq!(aside, 3, "what was in the folder is kept");
        let long = File::create(root.join("long")).unwrap();
        long.set_len(LONGEST as u64 + 1).unwrap();
        let error = backend.read("long").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(backend);
        fs::remove_file(root.join(LOCK)).unwrap();
        fs::rename(root.join("state"), root.join("other")).unwrap();
        make_pipe(&root.join(LOCK));
        assert!(matches!(
            LocalBackend::open(root),
            Err(StorageError::Root { .. })
        ));
        assert!(!crate::storage::is_locked(root), "and it is not waited for");
    }

    #[tokio::test]
    async fn a_link_stays_and_the_file_that_it_leads_to_is_replaced() {
        let (directory, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let backend = LocalBackend::open(directory.path()).unwrap();
        let (link, file) = (directory.path().join("state"), other.path().join("file"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for content in ["new", "newer"] {
            backend.write("state", content.into()).await.unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), content);
            let light = backend.write_lightly("state", "light".into());
            light.await.unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "light");
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
        // One that leads nowhere is no file.
        fs::remove_file(&file).unwrap();
        backend.write("state", "here".into()).await.unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "here");
    }

    #[tokio::test]
    async fn a_lock_that_was_deleted_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (log, lines) = crate::log::tests::log();
        let stop = CancellationToken::new();
        let first = LocalBackend::open(directory.path()).unwrap();
        let first = first.watched(log, stop.clone());
        let said = |text: &str| {
            let lines = lines.lock().unwrap();
            lines.iter().filter(|line| line.contains(text)).count()
        };
        first.held().await;
        assert_eq!(said(""), 0);
        fs::remove_file(directory.path().join(LOCK)).unwrap();
        first.held().await;
        assert_eq!(said("it was made anew"), 1);
        let error = LocalBackend::open(directory.path()).unwrap_err();
        assert!(matches!(error, StorageError::Locked { .. }), "it is locked");

        fs::remove_file(directory.path().join(LOCK)).unwrap();
        let second = LocalBackend::open(directory.path()).unwrap();
        let mut held = first.held();
        tokio::select! {
            () = &mut held => panic!("it is not ours any more"),
            () = stop.cancelled() => {}
        }
        let later = tokio::time::timeout(std::time::Duration::from_millis(50), held);
        assert!(later.await.is_err(), "nor later");
        assert_eq!(said("Stopping: another process has taken"), 1);
        assert!(first.write("x", Bytes::new()).await.is_err());
        assert!(second.write("x", Bytes::new()).await.is_ok());
        assert!(first.append("x", Bytes::new()).await.is_err());
        assert!(first.delete("x").await.is_err());
        assert!(first.ensure_ours().is_err());
    }

    /// Else it goes on from what it remembers, and sends all that the other has sent.
    #[tokio::test]
    async fn who_stood_still_while_another_worked_and_ended_sends_and_writes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let (log, lines) = crate::log::tests::log();
        let leave = async |backend: &LocalBackend, id: Uuid| {
            let storage = Storage::new(backend.clone());
            crate::storage::leave_stamp(&storage, id).await.unwrap();
        };
        leave(&LocalBackend::unlocked(root.to_owned()), Uuid::new_v4()).await;
        let first = || {
            let stop = CancellationToken::new();
            let backend = LocalBackend::open(root).unwrap();
            (backend.watched(log.clone(), stop.clone()), stop)
        };
        // An id that was there before is nobody's since, and neither is its own.
        let (own, stop) = first();
        for is_left in [false, true] {
            if is_left {
                leave(&own, own.id).await;
            }
            fs::remove_file(root.join(LOCK)).unwrap();
            own.held().await;
            assert!(!stop.is_cancelled());
        }
        fs::remove_file(root.join(LOCK)).unwrap();
        let other = LocalBackend::open(root).unwrap();
        leave(&other, other.id).await;
        other.write("coverage.json", "newer".into()).await.unwrap();
        drop(other);
        for file in ["coverage.json", "process.json"] {
            let error = own.write(file, "older".into()).await.unwrap_err();
            let text = error.to_string();
            assert!(text.contains("tells of another process"), "{text}");
        }
        assert!(stop.is_cancelled());
        assert!(own.delete("coverage.json").await.is_err());
        let kept = fs::read_to_string(root.join("coverage.json")).unwrap();
        assert_eq!(kept, "newer");
        let said = lines.lock().unwrap();
        let said = said.iter().filter(|line| line.contains("Stopping: "));
        assert_eq!(said.count(), 1);
        // The next one has them, and takes no part in this.
        assert!(LocalBackend::open(root).is_ok());
    }

    #[test]
    fn a_lock_that_keeps_nobody_away_is_told() {
        for is_nominal in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let (log, lines) = crate::log::tests::log();
            let backend = LocalBackend::open(directory.path()).unwrap();
            lock(backend.lock.as_deref().unwrap()).is_nominal = is_nominal;
            let _watched = backend.watched(log, CancellationToken::new());
            let lines = lines.lock().unwrap();
            let said = lines.iter().any(|line| line.contains("has no locks"));
            assert_eq!(said, is_nominal, "{lines:?}");
        }
    }
}
