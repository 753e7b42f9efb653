//! Which rows are known: delivered already, or on their way.

mod by_message;
mod key_set;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use self::{
    by_message::ByMessage,
    key_set::{KeySet, Likeness},
};
use crate::{RowKey, Window};

/// Rows are filed by the hour in which the service received them, so that old ones are forgotten
/// an hour at a time.
const HOUR_SECONDS: i64 = 3600;

/// Names a batch that carries rows on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// A row as it is remembered: its key, filed under an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filed {
    /// Hours since 1970 of its receipt.
    pub hour: u32,
    /// What tells it from other rows.
    pub key: RowKey,
}

/// Whether a row is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes: nothing is known of its message. It is on its way from now on.
    New(Filed),
    /// Yes: its message is known, but with other statuses alone. It is on its way from now on.
    Changed(Filed),
    /// No: it has arrived.
    Delivered,
    /// No: this batch carries it.
    OnItsWay(BatchId),
}

/// The rows that are not to be sent (again).
///
/// A delivered row costs about 13 bytes.
#[derive(Debug, Default)]
pub struct KnownRows {
    delivered: BTreeMap<u32, KeySet>,
    on_their_way: ByMessage<BatchId>,
}

impl KnownRows {
    /// The delivered rows of each hour, in any order.
    pub(super) fn delivered(hours: BTreeMap<u32, Vec<RowKey>>) -> Self {
        let hours = hours.into_iter();
        Self {
            delivered: hours.map(|(hour, keys)| (hour, keys.into())).collect(),
            on_their_way: ByMessage::default(),
        }
    }

    /// Decides about a row that `batch` would carry.
    ///
    /// A row that does not say when it was received is looked for everywhere, and filed under
    /// `otherwise`.
    pub fn admit(
        &mut self,
        key: RowKey,
        received: Option<DateTime<Utc>>,
        otherwise: DateTime<Utc>,
        batch: BatchId,
    ) -> Admission {
        let filed = Filed {
            hour: hour(received.unwrap_or(otherwise)),
            key,
        };
        let delivered = match received {
            Some(_) => self
                .delivered
                .get(&filed.hour)
                .map(|keys| keys.likeness(key)),
            None => self.delivered.values().map(|keys| keys.likeness(key)).max(),
        };
        if delivered == Some(Likeness::Row) {
            return Admission::Delivered;
        }
        if let Some(carrier) = self.on_their_way.get(key) {
            return Admission::OnItsWay(carrier);
        }
        let is_known = delivered == Some(Likeness::Message) || self.on_their_way.has_message(key);
        self.on_their_way.insert(key, batch);
        if is_known {
            Admission::Changed(filed)
        } else {
            Admission::New(filed)
        }
    }

    /// A row on its way is in another batch than was thought.
    pub fn carry(&mut self, key: RowKey, batch: BatchId) {
        self.on_their_way.insert(key, batch);
    }

    /// The rows have arrived and are remembered from now on.
    pub fn deliver(&mut self, rows: &[Filed]) {
        for row in rows {
            self.on_their_way.remove(row.key);
            self.delivered.entry(row.hour).or_default().insert(row.key);
        }
    }

    /// Forgets delivered rows that were received in the hours before that of `horizon`.
    pub fn forget_before(&mut self, horizon: DateTime<Utc>) {
        self.delivered = self.delivered.split_off(&hour(horizon));
    }

    /// Whether rows of one of the hours of a window are remembered.
    pub fn holds(&self, window: Window) -> bool {
        let hours = hour(window.start())..=hour(window.end() - TimeDelta::nanoseconds(1));
        self.delivered.range(hours).next().is_some()
    }

    /// How many rows are remembered as delivered.
    pub fn len(&self) -> usize {
        self.delivered.values().map(KeySet::len).sum()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowKeyer;

    const BATCH: BatchId = BatchId(7);

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * HOUR_SECONDS + 17, 0).unwrap()
    }

    fn key(message: i64, status: &str) -> RowKey {
        RowKeyer::new([1; 16]).key(&[&message.to_string()], status)
    }

    fn admit(known: &mut KnownRows, message: i64, status: &str, hour: i64) -> Admission {
        known.admit(key(message, status), Some(at(hour)), at(0), BATCH)
    }

    fn new(known: &mut KnownRows, message: i64, hour: i64) -> Filed {
        match admit(known, message, "", hour) {
            Admission::New(filed) => filed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_row_is_sent_once() {
        let mut known = KnownRows::default();
        let row = new(&mut known, 1, 5);
        let again = known.admit(key(1, ""), Some(at(5)), at(0), BatchId(8));
        assert_eq!(again, Admission::OnItsWay(BATCH), "the first one");
        known.deliver(&[row]);
        assert_eq!(admit(&mut known, 1, "", 5), Admission::Delivered);
        new(&mut known, 2, 5);
    }

    #[test]
    fn a_changed_status_is_told_from_a_new_row() {
        let mut known = KnownRows::default();
        let first = new(&mut known, 1, 5);
        // The message is on its way still, as when both are in one page.
        let Admission::Changed(second) = admit(&mut known, 1, "Failed", 5) else {
            panic!("not changed")
        };
        known.deliver(&[first, second]);
        assert!(matches!(
            admit(&mut known, 1, "Pending", 5),
            Admission::Changed(_)
        ));
        for status in ["", "failed"] {
            assert_eq!(admit(&mut known, 1, status, 5), Admission::Delivered);
        }
    }

    #[test]
    fn old_hours_are_forgotten() {
        let mut known = KnownRows::default();
        let rows: Vec<_> = (5..8).map(|n| new(&mut known, n, n)).collect();
        known.deliver(&rows);
        known.forget_before(at(6));
        assert_eq!(known.len(), 2);
        new(&mut known, 5, 5);
        for n in 6..8 {
            assert_eq!(admit(&mut known, n, "", n), Admission::Delivered);
        }
    }

    #[test]
    fn a_row_without_date_is_found_wherever_it_was_filed() {
        let mut known = KnownRows::default();
        let Admission::New(row) = known.admit(key(1, ""), None, at(5), BATCH) else {
            panic!("not new")
        };
        known.deliver(&[row, new(&mut KnownRows::default(), 2, 6)]);
        let later = known.admit(key(1, ""), None, at(9), BATCH);
        assert_eq!(later, Admission::Delivered);
        let changed = known.admit(key(1, "Failed"), None, at(9), BATCH);
        assert!(matches!(changed, Admission::Changed(_)));
    }
}
