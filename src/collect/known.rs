//! Which rows are known: delivered already, or on their way.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use chrono::{DateTime, Utc};

use crate::RowKey;

/// Rows are filed by the hour in which the service received them, so that old ones are forgotten
/// an hour at a time.
const HOUR_SECONDS: i64 = 3600;

/// A row as it is remembered: its key, filed under an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filed {
    /// What tells it from other rows.
    pub key: RowKey,
    /// Hours since 1970 of its receipt.
    pub hour: u32,
}

/// The rows that are not to be sent (again).
#[derive(Debug, Default)]
pub struct KnownRows {
    delivered: BTreeMap<u32, KeySet>,
    on_their_way: KeySet,
}

impl KnownRows {
    /// Takes note that a row is about to be sent; none when it was delivered or is on its way.
    ///
    /// A row that does not say when it was received is looked for everywhere, and filed under
    /// `otherwise`.
    pub fn admit(
        &mut self,
        key: RowKey,
        received: Option<DateTime<Utc>>,
        otherwise: DateTime<Utc>,
    ) -> Option<Filed> {
        let hour = hour(received.unwrap_or(otherwise));
        let delivered = match received {
            Some(_) => self
                .delivered
                .get(&hour)
                .is_some_and(|keys| keys.contains(&key)),
            None => self.delivered.values().any(|keys| keys.contains(&key)),
        };
        (!delivered && self.on_their_way.insert(key)).then_some(Filed { key, hour })
    }

    /// The rows have arrived and are remembered from now on.
    pub fn deliver(&mut self, rows: &[Filed]) {
        for row in rows {
            self.on_their_way.remove(&row.key);
            self.delivered.entry(row.hour).or_default().insert(row.key);
        }
    }

    /// Forgets delivered rows that were received in the hours before that of `horizon`.
    pub fn forget_before(&mut self, horizon: DateTime<Utc>) {
        self.delivered = self.delivered.split_off(&hour(horizon));
    }

    /// How many rows are remembered as delivered.
    pub fn len(&self) -> usize {
        self.delivered.values().map(HashSet::len).sum()
    }

    /// Whether no row is remembered as delivered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The hour, counted from 1970, that an instant lies in.
pub(super) fn hour(instant: DateTime<Utc>) -> u32 {
    u32::try_from(instant.timestamp().div_euclid(HOUR_SECONDS)).unwrap_or(0)
}

type KeySet = HashSet<RowKey, BuildHasherDefault<KeyHasher>>;

/// Keys are hashes already, and of a secret seed: their low half serves as it is.
#[derive(Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.0 ^= u64::from_le_bytes(word);
    }

    fn write_u128(&mut self, key: u128) {
        #[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
        let low = key as u64;
        self.0 = low;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * HOUR_SECONDS + 17, 0).unwrap()
    }

    fn admit(known: &mut KnownRows, key: u128, hour: i64) -> Option<Filed> {
        known.admit(RowKey::from_u128(key), Some(at(hour)), at(0))
    }

    #[test]
    fn a_row_is_sent_once() {
        let mut known = KnownRows::default();
        let row = admit(&mut known, 1, 5).unwrap();
        assert_eq!(admit(&mut known, 1, 5), None, "on its way");
        known.deliver(&[row]);
        assert_eq!(admit(&mut known, 1, 5), None, "delivered");
        assert!(admit(&mut known, 2, 5).is_some());
    }

    #[test]
    fn old_hours_are_forgotten() {
        let mut known = KnownRows::default();
        let rows: Vec<_> = (5..8)
            .filter_map(|n| admit(&mut known, n, i64::try_from(n).unwrap()))
            .collect();
        known.deliver(&rows);
        known.forget_before(at(6));
        assert_eq!(known.len(), 2);
        assert!(admit(&mut known, 5, 5).is_some());
        assert!(admit(&mut known, 6, 6).is_none() && admit(&mut known, 7, 7).is_none());
    }

    #[test]
    fn a_row_without_date_is_found_wherever_it_was_filed() {
        let mut known = KnownRows::default();
        let key = RowKey::from_u128(1);
        let row = known.admit(key, None, at(5)).unwrap();
        known.deliver(&[row]);
        assert_eq!(known.admit(key, None, at(9)), None);
    }
}
