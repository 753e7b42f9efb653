//! The last lines of the log outlive the process, for a bug report.

use std::{sync::Mutex, time::Duration};

use base::lock;
use bytes::Bytes;
use tokio::{sync::Notify, time::sleep};

use super::Log;
use crate::{
    Storage,
    deadline::{Background, Step},
};

/// The files in the data directory, older lines first. Together they hold `LONGEST` bytes twice at
/// most, and what is written at once.
pub const LAST_LINES_FILES: [&str; 2] = ["last_lines.1.log", "last_lines.log"];

/// A file that would get longer takes the place of the older one.
const LONGEST: usize = 128 << 10;

/// Bytes that wait to be written at most; what comes besides is counted, not kept.
const WAITING: usize = 64 << 10;

/// Lines of this time are written together. A kill costs no more than these.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the end of a process is held up at most.
const TIMEOUT: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct Waiting {
    lines: Mutex<Lines>,
    come: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// Lines for which there was no room, or whose writing failed.
    missing: u64,
}

impl Waiting {
    /// A line of the log, which has no secret. It never waits for the disk.
    pub(super) fn put(&self, line: &str) {
        let mut lines = lock(&self.lines);
        if lines.text.len() + line.len() < WAITING {
            lines.text.push_str(line);
            lines.text.push('\n');
        } else {
            lines.missing += 1;
        }
        drop(lines);
        self.come.notify_one();
    }

    fn take(&self) -> Lines {
        std::mem::take(&mut *lock(&self.lines))
    }

    /// These could not be written.
    fn lost(&self, lines: u64) {
        lock(&self.lines).missing += lines;
    }
}

pub(crate) fn keep_last_lines(log: Log, storage: Storage) -> Background {
    Background::start(Step::LastError, TIMEOUT, |ended| async move {
        let mut file = File::open(storage).await;
        let waiting = &log.0.waiting;
        let come = &waiting.come;
        while ended.run_until_cancelled(come.notified()).await.is_some() {
            _ = ended.run_until_cancelled(sleep(PAUSE)).await;
            file.add(waiting).await;
        }
        // What was said since. If this takes too long, one has to look into the log.
        file.add(waiting).await;
    })
}

struct File {
    storage: Storage,
    bytes: usize,
}

impl File {
    async fn open(storage: Storage) -> Self {
        let [_, name] = LAST_LINES_FILES;
        // A file that cannot be read counts as empty. It is written over when it is full.
        let present = storage.read(name).await.ok().flatten();
        Self {
            bytes: present.map_or(0, |text| text.len()),
            storage,
        }
    }

    /// A failure is not told: it would be the next line, and the log has the lines.
    async fn add(&mut self, waiting: &Waiting) {
        let Lines { mut text, missing } = waiting.take();
        if missing > 0 {
            text.insert_str(0, &format!("({missing} lines are missing here)\n"));
        }
        if text.is_empty() {
            return;
        }
        if self.append(&text).await.is_err() {
            let lines = text.lines().count() as u64;
            waiting.lost(missing + lines - u64::from(missing > 0));
        }
    }

    async fn append(&mut self, text: &str) -> Result<(), crate::StorageError> {
        let [older, name] = LAST_LINES_FILES;
        if self.bytes + text.len() > LONGEST {
            let full = self.storage.read(name).await.ok().flatten();
            self.storage
                .write_lightly(older, full.unwrap_or_default())
                .await?;
            self.storage.delete(name).await?;
            self.bytes = 0;
        }
        let content = Bytes::copy_from_slice(text.as_bytes());
        self.storage.append(name, content).await?;
        self.bytes += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{deadline::Deadline, log::tests::log, storage::MemoryBackend};
    use base::Secret;

    async fn kept(storage: &Storage) -> [String; 2] {
        let mut texts = [String::new(), String::new()];
        for (text, name) in texts.iter_mut().zip(LAST_LINES_FILES) {
            let read = storage.read(name).await.unwrap().unwrap_or_default();
            *text = String::from_utf8(read.to_vec()).unwrap();
        }
        texts
    }

    #[tokio::test(start_paused = true)]
    async fn lines_of_each_level_are_kept_without_secrets_and_over_a_restart() {
        let storage = Storage::new(MemoryBackend::default());
        for run in ["first", "second"] {
            let (log, _) = log();
            log.hide(&Secret::new("hunter2"));
            log.info(format!("{run} before the files are there"));
            let lines = keep_last_lines(log.clone(), storage.clone());
            log.debug("a hint with hunter2");
            sleep(2 * PAUSE).await;
            let [_, text] = kept(&storage).await;
            assert!(text.ends_with("DEBUG - a hint with ***\n"), "{text}");
            log.error("the end");
            lines.finish(&Deadline::default()).await;
        }
        let [older, text] = kept(&storage).await;
        assert_eq!(older, "");
        let ends = text.matches("ERROR - the end\n").count();
        assert_eq!((ends, text.lines().count()), (2, 6), "{text}");
        assert!(text.contains("INFO - second before the files"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn files_and_what_waits_are_bounded_and_what_is_missing_is_counted() {
        let storage = Storage::new(MemoryBackend::default());
        let (log, _) = log();
        let lines = keep_last_lines(log.clone(), storage.clone());
        let long = "x".repeat(1000);
        for _ in 0..40 {
            for _ in 0..10 {
                log.info(&long);
            }
            sleep(2 * PAUSE).await;
        }
        let [older, text] = kept(&storage).await;
        assert!((LONGEST / 2..=LONGEST).contains(&older.len()));
        assert!(text.len() <= LONGEST);
        for _ in 0..100 {
            log.info(&long);
        }
        log.info("the last");
        sleep(2 * PAUSE).await;
        lines.finish(&Deadline::default()).await;
        let all = kept(&storage).await.concat();
        assert!(all.contains("lines are missing here)\n"), "{}", all.len());
        assert!(!all.contains("(0 lines"));
        assert!(all.len() <= 2 * LONGEST);
    }
}
