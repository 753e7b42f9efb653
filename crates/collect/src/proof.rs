//! The proof's ledger: for every hour of reception, what the accepted rows add up to, kept for as long as
//! the source keeps rows. With it a later reading of the source shows that nothing is missing, or which
//! rows are.
//!
//! An hour that may still get rows has no record: its rows are in the journal. When it was read for the
//! last time, its rows are about to be forgotten, and its record is made from them (`Proof::fold`); only
//! when that is safe, their journal is deleted (`Proof::keep`). Rows of an hour that has a record are
//! added to it. Each file of a day says up to which place of the journal it has been counted in, and a
//! start counts what lies after that place. So the record is as true as the journal, also after a kill.

mod beside;
pub(crate) mod day;
mod keep;
mod provable;
mod replay;
mod resend;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rows::{RowKey, Window, sums::Sums};
use serde::{Deserialize, Serialize};

use self::{beside::Beside, day::Day, resend::Again};
pub use self::{
    day::{HourRecord, Notes},
    provable::Provable,
};
pub(crate) use self::{replay::Replayed, resend::keys_of};
use crate::{
    Store,
    coverage::{Coverage, Stage},
    decide::coverage::windows::{with, within},
    known::{Forgotten, KeyRef, hour},
};

/// Where the files are in the store.
pub const FOLDER: &str = "proof/";

/// The version of the format of days, which is in their names.
pub const VERSION: u64 = 1;

/// The file with what was noticed of hours without a record.
pub const NOTES_FILE: &str = "proof/open.json";

const DAY: u32 = 24;

/// So many days stay in memory, of which each takes about 100 kB.
const AT_HAND: usize = 4;

/// Lists that are kept for long grow by so many rows, and this part of what they have.
const GROWTH: usize = 8;

/// Nothing is about more hours at once: as many as any source keeps.
pub(crate) const MOST_HOURS: u32 = 100 * 24;

/// The version in the name of a file of a day; none of other files.
pub fn version(name: &str) -> Option<u64> {
    name.strip_prefix(FOLDER)?.rsplit_once(".v")?.1.parse().ok()
}

/// An hour, counted from 1970, as a window.
pub fn window_of(hour: u32) -> Option<Window> {
    let start = DateTime::from_timestamp(i64::from(hour) * 3600, 0)?;
    Window::new(start, start + TimeDelta::hours(1))
}

/// The hours that a window has a part in, counted from 1970.
pub(crate) fn hours_of(window: Window) -> RangeInclusive<u32> {
    hour(window.start())..=hour(window.end() - TimeDelta::nanoseconds(1))
}

fn name_of(day: u32) -> String {
    let date = NaiveDate::from_epoch_days(day.cast_signed());
    format!("{FOLDER}{}.v{VERSION}", date.unwrap_or_default())
}

fn day_of(name: &str) -> Option<u32> {
    let date = name.strip_prefix(FOLDER)?;
    let date = date.strip_suffix(&format!(".v{VERSION}"))?;
    let date: NaiveDate = date.parse().ok()?;
    u32::try_from(date.to_epoch_days()).ok()
}

/// The records of the hours that were read for the last time.
#[derive(Debug, Default)]
pub struct Proof {
    seed: [u8; 16],
    /// All days that have a file; those that are at hand with their records.
    days: BTreeMap<u32, Option<Arc<Day>>>,
    /// Hours that were folded and are not kept yet.
    folded: BTreeMap<u32, HourRecord>,
    /// Those of them of which this process knows what was read again, with the rows that were added to their
    /// records before, and not kept.
    reread: BTreeMap<u32, Vec<RowKey>>,
    /// Accepted rows of hours that have a record, which are not in it yet.
    additions: BTreeMap<u32, Vec<RowKey>>,
    /// Rows of messages that are known with another status, in the order in which they were seen, of hours
    /// without a record.
    changed: BTreeMap<u32, Vec<RowKey>>,
    /// What is kept of hours without a record.
    open: OpenHours,
    notes_kept: Option<DateTime<Utc>>,
    notes_changed: bool,
    notes_damaged: bool,
    /// Hours before it are folded; none until the collection has begun.
    until: Option<u32>,
    /// Whether it is to be kept at once which hours are read again.
    is_reopened: bool,
    /// No hour from it on has a record.
    frontier: u32,
    /// Segments of the journal before it are counted in, as far as was read.
    counted_in: u64,
    /// Rows that belong to no hour.
    beside: Beside,
}

/// What is kept of hours without a record.
#[derive(Debug, Default, Serialize, Deserialize)]
struct OpenHours {
    version: u64,
    /// All hours before it were folded once, by this process or an earlier one: their rows are forgotten,
    /// unless they are asked for again. None until the first collection has begun.
    #[serde(rename = "until")]
    once: Option<u32>,
    /// Hours before it that are read again, e.g. for a backfill.
    #[serde(default)]
    reopened: BTreeSet<u32>,
    /// The parts of them that are: what else there is of such an hour, this process does not know, and only
    /// its record has it. An hour of which all is read again is not in it.
    #[serde(default)]
    partly: BTreeMap<u32, Vec<Window>>,
    #[serde(default)]
    again: Again,
    /// What was noticed of them.
    #[serde(rename = "hours")]
    notes: BTreeMap<u32, Notes>,
}

impl Proof {
    /// Finds out what is kept. Records are read when they are needed. Damage is no error.
    pub(crate) async fn open(store: &impl Store) -> io::Result<Self> {
        let names = store.list(FOLDER).await?;
        let days = names.iter().filter_map(|name| Some((day_of(name)?, None)));
        let mut proof = Self {
            days: days.collect(),
            beside: Beside::open(store).await?,
            ..Self::default()
        };
        proof.find_notes(store).await?;
        Ok(proof)
    }

    /// The seed of the keys that the records are made of, from the newest day that can be read.
    pub(crate) async fn kept_seed(&mut self, store: &impl Store) -> io::Result<Option<[u8; 16]>> {
        let days: Vec<u32> = self.days.keys().rev().copied().collect();
        for day in days {
            if let Some(found) = self.day(store, day).await? {
                return Ok(Some(found.head.seed));
            }
        }
        Ok(None)
    }

    pub(crate) fn set_seed(&mut self, seed: [u8; 16]) {
        self.seed = seed;
    }

    /// The day's records; none when there are none that can be read.
    async fn day(&mut self, store: &impl Store, day: u32) -> io::Result<Option<Arc<Day>>> {
        let Some(place) = self.days.get(&day) else {
            return Ok(None);
        };
        if let Some(found) = place {
            return Ok(Some(Arc::clone(found)));
        }
        let text = store.read_or_empty(&name_of(day)).await?;
        let text = text.unwrap_or_default();
        let Some(found) = Day::parse(&text) else {
            return Ok(None);
        };
        self.counted_in = self.counted_in.max(found.head.position.next);
        let found = Arc::new(found);
        self.put(day, Arc::clone(&found));
        Ok(Some(found))
    }

    /// Has a day at hand, and takes the oldest of too many away.
    fn put(&mut self, day: u32, content: Arc<Day>) {
        self.days.insert(day, Some(content));
        let at_hand = self.days.values().flatten().count();
        let others = self.days.iter_mut().filter(|(other, _)| **other != day);
        let oldest = others.filter_map(|(_, place)| place.is_some().then_some(place));
        for place in oldest.take(at_hand.saturating_sub(AT_HAND)) {
            *place = None;
        }
    }

    /// Segments of the journal before it are counted in, as far as was read.
    pub(crate) fn counted_in(&self) -> u64 {
        self.counted_in
    }

    /// Whether an hour has a record. Its day must be at hand.
    fn has_record(&self, hour: u32) -> bool {
        let day = self.days.get(&(hour / DAY)).and_then(Option::as_ref);
        self.folded.contains_key(&hour) || day.is_some_and(|day| day.hours.contains_key(&hour))
    }

    /// The collection begins: what was received before `horizon` has been folded, or never will be.
    pub(crate) fn begin(&mut self, coverage: &Coverage, horizon: DateTime<Utc>) {
        let first = hour(horizon);
        // What is done and was not folded before the last stop is folded at once. When that is not known, what
        // was forgotten before a backfill led back makes no record.
        let forgotten = hour(coverage.memory());
        let once = *self.open.once.get_or_insert(first.max(forgotten));
        // So is what was read again for an order that was given up since: its rows are in the journal.
        let reopened = self.open.reopened.first();
        let until = reopened.map_or(once, |hour| once.min(*hour));
        self.until = Some(until);
        let newest = self.days.last_key_value();
        let newest = newest.map_or(0, |(day, _)| (day + 1) * DAY);
        self.frontier = newest.max(once);
        self.reopen(coverage, horizon);
        let first = first.min(until);
        self.open.notes.retain(|hour, _| *hour >= first);
        self.changed.retain(|hour, _| *hour >= first);
    }

    /// What was received after `horizon` may be read again. To be called before that is done.
    pub(crate) fn reopen(&mut self, coverage: &Coverage, horizon: DateTime<Utc>) {
        let first = hour(horizon);
        let Some((until, once)) = self.until.zip(self.open.once) else {
            return;
        };
        if first >= once {
            return;
        }
        let first = first.max(once.saturating_sub(MOST_HOURS));
        self.until = Some(until.min(first));
        // Also when another request has led back as far before: each has hours of its own.
        for (window, stage) in coverage.intervals() {
            if matches!(stage, Stage::Missing | Stage::Settling) {
                let (start, last) = hours_of(window).into_inner();
                for hour in start.max(first)..(last + 1).min(once) {
                    let part = window_of(hour).and_then(|hour| hour.intersection(window));
                    self.is_reopened |= part.is_some_and(|part| self.reopen_part(hour, part));
                }
            }
        }
    }

    /// A part of an hour is read again. Whether that is news.
    fn reopen_part(&mut self, hour: u32, part: Window) -> bool {
        if self.open.reopened.insert(hour) {
            self.open.partly.insert(hour, vec![part]);
            return true;
        }
        let Some(parts) = self.open.partly.get_mut(&hour) else {
            return false;
        };
        let before = std::mem::take(parts);
        *parts = with(&before, part);
        *parts != before
    }

    /// A row is about to be sent of whose message another status is known.
    pub(crate) fn changed(&mut self, row: KeyRef) {
        let rows = self.changed.entry(row.hour).or_default();
        if rows.len() == rows.capacity() {
            // An hour of a large tenant has thousands, for as long as it settles: to double would cost as
            // much again.
            rows.reserve_exact(GROWTH + rows.len() / GROWTH);
        }
        rows.push(row.key);
    }

    /// Which of these rows belong to hours that have a record. They are counted by
    /// [`add`](Self::add), when they are in the journal.
    pub(crate) async fn among(
        &mut self,
        store: &impl Store,
        rows: &[KeyRef],
    ) -> io::Result<Vec<KeyRef>> {
        let mut found = Vec::new();
        for rows in rows.chunk_by(|one, other| one.hour == other.hour) {
            let hour = rows.first().map_or(0, |row| row.hour);
            // Nearly always the hour is one of the latest, which have none.
            if hour >= self.frontier {
                continue;
            }
            self.day(store, hour / DAY).await?;
            if self.has_record(hour) {
                found.extend_from_slice(rows);
            }
        }
        Ok(found)
    }

    /// These rows are journaled, and belong to hours that have a record.
    pub(crate) fn add(&mut self, rows: Vec<KeyRef>) {
        for KeyRef { hour, key } in rows {
            self.additions.entry(hour).or_default().push(key);
        }
    }

    /// The delivered rows of hours before `horizon` are forgotten: their records are made, as far as they
    /// have none. All of these rows are in the journal.
    pub(crate) fn fold(
        &mut self,
        coverage: &Coverage,
        horizon: DateTime<Utc>,
        forgotten: Vec<Forgotten>,
    ) {
        self.put_beside(&forgotten);
        let Some((until, once)) = self.until.zip(self.open.once) else {
            return;
        };
        let end = hour(horizon);
        let begin = until.max(end.saturating_sub(MOST_HOURS));
        if begin >= end {
            return;
        }
        self.until = Some(end);
        self.open.once = Some(once.max(end));
        self.frontier = self.frontier.max(end);
        let mut forgotten: BTreeMap<u32, Forgotten> =
            forgotten.into_iter().map(|one| (one.hour, one)).collect();
        let finished = coverage.intervals().into_iter();
        let finished = finished.filter(|(_, stage)| *stage == Stage::Final);
        let finished: Vec<Window> = finished.map(|(window, _)| window).collect();
        for hour in begin..end {
            let notes = self.open.notes.remove(&hour);
            let changed = self.changed.remove(&hour).unwrap_or_default();
            let only = self.open.partly.remove(&hour);
            let is_first = self.open.reopened.remove(&hour) || hour >= once;
            if self.open.again.folds(hour) || !is_first {
                continue;
            }
            let Some(whole) = window_of(hour) else {
                continue;
            };
            let parts = within(&finished, whole).flat_map(|part| match &only {
                Some(only) => within(only, part).collect(),
                None => vec![part],
            });
            let parts: Vec<Window> = parts.collect();
            if parts.is_empty() {
                continue;
            }
            let keys = forgotten.remove(&hour);
            let keys = keys.as_ref().map(Forgotten::keys).into_iter().flatten();
            let mut record = HourRecord {
                sums: Sums::of(keys, &changed),
                ..HourRecord::default()
            };
            record.has_read(&parts, notes.unwrap_or_default());
            match self.folded.get_mut(&hour) {
                // Its rows came since, and are counted one by one, as those before them are.
                Some(folded) => {
                    folded.has_read(&record.parts, record.notes);
                    if let Some(mut rows) = self.reread.remove(&hour) {
                        rows.extend(self.additions.remove(&hour).unwrap_or_default());
                        self.additions.insert(hour, rows);
                    }
                }
                None => {
                    if only.is_some() {
                        let before = self.additions.remove(&hour).unwrap_or_default();
                        self.reread.insert(hour, before);
                    }
                    self.folded.insert(hour, record);
                }
            }
        }
        self.open.notes.retain(|hour, _| *hour >= end);
        self.changed.retain(|hour, _| *hour >= end);
    }

    /// Whether an hour was folded once: its rows are forgotten, unless they are asked for again.
    pub(crate) fn was_folded(&self, hour: u32) -> bool {
        self.open.once.is_some_and(|once| hour < once)
    }

    /// What was received before it is folded: the journal of it may be deleted once that is
    /// [kept](Self::keep).
    pub(crate) fn floor(&self) -> DateTime<Utc> {
        let floor = self.until.and_then(window_of);
        floor.map_or(DateTime::UNIX_EPOCH, |hour| hour.start())
    }
}

#[cfg(test)]
mod tests;
