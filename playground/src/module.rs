//! The real message-trace process.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::site::Site;

const NAME: &str = "message-trace";

/// Starts the module by way of a shell. A file-size limit that is met later, where a full disk is played,
/// is to be an error of the write and not a signal that ends the process. And where `setpriv` is there,
/// the module ends with the playground, also when that is killed.
const LAUNCH: &str = "trap '' XFSZ
if command -v setpriv >/dev/null; then exec setpriv --pdeathsig KILL \"$0\" \"$@\"; fi
exec \"$0\" \"$@\"";

/// The module promises to stop within 5 seconds.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Builds the module as the playground itself was built, where that was by cargo, and returns the
/// binary, which is found beside the playground's own.
///
/// # Errors
///
/// When the build fails, or nothing is there.
pub(crate) async fn build() -> anyhow::Result<PathBuf> {
    let playground = env::current_exe().context("cannot tell where the playground's binary is")?;
    let folder = playground
        .parent()
        .context("the playground's binary is in no folder")?;
    if let Some(cargo) = env::var_os("CARGO") {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let profile = match folder.file_name().and_then(OsStr::to_str) {
            None | Some("debug") => "dev",
            Some(name) => name,
        };
        let mut build = Command::new(cargo);
        build.args([
            "build",
            "--package",
            NAME,
            "--package",
            env!("CARGO_PKG_NAME"),
            "--bin",
            NAME,
            "--profile",
            profile,
        ]);
        let status = build.arg("--manifest-path").arg(manifest).status().await;
        ensure!(
            status.context("cannot start cargo")?.success(),
            "cargo could not build {NAME}"
        );
    }
    let binary = folder.join(NAME);
    ensure!(
        binary.exists(),
        "there is no {binary:?}: start with `cargo run --release -p playground`, which builds it"
    );
    Ok(binary)
}

/// Forbids a process to write to files, as a full disk does, or allows it again.
pub(crate) fn limit_files(pid: u32, full: bool) -> anyhow::Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).context("there is no such process")?;
    let present = prlimit(
        Some(pid),
        Resource::Fsize,
        Rlimit {
            current: full.then_some(0),
            maximum: None,
        },
    );
    present.map(|_| ()).context("the system refuses it")
}

/// A running module process; it is killed on drop.
#[derive(Debug)]
pub(crate) struct Module {
    process: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Module {
    /// Starts the module as the platform does, knowing nothing but the site.
    pub(crate) fn start(binary: &Path, command: &str, site: &Site) -> anyhow::Result<Self> {
        let mut process = Command::new("/bin/sh")
            .args(["-c", LAUNCH])
            .arg(binary)
            .arg(command)
            .args([OsStr::new("--config-dir"), site.configuration().as_os_str()])
            .args([OsStr::new("--data-dir"), site.data().as_os_str()])
            .current_dir(site.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is the playground's to pass on.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {binary:?}"))?;
        let log = process.stderr.take().context("the module has no stderr")?;
        Ok(Self {
            process,
            log: BufReader::new(log).lines(),
        })
    }

    /// The next line of the module's log; none once it has ended.
    pub(crate) async fn log_line(&mut self) -> anyhow::Result<Option<String>> {
        self.log
            .next_line()
            .await
            .context("cannot read the module's log")
    }

    /// Its process id; none once it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Asks it to stop, as the platform does.
    pub(crate) fn ask_to_stop(&self) -> anyhow::Result<()> {
        let id = self.process.id();
        match id.and_then(|id| Pid::from_raw(id.cast_signed())) {
            Some(id) => kill_process(id, Signal::TERM).context("cannot signal the module"),
            None => Ok(()),
        }
    }

    async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = self.process.wait().await;
        ended.context("cannot wait for the module")
    }

    fn start_kill(&mut self) -> anyhow::Result<()> {
        let killed = self.process.start_kill();
        killed.context("cannot kill the module")
    }

    /// Waits for its end, and kills it where that does not come by itself. Nothing is read from it any
    /// more.
    pub(crate) async fn end(mut self, at_once: bool) -> anyhow::Result<ExitStatus> {
        // One that closed its log is about to end by itself.
        let limit = if at_once {
            Duration::ZERO
        } else {
            STOP_TIMEOUT
        };
        if let Ok(status) = timeout(limit, self.wait()).await {
            return status;
        }
        self.start_kill()?;
        self.wait().await
    }

    /// Kills the module, and hands what is left of its log to `show`.
    pub(crate) async fn kill(mut self, show: impl Fn(&str)) -> anyhow::Result<()> {
        self.start_kill()?;
        while let Some(line) = self.log_line().await? {
            show(&line);
        }
        self.wait().await.map(|_| ())
    }

    /// Asks the module to stop, as the platform does, and hands the rest of its log to `show`.
    ///
    /// # Errors
    ///
    /// When it does not stop in time; it is killed then.
    pub(crate) async fn stop(mut self, show: impl Fn(&str)) -> anyhow::Result<ExitStatus> {
        self.ask_to_stop()?;
        let rest = async {
            while let Some(line) = self.log_line().await? {
                show(&line);
            }
            self.wait().await
        };
        match timeout(STOP_TIMEOUT, rest).await {
            Ok(status) => status,
            Err(_) => bail!(
                "the module did not stop within {} s and was killed",
                STOP_TIMEOUT.as_secs()
            ),
        }
    }
}
