//! Remembers delivered rows across restarts: segment files that are only appended to.
//!
//! A segment is a sequence of frames. A frame holds the delivered rows of one batch and one hour
//! of receipt: the hour, the number of rows and a CRC-32 of all else in the frame (each a `u32`,
//! little endian), then the keys of [`RowKey::BYTES`](rows::RowKey::BYTES) bytes. So a row costs little more than its
//! key. Rows that belong to no hour have one of long ago ([`age_of`]).
//!
//! A frame that a crash cut short ends the segment; after a start a new segment is begun, so
//! nothing is ever written behind a damaged place. Rows behind damage in the midst of a segment stay
//! known. A segment is deleted when its newest row is forgotten. Rows of the last day and older ones, of
//! which a backlog may have very many, go to segments of their own: a new row must not keep thousands
//! of old ones on the disk.
//!
//! What is appended survives a kill of the process at once, and a crash of the machine once it is
//! synced, which costs as much as hundreds of rows and is done for many at a time.

mod files;
mod load;
mod segment;
mod take_over;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use chrono::{DateTime, Utc};
use rows::RowKeyer;

pub use self::{files::JournalFiles, take_over::take_over};
use crate::{
    Store,
    known::{KeyRef, KnownRows, age_of, hour},
    proof::{Proof, day::CountedIn},
};

/// Where segments and the seed live in the store.
pub const FOLDER: &str = "known-rows/";

/// The file with the seed of the keys and its CRC-32; its name carries the version of the format.
const SEED: &str = "known-rows/seed-v2";

/// A copy of it: without a seed all rows are forgotten.
const SEED_COPY: &str = "known-rows/seed-v2.copy";

/// The version that this program writes.
pub const VERSION: u64 = 2;

/// The version in the name of a file with a seed; none of other files.
pub fn version(name: &str) -> Option<u64> {
    let version = name.strip_prefix(FOLDER)?.strip_prefix("seed-v")?;
    version.parse().ok()
}

/// Whether a file holds a seed, which tells of no row.
pub fn is_seed(name: &str) -> bool {
    version(name).is_some() || name == SEED_COPY
}

/// A segment is closed when it is longer than this.
const SEGMENT_BYTES: usize = 4 << 20;

/// Rows that are older than the newest by more than this go to segments of their own.
const RECENT_HOURS: u32 = 24;

/// The journal of delivered rows.
#[derive(Debug, Default)]
pub struct Journal {
    segments: BTreeMap<u64, Segment>,
    /// No segment before this number is begun: something has it, or had it.
    next: u64,
    /// The segment for rows of the last day, if it can be appended to.
    recent: Option<Open>,
    /// The one for older rows.
    older: Option<Open>,
    /// Rows of hours before it were older at the last look.
    since: u32,
    unsynced: Unsynced,
    /// Tells the seed of its keys from others; none of a journal that was not read.
    pub(crate) seed_mark: Option<u32>,
}

/// What is in a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    newest: u32,
    /// How many rows it has at least.
    rows: u64,
}

/// How many rows each segment has at least: what is found to have fewer has lost some.
pub type Inventory = BTreeMap<u64, u64>;

/// What a kill leaves, and a crash of the machine may not.
#[derive(Debug, Default)]
struct Unsynced {
    rows: Vec<Vec<KeyRef>>,
    /// The segments that they are in.
    segments: BTreeSet<u64>,
    /// Some of it may be lost already.
    is_doubtful: bool,
}

/// A segment that can be appended to.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    bytes: usize,
}

/// What a store remembers.
#[derive(Debug)]
pub struct Remembered {
    /// The rows that were delivered.
    pub known: KnownRows,
    /// The journal to go on with.
    pub journal: Journal,
    /// What the delivered rows of earlier hours add up to.
    pub proof: Proof,
    /// Makes keys that agree with the remembered ones.
    pub keyer: RowKeyer,
    /// From where the seed of the keys came, when it was missing or damaged and was taken back.
    pub seed_taken_back: Option<&'static str>,
    /// What could not be read, one sentence each; rows in it may be sent a second time.
    pub damage: Vec<String>,
}

impl Journal {
    /// Up to where it has come. All of it is synced.
    pub(crate) fn position(&self) -> CountedIn {
        let open = [self.recent, self.older].into_iter().flatten();
        let open = open.filter_map(|open| {
            let segment = self.segments.get(&open.number)?;
            Some((open.number, segment.rows))
        });
        CountedIn {
            next: self.next,
            open: open.collect(),
        }
    }

    /// Rows go to segments from this number on: earlier ones count as counted in, also when they are gone, and
    /// nothing else says how far their numbers went.
    pub(crate) fn go_on_from(&mut self, number: u64) {
        if self.next < number {
            (self.recent, self.older) = (None, None);
            self.next = number;
        }
    }

    /// How many rows each segment has at least that is kept when rows received before `horizon` are
    /// forgotten. Once all of it is synced, no crash leaves fewer.
    pub fn inventory(&self, horizon: DateTime<Utc>) -> Inventory {
        let first_kept = hour(horizon);
        let kept = self.segments.iter();
        let kept = kept.filter(|(_, segment)| segment.newest >= first_kept && segment.rows > 0);
        kept.map(|(number, segment)| (*number, segment.rows))
            .collect()
    }

    /// Remembers delivered rows, and takes them: on return a kill does not make them forgotten,
    /// after a [`sync`](Self::sync) a crash of the machine does not.
    ///
    /// # Errors
    /// When they could not be written; they are left then. The next call begins a new segment.
    pub async fn append(&mut self, store: &impl Store, rows: &mut Vec<KeyRef>) -> io::Result<()> {
        // Those of an hour stay in their order: of two statuses the later one counts.
        sort(rows);
        self.write(store, rows).await?;
        self.unsynced.rows.push(std::mem::take(rows));
        Ok(())
    }

    /// Makes sure that all rows are safe on the disk.
    ///
    /// # Errors
    /// When the disk could not say so. Rows that it may have lost are written again by the next call,
    /// to new segments: the disk may say then that they are safe where they are no more.
    pub async fn sync(&mut self, store: &impl Store) -> io::Result<()> {
        if self.unsynced.is_doubtful {
            let mut all = self.unsynced.rows.concat();
            sort(&mut all);
            self.write(store, &all).await?;
            self.unsynced.is_doubtful = false;
        }
        while let Some(number) = self.unsynced.segments.first().copied() {
            if let Err(error) = store.sync(&segment_name(number)).await {
                (self.recent, self.older) = (None, None);
                for number in std::mem::take(&mut self.unsynced.segments) {
                    // Nobody knows how many rows it has now; all of them are written anew.
                    if let Some(doubtful) = self.segments.get_mut(&number) {
                        doubtful.rows = 0;
                    }
                }
                self.unsynced.is_doubtful = true;
                return Err(error);
            }
            self.unsynced.segments.remove(&number);
        }
        self.unsynced.rows.clear();
        Ok(())
    }

    /// Appends rows, sorted by age.
    async fn write(&mut self, store: &impl Store, rows: &[KeyRef]) -> io::Result<()> {
        let newest = rows.last().map(|row| age_of(row.hour));
        let newest = newest.max(self.segments.values().map(|segment| segment.newest).max());
        let since = newest.unwrap_or(0).saturating_sub(RECENT_HOURS);
        if since > self.since {
            // What becomes older now is in segments that come before the next: segments are read in
            // the order of their numbers, and the rows of an hour are to come in theirs.
            self.older = None;
            self.since = since;
        }
        let (older, recent) = rows.split_at(rows.partition_point(|row| age_of(row.hour) < since));
        // While it is written to, a segment is not open: it stays closed after a failure.
        let open = self.older.take();
        self.older = self.append_to(open, store, older).await?;
        let open = self.recent.take();
        self.recent = self.append_to(open, store, recent).await?;
        Ok(())
    }

    /// Appends rows, sorted by age, to a segment or to a new one; the one to go on with.
    async fn append_to(
        &mut self,
        open: Option<Open>,
        store: &impl Store,
        rows: &[KeyRef],
    ) -> io::Result<Option<Open>> {
        let Some(newest) = rows.last() else {
            return Ok(open);
        };
        let Open { number, bytes } = open.unwrap_or(Open {
            number: self.next,
            bytes: 0,
        });
        self.next = self.next.max(number + 1);
        let segment = self.segments.entry(number).or_default();
        segment.newest = age_of(newest.hour).max(segment.newest);
        let frames = segment::frames(rows);
        let length = frames.len();
        if let Err(error) = store.append(&segment_name(number), frames).await {
            // A part of a new one helps nobody, and there would be one for each try.
            if bytes == 0 && store.delete(&segment_name(number)).await.is_ok() {
                self.segments.remove(&number);
            }
            return Err(error);
        }
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.rows += rows.len() as u64;
        }
        let bytes = bytes + length;
        self.unsynced.segments.insert(number);
        Ok((bytes < SEGMENT_BYTES).then_some(Open { number, bytes }))
    }

    /// Deletes segments all of whose rows were received before the hour of `horizon`.
    ///
    /// # Errors
    /// When a segment could not be deleted; it is tried again the next time.
    pub async fn forget_before(
        &mut self,
        store: &impl Store,
        horizon: DateTime<Utc>,
    ) -> io::Result<()> {
        let first_kept = hour(horizon);
        let old = self.segments.iter();
        let old = old.filter(|(_, segment)| segment.newest < first_kept);
        let old: Vec<u64> = old.map(|(number, _)| *number).collect();
        for number in old {
            for open in [&mut self.recent, &mut self.older] {
                open.take_if(|open| open.number == number);
            }
            store.delete(&segment_name(number)).await?;
            self.segments.remove(&number);
            self.unsynced.segments.remove(&number);
        }
        Ok(())
    }
}

/// Sorts rows by their age, those that belong to no hour beside the others.
fn sort(rows: &mut [KeyRef]) {
    rows.sort_by_key(|row| (age_of(row.hour), row.hour));
}

/// Whether something else is in the place of a file, or it is far too long.
fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

/// Whether there was anything to delete.
async fn delete_all(store: &impl Store, names: impl Iterator<Item = String>) -> io::Result<bool> {
    let mut any = false;
    for name in names {
        store.delete(&name).await?;
        any = true;
    }
    Ok(any)
}

/// No journal comes so far: with such a number somebody else has made a file, and behind it there may be none.
const TOO_HIGH: u64 = u64::MAX / 2;

fn segment_name(number: u64) -> String {
    format!("{FOLDER}{number:010}.keys")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_prefix(FOLDER)?
        .strip_suffix(".keys")?
        .parse()
        .ok()
}

fn is_version_1(name: &str) -> bool {
    let inside = name.strip_prefix(FOLDER);
    inside.is_some_and(|name| name == "seed-v1" || name.ends_with(".log"))
}

#[cfg(test)]
mod tests;
