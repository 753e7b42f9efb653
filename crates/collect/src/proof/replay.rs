//! What a start finds in the journal.

use std::{collections::BTreeSet, io};

use rows::RowKey;

use super::{DAY, Proof};
use crate::Store;

impl Proof {
    /// At a start the journal has these rows of an hour, in the order in which they were accepted: of each
    /// the segment, and how many rows of it come before.
    pub(crate) async fn replay(
        &mut self,
        store: &impl Store,
        hour: u32,
        rows: &[Replayed<'_>],
    ) -> io::Result<()> {
        let day = self.day(store, hour / DAY).await?;
        let recorded = day.filter(|day| day.hours.contains_key(&hour));
        let keys = rows.iter().flat_map(|one| one.keys.iter().copied());
        let Some(day) = recorded else {
            let changed = several(keys);
            if !changed.is_empty() {
                self.changed.insert(hour, changed);
            }
            return Ok(());
        };
        let mut new = BTreeSet::new();
        for Replayed {
            segment,
            before,
            keys,
        } in rows
        {
            let counted = day.head.position.rows_of(*segment).saturating_sub(*before);
            let counted = usize::try_from(counted).unwrap_or(usize::MAX);
            // What is there twice was written again, as nobody knew whether the disk had it.
            new.extend(keys.iter().copied().skip(counted));
        }
        if !new.is_empty() {
            self.additions.insert(hour, new.into_iter().collect());
        }
        Ok(())
    }
}

/// Rows of an hour in the journal, one after another in a segment.
#[derive(Debug)]
pub(crate) struct Replayed<'a> {
    pub(crate) segment: u64,
    /// How many rows of the segment come before them.
    pub(crate) before: u64,
    pub(crate) keys: &'a [RowKey],
}

/// Those of the rows whose message has come before, with another status.
pub(super) fn several(keys: impl Iterator<Item = RowKey>) -> Vec<RowKey> {
    let mut seen: Vec<(RowKey, usize)> = keys.zip(0..).collect();
    seen.sort_unstable();
    let mut several: Vec<(usize, RowKey)> = Vec::new();
    for rows in seen.chunk_by(|one, other| one.0.same_message(other.0)) {
        if rows
            .iter()
            .any(|row| Some(row.0) != rows.first().map(|first| first.0))
        {
            several.extend(rows.iter().map(|(key, place)| (*place, *key)));
        }
    }
    several.sort_unstable();
    several.into_iter().map(|(_, key)| key).collect()
}
