//! The last error outlives the process and tells why it ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Log, naive};
use crate::{
    Storage,
    deadline::{Background, Step},
};

/// Where it is kept in the data storage, in the form of `/health`.
pub(crate) const LAST_ERROR_FILE: &str = "last_error.json";

const VERSION: u64 = 1;

/// Between two writes.
const PAUSE: Duration = Duration::from_secs(60);

/// How long the end of a process is held up at most: all of it takes no more than five seconds.
const TIMEOUT: Duration = Duration::from_millis(250);

/// Keeps the last error in the background, at once and then at most once a minute.
pub(crate) fn keep_last_error(log: Log, storage: Storage) -> Background {
    Background::start(Step::LastError, TIMEOUT, |ended| async move {
        let mut kept = None;
        let erred = &log.0.erred;
        while ended.run_until_cancelled(erred.notified()).await.is_some() {
            keep(&log, &storage, &mut kept).await;
            _ = ended.run_until_cancelled(sleep(PAUSE)).await;
        }
        // What was said since. If this takes too long, one has to look into the log.
        keep(&log, &storage, &mut kept).await;
    })
}

/// Writes the last error, unless it is the one that was `kept`.
async fn keep(log: &Log, storage: &Storage, kept: &mut Option<DateTime<Utc>>) {
    let Some(error) = log.latest().error.filter(|error| Some(error.at) != *kept) else {
        return;
    };
    if kept.is_none() && is_later(storage).await {
        return;
    }
    let text = json!({"version": VERSION, "time": naive(error.at), "text": error.text}).to_string();
    // A failure is not told: it would be the next error, and the log has this one.
    if storage.write(LAST_ERROR_FILE, text).await.is_ok() {
        *kept = Some(error.at);
    }
}

/// Whether a later version of this program has written the file, which is left to it then.
async fn is_later(storage: &Storage) -> bool {
    let text = storage.read(LAST_ERROR_FILE).await.ok().flatten();
    let content: Option<Value> = text.and_then(|text| serde_json::from_slice(&text).ok());
    let version = content.and_then(|content| content.get("version")?.as_u64());
    version.is_some_and(|version| version > VERSION)
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::{deadline::Deadline, log::tests::log, storage::MemoryBackend};
    use base::{Secret, Store};

    async fn kept(storage: &Storage) -> Option<String> {
        // The keeper goes on first.
        sleep(Duration::from_millis(1)).await;
        let text = storage.read(LAST_ERROR_FILE).await.unwrap()?;
        let error: Value = serde_json::from_slice(&text).unwrap();
        assert!(error["time"].as_str().unwrap().starts_with("2026-11-18T"));
        Some(error["text"].as_str().unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_error_is_kept_at_once_and_others_once_a_minute() {
        let storage = Storage::new(MemoryBackend::default());
        let (log, _) = log();
        log.hide(&Secret::new("hunter2"));
        let keeper = keep_last_error(log.clone(), storage.clone());
        log.warning("unusual");
        assert_eq!(
            kept(&storage).await,
            None,
            "nothing is written without need"
        );
        log.error("first of hunter2");
        assert_eq!(kept(&storage).await.as_deref(), Some("first of ***"));
        for second in 0..50 {
            log.error(format!("error {second}"));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(kept(&storage).await.as_deref(), Some("first of ***"));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(kept(&storage).await.as_deref(), Some("error 49"));
        log.remember("why it ended");
        keeper.finish(&Deadline::default()).await;
        assert_eq!(kept(&storage).await.as_deref(), Some("why it ended"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_later_version_has_kept_is_left_alone() {
        let (earlier, later) = (r#"{"text":"old"}"#, r#"{"version":2,"text":"new"}"#);
        for (found, is_left) in [(earlier, false), (later, true), ("{", false)] {
            let storage = Storage::new(MemoryBackend::default());
            storage.write(LAST_ERROR_FILE, found).await.unwrap();
            let (log, _) = log();
            let keeper = keep_last_error(log.clone(), storage.clone());
            log.error("one");
            keeper.finish(&Deadline::default()).await;
            let text = storage.read(LAST_ERROR_FILE).await.unwrap().unwrap();
            assert_eq!(text == found, is_left, "{found}");
        }
    }

    /// Never answers, and counts what it is asked.
    #[derive(Clone, Debug, Default)]
    struct Hanging(Arc<AtomicUsize>);

    #[async_trait]
    impl Store for Hanging {
        async fn read(&self, _: &str) -> io::Result<Option<Bytes>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }
        async fn write(&self, _: &str, _: Bytes) -> io::Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }
        async fn append(&self, _: &str, _: Bytes) -> io::Result<()> {
            std::future::pending().await
        }
        async fn list(&self, _: &str) -> io::Result<Vec<String>> {
            std::future::pending().await
        }
        async fn delete(&self, _: &str) -> io::Result<()> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_storage_that_hangs_holds_nobody_up() {
        let backend = Hanging::default();
        let (log, lines) = log();
        let keeper = keep_last_error(log.clone(), Storage::new(backend.clone()));
        for _ in 0..3 {
            log.error("again");
            sleep(Duration::from_secs(100)).await;
        }
        let asked = tokio::time::Instant::now();
        keeper.finish(&Deadline::default()).await;
        assert!(asked.elapsed() <= TIMEOUT + Duration::from_millis(1));
        assert_eq!(backend.0.load(Ordering::Relaxed), 1);
        assert_eq!(lines.lock().unwrap().len(), 3, "nothing is said of it");
    }
}
