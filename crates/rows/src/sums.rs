//! Sums of sets of rows: two sets are compared without either being kept.
//!
//! [`Sums`] of a set are 32 bytes that say whether two sets are the same, and a sketch of 2.5 kB from which
//! the rows are found that are in one of them only, up to [`MOST_DIFFERENT`] of them: an invertible
//! Bloom lookup table (Goodrich, Mitzenmacher: *Invertible Bloom Lookup Tables*, 2011). All of it is
//! addition, so that sums of parts add up to those of the whole, and a row that is there twice does not
//! cancel out.
//!
//! # Collisions
//!
//! A message counts by the 72 bits of its key, which is a keyed hash ([`RowKeyer`](crate::RowKeyer)), so
//! nobody who can choose an address can make two sets look the same. What remains is chance: two sets
//! of messages that differ have the same sum with a probability of 2⁻⁷², and 40 rows that differ cannot
//! be told apart with one of 2 · 10⁻⁵ (two of them lie in the same five cells), which is said.

use std::{collections::HashSet, hash::BuildHasherDefault};

use crate::{Message, RowKey, known::AsItIs};

/// As many rows that differ are found at most. More than these mostly are, too, but then the two sets have
/// little in common, and what is done about it is for a person to decide.
pub const MOST_DIFFERENT: usize = 40;

/// Each message is in one cell of each part of the sketch.
const PARTS: usize = 5;

/// Cells of each part.
const PART: usize = 32;

/// A message that is there more often is not found: nothing makes it count so often.
const MOST_TIMES: usize = 4;

/// So many bits of a message choose its cell in one part.
const PART_BITS: u32 = PART.trailing_zeros();

/// Cells of the sketch.
const CELLS: usize = PARTS * PART;

/// Where the count begins in the number of a message, and where the check does.
const COUNT: u32 = 112;
const CHECK: u32 = 72;

/// Two odd numbers without pattern: the first digits of the golden ratio and of √3.
const MIX: [u64; 2] = [0x9E37_79B9_7F4A_7C15, 0xBB67_AE85_84CA_A73B];

/// What a set of rows adds up to: its messages, each to one recipient, and the status of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// How many messages there are.
    rows: u64,
    /// Of their numbers.
    messages: u128,
    /// Of hashes of message and status.
    statuses: u128,
    /// In each cell the numbers of some of the messages.
    sketch: Box<[u128; CELLS]>,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            rows: 0,
            messages: 0,
            statuses: 0,
            sketch: Box::new([0; CELLS]),
        }
    }
}

/// How two sets differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// These messages are in one of them only; none when the sets are the same. One that is there twice
    /// more is named twice.
    Of {
        /// In the first.
        first: Vec<Message>,
        /// In the second.
        second: Vec<Message>,
    },
    /// More than [`MOST_DIFFERENT`] are, or (rarely) they cannot be told apart.
    Many,
}

/// A message as a number that adds up: from the top, its count (1), a check of 40 bits, and its 72 bits.
/// The sum of several does not look like one of them, as the check is no sum of theirs.
fn number(message: Message) -> u128 {
    let (high, low) = message.halves();
    let check = mixed(low ^ MIX[0], low.rotate_left(32) ^ u64::from(high) ^ MIX[1]);
    (1 << COUNT)
        | (u128::from(check >> (64 - (COUNT - CHECK))) << CHECK)
        | (u128::from(high) << 64)
        | u128::from(low)
}

/// A row as a number that adds up.
fn status_number(key: RowKey) -> u128 {
    let (message, status) = key.parts();
    let (high, low) = message.halves();
    let rest = (u64::from(status.number()) << 8) | u64::from(high);
    let half = |mix: [u64; 2]| mixed(low ^ mix[0], rest ^ mix[1]);
    let [first, second] = MIX;
    (u128::from(half([first, second])) << 64) | u128::from(half([second, first]))
}

/// A hash of two numbers, by one multiplication.
fn mixed(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    // The lower half of both.
    (product ^ (product >> 64)) as u64
}

/// The cells of a message. Its bits are as good as random.
fn cells(number: u128) -> [usize; PARTS] {
    std::array::from_fn(|part| {
        let place = (number >> (PART_BITS as usize * part)) as usize % PART;
        PART * part + place
    })
}

/// The message of the content of a cell, and how often it is there; none when it is not that of one message
/// alone.
fn alone(sum: u128) -> Option<(Message, usize)> {
    let times = (1..=MOST_TIMES).zip(1_u128..);
    let mut times = times.filter(|(_, times)| sum.is_multiple_of(*times));
    times.find_map(|(count, times)| Some((message_of(sum / times)?, count)))
}

/// The message of a number; none when it is not that of one message.
fn message_of(sum: u128) -> Option<Message> {
    let [.., a, b, c, d, e, f, g, h, i] = sum.to_be_bytes();
    let message = Message::of_halves(a, u64::from_be_bytes([b, c, d, e, f, g, h, i]));
    (number(message) == sum).then_some(message)
}

impl Sums {
    /// How long they are in their stored form.
    pub const BYTES: usize = 8 + 16 + 16 + 16 * CELLS;

    /// The sums of rows, of which each key comes once. The messages of which a row is among `changed` may
    /// have several rows: each counts once, with the status that comes last in `changed`.
    pub fn of(keys: impl IntoIterator<Item = RowKey>, changed: &[RowKey]) -> Self {
        let mut sums = Self::default();
        let suspects: HashSet<Message, BuildHasherDefault<AsItIs>> =
            changed.iter().map(|key| key.message()).collect();
        let mut several = Vec::new();
        for key in keys {
            sums.add(key);
            if suspects.contains(&key.message()) {
                several.push(key);
            }
        }
        several.sort_unstable();
        for rows in several.chunk_by(|one, other| one.same_message(*other)) {
            let last = changed.iter().rfind(|key| rows.contains(key));
            let last = last.or(rows.last()).copied();
            for key in rows.iter().filter(|key| Some(**key) != last) {
                sums.take_away(*key);
            }
        }
        sums
    }

    /// How many messages there are.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether they are those of no rows.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether they are those of a set with the same messages.
    pub fn has_messages_of(&self, other: &Self) -> bool {
        (self.rows, self.messages) == (other.rows, other.messages)
    }

    /// Whether they are those of a set with the same messages in the same statuses.
    pub fn has_statuses_of(&self, other: &Self) -> bool {
        self.has_messages_of(other) && self.statuses == other.statuses
    }

    /// The sum of the messages, for people.
    pub fn digest(&self) -> String {
        format!("{:032x}", self.messages)
    }

    /// Adds a row of a message that is not there.
    pub fn add(&mut self, key: RowKey) {
        let number = number(key.message());
        self.rows = self.rows.wrapping_add(1);
        self.messages = self.messages.wrapping_add(number);
        self.statuses = self.statuses.wrapping_add(status_number(key));
        for cell in cells(number) {
            if let Some(cell) = self.sketch.get_mut(cell) {
                *cell = cell.wrapping_add(number);
            }
        }
    }

    fn take_away(&mut self, key: RowKey) {
        let mut one = Self::default();
        one.add(key);
        self.combine(&one, u64::wrapping_sub, u128::wrapping_sub);
    }

    /// Adds those of a set that has no row in common with this one.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, u64::wrapping_add, u128::wrapping_add);
    }

    fn combine(
        &mut self,
        other: &Self,
        count: impl Fn(u64, u64) -> u64,
        sum: impl Fn(u128, u128) -> u128,
    ) {
        self.rows = count(self.rows, other.rows);
        self.messages = sum(self.messages, other.messages);
        self.statuses = sum(self.statuses, other.statuses);
        for (cell, other) in self.sketch.iter_mut().zip(other.sketch.iter()) {
            *cell = sum(*cell, *other);
        }
    }

    /// The messages that are in one of two sets only.
    pub fn difference(&self, other: &Self) -> Difference {
        let mut rest = self.clone();
        rest.combine(other, u64::wrapping_sub, u128::wrapping_sub);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        // A cell in which one message is left tells which; without it, others have one left.
        while first.len() + second.len() <= MOST_DIFFERENT {
            let mut cells_left = rest.sketch.iter().filter(|cell| **cell != 0);
            let found = cells_left.find_map(|cell| {
                let there = alone(*cell).map(|found| (found, true));
                there.or_else(|| Some((alone(cell.wrapping_neg())?, false)))
            });
            let Some(((message, times), is_first)) = found else {
                break;
            };
            let number = number(message);
            let (side, left) = match is_first {
                true => (&mut first, number.wrapping_neg()),
                false => (&mut second, number),
            };
            for _ in 0..times {
                side.push(message);
                rest.messages = rest.messages.wrapping_add(left);
                for cell in cells(number) {
                    if let Some(cell) = rest.sketch.get_mut(cell) {
                        *cell = cell.wrapping_add(left);
                    }
                }
            }
        }
        let is_all = rest.messages == 0 && rest.sketch.iter().all(|cell| *cell == 0);
        if is_all && first.len() + second.len() <= MOST_DIFFERENT {
            Difference::Of { first, second }
        } else {
            Difference::Many
        }
    }

    /// Their stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend(self.rows.to_le_bytes());
        let sums = [self.messages, self.statuses].into_iter();
        for sum in sums.chain(self.sketch.iter().copied()) {
            bytes.extend(sum.to_le_bytes());
        }
        bytes
    }

    /// The sums from their stored form; none when it is too short or too long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (rows, rest) = bytes.split_first_chunk()?;
        let (numbers, []) = rest.as_chunks::<16>() else {
            return None;
        };
        let mut numbers = numbers.iter().map(|bytes| u128::from_le_bytes(*bytes));
        let (messages, statuses) = (numbers.next()?, numbers.next()?);
        let sketch = numbers.collect::<Vec<_>>().into_boxed_slice();
        Some(Self {
            rows: u64::from_le_bytes(*rows),
            messages,
            statuses,
            sketch: sketch.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::RowKeyer;

    fn key(message: u32, status: u8) -> RowKey {
        let keyer = RowKeyer::new(*b"0123456789abcdef");
        keyer.key(&[message.to_string()], &status.to_string())
    }

    fn sums(messages: impl IntoIterator<Item = u32>) -> Sums {
        Sums::of(messages.into_iter().map(|message| key(message, 0)), &[])
    }

    fn messages(messages: impl IntoIterator<Item = u32>) -> Vec<Message> {
        let mut messages: Vec<Message> = messages
            .into_iter()
            .map(|one| key(one, 0).message())
            .collect();
        messages.sort_unstable();
        messages
    }

    fn sorted(difference: Difference) -> Difference {
        match difference {
            Difference::Of {
                mut first,
                mut second,
            } => {
                first.sort_unstable();
                second.sort_unstable();
                Difference::Of { first, second }
            }
            Difference::Many => Difference::Many,
        }
    }

    proptest! {
        #[test]
        fn up_to_forty_rows_that_differ_are_found(
            common in 0..3000_u32, first in 0..=20_u32, second in 0..=20_u32, start: u16
        ) {
            let start = u32::from(start) * 10_000;
            let (at_first, at_second) = (start + common, start + common + first);
            // Two rows in the same five cells cannot be told apart: one of 50 000 sets of forty has such.
            let different = messages(at_first..at_second + second);
            let places = different.iter().map(|message| cells(number(*message)));
            prop_assume!(places.collect::<BTreeSet<_>>().len() == different.len());
            let one = sums(start..at_second);
            let other = sums((start..at_first).chain(at_second..at_second + second));
            let expected = Difference::Of {
                first: messages(at_first..at_second),
                second: messages(at_second..at_second + second),
            };
            prop_assert_eq!(sorted(one.difference(&other)), expected);
            prop_assert_eq!(one.has_messages_of(&other), first + second == 0);
        }

        #[test]
        fn parts_add_up_to_the_whole(rows in prop::collection::vec(any::<u16>(), 0..200), cut: u8) {
            let rows: BTreeSet<u32> = rows.into_iter().map(u32::from).collect();
            let cut = rows.len().min(cut.into());
            let mut parts = sums(rows.iter().copied().skip(cut));
            parts.merge(&sums(rows.iter().copied().take(cut)));
            // In any order.
            prop_assert_eq!(&parts, &sums(rows.iter().copied().rev()));
            prop_assert_eq!(parts.rows(), rows.len() as u64);
            prop_assert_eq!(Sums::from_bytes(&parts.to_bytes()), Some(parts));
        }

        #[test]
        fn a_message_counts_once_with_its_last_status(
            seen in prop::collection::vec((0..9_u32, 0..4_u8), 0..60)
        ) {
            let (mut keys, mut changed) = (BTreeSet::new(), Vec::new());
            let mut last = BTreeMap::new();
            for (message, status) in seen {
                let key = key(message, status);
                if !keys.insert(key) {
                    continue;
                }
                if last.insert(message, status).is_some() {
                    changed.push(key);
                }
            }
            let expected = last.iter().map(|(message, status)| key(*message, *status));
            prop_assert_eq!(Sums::of(keys, &changed), Sums::of(expected, &[]));
        }
    }

    #[test]
    fn a_row_that_is_there_twice_does_not_cancel_out() {
        let (once, mut twice) = (sums(0..10), sums(0..10));
        twice.add(key(7, 0));
        assert!(!once.has_messages_of(&twice));
        let second = messages([7]);
        let difference = once.difference(&twice);
        assert_eq!(
            difference,
            Difference::Of {
                first: Vec::new(),
                second
            }
        );
    }

    /// It was accepted twice, and is not shown any more.
    #[test]
    fn a_message_that_is_there_several_times_is_found_among_others() {
        for times in 2..=4 {
            let (mut one, other) = (sums(0..30), sums(10..35));
            for _ in 1..times {
                one.add(key(7, 0));
            }
            let first = messages((0..10).chain((1..times).map(|_| 7)));
            let second = messages(30..35);
            let expected = Difference::Of { first, second };
            assert_eq!(sorted(one.difference(&other)), expected);
            let Difference::Of { first, second } = expected else {
                continue;
            };
            let reverse = Difference::Of {
                first: second,
                second: first,
            };
            assert_eq!(sorted(other.difference(&one)), reverse);
        }
        let mut often = Sums::default();
        for _ in 0..MOST_TIMES + 1 {
            often.add(key(7, 0));
        }
        assert_eq!(often.difference(&Sums::default()), Difference::Many);
    }

    #[test]
    fn a_status_is_told_apart_from_a_message() {
        let one = sums(0..100);
        let mut rows: Vec<RowKey> = (0..100).map(|message| key(message, 0)).collect();
        rows[5] = key(5, 1);
        let other = Sums::of(rows, &[]);
        assert!(one.has_messages_of(&other) && !one.has_statuses_of(&other));
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn too_many_are_not_guessed_at() {
        for differ in [41, 60, 100, 1000, 100_000] {
            let (one, other) = (sums(0..50), sums(0..50 + differ));
            assert_eq!(one.difference(&other), Difference::Many, "{differ}");
            assert_eq!(other.difference(&one), Difference::Many, "{differ}");
        }
    }

    #[test]
    fn hardly_any_forty_cannot_be_told_apart() {
        let mut failures = 0;
        for round in 0..5_000 {
            let start = round * 40;
            let one = sums(start..start + 40);
            failures += u32::from(one.difference(&Sums::default()) == Difference::Many);
        }
        // One in 50 000 is expected.
        assert!(failures <= 2, "{failures}");
    }

    /// They are kept on the disk: a version that made others would find every hour different.
    #[test]
    fn sums_are_the_same_in_every_version() {
        let sums = sums(0..3);
        let digest = digest_of(&sums.to_bytes());
        assert_eq!(
            (sums.digest().as_str(), digest),
            ("0004df1523fdbacb85ec2511088dbf38", 944_553_484_997_692_219),
        );
        assert_eq!(Sums::from_bytes(&sums.to_bytes()[1..]), None);
    }

    fn digest_of(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |hash, byte| {
            (hash ^ u64::from(*byte))
                .wrapping_mul(MIX[0])
                .rotate_left(7)
        })
    }
}
