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
            let mut changed = several(keys);
            if !changed.is_empty() {
                changed.shrink_to_fit();
                self.changed.insert(hour, changed);
            }
            return Ok(());
        };
        let (mut new, mut seen) = (Vec::new(), BTreeSet::new());
        for one in rows {
            let counted = day.head.position.rows_of(one.segment);
            let counted = counted.saturating_sub(one.before);
            let counted = usize::try_from(counted).unwrap_or(usize::MAX);
            // What is there twice was written again, as nobody knew whether the disk had it. All else stays in
            // its order: of two statuses the later one counts.
            let later = one.keys.iter().copied().skip(counted);
            new.extend(later.filter(|key| seen.insert(*key)));
        }
        if !new.is_empty() {
            self.additions.insert(hour, new);
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

/// Those of the rows whose message has come with another status, too, in their order.
pub(super) fn several(keys: impl Iterator<Item = RowKey> + Clone) -> Vec<RowKey> {
    // Nearly all rows are the only ones of their message: to sort just the others makes a start with ten
    // million rows a second shorter.
    let seen = Twice::of(keys.clone());
    let mut seen: Vec<(RowKey, usize)> = keys.zip(0..).filter(|(key, _)| seen.has(*key)).collect();
    seen.sort_unstable();
    let mut several: Vec<(usize, RowKey)> = Vec::new();
    for rows in seen.chunk_by(|one, other| one.0.same_message(other.0)) {
        // They are in order.
        if let [(first, _), .., (last, _)] = rows
            && first != last
        {
            several.extend(rows.iter().map(|(key, place)| (*place, *key)));
        }
    }
    several.sort_unstable();
    several.into_iter().map(|(_, key)| key).collect()
}

/// The messages that come twice or more, and a few others that share a bit with one.
struct Twice {
    bits: Vec<u64>,
    /// One less than the number of bits, which is a power of two.
    mask: u64,
}

impl Twice {
    /// With so many bits for each row one in sixteen shares its bit with another by chance.
    const BITS: usize = 16;

    fn of(keys: impl Iterator<Item = RowKey> + Clone) -> Self {
        let words = (keys.clone().count() * Self::BITS)
            .div_ceil(64)
            .next_power_of_two();
        let mut once = vec![0_u64; words];
        let mut twice = Self {
            bits: vec![0; words],
            mask: 64 * words as u64 - 1,
        };
        for key in keys {
            let (word, bit) = twice.place(key);
            if let (Some(once), Some(twice)) = (once.get_mut(word), twice.bits.get_mut(word)) {
                *twice |= *once & bit;
                *once |= bit;
            }
        }
        twice
    }

    fn has(&self, key: RowKey) -> bool {
        let (word, bit) = self.place(key);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The word and the bit in it; the key is a keyed hash, so that any bits of it are as good.
    fn place(&self, key: RowKey) -> (usize, u64) {
        let place = key.message().prefix() & self.mask;
        (
            usize::try_from(place / 64).unwrap_or_default(),
            1 << (place % 64),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few messages, many of which share the bits that are looked at.
    fn key(message: u8, status: u8) -> RowKey {
        RowKey::from_bytes([
            message % 3,
            0,
            0,
            0,
            0,
            0,
            0,
            message / 3,
            message,
            0,
            0,
            status,
        ])
    }

    proptest! {
        #[test]
        fn rows_of_messages_with_several_statuses_are_found_in_their_order(
            rows in prop::collection::vec((0..40_u8, 0..3_u8), 0..80)
        ) {
            let keys: Vec<_> = rows.iter().map(|(message, status)| key(*message, *status)).collect();
            let has_another = |one: &&RowKey| {
                keys.iter().any(|other| other.same_message(**one) && other != *one)
            };
            let expected: Vec<_> = keys.iter().filter(has_another).copied().collect();
            prop_assert_eq!(several(keys.iter().copied()), expected);
        }
    }
}
