//! A table of rows in which all rows of a message are found together.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use crate::{
    RowKey,
    row::{Message, Status},
};

/// A value for each row.
///
/// Nearly every message has one row at a time, which is found with one look into a hash table.
#[derive(Debug)]
pub(super) struct ByMessage<V> {
    /// A row of each message.
    first: HashMap<Message, (Status, V), BuildHasherDefault<AsItIs>>,
    /// All other rows.
    others: BTreeMap<RowKey, V>,
}

impl<V> Default for ByMessage<V> {
    fn default() -> Self {
        Self {
            first: HashMap::default(),
            others: BTreeMap::new(),
        }
    }
}

impl<V: Copy> ByMessage<V> {
    /// The value of a row.
    pub(super) fn get(&self, key: RowKey) -> Option<V> {
        let (message, status) = key.parts();
        match self.first.get(&message) {
            Some((first, value)) if *first == status => Some(*value),
            Some(_) => self.others.get(&key).copied(),
            None => None,
        }
    }

    /// Whether there is any row of the message of this one.
    pub(super) fn has_message(&self, key: RowKey) -> bool {
        self.first.contains_key(&key.message())
    }

    /// Sets the value of a row.
    pub(super) fn insert(&mut self, key: RowKey, value: V) {
        let (message, status) = key.parts();
        let (first, old) = self.first.entry(message).or_insert((status, value));
        if *first == status {
            *old = value;
        } else {
            self.others.insert(key, value);
        }
    }

    /// Removes a row.
    pub(super) fn remove(&mut self, key: RowKey) {
        let (message, status) = key.parts();
        match self.first.get_mut(&message) {
            Some(first) if first.0 == status => {
                // Another row of the message takes its place.
                let other = self.others.range(key.any_status()).next();
                if let Some((other, value)) = other.map(|(key, value)| (*key, *value)) {
                    *first = (other.parts().1, value);
                    self.others.remove(&other);
                } else {
                    self.first.remove(&message);
                }
            }
            Some(_) => {
                self.others.remove(&key);
            }
            None => {}
        }
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.others.len()
    }

    /// All rows, in any order.
    pub(super) fn into_keys(self) -> impl Iterator<Item = RowKey> {
        let first = self.first.into_iter();
        let first = first.map(|(message, (status, _))| RowKey::of(message, status));
        first.chain(self.others.into_keys())
    }
}

/// For what is a keyed hash already ([`RowKey`]), so that nobody can choose where it falls.
#[derive(Debug, Default)]
struct AsItIs(u64);

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

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Insert(RowKey, u64),
        Remove(RowKey),
        Drain,
    }

    fn step() -> impl Strategy<Value = Step> {
        let row = || (0..9_u8, 0..3_u8).prop_map(|(message, status)| key(message, status));
        prop_oneof![
            20 => (row(), any::<u64>()).prop_map(|(key, value)| Step::Insert(key, value)),
            15 => row().prop_map(Step::Remove),
            1 => Just(Step::Drain),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(steps in prop::collection::vec(step(), 0..60)) {
            let mut table = ByMessage::default();
            let mut map = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        table.insert(key, value);
                        map.insert(key, value);
                    }
                    Step::Remove(key) => {
                        table.remove(key);
                        map.remove(&key);
                    }
                    Step::Drain => {
                        let mut rows: Vec<_> =
                            std::mem::take(&mut table).into_keys().collect();
                        rows.sort();
                        prop_assert_eq!(rows, std::mem::take(&mut map).into_keys().collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(table.len(), map.len());
                for (message, status) in (0..9).flat_map(|m| (0..3).map(move |s| (m, s))) {
                    let key = key(message, status);
                    prop_assert_eq!(table.get(key), map.get(&key).copied());
                    let any = map.range(key.any_status()).next().is_some();
                    prop_assert_eq!(table.has_message(key), any);
                }
            }
        }
    }
}
