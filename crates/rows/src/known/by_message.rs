//! A table of rows in which all rows of a message are found together.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use super::BatchId;
use crate::{Message, RowKey, Status};

/// The batch of each row.
///
/// Nearly every message has one row at a time, which is found with one look into a hash table.
#[derive(Debug, Default)]
pub(super) struct ByMessage {
    /// A row of each message.
    first: HashMap<Message, (Status, Packed), BuildHasherDefault<AsItIs>>,
    /// All other rows.
    others: BTreeMap<RowKey, Packed>,
}

/// A batch, as bytes, so that there are no gaps between rows.
type Packed = [u8; 4];

fn packed(batch: BatchId) -> Packed {
    batch.0.to_ne_bytes()
}

fn unpacked(batch: Packed) -> BatchId {
    BatchId(u32::from_ne_bytes(batch))
}

impl ByMessage {
    /// An empty table with room for so many messages.
    pub(super) fn with_room_for(messages: usize) -> Self {
        Self {
            first: HashMap::with_capacity_and_hasher(messages, BuildHasherDefault::default()),
            others: BTreeMap::new(),
        }
    }

    /// The batch of a row. When there is none, the row is put into `batch`, unless it is in
    /// `elsewhere`, which tells what else is known of it.
    pub(super) fn find_or_insert(
        &mut self,
        key: RowKey,
        batch: BatchId,
        elsewhere: impl FnOnce() -> Found,
    ) -> Found {
        let (message, status) = key.parts();
        match self.first.entry(message) {
            Entry::Vacant(place) => {
                let found = elsewhere();
                if !matches!(found, Found::Row(_)) {
                    place.insert((status, packed(batch)));
                }
                found
            }
            Entry::Occupied(place) if place.get().0 == status => {
                Found::Row(Some(unpacked(place.get().1)))
            }
            Entry::Occupied(_) => match self.others.get(&key) {
                Some(batch) => Found::Row(Some(unpacked(*batch))),
                None => match elsewhere() {
                    Found::Row(batch) => Found::Row(batch),
                    Found::Nothing | Found::Message => {
                        self.others.insert(key, packed(batch));
                        Found::Message
                    }
                },
            },
        }
    }

    /// The batch of a row.
    pub(super) fn get(&self, key: RowKey) -> Found {
        let (message, status) = key.parts();
        match self.first.get(&message) {
            None => Found::Nothing,
            Some((first, batch)) if *first == status => Found::Row(Some(unpacked(*batch))),
            Some(_) => match self.others.get(&key) {
                Some(batch) => Found::Row(Some(unpacked(*batch))),
                None => Found::Message,
            },
        }
    }

    /// Sets the batch of a row.
    pub(super) fn insert(&mut self, key: RowKey, batch: BatchId) {
        let (message, status) = key.parts();
        let (first, old) = self.first.entry(message).or_insert((status, packed(batch)));
        if *first == status {
            *old = packed(batch);
        } else {
            self.others.insert(key, packed(batch));
        }
    }

    /// Takes out the rows whose batch is `chosen`, in any order.
    pub(super) fn take(&mut self, chosen: impl Fn(BatchId) -> bool) -> Vec<RowKey> {
        let mut taken = Vec::with_capacity(self.len());
        let mut stay = Vec::new();
        let first = self.first.drain();
        let first = first.map(|(message, (status, batch))| (RowKey::of(message, status), batch));
        for (key, batch) in first.chain(std::mem::take(&mut self.others)) {
            if chosen(unpacked(batch)) {
                taken.push(key);
            } else {
                stay.push((key, batch));
            }
        }
        for (key, batch) in stay {
            self.insert(key, unpacked(batch));
        }
        taken
    }

    /// Gives back the memory that was needed for more rows.
    pub(super) fn shrink(&mut self) {
        self.first.shrink_to_fit();
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.others.len()
    }

    /// All rows, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RowKey, BatchId)> {
        let first = self.first.iter();
        let first = first
            .map(|(message, (status, batch))| (RowKey::of(*message, *status), unpacked(*batch)));
        first.chain(
            self.others
                .iter()
                .map(|(key, batch)| (*key, unpacked(*batch))),
        )
    }
}

/// What is known of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    /// Not even its message.
    Nothing,
    /// Its message, with other statuses alone.
    Message,
    /// The row. Its batch, if that was not forgotten since it arrived.
    Row(Option<BatchId>),
}

/// For what is a keyed hash already ([`RowKey`]), so that nobody can choose where it falls.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.prefix());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few messages with few statuses each, some of which agree in all that is hashed.
    fn key(message: u8, status: u8) -> RowKey {
        RowKey::from_bytes([0, 0, 0, 0, 0, 0, 0, message / 3, message, 0, 0, status])
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(
            rows in prop::collection::vec((0..9_u8, 0..3_u8, 0..4_u32, 0..9_u8), 0..60)
        ) {
            let mut table = ByMessage::default();
            let mut map = BTreeMap::new();
            for (message, status, batch, action) in rows {
                let (key_here, batch) = (key(message, status), BatchId(batch));
                if action == 0 {
                    let mut taken = table.take(|other| other == batch);
                    taken.sort();
                    let expected = map.extract_if(.., |_, other| *other == batch);
                    prop_assert_eq!(taken, expected.map(|(key, _)| key).collect::<Vec<_>>());
                } else if action < 4 {
                    let found = table.find_or_insert(key_here, batch, || Found::Nothing);
                    match map.get(&key_here) {
                        Some(known) => prop_assert_eq!(found, Found::Row(Some(*known))),
                        None => prop_assert!(!matches!(found, Found::Row(_))),
                    }
                    map.entry(key_here).or_insert(batch);
                } else {
                    table.insert(key_here, batch);
                    map.insert(key_here, batch);
                }
                prop_assert_eq!(table.len(), map.len());
                prop_assert_eq!(&table.iter().collect::<BTreeMap<_, _>>(), &map);
                for (message, status) in (0..9).flat_map(|m| (0..3).map(move |s| (m, s))) {
                    let key = key(message, status);
                    let expected = match map.get(&key) {
                        Some(batch) => Found::Row(Some(*batch)),
                        None if map.range(key.any_status()).next().is_some() => Found::Message,
                        None => Found::Nothing,
                    };
                    prop_assert_eq!(table.get(key), expected);
                }
            }
        }
    }
}
