//! Makes the rows of a bucket, and finds a row by its trace id.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Resolution, Traffic, content,
    draw::{Draw, mix},
    plan::{Plan, Slice},
};
use crate::{
    Status, TraceRow,
    time::{MILLISECOND, SECOND, Ticks, instant, span},
};

/// Rows kept in memory once they were generated.
const CACHED_ROWS: usize = 2_000_000;

/// The statuses of a row and since when it has each, oldest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    steps: [(Ticks, Status); Self::MOST],
    len: usize,
}

impl Timeline {
    /// The most statuses of one row.
    pub(crate) const MOST: usize = 8;

    pub(crate) fn new(since: Ticks, status: Status) -> Self {
        Self {
            steps: [(since, status); Self::MOST],
            len: 1,
        }
    }

    /// Adds a later status; those beyond the limit are left out.
    pub(crate) fn push(&mut self, since: Ticks, status: Status) {
        if self.len < Self::MOST {
            self.steps[self.len] = (since, status);
            self.len += 1;
        }
    }

    pub(crate) fn steps(&self) -> &[(Ticks, Status)] {
        &self.steps[..self.len]
    }

    /// The status at this time; the first one before it began.
    pub(crate) fn at(&self, time: Ticks) -> Status {
        let begun = self.steps().partition_point(|(since, _)| *since <= time);
        self.steps()[begun.saturating_sub(1)].1
    }
}

/// A generated message.
#[derive(Clone, Debug)]
struct Message {
    seed: u64,
    first_row: u32,
    recipients: u32,
    /// The number of its first recipient; the others follow.
    person: u32,
}

/// A row in the order of the service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) received: Ticks,
    pub(crate) visible: Ticks,
    /// The row's number in its bucket.
    pub(crate) row: u32,
    person: u32,
    message: u32,
}

/// The rows of a stretch of time.
#[derive(Debug)]
pub(crate) struct Bucket {
    messages: Vec<Message>,
    /// Newest first by millisecond, then by recipient.
    pub(crate) places: Vec<Place>,
    /// Where the row with a number is in `places`.
    by_row: Vec<u32>,
}

impl Bucket {
    /// The row with this number.
    pub(crate) fn place(&self, row: u32) -> &Place {
        &self.places[self.by_row[row as usize] as usize]
    }

    /// Rows among which are all that were received from `from` to `to`, newest first.
    pub(crate) fn between(&self, from: Ticks, to: Ticks) -> &[Place] {
        let millisecond = |at: Ticks| at.div_euclid(MILLISECOND);
        let (from, to) = (millisecond(from), millisecond(to));
        let places = &self.places;
        let first = places.partition_point(|place| millisecond(place.received) > to);
        let end = places.partition_point(|place| millisecond(place.received) >= from);
        &places[first..end]
    }

    /// Which recipient of its message the row with this number is about, counted from 0.
    pub(crate) fn rank(&self, row: u32) -> u32 {
        row - self.messages[self.place(row).message as usize].first_row
    }
}

impl Place {
    /// Whom the row is about.
    pub(crate) fn recipient(&self) -> &'static str {
        content::address(self.person)
    }
}

/// Generates buckets and keeps the latest ones.
#[derive(Debug)]
pub(crate) struct Generator {
    traffic: Traffic,
    pub(crate) plan: Plan,
    cache: HashMap<u32, Arc<Bucket>>,
    age: VecDeque<u32>,
    cached: usize,
}

impl Generator {
    pub(crate) fn new(traffic: Traffic, start: DateTime<Utc>) -> Self {
        Self {
            plan: Plan::new(&traffic, start),
            traffic,
            cache: HashMap::new(),
            age: VecDeque::new(),
            cached: 0,
        }
    }

    /// The longest time between reception and visibility.
    pub(crate) fn longest_lateness(&self) -> Ticks {
        self.traffic.lateness.longest()
    }

    pub(crate) fn bucket(&mut self, slice: Slice) -> Arc<Bucket> {
        if let Some(bucket) = self.cache.get(&slice.id) {
            return Arc::clone(bucket);
        }
        let bucket = Arc::new(self.generate(slice));
        while self.cached > CACHED_ROWS
            && let Some(oldest) = self.age.pop_front()
        {
            self.cached -= self.cache.remove(&oldest).map_or(0, |old| old.places.len());
        }
        self.cached += bucket.places.len();
        self.age.push_back(slice.id);
        self.cache.insert(slice.id, Arc::clone(&bucket));
        bucket
    }

    fn generate(&self, slice: Slice) -> Bucket {
        let key = slice.key(self.traffic.seed);
        let mut messages = Vec::new();
        let mut places = Vec::with_capacity(slice.rows as usize);
        let mut first_row = 0;
        while first_row < slice.rows {
            let seed = mix(key, messages.len() as u64 + 1);
            let mut draw = Draw::new(seed);
            let at = slice.start + draw.below((slice.end - slice.start) as u64) as i64;
            let received = (at - at.rem_euclid(self.grain())).max(slice.start);
            let wanted = self.recipients(&mut draw);
            let message = Message {
                seed,
                first_row,
                recipients: wanted.min(slice.rows - first_row),
                person: draw.below(u64::from(content::people())) as u32,
            };
            let number = messages.len() as u32;
            places.extend((0..message.recipients).map(|recipient| Place {
                received,
                visible: received + self.lateness(&message, recipient),
                row: first_row + recipient,
                person: message.person(recipient),
                message: number,
            }));
            first_row += message.recipients;
            messages.push(message);
        }
        places.sort_unstable_by_key(|place| {
            let millisecond = place.received.div_euclid(MILLISECOND);
            (std::cmp::Reverse(millisecond), place.person, place.row)
        });
        let mut by_row = vec![0; places.len()];
        for (index, place) in places.iter().enumerate() {
            by_row[place.row as usize] = index as u32;
        }
        Bucket {
            messages,
            places,
            by_row,
        }
    }

    fn grain(&self) -> Ticks {
        match self.traffic.resolution {
            Resolution::Second => SECOND,
            Resolution::Millisecond => MILLISECOND,
            Resolution::Tick => 1,
        }
    }

    fn recipients(&self, draw: &mut Draw) -> u32 {
        let many = match draw.below(1000) {
            0..800 => 1,
            800..950 => 2 + draw.below(4),
            950..990 => 6 + draw.below(25),
            990..999 => 31 + draw.below(170),
            _ => 201 + draw.below(1300),
        };
        (many as u32).clamp(1, self.traffic.max_recipients.clamp(1, 5000))
    }

    fn lateness(&self, message: &Message, recipient: u32) -> Ticks {
        let quantile = Draw::new(mix(message.seed, u64::from(recipient) ^ (1 << 40))).unit();
        self.traffic.lateness.at(quantile)
    }

    /// Whether a row that would be delivered is resolved; drawn apart from everything else.
    fn is_resolved(&self, message: &Message, recipient: u32) -> bool {
        let mut draw = Draw::new(mix(message.seed, u64::from(recipient) ^ (1 << 44)));
        draw.chance(self.traffic.resolved)
    }

    /// The statuses of the row at `place`.
    pub(crate) fn timeline(&self, bucket: &Bucket, place: &Place) -> Timeline {
        let message = &bucket.messages[place.message as usize];
        let recipient = place.row - message.first_row;
        let mut draw = Draw::new(mix(message.seed, u64::from(recipient) ^ (1 << 41)));
        let outcome = match draw.below(100) {
            _ if recipient == 0 && message.recipients > 3 && draw.chance(0.3) => Status::Expanded,
            0..2 => Status::Failed,
            2..5 => Status::Quarantined,
            5..9 => Status::FilteredAsSpam,
            _ if self.is_resolved(message, recipient) => Status::Resolved,
            _ => Status::Delivered,
        };
        if !draw.chance(self.traffic.changing) {
            return Timeline::new(place.received, outcome);
        }
        let longest = span(self.traffic.changes_within).max(SECOND) as f64;
        let shortest = (60.0 * SECOND as f64).min(longest);
        let mut later = || (shortest * (longest / shortest).powf(draw.unit())) as Ticks;
        let (one, other) = (later(), later());
        let (first, last) = (one.min(other), one.max(other) + 1);
        let mut timeline = Timeline::new(place.received, Status::GettingStatus);
        timeline.push(place.received + first, Status::Pending);
        timeline.push(place.received + last, outcome);
        let sequel = match outcome {
            Status::Delivered => Some((self.traffic.recalled, Status::Recalled)),
            Status::Quarantined => Some((self.traffic.released, Status::Delivered)),
            _ => None,
        };
        if let Some((share, status)) = sequel
            && draw.chance(share)
        {
            let after = (longest - last as f64).max(1.0) * draw.unit();
            timeline.push(place.received + last + after as Ticks + 1, status);
        }
        timeline
    }

    /// The row at `place` as it stands at `now`.
    pub(crate) fn row(&self, bucket: &Bucket, id: u32, place: &Place, now: Ticks) -> TraceRow {
        let message = &bucket.messages[place.message as usize];
        let mut common = Draw::new(mix(message.seed, 1 << 42));
        let sender = content::sender(&mut common);
        let subject = content::subject(&mut common);
        let message_id = content::message_id(&mut common);
        let from_ip = content::ip(&mut common, 0.05);
        let size = content::size(&mut common);
        let mut own = Draw::new(mix(message.seed, u64::from(place.row) ^ (1 << 43)));
        TraceRow {
            organization: content::ORGANIZATION.to_owned(),
            trace_id: self.trace_id(id, place.message),
            message_id,
            received: instant(place.received),
            sender,
            recipient: content::address(place.person).to_owned(),
            subject,
            status: self.timeline(bucket, place).at(now),
            to_ip: content::ip(&mut own, 0.6),
            from_ip,
            size: size + own.below(2000) as u32,
        }
    }

    /// The trace id of a message: its place, hidden, and a check that it is one of ours.
    fn trace_id(&self, bucket: u32, message: u32) -> Uuid {
        let place = u64::from(bucket) << 32 | u64::from(message);
        let hidden = place ^ mix(self.traffic.seed, 0x1d);
        Uuid::from_u64_pair(hidden, mix(hidden, self.traffic.seed))
    }

    /// Where the row with this trace id and recipient is.
    pub(crate) fn find(&mut self, trace_id: Uuid, recipient: &str) -> Option<(u32, u32)> {
        let (id, number) = self.place(trace_id)?;
        let slice = self.plan.slice(id)?;
        let bucket = self.bucket(slice);
        let message = bucket.messages.get(number as usize)?;
        let people = content::people();
        let nth = (content::number(recipient)? + people - message.person) % people;
        (nth < message.recipients).then_some((id, message.first_row + nth))
    }

    /// The recipients of the message with this trace id; none when there is no such message.
    pub(crate) fn recipients_of(&mut self, trace_id: Uuid) -> Vec<String> {
        let Some((id, number)) = self.place(trace_id) else {
            return Vec::new();
        };
        let Some(slice) = self.plan.slice(id) else {
            return Vec::new();
        };
        let bucket = self.bucket(slice);
        let Some(message) = bucket.messages.get(number as usize) else {
            return Vec::new();
        };
        let people = (0..message.recipients).map(|nth| message.person(nth));
        people
            .map(|person| content::address(person).to_string())
            .collect()
    }

    /// The slice of time and the number in it of the message with this trace id.
    fn place(&self, trace_id: Uuid) -> Option<(u32, u32)> {
        let (hidden, check) = trace_id.as_u64_pair();
        if check != mix(hidden, self.traffic.seed) {
            return None;
        }
        let place = hidden ^ mix(self.traffic.seed, 0x1d);
        Some(((place >> 32) as u32, place as u32))
    }
}

impl Message {
    fn person(&self, recipient: u32) -> u32 {
        (self.person + recipient) % content::people()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::TimeDelta;

    use super::*;
    use crate::{Backlog, Lateness, time::ticks};

    fn generator(traffic: Traffic) -> Generator {
        Generator::new(traffic, DateTime::from_timestamp(1_790_000_000, 0).unwrap())
    }

    fn all(generator: &mut Generator) -> Vec<(u32, Place, TraceRow)> {
        let mut rows = Vec::new();
        for slice in generator.plan.slices(0, Ticks::MAX) {
            let bucket = generator.bucket(slice);
            for place in &bucket.places {
                let row = generator.row(&bucket, slice.id, place, Ticks::MAX);
                rows.push((slice.id, *place, row));
            }
        }
        rows
    }

    #[test]
    fn rows_are_unique_ordered_found_again_and_the_same_on_every_run() {
        let traffic = Traffic {
            backlog: Backlog::rows(TimeDelta::hours(5), 20_000),
            lateness: Lateness::realistic(),
            changing: 0.2,
            ..Traffic::default()
        };
        let mut one = generator(traffic.clone());
        let rows = all(&mut one);
        assert_eq!(rows.len(), 20_000);
        let mut keys = HashSet::new();
        for (bucket, place, row) in &rows {
            assert!(keys.insert((row.trace_id, row.recipient.clone())));
            assert_eq!(
                one.find(row.trace_id, &row.recipient),
                Some((*bucket, place.row))
            );
            assert_eq!(ticks(row.received), place.received);
            assert!(place.visible >= place.received);
        }
        assert_eq!(one.find(Uuid::nil(), content::address(1)), None);
        assert_eq!(
            all(&mut generator(traffic)).last().unwrap().2,
            rows.last().unwrap().2
        );
    }

    #[test]
    fn messages_are_recalled_and_released_within_the_time_of_changes() {
        let mut generator = generator(Traffic {
            backlog: Backlog::rows(TimeDelta::hours(5), 20_000),
            changing: 0.5,
            recalled: 0.2,
            released: 0.5,
            resolved: 0.1,
            ..Traffic::default()
        });
        let longest = span(generator.traffic.changes_within);
        let (mut recalled, mut released, mut kept, mut resolved) = (0, 0, 0, 0);
        for slice in generator.plan.slices(0, Ticks::MAX) {
            let bucket = generator.bucket(slice);
            for place in &bucket.places {
                let timeline = generator.timeline(&bucket, place);
                let steps: Vec<Status> = timeline.steps().iter().map(|step| step.1).collect();
                match steps[..] {
                    [.., Status::Delivered, Status::Recalled] => recalled += 1,
                    [.., Status::Quarantined, Status::Delivered] => released += 1,
                    [.., Status::Quarantined] => kept += 1,
                    [.., Status::Resolved] => resolved += 1,
                    _ => {}
                }
                let (last, _) = timeline.steps().last().unwrap();
                assert!(last - place.received <= longest + 2, "{timeline:?}");
            }
        }
        assert!((1_300..2_200).contains(&recalled), "{recalled}");
        assert!((1_400..2_200).contains(&resolved), "{resolved}");
        assert!((90..260).contains(&released), "{released}");
        assert!(kept > released, "{kept}");
    }

    #[test]
    fn a_timeline_ends_in_its_outcome() {
        let mut timeline = Timeline::new(10, Status::GettingStatus);
        timeline.push(20, Status::Pending);
        timeline.push(30, Status::Failed);
        assert_eq!(timeline.at(0), Status::GettingStatus);
        assert_eq!(timeline.at(20), Status::Pending);
        assert_eq!(timeline.at(99), Status::Failed);
    }
}
