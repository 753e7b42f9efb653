//! The rows of the tenant: generated ones and those added by hand, as one ordered list.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    Status, Traffic,
    time::{MILLISECOND, Ticks, instant, ticks},
    traffic::{Bucket, Generator, Slice, Timeline},
};

/// A row of the message trace as the tenant knows it: one message and one of its recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRow {
    /// The tenant's first domain.
    pub organization: String,
    /// The message's id in the service, shared by all of its recipients.
    pub trace_id: Uuid,
    /// The message's `Message-ID` header.
    pub message_id: Option<String>,
    /// When the service received the message.
    pub received: DateTime<Utc>,
    /// Who sent it.
    pub sender: String,
    /// To whom this row is about.
    pub recipient: String,
    /// Its subject.
    pub subject: Option<String>,
    /// What became of it for this recipient.
    pub status: Status,
    /// Where it was delivered to, if that is known.
    pub to_ip: Option<String>,
    /// Where it came from, if that is known.
    pub from_ip: Option<String>,
    /// Its size in bytes.
    pub size: u32,
}

/// A row that is added by hand.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// The row with its first status.
    pub row: TraceRow,
    /// From when on it can be seen.
    pub visible_from: DateTime<Utc>,
    /// Later statuses and since when it has them, oldest first; at most 7.
    pub changes: Vec<(DateTime<Utc>, Status)>,
}

impl NewRow {
    /// A delivered message with one recipient, received and visible at `received`.
    pub fn new(received: DateTime<Utc>, recipient: &str) -> Self {
        Self {
            row: TraceRow {
                organization: String::from("contoso.onmicrosoft.com"),
                trace_id: Uuid::new_v4(),
                message_id: Some(format!("<{}@contoso.example>", Uuid::new_v4().simple())),
                received: instant(ticks(received)),
                sender: String::from("sender@fabrikam.example"),
                recipient: recipient.to_owned(),
                subject: Some(String::from("Subject")),
                status: Status::Delivered,
                to_ip: None,
                from_ip: Some(String::from("203.0.113.5")),
                size: 33_435,
            },
            visible_from: received,
            changes: Vec::new(),
        }
    }

    /// The same with another trace id, which recipients of one message share.
    #[must_use]
    pub fn trace_id(mut self, trace_id: Uuid) -> Self {
        self.row.trace_id = trace_id;
        self
    }

    /// The same with another first status.
    #[must_use]
    pub fn status(mut self, status: Status) -> Self {
        self.row.status = status;
        self
    }

    /// The same with another subject.
    #[must_use]
    pub fn subject(mut self, subject: &str) -> Self {
        self.row.subject = Some(subject.to_owned());
        self
    }

    /// The same, visible only from this time on.
    #[must_use]
    pub fn visible_from(mut self, at: DateTime<Utc>) -> Self {
        self.visible_from = at;
        self
    }

    /// The same with a later status.
    #[must_use]
    pub fn then(mut self, at: DateTime<Utc>, status: Status) -> Self {
        self.changes.push((at, status));
        self
    }
}

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

/// A row in the order of the service, after which a page begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct After {
    pub(crate) millisecond: i64,
    /// In lower case.
    pub(crate) recipient: String,
    /// Whether the page begins with that row itself.
    pub(crate) included: bool,
}

impl After {
    /// Whether the row with this key comes after it.
    fn precedes(&self, key: (Reverse<i64>, &str)) -> bool {
        let own = (Reverse(self.millisecond), self.recipient.as_str());
        key > own || (self.included && key == own)
    }

    /// The last tick in which a row that comes after it can have been received.
    fn latest(&self) -> Ticks {
        self.millisecond * MILLISECOND + MILLISECOND - 1
    }
}

/// Which rows a query asks for, and which stretch of them.
pub(crate) struct Selection<'a> {
    pub(crate) from: Ticks,
    /// Included.
    pub(crate) to: Ticks,
    pub(crate) ascending: bool,
    /// Only rows after this one, in the order newest first, then by recipient.
    pub(crate) after: Option<After>,
    pub(crate) filter: Option<&'a dyn Fn(&TraceRow) -> bool>,
    /// Leaves out messages with more recipients than this.
    pub(crate) most_recipients: Option<u32>,
    pub(crate) offset: u64,
    pub(crate) limit: usize,
}

/// All rows of the tenant.
#[derive(Debug)]
pub(crate) struct Rows {
    generator: Generator,
    by_hand: Vec<(NewRow, Life)>,
    order: BTreeMap<(Reverse<Ticks>, String, u32), ()>,
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
            order: BTreeMap::new(),
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
            .insert((Reverse(millisecond), recipient.clone(), number), ());
        self.index.insert((row.row.trace_id, recipient), number);
        *self.by_hand_recipients.entry(row.row.trace_id).or_default() += 1;
        self.by_hand.push((row, life));
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

    /// The rows that a query sees at `now`.
    pub(crate) fn select(&mut self, query: &Selection<'_>, now: Ticks) -> Vec<(Slot, TraceRow)> {
        let mut found = Vec::new();
        let mut skip = query.offset;
        let last = query.after.as_ref().map_or(Ticks::MAX, After::latest);
        let range = Range {
            from: query.from,
            to: query.to.min(now).min(last),
        };
        for stretch in self.stretches(range, query.ascending) {
            if query.filter.is_none()
                && query.after.is_none()
                && query.most_recipients.is_none()
                && let Some(rows) = self.settled(&stretch, now)
                && rows <= skip
            {
                skip -= rows;
                continue;
            }
            let bucket = stretch.slice.map(|slice| self.generator.bucket(slice));
            for item in self.items(bucket.as_deref(), &stretch, query, now) {
                if query.filter.is_none() && skip > 0 {
                    skip -= 1;
                    continue;
                }
                let row = self.row(bucket.as_deref(), item.slot, now);
                if query.filter.is_some_and(|filter| !filter(&row)) {
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                found.push((item.slot, row));
                if found.len() == query.limit {
                    return found;
                }
            }
        }
        found
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

    /// How many recipients the message of a row has.
    fn recipients(&self, bucket: Option<&Bucket>, slot: Slot) -> u32 {
        match bucket {
            Some(bucket) if slot.bucket != BY_HAND => bucket.recipients(slot.row),
            _ => {
                let message = self.by_hand[slot.row as usize].0.row.trace_id;
                self.by_hand_recipients.get(&message).copied().unwrap_or(1)
            }
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

    /// The stretches of time that make up `range`: buckets, and what lies around them.
    fn stretches(&self, range: Range, ascending: bool) -> Vec<Stretch> {
        let Range { from, to } = range;
        let slices = self.generator.plan.slices(from, to);
        let mut stretches = Vec::with_capacity(slices.len() + 2);
        let mut add = |from: Ticks, to: Ticks, slice| {
            if from <= to {
                stretches.push(Stretch { from, to, slice });
            }
        };
        match (slices.first(), slices.last()) {
            (Some(first), Some(last)) => {
                add(from, first.start - 1, None);
                for slice in &slices {
                    add(from.max(slice.start), to.min(slice.end - 1), Some(*slice));
                }
                add(last.end, to, None);
            }
            _ => add(from, to, None),
        }
        if !ascending {
            stretches.reverse();
        }
        stretches
    }

    /// How many rows a stretch has, when that is known without generating it.
    fn settled(&self, stretch: &Stretch, now: Ticks) -> Option<u64> {
        let slice = stretch.slice?;
        let whole = stretch.from == slice.start && stretch.to == slice.end - 1;
        let visible = slice.end + self.generator.longest_lateness() <= now;
        let alone = self.added(stretch).next().is_none();
        let paused = self
            .pauses
            .iter()
            .any(|(from, to)| *from < slice.end && slice.start < *to);
        (whole && visible && alone && !paused).then_some(u64::from(slice.rows))
    }

    /// The rows of a stretch that `query` sees at `now`, in its order.
    fn items<'a>(
        &'a self,
        bucket: Option<&'a Bucket>,
        stretch: &Stretch,
        query: &'a Selection<'_>,
        now: Ticks,
    ) -> impl Iterator<Item = Item<'a>> {
        let items = self.stretch_items(bucket, stretch, query.ascending);
        items.filter(move |item| {
            item.visible <= now
                && query
                    .after
                    .as_ref()
                    .is_none_or(|after| after.precedes(item.key))
                && query
                    .most_recipients
                    .is_none_or(|most| self.recipients(bucket, item.slot) <= most)
        })
    }

    /// All rows of a stretch: newest first, then by recipient, or the other way round.
    fn stretch_items<'a>(
        &'a self,
        bucket: Option<&'a Bucket>,
        stretch: &Stretch,
        ascending: bool,
    ) -> Box<dyn Iterator<Item = Item<'a>> + 'a> {
        let generated = self.generated(bucket, stretch);
        if self.added(stretch).next().is_some() {
            let mut items: Vec<_> = generated.chain(self.added(stretch)).collect();
            items.sort_by_key(|item| item.key);
            if ascending {
                items.reverse();
            }
            return Box::new(items.into_iter());
        }
        if ascending {
            Box::new(generated.rev())
        } else {
            Box::new(generated)
        }
    }

    /// The generated rows of a stretch, newest first.
    fn generated<'a>(
        &'a self,
        bucket: Option<&'a Bucket>,
        stretch: &Stretch,
    ) -> impl DoubleEndedIterator<Item = Item<'a>> + 'a {
        let (from, to) = (stretch.from, stretch.to);
        let id = stretch.slice.map_or(BY_HAND, |slice| slice.id);
        bucket
            .map_or(&[][..], |bucket| bucket.between(from, to))
            .iter()
            .filter(move |place| {
                (from..=to).contains(&place.received) && !self.paused(place.received)
            })
            .map(move |place| Item {
                key: (
                    Reverse(place.received.div_euclid(MILLISECOND)),
                    place.recipient(),
                ),
                visible: place.visible,
                slot: Slot {
                    bucket: id,
                    row: place.row,
                },
            })
    }

    /// The rows of a stretch that were added by hand.
    fn added<'a>(&'a self, stretch: &Stretch) -> impl Iterator<Item = Item<'a>> {
        let within = stretch.from..=stretch.to;
        let newest = (
            Reverse(stretch.to.div_euclid(MILLISECOND)),
            String::new(),
            0,
        );
        let oldest = Reverse(stretch.from.div_euclid(MILLISECOND));
        self.order
            .range(newest..)
            .map(|(key, ())| key)
            .take_while(move |(at, ..)| *at <= oldest)
            .map(|(at, recipient, number)| {
                let life = &self.by_hand[*number as usize].1;
                (
                    life.received,
                    Item {
                        key: (*at, recipient.as_str()),
                        visible: life.visible,
                        slot: life.slot,
                    },
                )
            })
            .filter(move |(received, _)| within.contains(received))
            .map(|(_, item)| item)
    }
}

/// A stretch of time, both ends included.
#[derive(Clone, Copy)]
struct Range {
    from: Ticks,
    to: Ticks,
}

/// A stretch of time inside one bucket, or outside of all.
struct Stretch {
    from: Ticks,
    to: Ticks,
    slice: Option<Slice>,
}

/// A row in the order of the service.
struct Item<'a> {
    key: (Reverse<Ticks>, &'a str),
    visible: Ticks,
    slot: Slot,
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::Backlog;

    const NOW: i64 = 1_790_000_000;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(NOW + seconds, 0).unwrap()
    }

    fn rows(count: u64) -> Rows {
        let backlog = Backlog::rows(TimeDelta::hours(3), count);
        Rows::new(
            Traffic {
                backlog,
                ..Traffic::default()
            },
            at(0),
        )
    }

    fn everything(offset: u64, limit: usize) -> Selection<'static> {
        Selection {
            from: 0,
            to: Ticks::MAX,
            ascending: false,
            after: None,
            filter: None,
            most_recipients: None,
            offset,
            limit,
        }
    }

    fn order(row: &TraceRow) -> (Reverse<i64>, String) {
        (
            Reverse(row.received.timestamp_millis()),
            row.recipient.to_lowercase(),
        )
    }

    #[test]
    fn pages_by_offset_and_by_key_show_every_row_once_in_order() {
        let mut rows = rows(10_000);
        for second in [-9000, -5000, -20_000, 0] {
            rows.add(NewRow::new(at(second), "Zoe@contoso.example"));
        }
        let now = ticks(at(1));
        let all = rows.select(&everything(0, usize::MAX), now);
        assert_eq!(all.len(), 10_004);
        assert!(all.is_sorted_by_key(|(_, row)| order(row)));
        let (mut by_offset, mut by_key, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = rows.select(&everything(by_offset.len() as u64, 777), now);
            let keyed = rows.select(
                &Selection {
                    after,
                    ..everything(0, 777)
                },
                now,
            );
            let Some((_, last)) = keyed.last() else { break };
            let (Reverse(millisecond), recipient) = order(last);
            after = Some(After {
                millisecond,
                recipient,
                included: false,
            });
            by_offset.extend(page);
            by_key.extend(keyed);
        }
        assert!(by_offset == all && by_key == all);
    }

    #[test]
    fn late_rows_appear_and_pauses_have_no_traffic() {
        let mut rows = rows(1000);
        rows.add(NewRow::new(at(-60), "a@b.example").visible_from(at(30)));
        rows.set_traffic(false, ticks(at(-5400)));
        let count = |rows: &mut Rows, now| rows.select(&everything(0, usize::MAX), now).len();
        let before = count(&mut rows, ticks(at(29)));
        assert!((400..600).contains(&before), "{before}");
        assert_eq!(count(&mut rows, ticks(at(30))), before + 1);
    }
}
