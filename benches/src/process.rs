//! A whole process, measured from outside.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs, io,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, sleep_until};
use wait4::Wait4 as _;

/// A started process. Dropped before somebody waits for its end, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    id: u32,
    /// None once somebody waits for its end.
    child: Option<Child>,
    pub(crate) started: Instant,
}

/// What a process has cost from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// The most memory that was resident, in bytes. Unlike what `wait4` tells, this begins with the
    /// program itself, and not with the parent it was forked from.
    pub(crate) peak: u64,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let started = Instant::now();
        let child = command.spawn()?;
        Ok(Self {
            id: child.id(),
            child: Some(child),
            started,
        })
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.id)).unwrap_or_default()
    }

    /// Bytes that this file of the process tells, such as `VmRSS:` in `status`.
    pub(crate) fn memory(&self, file: &str, field: &str) -> u64 {
        let text = self.read(file);
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) * 1024
    }

    /// The CPU time of its threads over a while from now on, to the nanosecond.
    pub(crate) async fn cpu_over(&self, span: Duration) -> Duration {
        let before = self.threads();
        let mut latest = HashMap::new();
        let end = Instant::now() + span;
        // A thread that is about to end is idle before, so nothing of it is overlooked.
        while Instant::now() < end {
            sleep_until(end.min(Instant::now() + Duration::from_secs(1))).await;
            latest.extend(self.threads());
        }
        let used = latest.iter().map(|(thread, cpu)| {
            let before = before.get(thread).copied().unwrap_or_default();
            cpu.saturating_sub(before)
        });
        used.sum()
    }

    fn threads(&self) -> HashMap<OsString, Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id));
        let threads = threads.into_iter().flatten().flatten();
        let cpu = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let nanos = text.split(' ').next()?.parse().ok()?;
            Some((thread.file_name(), Duration::from_nanos(nanos)))
        });
        cpu.collect()
    }

    /// Asks it to stop, waits for the end and says what it has cost.
    pub(crate) async fn stop(self) -> io::Result<Usage> {
        let peak = self.memory("status", "VmHWM:");
        if let Some(id) = Pid::from_raw(self.id.cast_signed()) {
            kill_process(id, Signal::TERM)?;
        }
        self.ended(peak).await
    }

    /// Waits until it ends by itself, looking at its memory every now and then.
    pub(crate) async fn end(self) -> io::Result<Usage> {
        let mut peak = 0;
        let is_there = |stat: String| !stat.is_empty() && !stat.contains(") Z ");
        while is_there(self.read("stat")) {
            peak = self.memory("status", "VmHWM:").max(peak);
            sleep(Duration::from_millis(20)).await;
        }
        self.ended(peak).await
    }

    async fn ended(mut self, peak: u64) -> io::Result<Usage> {
        let child = self.child.take().ok_or(io::ErrorKind::NotFound)?;
        let ended = tokio::task::spawn_blocking(move || child.wait4());
        let ended = ended.await.map_err(io::Error::other)??;
        let stopped = ended.status.signal() == Some(Signal::TERM.as_raw());
        if !ended.status.success() && !stopped {
            return Err(io::Error::other(format!("ended with {}", ended.status)));
        }
        Ok(Usage {
            cpu: ended.rusage.utime + ended.rusage.stime,
            peak,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Where one of the two fails it has ended already.
            _ = child.kill();
            _ = child.wait();
        }
    }
}
