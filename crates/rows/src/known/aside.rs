//! Rows that belong to no hour of reception: without a date, of a time far outside of what was asked for, or
//! not readable at all. They have a place beside the hours: the sums of an hour leave them out, and so does
//! an hour that is forgotten to be sent again.
//!
//! What is filed says so by its hour alone, which lies before there was a message trace: the files in which it
//! is kept are as they were, and an earlier version takes the row for one of that time, which it forgets.

use std::{collections::BTreeMap, ops::Range};

use chrono::{DateTime, Utc};

use super::{ARRIVED, BatchId, DedupDecision, Hours, KeyRef, KnownRows, by_message::Found, hour};
use crate::{Message, RowKey};

/// Hours since 1970 under which such rows are filed: those of 1971 to 1999.
const ASIDE: Range<u32> = 10_000..260_000;

/// They were seen so many hours later.
const LATER: u32 = 400_000;

/// A row that is shown again and again is filed anew after so many hours.
const REFILED: u32 = 6;

/// The hour under which a row is filed that was seen in this one, and belongs to none.
pub(super) fn aside(seen: u32) -> u32 {
    let aside = seen.saturating_sub(LATER);
    if ASIDE.contains(&aside) { aside } else { seen }
}

/// As old as this hour are the rows that are filed under an hour: the hour itself, or that in which rows were
/// seen that belong to none.
pub fn age_of(hour: u32) -> u32 {
    if ASIDE.contains(&hour) {
        hour + LATER
    } else {
        hour
    }
}

impl Hours {
    /// Whether there are rows that belong to no hour, beside those of the hour at hand.
    pub(super) fn have_aside(&self) -> bool {
        // It is asked for each row: nearly always the oldest hour lies behind them all.
        let oldest = self.others.first_key_value();
        let may_have = oldest.is_some_and(|(hour, _)| *hour < ASIDE.end);
        may_have && self.others.range(ASIDE).next().is_some()
    }
}

impl KnownRows {
    /// The row, when it is filed under another hour that is looked at, as the one `beside` its own is, or under
    /// none. It is under its own now, too, where it counts.
    #[cold]
    pub(super) fn elsewhere(&mut self, row: KeyRef, beside: Option<u32>) -> Option<Found> {
        let everywhere = self.looks_everywhere;
        let found = {
            let others = self.hours.all_mut().filter(|(hour, _)| {
                let is_looked_at = everywhere || ASIDE.contains(hour) || beside == Some(*hour);
                is_looked_at && *hour != row.hour
            });
            let mut found = others.map(|(_, keys)| keys.find(row.key));
            found.find(|found| matches!(found, Found::Row(_)))
        }?;
        match found {
            // It is not safe yet, and who asks next finds it under its own hour first.
            Found::Row(Some(batch)) if self.under_way.has(batch) => {
                self.file(row, batch);
                self.are_filed_twice = true;
            }
            _ => self.adopted.push(row),
        }
        Some(found)
    }

    /// A row that is in another batch than was thought is so under each hour that it is filed under.
    #[cold]
    pub(super) fn carry_elsewhere(&mut self, row: KeyRef, thought: BatchId, batch: BatchId) {
        let on_its_way = Found::Row(Some(thought));
        let all = self.hours.all_mut();
        let others = all.filter_map(|(hour, keys)| {
            let is_there = hour != row.hour && keys.find(row.key) == on_its_way;
            is_there.then_some(hour)
        });
        for hour in others.collect::<Vec<_>>() {
            self.file(KeyRef { hour, ..row }, batch);
        }
    }

    /// Rows that were found under another hour than theirs since this was asked last: to be remembered on the
    /// disk under theirs, too.
    pub fn take_adopted(&mut self) -> Vec<KeyRef> {
        std::mem::take(&mut self.adopted)
    }

    /// Decides about a row that lies outside of all that is asked for, or does not say when it was
    /// received: its own hour is forgotten, or never will be. It is looked for everywhere, and
    /// filed as one that belongs to no hour and was first `seen` then.
    ///
    /// When it is seen again after a while, it is filed anew, so that it is remembered for as long
    /// as it is shown: what is to be remembered on the disk, too, comes back.
    pub fn admit_stray(
        &mut self,
        key: RowKey,
        seen: DateTime<Utc>,
        batch: BatchId,
    ) -> (DedupDecision, Option<KeyRef>) {
        let decision = self.admit(key, None, seen, batch);
        if decision != DedupDecision::Delivered {
            return (decision, None);
        }
        let there = self.hours.all_mut().filter_map(|(hour, keys)| {
            let found = keys.find(key);
            matches!(found, Found::Row(_)).then_some(age_of(hour))
        });
        let last = there.max();
        let now = hour(seen);
        let is_old = last.is_some_and(|last| last + REFILED < now);
        let again = is_old.then(|| self.put_aside(key, seen));
        (decision, again)
    }

    /// The rows of these messages that have arrived and belong to no hour, one of each.
    pub fn arrived_aside(&mut self, messages: &[Message]) -> Vec<RowKey> {
        let mut found = BTreeMap::new();
        let under_way = &self.under_way;
        let aside = self.hours.all_mut();
        for (_, keys) in aside.filter(|(hour, _)| ASIDE.contains(hour)) {
            let of_them = keys.iter().filter(|key| messages.contains(&key.message()));
            for key in of_them.collect::<Vec<_>>() {
                let carrier = keys.find(key);
                if !matches!(carrier, Found::Row(Some(batch)) if under_way.has(batch)) {
                    found.insert(key.message(), key);
                }
            }
        }
        found.into_values().collect()
    }

    /// What cannot be read as a row, and was dealt with: it is remembered for as long as a row of this
    /// instant, and belongs to no hour.
    pub fn put_aside(&mut self, key: RowKey, instant: DateTime<Utc>) -> KeyRef {
        let row = KeyRef {
            hour: aside(hour(instant)),
            key,
        };
        self.file(row, ARRIVED);
        row
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::RowKeyer;

    const HOUR: u32 = 494_000;

    fn at(hour: u32) -> DateTime<Utc> {
        DateTime::from_timestamp(i64::from(hour) * 3600, 0).unwrap()
    }

    fn key(row: u32) -> RowKey {
        RowKeyer::new([7; 16]).key(&[row.to_string()], "")
    }

    #[test]
    fn what_belongs_to_no_hour_is_not_among_the_rows_of_one() {
        let mut known = KnownRows::default();
        _ = known.admit_stray(key(1), at(HOUR), BatchId(1));
        _ = known.put_aside(key(2), at(HOUR));
        _ = known.admit(key(3), Some(at(HOUR)), at(0), BatchId(1));
        known.arrived(BatchId(1));
        assert_eq!((known.messages_of(HOUR), known.len()), (1, 3));
        assert_eq!(known.newest_hour(at(HOUR + 1)), Some(at(HOUR)));
        known.forget_hour(HOUR);
        assert!(!known.knows(key(3)), "it is to be sent again");
        assert_eq!(known.newest_hour(at(HOUR + 1)), Some(at(HOUR)));
        assert!(known.forget_before(at(HOUR)).is_empty());
        assert!(known.knows(key(1)) && known.knows(key(2)));
        let forgotten = known.forget_before(at(HOUR + 1));
        assert!(forgotten.iter().all(|one| one.hour != HOUR));
        assert!(known.is_empty());
    }

    #[test]
    fn only_what_has_arrived_and_belongs_to_no_hour_is_found_by_its_message() {
        let mut known = KnownRows::default();
        _ = known.admit_stray(key(1), at(HOUR), BatchId(1));
        _ = known.admit_stray(key(2), at(HOUR), BatchId(2));
        _ = known.admit(key(3), Some(at(HOUR)), at(0), BatchId(1));
        known.arrived(BatchId(1));
        let messages = [1, 2, 3, 4].map(|row| key(row).message());
        assert_eq!(known.arrived_aside(&messages), [key(1)]);
    }

    #[test]
    fn a_row_that_comes_with_its_date_later_is_filed_under_its_hour_too() {
        for has_arrived in [false, true] {
            let mut known = KnownRows::default();
            _ = known.admit_stray(key(1), at(HOUR), BatchId(1));
            let mut expected = DedupDecision::OnItsWay(BatchId(1));
            if has_arrived {
                known.arrived(BatchId(1));
                expected = DedupDecision::Delivered;
            }
            let decision = known.admit(key(1), Some(at(HOUR)), at(0), BatchId(2));
            assert_eq!(decision, expected);
            let row = KeyRef {
                hour: HOUR,
                key: key(1),
            };
            let adopted = [row].into_iter().filter(|_| has_arrived);
            assert_eq!(known.take_adopted(), adopted.collect::<Vec<_>>());
            assert_eq!(known.messages_of(HOUR), 1);
            _ = known.admit(key(1), Some(at(HOUR)), at(0), BatchId(2));
            assert_eq!(known.take_adopted(), []);
        }
    }

    /// Else it would be delivered under its own hour, where nobody waits for it any more, before it is.
    #[test]
    fn a_row_that_is_filed_under_two_hours_is_carried_on_under_both() {
        let mut known = KnownRows::default();
        let (decision, _) = known.admit_stray(key(1), at(HOUR), BatchId(1));
        let DedupDecision::New(stray) = decision else {
            panic!("{decision:?}");
        };
        _ = known.admit(key(2), Some(at(HOUR + 1)), at(0), BatchId(1));
        let again = |known: &mut KnownRows| known.admit(key(1), Some(at(HOUR)), at(0), BatchId(9));
        assert_eq!(again(&mut known), DedupDecision::OnItsWay(BatchId(1)));
        known.carry_instead(stray, BatchId(1), BatchId(2));
        known.arrived(BatchId(1));
        assert_eq!(again(&mut known), DedupDecision::OnItsWay(BatchId(2)));
        known.arrived(BatchId(2));
        assert_eq!(again(&mut known), DedupDecision::Delivered);
        assert_eq!(known.messages_of(HOUR + 1), 1, "it is under no other");
    }

    /// The one service tells it to the millisecond, and the other to the second.
    #[test]
    fn a_row_whose_date_is_rounded_over_a_full_hour_is_the_same() {
        let near = |milliseconds: i64| at(HOUR) + TimeDelta::milliseconds(milliseconds);
        for (first, second, is_same) in [
            (-300, 0, true),
            (0, -1000, true),
            (999, -1, true),
            // Nobody rounds by as much.
            (-300, 1000, false),
            (0, -1001, false),
        ] {
            let mut known = KnownRows::default();
            let (first, second) = (near(first), near(second));
            let ask = |known: &mut KnownRows, received, batch| {
                known.admit(key(1), Some(received), first, BatchId(batch))
            };
            let DedupDecision::New(row) = ask(&mut known, first, 1) else {
                panic!("{first}");
            };
            let decision = ask(&mut known, second, 2);
            let same = DedupDecision::OnItsWay(BatchId(1));
            assert_eq!(decision == same, is_same, "{first} {second}");
            if !is_same {
                continue;
            }
            // It is carried on under both hours.
            known.carry_instead(row, BatchId(1), BatchId(3));
            known.arrived(BatchId(1));
            let decision = ask(&mut known, second, 4);
            assert_eq!(decision, DedupDecision::OnItsWay(BatchId(3)));
            // One that has arrived is remembered under both.
            let mut known = KnownRows::default();
            _ = ask(&mut known, first, 1);
            known.arrived(BatchId(1));
            assert_eq!(ask(&mut known, second, 2), DedupDecision::Delivered);
            let adopted = KeyRef {
                hour: hour(second),
                key: key(1),
            };
            assert_eq!(known.take_adopted(), [adopted]);
        }
    }

    #[test]
    fn what_is_filed_aside_is_as_old_as_when_it_was_seen() {
        // From the autumn of 2016 to the spring of 2045.
        for seen in [410_000, 494_000, 659_999] {
            assert!(aside(seen) < 260_000);
            assert_eq!(age_of(aside(seen)), seen);
            assert_eq!(age_of(seen), seen);
        }
        // Any other clock is wrong.
        for seen in [0, 100, 5_000, 300_000, 409_999, 660_000, u32::MAX] {
            assert_eq!((aside(seen), age_of(aside(seen))), (seen, seen));
        }
    }
}
