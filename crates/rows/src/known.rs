//! Which rows are known: delivered already, or on their way.

mod aside;
mod by_message;
mod key_set;
mod under_way;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

pub use self::aside::age_of;
pub(crate) use self::by_message::AsItIs;
use self::{aside::aside, by_message::Found, key_set::KeySet, under_way::UnderWay};
use crate::{Message, RowKey, Window};

/// Rows are filed by the hour in which the service received them, so that old ones are forgotten
/// an hour at a time.
const HOUR_SECONDS: i64 = 3600;

/// The last second of an hour.
const LAST_SECOND: i64 = HOUR_SECONDS - 1;

/// Rows that may lie in the tables of hours that are not at hand, where each costs twice as much.
const LOOSE: usize = if cfg!(test) { 20 } else { 20_000 };

/// Names a batch that carries rows on their way. It is kept with each row of a table, hence short;
/// at a thousand batches a second, names last for seven weeks without a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u32);

impl BatchId {
    /// The name of the batch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A row as it is remembered: its key, filed under an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyRef {
    /// Hours since 1970 of its receipt; one of long ago when it belongs to no hour ([`age_of`]).
    pub hour: u32,
    /// What tells it from other rows.
    pub key: RowKey,
}

/// Whether a row is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DedupDecision {
    /// Yes: nothing is known of its message. It is on its way from now on.
    New(KeyRef),
    /// Yes: its message is known, but with other statuses alone. It is on its way from now on.
    Changed(KeyRef),
    /// No: it has arrived.
    Delivered,
    /// No: this batch carries it.
    OnItsWay(BatchId),
}

/// Stands for the batch of rows that have arrived without one.
const ARRIVED: BatchId = BatchId(u32::MAX);

/// The rows that are not to be sent (again).
///
/// A delivered row costs about 12 bytes; one of the latest, of which there are some ten thousands and
/// up to a sixteenth of an hour's rows, twice to three times as much.
#[derive(Debug, Default)]
pub struct KnownRows {
    /// Delivered rows, and those on their way, which are in batches that are under way.
    hours: Hours,
    under_way: UnderWay,
    /// Whether rows may be filed under another hour than theirs.
    looks_everywhere: bool,
    /// Whether rows on their way have been filed under another hour than theirs, too.
    are_filed_twice: bool,
    /// Rows that have arrived under another hour than theirs, and are filed under theirs, too.
    adopted: Vec<KeyRef>,
}

/// The rows of each hour. Those of the hour that was asked for last are at hand, as most rows are
/// followed by one of the same hour.
#[derive(Debug, Default)]
struct Hours {
    /// The hour that was asked for last.
    last: Option<(u32, KeySet)>,
    /// All others; none is empty.
    others: BTreeMap<u32, KeySet>,
    /// How many rows of them are in tables.
    loose: usize,
    /// With more of them it is time to save memory.
    most_loose: usize,
    /// An hour has about as many rows.
    expected: usize,
}

impl Hours {
    #[inline]
    fn of(&mut self, hour: u32, under_way: &UnderWay) -> &mut KeySet {
        if self.last.as_ref().is_none_or(|(last, _)| *last != hour) {
            self.leave(under_way);
        }
        let (others, loose, expected) = (&mut self.others, &mut self.loose, self.expected);
        let (_, keys) = self.last.get_or_insert_with(|| {
            let keys = others.remove(&hour);
            *loose -= keys.as_ref().map_or(0, KeySet::loose);
            (
                hour,
                keys.unwrap_or_else(|| KeySet::with_room_for(expected)),
            )
        });
        keys
    }

    /// No hour is at hand any more.
    #[inline(never)]
    fn leave(&mut self, under_way: &UnderWay) {
        if let Some((hour, keys)) = self.last.take() {
            self.put(hour, keys);
            if self.loose > self.most_loose.max(LOOSE) {
                self.compact(under_way);
            }
        }
    }

    /// Puts the rows of an hour that has none.
    fn put(&mut self, hour: u32, keys: KeySet) {
        if keys.len() > 0 {
            self.loose += keys.loose();
            self.others.insert(hour, keys);
        }
    }

    /// Saves memory where rows are in tables.
    fn compact(&mut self, under_way: &UnderWay) {
        for keys in self.others.values_mut() {
            keys.compact(|batch| under_way.has(batch));
        }
        self.loose = self.others.values().map(KeySet::loose).sum();
        self.most_loose = self.loose + LOOSE;
    }

    fn all(&self) -> impl Iterator<Item = (u32, &KeySet)> {
        let others = self.others.iter().map(|(hour, keys)| (*hour, keys));
        others.chain(self.last.iter().map(|(hour, keys)| (*hour, keys)))
    }

    fn all_mut(&mut self) -> impl Iterator<Item = (u32, &mut KeySet)> {
        let last = self.last.iter_mut().map(|(hour, keys)| (*hour, keys));
        let others = self.others.iter_mut().map(|(hour, keys)| (*hour, keys));
        others.chain(last)
    }

    /// Takes out what is older than an hour.
    fn take_before(&mut self, hour: u32, under_way: &UnderWay) -> BTreeMap<u32, KeySet> {
        self.leave(under_way);
        let old = self.others.extract_if(.., |other, _| age_of(*other) < hour);
        let old: BTreeMap<u32, KeySet> = old.collect();
        self.loose -= old.values().map(KeySet::loose).sum::<usize>();
        if !old.is_empty() {
            self.expected = old.values().map(KeySet::len).sum::<usize>() / old.len();
        }
        old
    }
}
impl KnownRows {
    /// The delivered rows of each hour, in any order.
    pub fn delivered(hours: BTreeMap<u32, Vec<RowKey>>) -> Self {
        let hours = hours.into_iter();
        let mut known = Self::default();
        known.hours.others = hours.map(|(hour, keys)| (hour, keys.into())).collect();
        known
    }

    /// Decides about a row that `batch` would carry. It may have come without its date before.
    ///
    /// A row that does not say when it was received is looked for everywhere, and filed as one that
    /// belongs to no hour and was seen at `otherwise`.
    pub fn admit(
        &mut self,
        key: RowKey,
        received: Option<DateTime<Utc>>,
        otherwise: DateTime<Utc>,
        batch: BatchId,
    ) -> DedupDecision {
        let key_ref = KeyRef {
            hour: received.map_or_else(|| aside(hour(otherwise)), hour),
            key,
        };
        let under_way = &self.under_way;
        let found = match received {
            Some(_) => {
                let keys = self.hours.of(key_ref.hour, under_way);
                // The batch may have no other row yet.
                let is_under_way = |other| other == batch || under_way.has(other);
                keys.find_or_insert(key, batch, is_under_way)
            }
            None => {
                let all = self.hours.all_mut();
                let found = all.map(|(_, keys)| keys.find(key)).max();
                let found = found.unwrap_or(Found::Nothing);
                if !matches!(found, Found::Row(_)) {
                    self.file(key_ref, batch);
                }
                found
            }
        };
        let found = match found {
            Found::Nothing | Found::Message if let Some(received) = received => {
                let beside = hour_beside(received);
                if beside.is_some() || self.looks_everywhere || self.hours.have_aside() {
                    self.elsewhere(key_ref, beside).unwrap_or(found)
                } else {
                    found
                }
            }
            _ => found,
        };
        match found {
            Found::Row(carrier) => {
                let carrier = carrier.filter(|carrier| self.under_way.has(*carrier));
                carrier.map_or(DedupDecision::Delivered, DedupDecision::OnItsWay)
            }
            Found::Message => {
                self.under_way.add(batch);
                DedupDecision::Changed(key_ref)
            }
            Found::Nothing => {
                self.under_way.add(batch);
                DedupDecision::New(key_ref)
            }
        }
    }

    /// Rows may be filed under another hour than theirs, as their dates may have been others: a row is
    /// new only when no hour has it. That takes many times as long.
    pub fn look_everywhere(&mut self, everywhere: bool) {
        self.looks_everywhere = everywhere;
    }

    /// Whether a row is known under any hour.
    pub fn knows(&mut self, key: RowKey) -> bool {
        let mut all = self.hours.all_mut();
        all.any(|(_, keys)| matches!(keys.find(key), Found::Row(_)))
    }

    /// Whether a row of the same message, received at this time, is known. Its status does not count.
    pub fn has_message(&mut self, key: RowKey, received: DateTime<Utc>) -> bool {
        let keys = self.hours.of(hour(received), &self.under_way);
        keys.find(key) != Found::Nothing
    }

    /// A row on its way is in another batch than was thought.
    pub fn carry_instead(&mut self, row: KeyRef, thought: BatchId, batch: BatchId) {
        self.under_way.add(batch);
        if self.are_filed_twice {
            self.carry_elsewhere(row, thought, batch);
        }
        self.under_way.take(thought);
        self.file(row, batch);
    }

    fn file(&mut self, row: KeyRef, batch: BatchId) {
        let keys = self.hours.of(row.hour, &self.under_way);
        // The batch may have no other row yet.
        let is_under_way = |other| other == batch || self.under_way.has(other);
        keys.insert(row.key, batch, is_under_way);
    }

    /// All rows of a batch have arrived and are remembered from now on. No other batch may have
    /// its name, or they would seem to be on their way again.
    pub fn arrived(&mut self, batch: BatchId) {
        self.under_way.0.remove(&batch);
    }

    /// Forgets delivered rows that were received in the hours before that of `horizon`: they are handed
    /// out for the last time. So are those that belong to no hour and were seen then.
    pub fn forget_before(&mut self, horizon: DateTime<Utc>) -> Vec<Forgotten> {
        let old = self.hours.take_before(hour(horizon), &self.under_way);
        let old = old.into_iter().map(|(hour, mut keys)| {
            let rest = keys.split_off(|batch| self.under_way.has(batch));
            self.hours.put(hour, rest);
            Forgotten { hour, keys }
        });
        old.collect()
    }

    /// Forgets delivered rows that were received in an hour: they are to be sent again.
    pub fn forget_hour(&mut self, hour: u32) {
        let under_way = &self.under_way;
        let keys = self.hours.of(hour, under_way);
        *keys = keys.split_off(|batch| under_way.has(batch));
    }

    /// Whether rows of one of the hours of a window are remembered, or on their way.
    pub fn holds(&self, window: Window) -> bool {
        let hours = hour(window.start())..=hour(window.end() - TimeDelta::nanoseconds(1));
        let mut there = self.hours.all().filter(|(_, keys)| keys.len() > 0);
        there.any(|(hour, _)| hours.contains(&hour))
    }

    /// How many messages of an hour are remembered, or on their way.
    pub fn messages_of(&self, hour: u32) -> usize {
        let there = self.hours.all().filter(|(one, _)| *one == hour);
        let messages = there.flat_map(|(_, keys)| keys.iter().map(RowKey::message));
        messages.collect::<BTreeSet<Message>>().len()
    }

    /// The beginning of the newest hour, not after `now`, in which remembered rows were received, or seen
    /// when they belong to none; none when there are none.
    pub fn newest_hour(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let there = self.hours.all().filter(|(_, keys)| keys.len() > 0);
        let newest = there.map(|(hour, _)| age_of(hour));
        let newest = newest.filter(|one| *one <= hour(now));
        DateTime::from_timestamp(i64::from(newest.max()?) * HOUR_SECONDS, 0)
    }

    /// How many rows are remembered as delivered. One that a start has read twice counts twice, until
    /// its hour is looked at.
    pub fn len(&self) -> usize {
        let all = self.hours.all().map(|(_, keys)| keys.len()).sum::<usize>();
        all.saturating_sub(self.under_way.rows())
    }

    /// Whether no row is remembered as delivered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The delivered rows of an hour, as they are forgotten.
#[derive(Debug)]
pub struct Forgotten {
    /// Hours since 1970 of their receipt.
    pub hour: u32,
    keys: KeySet,
}

impl Forgotten {
    /// The keys of the rows, in any order.
    pub fn keys(&self) -> impl Iterator<Item = RowKey> {
        self.keys.iter()
    }
}

/// The hour beside its own that a row may be filed under which was received in the first or the last second of
/// it: the two services may round one date in two ways.
#[inline]
fn hour_beside(received: DateTime<Utc>) -> Option<u32> {
    match received.timestamp().rem_euclid(HOUR_SECONDS) {
        0 => hour(received).checked_sub(1),
        LAST_SECOND => hour(received).checked_add(1),
        _ => None,
    }
}

/// The hour, counted from 1970, that an instant lies in.
pub fn hour(instant: DateTime<Utc>) -> u32 {
    u32::try_from(instant.timestamp().div_euclid(HOUR_SECONDS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::RowKeyer;

    const BATCH: BatchId = BatchId(7);

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * HOUR_SECONDS + 17, 0).unwrap()
    }

    fn key(message: i64, status: &str) -> RowKey {
        RowKeyer::new([1; 16]).key(&[&message.to_string()], status)
    }

    fn admit(known: &mut KnownRows, message: i64, status: &str, hour: i64) -> DedupDecision {
        known.admit(key(message, status), Some(at(hour)), at(0), BATCH)
    }

    /// Asks about a row in a batch of its own.
    fn ask(known: &mut KnownRows, message: i64, status: &str, hour: i64) -> DedupDecision {
        known.admit(key(message, status), Some(at(hour)), at(0), BatchId(9))
    }

    fn new(known: &mut KnownRows, message: i64, hour: i64) -> KeyRef {
        match admit(known, message, "", hour) {
            DedupDecision::New(key_ref) => key_ref,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_row_is_sent_once() {
        let mut known = KnownRows::default();
        new(&mut known, 1, 5);
        let again = known.admit(key(1, ""), Some(at(5)), at(0), BatchId(8));
        assert_eq!(again, DedupDecision::OnItsWay(BATCH), "the first one");
        known.arrived(BATCH);
        assert_eq!(ask(&mut known, 1, "", 5), DedupDecision::Delivered);
        assert!(matches!(ask(&mut known, 2, "", 5), DedupDecision::New(_)));
    }

    #[test]
    fn a_changed_status_is_told_from_a_new_row() {
        let mut known = KnownRows::default();
        new(&mut known, 1, 5);
        // The message is on its way still, as when both are in one page.
        let second = admit(&mut known, 1, "Failed", 5);
        assert!(matches!(second, DedupDecision::Changed(_)));
        known.arrived(BATCH);
        assert!(matches!(
            ask(&mut known, 1, "Pending", 5),
            DedupDecision::Changed(_)
        ));
        for status in ["", "failed"] {
            assert_eq!(ask(&mut known, 1, status, 5), DedupDecision::Delivered);
        }
    }

    #[test]
    fn the_newest_hour_that_is_not_after_now_is_told() {
        let keyer = RowKeyer::new([1; 16]);
        let key = keyer.key(&["1"], "");
        let known = KnownRows::delivered(BTreeMap::from([
            (1000, vec![key]),
            (1001, vec![]),
            (2000, vec![key]),
        ]));
        let beginning = |hour: i64| DateTime::from_timestamp(hour * HOUR_SECONDS, 0);
        assert_eq!(known.newest_hour(at(2000)), beginning(2000));
        assert_eq!(known.newest_hour(at(1999)), beginning(1000));
        assert_eq!(known.newest_hour(at(999)), None);
    }

    #[test]
    fn strays_are_sent_once_for_as_long_as_they_are_shown() {
        let mut known = KnownRows::default();
        let key = RowKeyer::new([7; 16]).key(&["1"], "");
        let (decision, again) = known.admit_stray(key, at(100), BATCH);
        assert!(
            matches!(decision, DedupDecision::New(key_ref) if key_ref.hour == 100)
                && again.is_none()
        );
        let (decision, again) = known.admit_stray(key, at(120), BatchId(8));
        assert_eq!((decision, again), (DedupDecision::OnItsWay(BATCH), None));
        known.arrived(BATCH);
        let (_, again) = known.admit_stray(key, at(106), BatchId(9));
        assert_eq!(again, None, "not so soon");
        let mut hour = 100;
        while hour < 200 {
            hour += 5;
            let (decision, _) = known.admit_stray(key, at(hour), BatchId(9));
            assert_eq!(decision, DedupDecision::Delivered, "after {hour} hours");
            known.forget_before(at(hour - 24));
        }
        assert!(!known.is_empty() && known.knows(key));
        let (_, again) = known.admit_stray(key, at(hour + 7), BatchId(9));
        assert_eq!(
            again,
            Some(KeyRef { hour: 207, key }),
            "to be remembered on the disk"
        );
        known.forget_before(at(1000));
        assert!(!known.knows(key));
    }

    #[test]
    fn a_row_whose_date_was_another_is_known_when_all_hours_are_looked_at() {
        for everywhere in [false, true] {
            let mut known = KnownRows::default();
            let key = RowKeyer::new([7; 16]).key(&["1"], "");
            _ = known.admit_stray(key, at(100), BATCH);
            known.arrived(BATCH);
            known.look_everywhere(everywhere);
            let decision = known.admit(key, Some(at(90)), at(0), BatchId(8));
            assert_eq!(decision == DedupDecision::Delivered, everywhere);
            let again = known.admit(key, Some(at(90)), at(0), BatchId(9));
            assert_ne!(again, DedupDecision::New(KeyRef { hour: 90, key }));
        }
    }

    /// Another window that shows it waits for it, too.
    #[test]
    fn a_row_that_is_on_its_way_under_another_date_stays_so_until_it_has_arrived() {
        let mut known = KnownRows::default();
        let key = key(1, "");
        _ = known.admit_stray(key, at(100), BATCH);
        known.look_everywhere(true);
        for batch in [BatchId(8), BatchId(9)] {
            let decision = known.admit(key, Some(at(90)), at(0), batch);
            assert_eq!(decision, DedupDecision::OnItsWay(BATCH));
        }
        // Another batch takes it over when nobody looks at all hours any more.
        known.look_everywhere(false);
        known.carry_instead(KeyRef { hour: 100, key }, BATCH, BatchId(10));
        known.arrived(BATCH);
        let again = |known: &mut KnownRows| known.admit(key, Some(at(90)), at(0), BatchId(11));
        assert_eq!(again(&mut known), DedupDecision::OnItsWay(BatchId(10)));
        known.arrived(BatchId(10));
        assert_eq!(again(&mut known), DedupDecision::Delivered);
    }

    #[test]
    fn old_hours_are_forgotten() {
        let mut known = KnownRows::default();
        for n in 5..8 {
            new(&mut known, n, n);
        }
        known.forget_before(at(6));
        assert_eq!(admit(&mut known, 5, "", 5), DedupDecision::OnItsWay(BATCH));
        assert_eq!(known.len(), 0);
        known.arrived(BATCH);
        assert_eq!(known.len(), 3);
        known.forget_before(at(6));
        assert_eq!(known.len(), 2);
        assert!(matches!(ask(&mut known, 5, "", 5), DedupDecision::New(_)));
        for n in 6..8 {
            assert_eq!(ask(&mut known, n, "", n), DedupDecision::Delivered);
        }
    }

    #[test]
    fn an_hour_is_forgotten_alone_but_for_what_is_on_its_way() {
        let mut known = KnownRows::default();
        for hour in 5..8 {
            new(&mut known, hour, hour);
        }
        known.arrived(BATCH);
        _ = known.admit(key(9, ""), Some(at(6)), at(0), BatchId(8));
        known.forget_hour(6);
        assert!(matches!(ask(&mut known, 6, "", 6), DedupDecision::New(_)));
        assert_eq!(
            ask(&mut known, 9, "", 6),
            DedupDecision::OnItsWay(BatchId(8))
        );
        for hour in [5, 7] {
            assert_eq!(ask(&mut known, hour, "", hour), DedupDecision::Delivered);
        }
    }

    /// Which batch carries each row, none when it has arrived.
    type Model = BTreeMap<(i64, i64, u8), Option<BatchId>>;

    fn loose_rows(known: &KnownRows) -> usize {
        known.hours.others.values().map(KeySet::loose).sum()
    }

    proptest! {
        // Tables are small in tests, so that they are merged and compacted all the time.
        #[test]
        fn agrees_with_a_simple_model(
            steps in prop::collection::vec((0..12_i64, 0..9_i64, 0..3_u8, 0..40_u8), 0..400)
        ) {
            let mut known = KnownRows::default();
            let mut model = Model::new();
            let mut batches = 1;
            let mut horizon = 0;
            for (hour, message, status, action) in steps {
                let batch = BatchId(batches);
                match action {
                    0 => {
                        horizon = horizon.max(hour);
                        known.forget_before(at(horizon));
                        model.retain(|(hour, ..), batch| *hour >= horizon || batch.is_some());
                    }
                    1..4 => {
                        let arrived = BatchId(batches.saturating_sub(u32::from(action) - 1));
                        known.arrived(arrived);
                        for carrier in model.values_mut() {
                            *carrier = carrier.filter(|carrier| *carrier != arrived);
                        }
                        batches += 1;
                    }
                    _ => {
                        let row = (hour, message, status);
                        let of_message = (hour, message, 0)..(hour, message, u8::MAX);
                        let key_ref = KeyRef { hour: hour as u32, key: key(message, &status.to_string()) };
                        let expected = match model.get(&row) {
                            Some(Some(carrier)) => DedupDecision::OnItsWay(*carrier),
                            Some(None) => DedupDecision::Delivered,
                            None if model.range(of_message).next().is_some() => DedupDecision::Changed(key_ref),
                            None => DedupDecision::New(key_ref),
                        };
                        let decision = known.admit(key_ref.key, Some(at(hour)), at(0), batch);
                        prop_assert_eq!(decision, expected);
                        model.entry(row).or_insert(Some(batch));
                    }
                }
                prop_assert_eq!(known.len(), model.values().filter(|carrier| carrier.is_none()).count());
                prop_assert_eq!(known.hours.loose, loose_rows(&known));
                prop_assert!(known.hours.loose <= known.hours.most_loose.max(LOOSE));
            }
        }
    }

    #[test]
    fn a_row_without_date_is_found_wherever_it_was_filed() {
        let mut known = KnownRows::default();
        let first = known.admit(key(1, ""), None, at(5), BATCH);
        assert!(matches!(first, DedupDecision::New(_)));
        new(&mut known, 2, 6);
        known.arrived(BATCH);
        let later = known.admit(key(1, ""), None, at(9), BatchId(9));
        assert_eq!(later, DedupDecision::Delivered);
        let changed = known.admit(key(1, "Failed"), None, at(9), BatchId(9));
        assert!(matches!(changed, DedupDecision::Changed(_)));
    }

    /// Else the windows that show them would be done before they are delivered.
    #[test]
    fn rows_without_date_stay_on_their_way_however_many_there_are() {
        let mut known = KnownRows::default();
        for row in 0..30 {
            let first = known.admit(key(row.into(), ""), None, at(5), BatchId(row));
            assert!(matches!(first, DedupDecision::New(_)));
            for earlier in 0..=row {
                let again = known.admit(key(earlier.into(), ""), None, at(5), BatchId(99));
                assert_eq!(again, DedupDecision::OnItsWay(BatchId(earlier)));
            }
        }
    }

    #[test]
    fn a_window_holds_the_rows_of_its_hours_alone() {
        let mut known = KnownRows::default();
        new(&mut known, 1, 5);
        let beginning = |hour: i64| DateTime::from_timestamp(hour * HOUR_SECONDS, 0).unwrap();
        let window = |from, to| Window::new(beginning(from), beginning(to)).unwrap();
        assert!(known.holds(window(5, 6)) && known.holds(window(4, 7)));
        assert!(!known.holds(window(4, 5)) && !known.holds(window(6, 7)));
        known.arrived(BATCH);
        known.forget_hour(5);
        assert!(!known.holds(window(5, 6)));
    }

    #[test]
    fn rows_change_batches_and_arrive_with_them() {
        let mut known = KnownRows::default();
        let (row, late) = (new(&mut known, 1, 5), new(&mut known, 2, 5));
        known.carry_instead(late, BATCH, BatchId(8));
        assert_eq!(
            admit(&mut known, 2, "", 5),
            DedupDecision::OnItsWay(BatchId(8))
        );
        assert_eq!(
            admit(&mut known, 1, "", 5),
            DedupDecision::OnItsWay(BATCH),
            "the other one stays"
        );
        known.carry_instead(row, BATCH, BatchId(7));
        known.arrived(BatchId(7));
        assert_eq!(admit(&mut known, 1, "", 5), DedupDecision::Delivered);
        assert_eq!(known.len(), 1);
        known.arrived(BatchId(8));
        assert_eq!(admit(&mut known, 2, "", 5), DedupDecision::Delivered);
        assert_eq!((known.len(), known.under_way.0.len()), (2, 0));
    }
}
