//! `process_*` metrics from the proc file system (I-03).

use std::{fmt, fs, path::PathBuf};

use chrono::{DateTime, Utc};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

/// Clock ticks per second in proc files; fixed for user space on Linux.
const TICKS: f64 = 100.0;

/// Reads the proc file system at each scrape; where there is none, only the start is exposed.
#[derive(Debug)]
pub(super) struct Process {
    proc: PathBuf,
    /// When it began by its own clock.
    began: DateTime<Utc>,
}

impl Process {
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self {
            proc: PathBuf::from("/proc"),
            began: now,
        }
    }

    /// A file of the proc file system; empty where it cannot be read.
    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.proc.join(file)).unwrap_or_default()
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stat = self.read("self/stat");
        // The second field is the program's name in parentheses and may hold blanks.
        let (_, fields) = stat.rsplit_once(") ").unwrap_or_default();
        let ticks = |n: usize| fields.split(' ').nth(n)?.parse::<f64>().ok();
        let cpu = ticks(11)
            .zip(ticks(12))
            .map(|(user, system)| (user + system) / TICKS);
        let boot =
            value_after(&self.read("stat"), "btime").and_then(|text| text.parse::<f64>().ok());
        let start = boot
            .zip(ticks(19))
            .map(|(boot, ticks)| boot + ticks / TICKS);
        // A sandbox may hide when the machine started.
        let start = start.unwrap_or_else(|| self.began.timestamp_millis() as f64 / 1000.0);
        let status = self.read("self/status");
        let limits = self.read("self/limits");
        let most = value_after(&limits, "Max open files").and_then(|text| text.parse().ok());
        let open = fs::read_dir(self.proc.join("self/fd")).ok();
        let open = open.map(|files| files.count() as f64);

        if let Some(cpu) = cpu {
            let (name, help) = (
                "process_cpu_seconds",
                "Total user and system CPU time spent in seconds",
            );
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(cpu).encode(encoder)?;
        }
        for (name, help, value) in [
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds",
                Some(start),
            ),
            (
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes",
                kilobytes(&status, "VmSize:"),
            ),
            (
                "process_resident_memory_bytes",
                "Resident memory size in bytes",
                kilobytes(&status, "VmRSS:"),
            ),
            ("process_open_fds", "Number of open file descriptors", open),
            (
                "process_max_fds",
                "Maximum number of open file descriptors",
                most,
            ),
        ] {
            if let Some(value) = value {
                let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                ConstGauge::new(value).encode(encoder)?;
            }
        }
        Ok(())
    }
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let kilobytes: f64 = value_after(status, name)?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

/// The word after `name` on the line that starts with it.
fn value_after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    fn value(process: Process, name: &str) -> Option<f64> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        value_after(&text, &format!("{name} "))?.parse().ok()
    }

    #[test]
    fn a_sandbox_that_shows_only_processes_hides_no_start() {
        let began = DateTime::from_timestamp_millis(1_795_000_000_500).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/proc/self", folder.path().join("self")).unwrap();
        let sandboxed = || Process {
            proc: folder.path().to_owned(),
            began,
        };
        let start = value(sandboxed(), "process_start_time_seconds");
        assert_eq!(start, Some(1_795_000_000.5));
        assert!(value(sandboxed(), "process_resident_memory_bytes") > Some(0.0));
        // Elsewhere the system tells, which knows it better.
        let told = value(Process::new(began), "process_start_time_seconds");
        assert!(told.is_some_and(|told| told != 1_795_000_000.5));
    }
}
