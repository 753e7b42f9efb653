//! Something that a person has a trigger's settings used for, beside its runs or instead of one.

use std::fmt;

use base::Clock;
use bytes::Bytes;

use super::{
    Context, Installation, StartError,
    config::SettingsMap,
    deadline::Deadline,
    log::{Console, Log},
    runtime::{Host, Start},
    stop,
    storage::{Storage, StorageError, StorageLocation, leave_stamp},
};

/// The settings of a trigger, and its files, which a running trigger may have for itself.
pub struct OfflineSession<'a> {
    start: Start<'a>,
    reader: StorageLocation,
    /// The trigger's settings.
    pub settings: SettingsMap,
    /// What surrounds the work on its files. Here they are for reading only; a signal to stop this process
    /// cancels the stop.
    pub context: Context,
    /// Where the files are below all of them; empty for all.
    folder: String,
}

impl fmt::Debug for OfflineSession<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfflineSession({})", self.command())
    }
}

impl<'a> OfflineSession<'a> {
    /// Reads the settings; what there is to say of it later goes to `console`. A signal to stop
    /// this process stops it.
    ///
    /// # Errors
    /// When the configuration cannot be used; [`StartError::Run`] when the settings do not fit the trigger.
    pub async fn prepare(
        installation: &Installation<'a>,
        command: &str,
        console: Console,
    ) -> Result<Self, StartError> {
        let stop = stop::on_signals(1).map_err(StartError::Signals)?;
        let log = Log::new(command, Clock::system(), console.clone());
        let host = Host::process(installation, console, stop)?;
        let start = Start::open(installation.registry, command, host, log)?;
        let settings = start.settings().await?;
        let reader = start.reader()?;
        Ok(Self {
            context: start.look_context(reader.storage(), settings.module),
            settings: settings.trigger,
            reader,
            start,
            folder: String::new(),
        })
    }

    /// From now on the files are those in a folder of all.
    pub fn enter(&mut self, folder: String) {
        self.context.storage = self.reader.storage().inside(&folder);
        self.folder = folder;
    }

    /// The trigger's command.
    pub fn command(&self) -> &str {
        &self.start.item.manifest.command
    }

    /// Makes this process work as the user whose files they are: before anything is written, so that
    /// the trigger can go on with every file.
    ///
    /// # Errors
    /// When this user is another one, and not root.
    pub fn works_as_owner(&self) -> Result<(), StartError> {
        Ok(self.reader.works_as_owner()?)
    }

    /// Whether a process has the files for itself.
    pub async fn is_in_use(&self) -> bool {
        self.reader.presence().await.1
    }

    /// Leaves a file to the process that has the others for itself.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn leave(&self, name: &str, content: Bytes) -> Result<(), StorageError> {
        let name = match self.folder.as_str() {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        self.reader.leave(&name, content).await
    }

    /// Takes all files into use, also those of other folders, does some work on them, and lets the
    /// next have them. None when the stop came while they were waited for.
    ///
    /// # Errors
    /// When they cannot be used, e.g. as a process has them for itself.
    pub async fn with_files<T>(
        &self,
        work: impl AsyncFnOnce(Storage) -> T,
    ) -> Result<Option<T>, StartError> {
        let Some(opened) = self.start.open_storage().await? else {
            return Ok(None);
        };
        let storage = opened.storage();
        // A trigger that stood still meanwhile must not go on from what it remembers. On a full disk, the work
        // says so.
        _ = leave_stamp(&storage, opened.id()).await;
        let done = work(storage).await;
        opened.close(&Deadline::default()).await?;
        Ok(Some(done))
    }
}
