//! Rows that belong to no hour of reception: without a date, of a time far outside of what was asked for, or
//! not readable at all. They have a place beside the hours: the sums of an hour leave them out, and so does
//! an hour that is forgotten to be sent again.
//!
//! What is filed says so by its hour alone, which lies before there was a message trace: the files in which it
//! is kept are as they were, and an earlier version takes the row for one of that time, which it forgets.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use chrono::{DateTime, Utc};

use super::{
    ARRIVED, BatchId, DedupDecision, HOUR_SECONDS, Hours, KeyRef, KnownRows, by_message::Found,
    hour,
};
use crate::{Message, RowKey, Status, Window};

/// Hours since 1970 under which such rows are filed: those of 1971 to 1999.
const ASIDE: Range<u32> = 10_000..260_000;

/// They were seen so many hours later.
const LATER: u32 = 400_000;

/// A row that is shown again and again is filed anew after so many hours.
const REFILED: u32 = 6;

/// The place of what stands on every page: no second of an hour.
const EVERYWHERE: u32 = 0xfff;

/// So many the same in one place are told from each other.
const MOST_SAME: u32 = 0xfff;

/// The key of what cannot be read as a row, in a second of its hour, behind so many the same: in the place of the
/// status of a row stands where it is.
fn placed(key: RowKey, second: u32, before: usize) -> RowKey {
    let before = u32::try_from(before).unwrap_or(MOST_SAME).min(MOST_SAME);
    RowKey::of(key.message(), Status::of_number((before << 12) | second))
}

/// The second that a key of such a kind says.
fn second_of(placed: RowKey) -> u32 {
    placed.parts().1.number() & 0xfff
}

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

    /// What cannot be read as a row, of the second of this instant, was dealt with, as so many the same were
    /// `before`. It is known in that place alone, as the same may stand in the place of any row; should it be
    /// mended later, it is known by its key. Both are to be remembered on the disk.
    pub fn put_aside_at(
        &mut self,
        key: RowKey,
        instant: DateTime<Utc>,
        before: usize,
    ) -> Vec<KeyRef> {
        let second = instant.timestamp().rem_euclid(HOUR_SECONDS);
        let second = u32::try_from(second).unwrap_or(0);
        [key, placed(key, second, before)]
            .map(|key| self.put_aside(key, instant))
            .to_vec()
    }

    /// The same of one more that stands on every page: it is known anywhere.
    pub fn put_aside_everywhere(&mut self, key: RowKey, seen: DateTime<Utc>) -> Vec<KeyRef> {
        let before = self.everywhere(key);
        [key, placed(key, EVERYWHERE, before)]
            .map(|key| self.put_aside(key, seen))
            .to_vec()
    }

    /// How many such stand on every page.
    pub fn everywhere(&mut self, key: RowKey) -> usize {
        let most = MOST_SAME as usize;
        let is_there = |before: &usize| self.knows(placed(key, EVERYWHERE, *before));
        (0..most).take_while(is_there).count()
    }

    /// Where what cannot be read as a row was put aside in a window: the second of each. A version before has filed
    /// it with its hour alone, as is a row that was mended: that counts for all of the hour.
    pub fn aside_in(&mut self, key: RowKey, window: Window) -> Vec<DateTime<Utc>> {
        let hours = hour(window.start())..=hour(window.end());
        let mut places = Vec::new();
        for (filed, keys) in self.hours.all_mut() {
            let hour = age_of(filed);
            if !hours.contains(&hour) || keys.find(key) == Found::Nothing {
                continue;
            }
            let at = |second: u32| {
                let start = i64::from(hour) * HOUR_SECONDS;
                DateTime::from_timestamp(start + i64::from(second), 0)
            };
            let same = keys.iter().filter(|one| one.same_message(key));
            // A set may have a key twice.
            let mut there: BTreeSet<RowKey> = same.collect();
            if there.remove(&key) && there.is_empty() {
                places.extend(at(0));
            }
            let seconds = there.into_iter().map(second_of);
            let seconds = seconds
                .filter(|second| *second != EVERYWHERE)
                .filter_map(at);
            places.extend(seconds.filter(|at| window.contains(*at)));
        }
        places.sort_unstable();
        places
    }

    /// A row that was dealt with is remembered for as long as one of this instant, and belongs to no hour.
    fn put_aside(&mut self, key: RowKey, instant: DateTime<Utc>) -> KeyRef {
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

    /// The same may stand in the place of any row.
    #[test]
    fn what_cannot_be_read_is_known_where_it_was_put_aside() {
        let instant = |second: i64| at(HOUR) + TimeDelta::seconds(second);
        let window = |from, to| Window::new(instant(from), instant(to)).unwrap();
        let mut known = KnownRows::default();
        let mut filed = known.put_aside_at(key(1), instant(20), 0);
        filed.extend(known.put_aside_at(key(1), instant(20), 1));
        filed.extend(known.put_aside_at(key(1), instant(3590), 0));
        filed.extend(known.put_aside_everywhere(key(2), instant(4000)));
        filed.extend(known.put_aside_everywhere(key(2), instant(8000)));
        let mut stored = BTreeMap::<u32, Vec<RowKey>>::new();
        for row in filed {
            stored.entry(row.hour).or_default().push(row.key);
        }
        for mut known in [known, KnownRows::delivered(stored)] {
            let mut places = |from, to| known.aside_in(key(1), window(from, to));
            assert_eq!(places(0, 3600), [20, 20, 3590].map(instant));
            assert_eq!(places(20, 21), [instant(20); 2]);
            assert_eq!(places(3000, 9000), [instant(3590)]);
            for (from, to) in [(0, 20), (21, 3590), (3600, 9000), (-9000, 0)] {
                assert!(places(from, to).is_empty(), "{from} {to}");
            }
            assert!(known.aside_in(key(2), window(0, 9000)).is_empty());
            assert_eq!((known.everywhere(key(1)), known.everywhere(key(2))), (0, 2));
            assert_eq!(known.everywhere(key(3)), 0);
            // One that can be mended is known by its key.
            assert!(known.knows(key(1)) && known.knows(key(2)));
        }
    }

    #[test]
    fn what_a_version_before_has_put_aside_is_known_in_its_hour() {
        let mut known = KnownRows::default();
        _ = known.put_aside(key(1), at(HOUR));
        let mut places = |from, to| {
            let window = Window::new(at(from), at(to)).unwrap();
            known.aside_in(key(1), window).len()
        };
        assert_eq!([places(HOUR, HOUR + 1), places(HOUR - 1, HOUR)], [1, 1]);
        assert_eq!(
            [places(HOUR + 1, HOUR + 2), places(HOUR - 3, HOUR - 1)],
            [0, 0]
        );
        assert_eq!(known.everywhere(key(1)), 0);
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
