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
use tokio::time::Instant;
use wait4::Wait4 as _;

/// How often the threads of a process are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A started process. Dropped before somebody waits for its end, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    id: u32,
    /// None once somebody waits for its end.
    child: Option<Child>,
    /// When it was started.
    pub(crate) started: Instant,
}

/// What a process has cost from its start to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time, user and system, of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that was resident, in bytes.
    pub(crate) peak: u64,
}

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let started = Instant::now();
        let child = command.spawn()?;
        Ok(Self {
            id: child.id(),
            child: Some(child),
            started,
        })
    }

    /// The most memory that was resident so far, in bytes. Unlike what `wait4` tells, this begins
    /// with the program itself, and not with the parent it was forked from.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that is resident now, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The memory that is resident now, of which what others have, too, counts in parts, in bytes.
    pub(crate) fn proportional(&self) -> u64 {
        self.field("smaps_rollup", "Pss:")
    }

    fn memory(&self, field: &str) -> u64 {
        self.field("status", field)
    }

    fn field(&self, file: &str, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/{file}", self.id));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
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
            tokio::time::sleep_until(end.min(Instant::now() + LOOK)).await;
            latest.extend(self.threads());
        }
        let used = latest.iter().map(|(thread, cpu)| {
            let before = before.get(thread).copied().unwrap_or_default();
            cpu.saturating_sub(before)
        });
        used.sum()
    }

    /// The CPU time of each present thread so far.
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

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        !fs::read_to_string(format!("/proc/{}/stat", self.id))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Asks it to stop, waits for the end and says what it has cost.
    pub(crate) async fn stop(self) -> io::Result<Usage> {
        let peak = self.peak();
        if let Some(id) = Pid::from_raw(self.id.cast_signed()) {
            kill_process(id, Signal::TERM)?;
        }
        self.ended(peak).await
    }

    /// Waits until it ends by itself, looking at its memory every now and then.
    pub(crate) async fn end(self) -> io::Result<Usage> {
        let mut peak = 0;
        while !self.has_ended() {
            peak = self.peak().max(peak);
            tokio::time::sleep(Duration::from_millis(20)).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn is_there(id: u32) -> bool {
        fs::exists(format!("/proc/{id}")).unwrap()
    }

    #[tokio::test]
    async fn nothing_outlives_a_benchmark_that_fails() {
        let start = || Process::start(Command::new("sleep").arg("1000")).unwrap();
        let process = start();
        let id = process.id;
        assert!(is_there(id));
        drop(process);
        assert!(!is_there(id));

        let process = start();
        let id = process.id;
        process.stop().await.unwrap();
        assert!(!is_there(id));
    }
}
