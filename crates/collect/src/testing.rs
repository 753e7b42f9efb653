//! What tests of this crate share: instants, windows, files in memory, and a source and a sink that never
//! answer.

use std::{
    collections::BTreeMap,
    future::pending,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use rows::{Page, Question, Window};

use crate::{
    EventBatch, GivenUp, HeldEvents, Lane, Pushed, Receipt, RowText, Sink, Source, SourceError,
    SourceLimits, Store, evidence::SourceTime, verify::RowName,
};

/// So many seconds after a full hour.
pub(crate) fn at_second(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// So many minutes after the same hour.
pub(crate) fn at_minute(minute: i64) -> DateTime<Utc> {
    at_second(60 * minute)
}

/// From one second to another.
pub(crate) fn seconds(start: i64, end: i64) -> Window {
    Window::new(at_second(start), at_second(end)).unwrap()
}

/// From one minute to another.
pub(crate) fn minutes(start: i64, end: i64) -> Window {
    seconds(60 * start, 60 * end)
}

/// What a source says that knows no quota, and keeps nothing for a next run.
macro_rules! without_quota {
    () => {
        fn oldest_request(&self) -> Option<$crate::PendingRequest> {
            None
        }

        fn has_passed(&self, _at: chrono::DateTime<chrono::Utc>) {}

        fn leave_in(&self, _task: tokio::task::Id) -> Option<std::time::Duration> {
            None
        }

        fn quota_use(&self) -> Option<$crate::QuotaUse> {
            None
        }

        async fn close(&self) {}
    };
}
pub(crate) use without_quota;

/// A local clock that nobody doubts.
pub(crate) fn local_time(now: DateTime<Utc>) -> SourceTime {
    SourceTime {
        now,
        certain: Some(now),
        skew: None,
    }
}

/// How long a stop waits for what may be accepted any moment.
pub(crate) const DRAIN: Duration = Duration::from_millis(2500);

/// Files in memory, which fail as a test says, and are left by a crash as on a disk.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) content: Mutex<BTreeMap<String, Vec<u8>>>,
    /// What a crash of the machine leaves.
    safe: Mutex<BTreeMap<String, Vec<u8>>>,
    /// The last addition: where, and from which length to which.
    pub(crate) last: Mutex<Option<(String, usize, usize)>>,
    /// Reading these files fails like this.
    pub(crate) unreadable: Mutex<BTreeMap<String, io::ErrorKind>>,
    /// Files that a list leaves out.
    pub(crate) unlisted: Mutex<Vec<String>>,
    /// So many changes succeed, and none after them. Half of an addition that fails is there.
    left: Mutex<Option<usize>>,
    /// No addition succeeds, and a sync loses what is not safe.
    pub(crate) broken: Mutex<bool>,
    /// Bytes that were read or written.
    moved: Mutex<usize>,
    /// What is to be written again when it is taken away.
    pub(crate) kept: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Files {
    pub(crate) fn names(&self) -> Vec<String> {
        self.content.lock().unwrap().keys().cloned().collect()
    }

    /// All of them, one after the other.
    pub(crate) fn text(&self) -> String {
        let content = self.content.lock().unwrap();
        String::from_utf8(content.values().flatten().copied().collect()).unwrap()
    }

    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.content.lock().unwrap();
        change(content.entry(name.to_owned()).or_default());
    }

    pub(crate) fn breaks_after(&self, changes: Option<usize>) {
        *self.left.lock().unwrap() = changes;
    }

    /// Something else is in the place of this file, or of none.
    pub(crate) fn has_no_file(&self, name: Option<&str>) {
        let mut unreadable = self.unreadable.lock().unwrap();
        unreadable.clear();
        unreadable.extend(name.map(|name| (name.to_owned(), io::ErrorKind::InvalidData)));
    }

    pub(crate) fn moved(&self) -> usize {
        *self.moved.lock().unwrap()
    }

    /// Loses what is not safe.
    pub(crate) fn crash_of_the_machine(&self) {
        *self.content.lock().unwrap() = self.safe.lock().unwrap().clone();
    }

    /// Keeps this share, of 256, of the last addition.
    pub(crate) fn crash(&self, share: u8) {
        if let Some((name, from, to)) = self.last.lock().unwrap().take() {
            let kept = from + (to - from) * usize::from(share) / 256;
            self.change(&name, |content| content.truncate(kept));
        }
    }

    /// The content of a file is safe now.
    fn save(&self, name: &str) {
        let content = self.content.lock().unwrap().get(name).cloned();
        let mut safe = self.safe.lock().unwrap();
        safe.insert(name.to_owned(), content.unwrap_or_default());
    }

    /// Counts a change; whether it happens.
    fn changes(&self) -> io::Result<()> {
        match &mut *self.left.lock().unwrap() {
            Some(0) => Err(io::Error::other("broken")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Files {
    fn keep(&self, name: &str, content: Bytes) {
        let mut kept = self.kept.lock().unwrap();
        kept.insert(name.to_owned(), content.to_vec());
    }

    async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
        if let Some(kind) = self.unreadable.lock().unwrap().get(name) {
            return Err(io::Error::new(*kind, "it is a device"));
        }
        let content = self.content.lock().unwrap();
        *self.moved.lock().unwrap() += content.get(name).map_or(0, Vec::len);
        Ok(content.get(name).cloned().map(Bytes::from))
    }

    async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
        self.changes()?;
        *self.moved.lock().unwrap() += content.len();
        self.change(name, |file| *file = content.to_vec());
        self.save(name);
        Ok(())
    }

    async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
        let done = self.changes();
        *self.moved.lock().unwrap() += content.len();
        let mut from = 0;
        self.change(name, |file| {
            from = file.len();
            file.extend(&content);
        });
        *self.last.lock().unwrap() = Some((name.to_owned(), from, from + content.len()));
        if done.is_err() {
            self.crash(128);
        } else if *self.broken.lock().unwrap() {
            self.crash(100);
            return Err(io::Error::other("no space left"));
        }
        done
    }

    async fn sync(&self, name: &str) -> io::Result<()> {
        if *self.broken.lock().unwrap() {
            // As the kernel does, which does not try again what it could not write.
            self.crash_of_the_machine();
            return Err(io::Error::other("the disk is broken"));
        }
        assert!(self.content.lock().unwrap().contains_key(name));
        self.changes()?;
        self.save(name);
        Ok(())
    }

    async fn delete(&self, name: &str) -> io::Result<()> {
        self.changes()?;
        self.safe.lock().unwrap().remove(name);
        self.content.lock().unwrap().remove(name);
        Ok(())
    }

    async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        let mut names = self.names();
        let unlisted = self.unlisted.lock().unwrap();
        names.retain(|name| name.starts_with(prefix) && !unlisted.contains(name));
        Ok(names)
    }
}

/// A source that never answers.
pub(crate) struct SilentSource;

impl RowText for SilentSource {
    fn name(&self, _event: &[u8]) -> RowName {
        RowName::default()
    }

    fn message_of(&self, _event: &[u8]) -> Option<Arc<str>> {
        None
    }

    fn shorten(&self, _event: &str, _most: usize) -> Option<String> {
        None
    }
}

impl Source for SilentSource {
    type Link = u32;
    type Text = Self;

    without_quota!();

    fn text(&self) -> &Self {
        self
    }

    fn time(&self, local: DateTime<Utc>) -> SourceTime {
        local_time(local)
    }

    async fn ask_time(&self) -> Result<(), SourceError> {
        pending().await
    }

    async fn details(
        &self,
        _: RowName,
        _: Option<DateTime<Utc>>,
    ) -> Result<Option<String>, SourceError> {
        pending().await
    }

    async fn page(&self, _: Lane, _: Question, _: Option<u32>) -> Result<Page<u32>, SourceError> {
        pending().await
    }

    fn limits(&self) -> SourceLimits {
        SourceLimits {
            longest_window: TimeDelta::hours(240),
            retention: TimeDelta::days(30),
            rows_per_window: 1000,
            rows_per_page: 100,
            share: 500,
            pages_per_window: 20,
            recipients_shown: 0,
            latency: Duration::from_secs(1),
        }
    }
}

/// A sink that takes everything, and never answers.
pub(crate) struct SilentSink;

pub(crate) struct SilentBatch;

pub(crate) struct SilentHeld;

impl EventBatch for SilentBatch {
    fn push(&mut self, _: &[u8]) -> Pushed {
        Pushed::Added
    }
}

impl HeldEvents for SilentHeld {
    fn bytes(&self) -> usize {
        8
    }

    fn given_up(&self) -> Option<GivenUp> {
        None
    }
}

impl Sink for SilentSink {
    type Batch = SilentBatch;
    type InHand = SilentHeld;

    fn batch(&self) -> SilentBatch {
        SilentBatch
    }

    async fn deliver(&self, _: SilentBatch) -> Option<Receipt<SilentHeld>> {
        pending().await
    }

    async fn insist(&self, _: SilentHeld) -> Option<Receipt<SilentHeld>> {
        pending().await
    }

    async fn offer(&self, _: &[u8]) -> Option<Result<(), String>> {
        pending().await
    }

    fn alone(&self, _: &[u8]) -> SilentHeld {
        SilentHeld
    }

    fn longest_event(&self) -> usize {
        10
    }

    async fn gives_up(&self) {
        pending().await
    }
}
