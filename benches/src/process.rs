//! A whole process, measured from outside.

use std::{
    fs, io,
    process::{Child, Command},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;
use wait4::Wait4 as _;

/// A started process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// When it was started.
    pub started: Instant,
}

/// What a process has cost from its start to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time, user and system, of all its threads.
    pub cpu: Duration,
    /// The most memory that was resident, in bytes.
    pub peak: u64,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let started = Instant::now();
        let child = command.spawn()?;
        Ok(Self { child, started })
    }

    /// The most memory that was resident so far, in bytes. Unlike what `wait4` tells, this begins
    /// with the program itself, and not with the parent it was forked from.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that is resident now, in bytes.
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kibibytes.unwrap_or(0) * 1024
    }

    /// The CPU time of its present threads so far, to the nanosecond.
    pub fn cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let nanos = threads
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|thread| {
                let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
                text.split(' ').next()?.parse::<u64>().ok()
            });
        Duration::from_nanos(nanos.sum())
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        !fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// Asks it to stop, waits for the end and says what it has cost.
    ///
    /// # Errors
    /// When it ended with a failure.
    pub async fn stop(self) -> io::Result<Usage> {
        let peak = self.peak();
        if let Some(id) = Pid::from_raw(self.child.id().cast_signed()) {
            kill_process(id, Signal::TERM)?;
        }
        let ended = tokio::task::spawn_blocking(move || self.child.wait4());
        let ended = ended.await.map_err(io::Error::other)??;
        let killed = std::os::unix::process::ExitStatusExt::signal(&ended.status);
        if !ended.status.success() && killed != Some(Signal::TERM.as_raw()) {
            return Err(io::Error::other(format!("ended with {}", ended.status)));
        }
        Ok(Usage {
            cpu: ended.rusage.utime + ended.rusage.stime,
            peak,
        })
    }

    /// Waits until it ends by itself, looking at its memory every now and then.
    ///
    /// # Errors
    /// When it ended with a failure.
    pub async fn end(self) -> io::Result<Usage> {
        let mut peak = 0;
        while !self.has_ended() {
            peak = self.peak().max(peak);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ended = self.child.wait4()?;
        if !ended.status.success() {
            return Err(io::Error::other(format!("ended with {}", ended.status)));
        }
        Ok(Usage {
            cpu: ended.rusage.utime + ended.rusage.stime,
            peak,
        })
    }
}
