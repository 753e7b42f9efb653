//! Makes the records safe, and takes away what nobody needs any more.

use std::{collections::BTreeSet, io, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use super::{
    DAY, MOST_HOURS, NOTES_FILE, OpenHours, Proof, VERSION,
    day::{CountedIn, Day, Notes},
    hours_of, name_of,
};
use crate::{
    Store,
    decide::{coverage::windows::without, evidence::SourceTime},
    known::hour,
};

/// Notes are kept at most this often: a kill costs what was noticed since.
const KEEPING_NOTES: TimeDelta = TimeDelta::minutes(1);

/// Days are kept for so long, and for so much longer than the source keeps rows: a source that keeps them
/// for less may be read for a while only, and the next one shows those days again.
const KEPT: TimeDelta = TimeDelta::days(90);
const SPARE_DAYS: u32 = 2;

impl Proof {
    /// Finds the notes, and which hours were folded.
    pub(super) async fn find_notes(&mut self, store: &impl Store) -> io::Result<()> {
        let Some(text) = store.read_or_empty(NOTES_FILE).await? else {
            return Ok(());
        };
        match serde_json::from_slice::<OpenHours>(&text) {
            Ok(kept) if kept.once.is_some() => self.open = kept,
            _ => self.notes_damaged = true,
        }
        self.counted_in = self.open.again.counted_in();
        Ok(())
    }

    pub(crate) fn note(&mut self, hour: u32, note: impl FnOnce(&mut Notes)) {
        note(self.open.notes.entry(hour).or_default());
        self.notes_changed = true;
    }

    /// A query that began at `began` has read a window.
    pub(crate) fn read(&mut self, window: Window, began: DateTime<Utc>) {
        let (first, last) = hours_of(window).into_inner();
        for hour in first.max(last.saturating_sub(MOST_HOURS))..=last {
            self.note(hour, |notes| notes.read(began));
        }
    }

    /// Which of its files cannot be used, as a part of a sentence.
    pub(crate) fn damage(&self) -> Option<String> {
        let damaged =
            || format!("{NOTES_FILE} is damaged: which hours were sent again is not known");
        self.notes_damaged.then(damaged)
    }

    /// Makes the records safe. All that was journaled is synced, and counted in up to `position`.
    /// After an error the next call tries the rest.
    pub(crate) async fn keep(
        &mut self,
        store: &impl Store,
        position: &CountedIn,
        time: SourceTime,
        retention: TimeDelta,
    ) -> io::Result<()> {
        self.keep_beside(store).await?;
        // Before the timeline says that they are done.
        let at_once = self.is_reopened || !self.folded.is_empty();
        let hours = self.folded.keys().chain(self.additions.keys());
        let days: BTreeSet<u32> = hours.map(|hour| hour / DAY).collect();
        for day in days {
            // Sums of other keys say nothing.
            let found = self.day(store, day).await?;
            let mut content = match found.filter(|day| day.head.seed == self.seed) {
                Some(found) => Arc::unwrap_or_clone(found),
                None => {
                    let mut new = Day::new(self.seed);
                    // There was one that cannot be used.
                    new.head.is_damaged = self.days.contains_key(&day);
                    new
                }
            };
            let hours = day * DAY..(day + 1) * DAY;
            for (hour, folded) in self.folded.range(hours.clone()) {
                let Some(record) = content.hours.get_mut(hour) else {
                    content.hours.insert(*hour, folded.clone());
                    continue;
                };
                let reread = folded.parts.iter().copied();
                match self.reread.get(hour) {
                    // What was forgotten of it has come once more, and counts once.
                    Some(_) if without(&record.parts, reread).is_empty() => {
                        record.sums = folded.sums.clone();
                    }
                    Some(before) => record.add(before),
                    None => {}
                }
                record.has_read(&folded.parts, folded.notes);
            }
            for (hour, keys) in self.additions.range(hours.clone()) {
                if let Some(record) = content.hours.get_mut(hour) {
                    record.add(keys);
                }
            }
            content.head.position = position.clone();
            store.write(&name_of(day), content.to_bytes()).await?;
            self.put(day, Arc::new(content));
            self.folded.retain(|hour, _| !hours.contains(hour));
            self.reread.retain(|hour, _| !hours.contains(hour));
            self.additions.retain(|hour, _| !hours.contains(hour));
        }
        self.keep_notes(store, time.now, at_once).await?;
        match time.certain {
            Some(certain) => self.forget(store, certain, retention).await,
            None => Ok(()),
        }
    }

    /// Whether hours were folded whose records are not safe.
    pub(crate) fn has_folded(&self) -> bool {
        !self.folded.is_empty()
    }

    /// Whether rows came that are not in the records yet.
    pub(crate) fn has_news(&self) -> bool {
        !self.folded.is_empty() || !self.additions.is_empty()
    }

    /// Makes the notes safe that have changed, now and then, and which hours were folded, at once.
    async fn keep_notes(
        &mut self,
        store: &impl Store,
        now: DateTime<Utc>,
        at_once: bool,
    ) -> io::Result<()> {
        let rested = self
            .notes_kept
            .is_none_or(|kept| (now - kept).abs() >= KEEPING_NOTES);
        self.notes_changed |= at_once;
        if !self.notes_changed || !(rested || at_once) {
            return Ok(());
        }
        self.write_notes(store).await?;
        self.notes_kept = Some(now);
        Ok(())
    }

    /// Makes the notes safe that have changed.
    pub(crate) async fn write_notes(&mut self, store: &impl Store) -> io::Result<()> {
        // Until the collection has begun, nobody knows which hours were folded: a start would fold them anew.
        if self.open.once.is_none() || !self.notes_changed {
            return Ok(());
        }
        self.open.version = VERSION;
        let text = serde_json::to_vec(&self.open).map_err(io::Error::other)?;
        store.write(NOTES_FILE, text.into()).await?;
        self.notes_changed = false;
        self.is_reopened = false;
        Ok(())
    }

    /// Deletes days of which no source keeps rows, as both clocks say.
    async fn forget(
        &mut self,
        store: &impl Store,
        certain: DateTime<Utc>,
        retention: TimeDelta,
    ) -> io::Result<()> {
        let first = (hour(certain - retention.max(KEPT)) / DAY).saturating_sub(SPARE_DAYS);
        while let Some((day, _)) = self.days.first_key_value().filter(|(day, _)| **day < first) {
            let day = *day;
            store.delete(&name_of(day)).await?;
            self.days.remove(&day);
            self.beside.forget_before((day + 1) * DAY);
        }
        Ok(())
    }

    /// There is no record of an hour any more, as rows of it are about to be sent once more, and would count
    /// twice.
    pub(crate) async fn forget_record(&mut self, store: &impl Store, hour: u32) -> io::Result<()> {
        let day = hour / DAY;
        let found = self.day(store, day).await?;
        if let Some(found) = found.filter(|day| day.hours.contains_key(&hour)) {
            let mut content = Arc::unwrap_or_clone(found);
            content.hours.remove(&hour);
            store.write(&name_of(day), content.to_bytes()).await?;
            self.put(day, Arc::new(content));
        }
        self.additions.remove(&hour);
        self.reread.remove(&hour);
        self.folded.remove(&hour);
        Ok(())
    }
}
