//! Hours of which all rows are sent once more, as a person asks for. Such an hour has no record until that is
//! done, and what was sent of it stays known, also over a stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use chrono::{DateTime, Utc};
use rows::{RowKey, Window};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DAY, Proof, Replayed, day::CountedIn, window_of};
use crate::{Store, decide::coverage::windows::without, known::hour};

/// Hours of which rows are sent once more.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Again {
    /// Those of which all are, and up to where the journal has what was sent of them before.
    resends: BTreeMap<u32, CountedIn>,
    /// Those of them of which all were, and of which that is not said yet.
    #[serde(skip)]
    finished: BTreeSet<u32>,
    /// Those of which that was given up: they get no record.
    broken_off: BTreeSet<u32>,
    /// Those of which a person wants rows sent once more, and up to where the journal has what was sent of
    /// them before.
    renewed: BTreeMap<u32, CountedIn>,
    /// The orders to send rows once more that have ended, the last one at the end.
    #[serde(default)]
    ended: Vec<Uuid>,
}

/// As many orders are remembered: there is one file of orders for each kind.
const MOST_ENDED: usize = 8;

impl Again {
    /// Segments of the journal before it were counted in when sending an hour once more was begun.
    pub(super) fn counted_in(&self) -> u64 {
        let positions = self.resends.values().chain(self.renewed.values());
        positions.map(|position| position.next).max().unwrap_or(0)
    }

    /// An hour is folded. Whether it gets no record.
    pub(super) fn folds(&mut self, hour: u32) -> bool {
        self.renewed.remove(&hour);
        self.broken_off.remove(&hour)
    }
}

impl Proof {
    /// An order to send rows once more has ended. To be kept before its progress says so, as that may be lost.
    pub(crate) fn ends_order(&mut self, id: Uuid) {
        let ended = &mut self.open.again.ended;
        ended.retain(|one| *one != id);
        ended.push(id);
        ended.drain(..ended.len().saturating_sub(MOST_ENDED));
        self.is_reopened = true;
    }

    pub(crate) fn has_ended(&self, id: Uuid) -> bool {
        self.open.again.ended.contains(&id)
    }

    /// The record of an hour is taken away: all of its rows are to be sent once more, and make another. What
    /// the journal has of it up to this position was sent before.
    pub(crate) async fn take_away(
        &mut self,
        store: &impl Store,
        hour: u32,
        position: CountedIn,
    ) -> io::Result<()> {
        self.open.again.resends.insert(hour, position);
        self.open.again.broken_off.remove(&hour);
        self.open.reopened.insert(hour);
        self.open.partly.remove(&hour);
        self.is_reopened = true;
        self.until = self.until.map(|until| until.min(hour));
        self.forget_record(store, hour).await
    }

    /// Hours of which not all rows were sent once more.
    pub(crate) fn resends(&self) -> impl Iterator<Item = u32> {
        self.open.again.resends.keys().copied()
    }

    /// The oldest of them: its rows are remembered until that is done.
    pub(crate) fn resending_since(&self) -> Option<DateTime<Utc>> {
        let finished = &self.open.again.finished;
        let hour = self.resends().find(|hour| !finished.contains(hour))?;
        Some(window_of(hour)?.start())
    }

    /// Whether sending an hour once more was begun, and not ended.
    pub(crate) fn is_resending(&self, hour: u32) -> bool {
        self.open.again.resends.contains_key(&hour)
    }

    /// All rows of an hour were sent once more: it may be folded.
    pub(crate) fn finishes(&mut self, hour: u32) {
        self.open.again.finished.insert(hour);
    }

    /// It is said that all rows of an hour were sent once more. Until then a start must not take it for one
    /// of which that has not begun.
    pub(crate) fn resend_told(&mut self, hour: u32) {
        self.open.again.finished.remove(&hour);
        self.open.again.resends.remove(&hour);
        self.is_reopened = true;
    }

    /// The rest of an hour is not sent once more: nothing can be proven of it.
    pub(crate) fn break_off(&mut self, hour: u32) {
        if self.open.again.resends.remove(&hour).is_some() {
            self.is_reopened = true;
            // Else it was folded before.
            if self.open.reopened.contains(&hour) {
                self.open.again.broken_off.insert(hour);
            }
        }
    }

    /// Whether an hour has a record, and rows of it are about to be sent once more for the first time.
    pub(crate) async fn is_to_be_renewed(
        &mut self,
        store: &impl Store,
        hour: u32,
    ) -> io::Result<bool> {
        self.day(store, hour / DAY).await?;
        Ok(self.has_record(hour) && !self.open.again.renewed.contains_key(&hour))
    }

    /// Rows of an hour are about to be sent once more. What the journal has of the hour up to this position
    /// was sent before, and is not to be in its new record.
    pub(crate) fn renews(&mut self, hour: u32, position: CountedIn) {
        self.open.again.renewed.insert(hour, position);
        self.is_reopened = true;
    }

    /// Whether sending rows of an hour once more was begun, and it was not folded since.
    pub(crate) fn is_renewed(&self, hour: u32) -> bool {
        self.open.again.renewed.contains_key(&hour)
    }

    /// These parts of hours are not read again after all: what they have, this process does not know.
    pub(crate) fn close(&mut self, given_up: &[Window]) {
        for window in given_up {
            let hour = hour(window.start());
            let Some(parts) = self.open.partly.get_mut(&hour) else {
                continue;
            };
            *parts = without(parts, [*window]);
            if parts.is_empty() {
                self.open.partly.remove(&hour);
                self.open.reopened.remove(&hour);
            }
            self.is_reopened = true;
        }
    }

    /// Of an hour that is being sent once more, a start knows only the rows that were sent since that was
    /// begun. Whether it is one.
    pub(crate) fn without_earlier(&self, hour: u32, rows: &mut [Replayed<'_>]) -> bool {
        let Again {
            resends, renewed, ..
        } = &self.open.again;
        let Some(position) = resends.get(&hour).or_else(|| renewed.get(&hour)) else {
            return false;
        };
        for row in rows {
            let earlier = position.rows_of(row.segment).saturating_sub(row.before);
            let earlier = usize::try_from(earlier).unwrap_or(usize::MAX);
            let earlier = earlier.min(row.keys.len());
            row.keys = row.keys.get(earlier..).unwrap_or_default();
            row.before += earlier as u64;
        }
        true
    }
}

pub(crate) fn keys_of(rows: &[Replayed<'_>]) -> Vec<RowKey> {
    rows.iter()
        .flat_map(|one| one.keys.iter().copied())
        .collect()
}
