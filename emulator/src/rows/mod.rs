//! The rows of the tenant: generated ones and those added by hand, as one ordered list.

mod row;
mod select;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use row::{NewRow, TraceRow};
use select::Range;
pub(crate) use select::{After, Selected, Selection};

use crate::{
    Traffic,
    time::{MILLISECOND, Ticks, ticks},
    traffic::{Bucket, Generator, Timeline},
};

/// A row's place: the bucket that it belongs to and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) bucket: u32,
    pub(crate) row: u32,
}

/// The bucket of rows that were added by hand.
pub(crate) const BY_HAND: u32 = u32::MAX;

/// What is fixed about a row: when it was received and is visible, and its statuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) slot: Slot,
    pub(crate) received: Ticks,
    pub(crate) visible: Ticks,
    pub(crate) timeline: Timeline,
}

/// All rows of the tenant.
#[derive(Debug)]
pub(crate) struct Rows {
    generator: Generator,
    by_hand: Vec<(NewRow, Life)>,
    /// Which recipient of its message each of them is.
    ranks: Vec<u32>,
    order: BTreeSet<(Reverse<Ticks>, String, u32)>,
    index: HashMap<(Uuid, String), u32>,
    by_hand_recipients: HashMap<Uuid, u32>,
    /// Times without generated traffic: from (included) to (excluded).
    pauses: Vec<(Ticks, Ticks)>,
}

impl Rows {
    pub(crate) fn new(traffic: Traffic, start: DateTime<Utc>) -> Self {
        Self {
            generator: Generator::new(traffic, start),
            by_hand: Vec::new(),
            ranks: Vec::new(),
            order: BTreeSet::new(),
            index: HashMap::new(),
            by_hand_recipients: HashMap::new(),
            pauses: Vec::new(),
        }
    }

    /// Adds a row; one with the same trace id and recipient is replaced in look-ups.
    pub(crate) fn add(&mut self, row: NewRow) {
        let number = self.by_hand.len() as u32;
        let received = ticks(row.row.received);
        let mut timeline = Timeline::new(received, row.row.status);
        for (since, status) in &row.changes {
            timeline.push(ticks(*since), *status);
        }
        let life = Life {
            slot: Slot {
                bucket: BY_HAND,
                row: number,
            },
            received,
            visible: ticks(row.visible_from).max(received),
            timeline,
        };
        let recipient = row.row.recipient.to_lowercase();
        let millisecond = received.div_euclid(MILLISECOND);
        self.order
            .insert((Reverse(millisecond), recipient.clone(), number));
        self.index.insert((row.row.trace_id, recipient), number);
        let recipients = self.by_hand_recipients.entry(row.row.trace_id).or_default();
        self.ranks.push(*recipients);
        *recipients += 1;
        self.by_hand.push((row, life));
    }

    /// How many rows were added by hand.
    pub(crate) fn by_hand(&self) -> u64 {
        self.by_hand.len() as u64
    }

    /// Ends or resumes the generated traffic at `now`.
    pub(crate) fn set_traffic(&mut self, on: bool, now: Ticks) {
        match self.pauses.last_mut() {
            Some((_, to)) if *to == Ticks::MAX && on => *to = now,
            Some((_, to)) if *to == Ticks::MAX => {}
            _ if on => {}
            _ => self.pauses.push((now, Ticks::MAX)),
        }
    }

    fn paused(&self, received: Ticks) -> bool {
        self.pauses
            .iter()
            .any(|(from, to)| (*from..*to).contains(&received))
    }

    /// Every row received in this time, whether visible yet or not.
    pub(crate) fn lives(&mut self, from: Ticks, to: Ticks, mut each: impl FnMut(&Life)) {
        for stretch in self.stretches(Range { from, to }, true) {
            let bucket = stretch.slice.map(|slice| self.generator.bucket(slice));
            for item in self.stretch_items(bucket.as_deref(), &stretch, true) {
                each(&self.life(bucket.as_deref(), item.slot));
            }
        }
    }

    /// The row with this trace id and recipient: its life, and its text as it stands at `now`.
    pub(crate) fn find(
        &mut self,
        trace_id: Uuid,
        recipient: &str,
        now: Ticks,
    ) -> Option<(Life, TraceRow)> {
        let slot = match self.index.get(&(trace_id, recipient.to_lowercase())) {
            Some(&row) => Slot {
                bucket: BY_HAND,
                row,
            },
            None => {
                let (bucket, row) = self.generator.find(trace_id, recipient)?;
                Slot { bucket, row }
            }
        };
        let (life, row) = self.at(slot, now)?;
        (slot.bucket == BY_HAND || !self.paused(life.received)).then_some((life, row))
    }

    /// The recipients of the message with this trace id.
    pub(crate) fn recipients_of(&mut self, trace_id: Uuid) -> Vec<String> {
        let by_hand = self.index.keys().filter(|(id, _)| *id == trace_id);
        let by_hand: Vec<String> = by_hand.map(|(_, recipient)| recipient.clone()).collect();
        match by_hand.is_empty() {
            true => self.generator.recipients_of(trace_id),
            false => by_hand,
        }
    }

    /// The row in this place.
    pub(crate) fn at(&mut self, slot: Slot, now: Ticks) -> Option<(Life, TraceRow)> {
        let bucket = match slot.bucket {
            BY_HAND => None,
            id => Some(
                self.generator
                    .plan
                    .slice(id)
                    .map(|slice| self.generator.bucket(slice))?,
            ),
        };
        let bucket = bucket.as_deref();
        Some((self.life(bucket, slot), self.row(bucket, slot, now)))
    }

    fn life(&self, bucket: Option<&Bucket>, slot: Slot) -> Life {
        match bucket {
            Some(bucket) if slot.bucket != BY_HAND => {
                let place = bucket.place(slot.row);
                Life {
                    slot,
                    received: place.received,
                    visible: place.visible,
                    timeline: self.generator.timeline(bucket, place),
                }
            }
            _ => self.by_hand[slot.row as usize].1,
        }
    }

    /// Which recipient of its message a row is about, counted from 0.
    fn rank(&self, bucket: Option<&Bucket>, slot: Slot) -> u32 {
        match bucket {
            Some(bucket) if slot.bucket != BY_HAND => bucket.rank(slot.row),
            _ => self.ranks.get(slot.row as usize).copied().unwrap_or(0),
        }
    }

    fn row(&self, bucket: Option<&Bucket>, slot: Slot, now: Ticks) -> TraceRow {
        match bucket {
            Some(bucket) if slot.bucket != BY_HAND => {
                self.generator
                    .row(bucket, slot.bucket, bucket.place(slot.row), now)
            }
            _ => {
                let (new, life) = &self.by_hand[slot.row as usize];
                let mut row = new.row.clone();
                row.status = life.timeline.at(now);
                row
            }
        }
    }
}
