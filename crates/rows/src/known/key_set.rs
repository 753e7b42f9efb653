//! A set of keys that costs hardly more than the keys themselves.

use super::{
    BatchId,
    by_message::{ByMessage, Found},
};
use crate::RowKey;

/// So many keys may wait for the next merge, beside a share of those that are merged already: as many
/// as an hour of 50 000 rows a day has, so that most tenants' rows are never sorted.
const FEW: usize = if cfg!(test) { 8 } else { 2048 };

/// The share: a merge goes over all keys, so it must be worth it.
const SHARE: usize = 16;

/// Keys as one sorted run, and the latest, with their batches, in a table until it pays to merge
/// them.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    run: Vec<RowKey>,
    /// Whether the run is to be sorted before it is looked at.
    is_unsorted: bool,
    /// Whether the run may have keys twice until it is sorted.
    may_repeat: bool,
    latest: ByMessage,
    /// The table is merged when it has more rows than this.
    most: usize,
}

impl KeySet {
    /// An empty set with room for so many rows, or for as many as are not merged.
    pub(super) fn with_room_for(rows: usize) -> Self {
        Self {
            latest: ByMessage::with_room_for(rows.min(FEW)),
            ..Self::default()
        }
    }

    /// How much of a row is there. When it is not the row, it is put there with its batch. Rows whose
    /// batch `is_under_way` are not merged.
    pub(super) fn find_or_insert(
        &mut self,
        key: RowKey,
        batch: BatchId,
        is_under_way: impl Fn(BatchId) -> bool,
    ) -> Found {
        self.sort();
        let run = &self.run;
        let found = self.latest.find_or_insert(key, batch, || in_run(run, key));
        if !matches!(found, Found::Row(_)) {
            self.merge_when_due(is_under_way);
        }
        found
    }

    /// Sets the batch of a row. Rows whose batch `is_under_way` are not merged.
    pub(super) fn insert(
        &mut self,
        key: RowKey,
        batch: BatchId,
        is_under_way: impl Fn(BatchId) -> bool,
    ) {
        self.latest.insert(key, batch);
        self.merge_when_due(is_under_way);
    }

    /// How much of a row is there.
    pub(super) fn find(&mut self, key: RowKey) -> Found {
        self.sort();
        match self.latest.get(key) {
            found @ Found::Row(_) => found,
            found => found.max(in_run(&self.run, key)),
        }
    }

    /// Takes out the rows whose batch is under way.
    pub(super) fn split_off(&mut self, is_under_way: impl Fn(BatchId) -> bool) -> Self {
        if self.may_repeat {
            // Its keys will be counted.
            self.sort();
        }
        let mut rest = Self::default();
        for (key, batch) in self.latest.iter().filter(|(_, batch)| is_under_way(*batch)) {
            rest.latest.insert(key, batch);
        }
        if rest.len() > 0 {
            self.latest.take(is_under_way);
        }
        rest
    }

    /// All keys, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = RowKey> {
        let latest = self.latest.iter().map(|(key, _)| key);
        self.run.iter().copied().chain(latest)
    }

    /// How many keys are in the table.
    pub(super) fn loose(&self) -> usize {
        self.latest.len()
    }

    /// Saves memory while the set is not asked for, unless the run is so long that it would hardly
    /// matter: the keys of the table are put behind the run, as they come. To sort them is left to who
    /// asks next, as most sets are forgotten before anyone does.
    pub(super) fn compact(&mut self, is_under_way: impl Fn(BatchId) -> bool) {
        if self.latest.len() * SHARE > self.run.len() {
            self.add_arrived(is_under_way);
            self.latest.shrink();
        }
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> usize {
        self.run.len() + self.latest.len()
    }

    fn merge_when_due(&mut self, is_under_way: impl Fn(BatchId) -> bool) {
        if self.latest.len() > self.most.max(FEW) {
            self.merge(is_under_way);
        }
    }

    fn merge(&mut self, is_under_way: impl Fn(BatchId) -> bool) {
        self.sort();
        let middle = self.run.len();
        self.add_arrived(is_under_way);
        if let Some(arrived) = self.run.get_mut(middle..) {
            arrived.sort_unstable();
        }
        // This sort finds the two sorted runs and merges them.
        self.run.sort();
        self.run.dedup();
        self.is_unsorted = false;
        self.most = FEW + self.run.len() / SHARE + self.latest.len();
    }

    /// Moves what has arrived from the table to the end of the run.
    fn add_arrived(&mut self, is_under_way: impl Fn(BatchId) -> bool) {
        let arrived = self.latest.take(|batch| !is_under_way(batch));
        if self.run.is_empty() {
            self.run = arrived;
        } else {
            // Growing by doubling would cost more memory than all else.
            self.run.reserve_exact(arrived.len());
            self.run.extend(arrived);
        }
        self.is_unsorted = true;
    }

    #[inline]
    fn sort(&mut self) {
        if self.is_unsorted {
            self.run.sort_unstable();
            self.run.dedup();
            self.is_unsorted = false;
            self.may_repeat = false;
        }
    }
}

/// How much of a row is in a sorted run.
fn in_run(run: &[RowKey], key: RowKey) -> Found {
    let range = key.any_status();
    let first = run.partition_point(|other| other < range.start());
    let of_message = run.iter().skip(first);
    let mut found = Found::Nothing;
    for other in of_message.take_while(|other| key.same_message(**other)) {
        if *other == key {
            return Found::Row(None);
        }
        found = Found::Message;
    }
    found
}

impl From<Vec<RowKey>> for KeySet {
    /// Of keys in any order; some may be there twice.
    /// To sort them is left to the first look, as a start has other things to do.
    fn from(mut keys: Vec<RowKey>) -> Self {
        keys.shrink_to_fit();
        Self {
            run: keys,
            is_unsorted: true,
            may_repeat: true,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowKeyer;

    const ARRIVED: BatchId = BatchId(1);
    const UNDER_WAY: BatchId = BatchId(2);

    fn insert(keys: &mut KeySet, key: RowKey, batch: BatchId) {
        keys.insert(key, batch, |batch| batch == UNDER_WAY);
    }

    #[test]
    fn merged_keys_are_found_like_the_latest() {
        let keyer = RowKeyer::new([5; 16]);
        let key = |n: usize, status: &str| keyer.key(&[&n.to_string()], status);
        let mut keys = KeySet::default();
        let many = 500 * FEW;
        for n in 0..many {
            insert(&mut keys, key(n, "Delivered"), ARRIVED);
        }
        assert_eq!(keys.len(), many);
        assert!(keys.run.len() > 300 * FEW && keys.latest.len() > 0);
        assert_eq!(keys.run.capacity(), keys.run.len(), "no room is wasted");
        // What is there already is counted twice until it is merged.
        insert(&mut keys, key(0, "Delivered"), ARRIVED);
        keys.merge(|_| false);
        assert_eq!(keys.len(), many);
        insert(&mut keys, key(many, "Delivered"), ARRIVED);
        let twice = keys.run.iter().chain(&keys.run).copied();
        let mut loaded = KeySet::from(twice.chain([key(many, "Delivered")]).collect::<Vec<_>>());
        assert_eq!(loaded.len(), 2 * many + 1, "not looked at, and not sorted");
        loaded.find(key(0, "Delivered"));
        assert_eq!(loaded.len(), many + 1);
        for keys in [&mut keys, &mut loaded] {
            for n in 0..=many {
                let found = keys.find(key(n, "delivered"));
                assert!(matches!(found, Found::Row(_)));
                assert_eq!(keys.find(key(n, "Failed")), Found::Message);
                let stranger = key(many + 1 + n, "Delivered");
                assert_eq!(keys.find(stranger), Found::Nothing);
            }
        }
        // Whether the latest come before or after the merged ones does not matter.
        insert(&mut keys, key(1, "Failed"), ARRIVED);
        for (status, batch) in [("Delivered", None), ("Failed", Some(ARRIVED))] {
            assert_eq!(keys.find(key(1, status)), Found::Row(batch));
        }
        assert_eq!(keys.find(key(1, "Pending")), Found::Message);
    }

    #[test]
    fn rows_under_way_keep_their_batch() {
        let keyer = RowKeyer::new([5; 16]);
        let key = |n: usize| keyer.key(&[&n.to_string()], "");
        let mut keys = KeySet::default();
        let many = 3 * FEW;
        for n in 0..many {
            let batch = if n % 3 == 0 { UNDER_WAY } else { ARRIVED };
            insert(&mut keys, key(n), batch);
        }
        assert!(keys.run.len() > FEW);
        for n in (0..many).step_by(3) {
            assert_eq!(keys.find(key(n)), Found::Row(Some(UNDER_WAY)));
        }
        let rest = keys.split_off(|batch| batch == UNDER_WAY);
        assert_eq!(rest.len(), many / 3);
        assert_eq!(keys.len(), many - rest.len());
        let mut all: Vec<_> = keys.iter().chain(rest.iter()).collect();
        all.sort_unstable();
        let mut expected: Vec<_> = (0..many).map(key).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);
        keys.merge(|_| false);
        assert_eq!(keys.split_off(|_| true).len(), 0);
    }
}
