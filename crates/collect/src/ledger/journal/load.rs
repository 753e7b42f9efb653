//! What a start finds of the journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use rows::RowKey;

use super::{
    Inventory, Journal, Segment, TOO_HIGH, is_damage,
    segment::{self, Mended},
    segment_name,
};
use crate::{
    Store,
    known::{KnownRows, age_of},
    proof::{Proof, Replayed, keys_of},
};

impl Journal {
    /// Reads all segments, takes out what is damaged, and has the proof count what it lacks.
    pub(super) async fn load(
        store: &impl Store,
        mut segments: Vec<(u64, String)>,
        expected: &Inventory,
        damage: &mut Vec<String>,
        proof: &mut Proof,
    ) -> io::Result<(KnownRows, Self)> {
        // A list may leave some out. Only a read of the file itself shows that it is gone.
        let listed: BTreeSet<u64> = segments.iter().map(|(number, _)| *number).collect();
        let others = expected.keys();
        let others = others.filter(|number| **number < TOO_HIGH && !listed.contains(*number));
        segments.extend(others.map(|number| (*number, segment_name(*number))));
        segments.sort_by_key(|(number, _)| *number);
        let mut journal = Self {
            next: segments.last().map_or(0, |(last, _)| last + 1),
            ..Self::default()
        };
        let mut rows = BTreeMap::<u32, FoundRows>::new();
        for (number, name) in segments {
            let text = match store.read(&name).await {
                Ok(Some(text)) => text,
                // What is lost with it is told below.
                Ok(None) => continue,
                Err(error) if is_damage(&error) => {
                    damage.push(format!("{name} is left alone: {error}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut found = Segment::default();
            let mended = segment::replay(&text, |hour, keys| {
                let before = found.rows;
                found.rows += keys.len() as u64;
                if hour == segment::GAP {
                    return;
                }
                found.newest = found.newest.max(age_of(hour));
                let of_hour = rows.entry(hour).or_default();
                of_hour.places.push((number, before, keys.len()));
                let keys = keys.iter().map(|key| RowKey::from_bytes(*key));
                of_hour.keys.extend(keys);
            });
            if let Some(Mended {
                damaged,
                text: rest,
            }) = mended
            {
                let all = text.len();
                damage.push(format!("{name}: {damaged} of {all} bytes are damaged"));
                // So that it is said once.
                store.write(&name, rest).await?;
            }
            journal.segments.insert(number, found);
            // What is found may be there because the machine went on after a kill.
            store.sync(&name).await?;
        }
        for (number, rows) in expected {
            let found = journal.segments.get(number).map_or(0, |found| found.rows);
            if found < *rows {
                let lost = rows - found;
                let name = segment_name(*number);
                damage.push(format!(
                    "{name} has {found} of {rows} rows: {lost} may be sent twice"
                ));
            }
        }
        let mut hours = BTreeMap::new();
        for (hour, rows) in rows {
            hours.insert(hour, rows.count_in(hour, store, proof).await?);
        }
        Ok((KnownRows::delivered(hours), journal))
    }
}

/// Rows of an hour that were found in the journal.
#[derive(Default)]
struct FoundRows {
    keys: Vec<RowKey>,
    /// Where they are: the segment, how many rows of it come before them, how many.
    places: Vec<(u64, u64, usize)>,
}

impl FoundRows {
    /// Has the proof count what it lacks. The rows that a start is to know.
    async fn count_in(
        self,
        hour: u32,
        store: &impl Store,
        proof: &mut Proof,
    ) -> io::Result<Vec<RowKey>> {
        let mut rest = self.keys.as_slice();
        let rows = self.places.into_iter().map(|(segment, before, count)| {
            let (keys, others) = rest.split_at_checked(count).unwrap_or_default();
            rest = others;
            Replayed {
                segment,
                before,
                keys,
            }
        });
        let mut rows: Vec<_> = rows.collect();
        let later = proof
            .without_earlier(hour, &mut rows)
            .then(|| keys_of(&rows));
        proof.replay(store, hour, &rows).await?;
        Ok(later.unwrap_or(self.keys))
    }
}
