//! Hours of which all rows are sent once more, as a person asks for. Such an hour has no record until that is
//! done, and what was sent of it stays known, also over a stop.

use std::io;

use chrono::{DateTime, Utc};
use rows::RowKey;

use super::{Proof, Replayed, day::CountedIn, window_of};
use crate::Store;

impl Proof {
    /// The record of an hour is taken away: all of its rows are to be sent once more, and make another. What
    /// the journal has of it up to this position was sent before.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn take_away(
        &mut self,
        store: &impl Store,
        hour: u32,
        position: CountedIn,
    ) -> io::Result<()> {
        self.resends.insert(hour, position);
        self.broken_off.remove(&hour);
        self.reopened.insert(hour);
        self.partly.remove(&hour);
        self.is_reopened = true;
        self.until = self.until.map(|until| until.min(hour));
        self.forget_record(store, hour).await?;
        Ok(())
    }

    /// Hours of which not all rows were sent once more.
    pub(crate) fn resends(&self) -> impl Iterator<Item = u32> {
        self.resends.keys().copied()
    }

    /// The oldest of them: its rows are remembered until that is done.
    pub(crate) fn resending_since(&self) -> Option<DateTime<Utc>> {
        let (hour, _) = self.resends.first_key_value()?;
        Some(window_of(*hour)?.start())
    }

    /// Whether sending an hour once more was begun, and not ended.
    pub(crate) fn is_resending(&self, hour: u32) -> bool {
        self.resends.contains_key(&hour)
    }

    /// All rows of an hour were sent once more.
    pub(crate) fn is_resent(&mut self, hour: u32) {
        self.resends.remove(&hour);
    }

    /// The rest of an hour is not sent once more: nothing can be proven of it.
    pub(crate) fn break_off(&mut self, hour: u32) {
        if self.resends.remove(&hour).is_some() {
            self.broken_off.insert(hour);
            self.is_reopened = true;
        }
    }

    /// Of an hour that is being sent once more, a start knows only the rows that were sent since that was
    /// begun. Whether it is one.
    pub(crate) fn without_earlier(&self, hour: u32, rows: &mut [Replayed<'_>]) -> bool {
        let Some(position) = self.resends.get(&hour) else {
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

/// All keys of rows.
pub(crate) fn keys_of(rows: &[Replayed<'_>]) -> Vec<RowKey> {
    rows.iter()
        .flat_map(|one| one.keys.iter().copied())
        .collect()
}
