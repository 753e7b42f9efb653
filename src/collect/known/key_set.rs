//! A set of keys that costs hardly more than the keys themselves.

use super::by_message::ByMessage;
use crate::RowKey;

/// So many keys may wait for the next merge, beside a share of those that are merged already.
const FEW: usize = 1024;

/// The share: a merge goes over all keys, so it must be worth it.
const SHARE: usize = 16;

/// Keys as one sorted run, and the latest in a table until it pays to merge them.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    run: Vec<RowKey>,
    latest: ByMessage<()>,
}

/// How much of a row is in a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    /// Nothing.
    Unknown,
    /// The message, with other statuses alone.
    Message,
    /// The row.
    Row,
}

impl KeySet {
    /// Adds a key that is not there yet; if it is, it is counted twice until the next merge.
    pub(super) fn insert(&mut self, key: RowKey) {
        self.latest.insert(key, ());
        if self.latest.len() > FEW + self.run.len() / SHARE {
            self.merge();
        }
    }

    /// How much of a row is there.
    pub(super) fn likeness(&self, key: RowKey) -> Likeness {
        if self.latest.get(key).is_some() {
            return Likeness::Row;
        }
        let range = key.any_status();
        let first = self.run.partition_point(|other| other < range.start());
        let merged = self.run.iter().skip(first);
        let mut likeness = Likeness::Unknown;
        for other in merged.take_while(|other| key.same_message(**other)) {
            if *other == key {
                return Likeness::Row;
            }
            likeness = Likeness::Message;
        }
        if self.latest.has_message(key) {
            likeness = Likeness::Message;
        }
        likeness
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.run.len() + self.latest.len()
    }

    fn merge(&mut self) {
        // Growing by doubling would cost more memory than all else.
        self.run.reserve_exact(self.latest.len());
        let mut latest: Vec<_> = std::mem::take(&mut self.latest).into_keys().collect();
        latest.sort_unstable();
        self.run.extend(latest);
        // This sort finds the two sorted runs and merges them.
        self.run.sort();
        self.run.dedup();
    }
}

impl From<Vec<RowKey>> for KeySet {
    /// Of keys in any order, but best in long sorted runs; some may be there twice.
    fn from(mut keys: Vec<RowKey>) -> Self {
        // This sort makes use of runs.
        keys.sort();
        keys.dedup();
        keys.shrink_to_fit();
        Self {
            run: keys,
            latest: ByMessage::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowKeyer;

    #[test]
    fn merged_keys_are_found_like_the_latest() {
        let keyer = RowKeyer::new([5; 16]);
        let key = |n: usize, status: &str| keyer.key(&[&n.to_string()], status);
        let mut keys = KeySet::default();
        let many = 5 * FEW;
        for n in 0..many {
            keys.insert(key(n, "Delivered"));
        }
        assert_eq!(keys.len(), many);
        assert!(keys.run.len() > 3 * FEW && keys.latest.len() > 0);
        assert_eq!(keys.run.capacity(), keys.run.len(), "no room is wasted");
        keys.insert(key(0, "Delivered"));
        keys.merge();
        assert_eq!(keys.len(), many);
        keys.insert(key(many, "Delivered"));
        let twice = keys.run.iter().chain(&keys.run).copied();
        let loaded = KeySet::from(twice.chain([key(many, "Delivered")]).collect::<Vec<_>>());
        assert_eq!(loaded.len(), many + 1);
        for keys in [&keys, &loaded] {
            for n in 0..=many {
                assert_eq!(keys.likeness(key(n, "delivered")), Likeness::Row);
                assert_eq!(keys.likeness(key(n, "Failed")), Likeness::Message);
                let stranger = key(many + 1 + n, "Delivered");
                assert_eq!(keys.likeness(stranger), Likeness::Unknown);
            }
        }
        // Whether the latest come before or after the merged ones does not matter.
        keys.insert(key(1, "Failed"));
        for status in ["Delivered", "Failed"] {
            assert_eq!(keys.likeness(key(1, status)), Likeness::Row);
        }
        assert_eq!(keys.likeness(key(1, "Pending")), Likeness::Message);
    }
}
