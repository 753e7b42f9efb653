//! Finds the rows of a query in the order of the services: newest first, then by recipient.

use std::cmp::Reverse;

use super::{BY_HAND, Rows, Slot, TraceRow};
use crate::{
    time::{MILLISECOND, Ticks},
    traffic::{Bucket, Slice},
};

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
    /// Leaves out all but the first so many recipients of a message.
    pub(crate) shown_recipients: Option<u32>,
    pub(crate) offset: u64,
    pub(crate) limit: usize,
    /// Goes on beyond the limit rather than part rows that have the same place in the order.
    pub(crate) whole_ties: bool,
}

impl Selection<'_> {
    /// All rows of a time, both ends included, newest first.
    pub(crate) fn plain(from: Ticks, to: Ticks) -> Self {
        Self {
            from,
            to,
            ascending: false,
            after: None,
            filter: None,
            shown_recipients: None,
            offset: 0,
            limit: usize::MAX,
            whole_ties: false,
        }
    }

    /// Whether it takes every row of its time.
    fn is_plain(&self) -> bool {
        self.filter.is_none() && self.after.is_none() && self.shown_recipients.is_none()
    }
}

/// What a query has found.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    pub(crate) rows: Vec<(Slot, TraceRow)>,
    /// Whether there are further rows beyond the limit.
    pub(crate) more: bool,
}

impl Selected {
    /// Whether the last row has this place in the order.
    fn ends_with(&self, key: (Reverse<i64>, &str)) -> bool {
        self.rows.last().is_some_and(|(_, row)| {
            row.received.timestamp_millis() == key.0.0 && row.recipient.to_lowercase() == key.1
        })
    }
}

impl Rows {
    /// The rows that a query sees at `now`.
    pub(crate) fn select(&mut self, query: &Selection<'_>, now: Ticks) -> Selected {
        let mut selected = Selected::default();
        let mut skip = query.offset;
        let last = query.after.as_ref().map_or(Ticks::MAX, After::latest);
        let range = Range {
            from: query.from,
            to: query.to.min(now).min(last),
        };
        for stretch in self.stretches(range, query.ascending) {
            if query.is_plain()
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
                if selected.rows.len() >= query.limit
                    && !(query.whole_ties && selected.ends_with(item.key))
                {
                    selected.more = true;
                    return selected;
                }
                selected.rows.push((item.slot, row));
            }
        }
        selected
    }

    /// The stretches of time that make up `range`: buckets, and what lies around them.
    pub(super) fn stretches(&self, range: Range, ascending: bool) -> Vec<Stretch> {
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
                    .shown_recipients
                    .is_none_or(|most| self.rank(bucket, item.slot) < most)
        })
    }

    /// All rows of a stretch: newest first, then by recipient, or the other way round.
    pub(super) fn stretch_items<'a>(
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
pub(super) struct Range {
    pub(super) from: Ticks,
    pub(super) to: Ticks,
}

/// A stretch of time inside one bucket, or outside of all.
pub(super) struct Stretch {
    from: Ticks,
    to: Ticks,
    pub(super) slice: Option<Slice>,
}

/// A row in the order of the service.
pub(super) struct Item<'a> {
    key: (Reverse<Ticks>, &'a str),
    visible: Ticks,
    pub(super) slot: Slot,
}
