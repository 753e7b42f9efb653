//! The file of a day: what is kept of each of its hours.
//!
//! A text of lines, each a CRC-32 of the rest of the line and a JSON object: first the [`Head`], then
//! an [`HourRecord`] for each hour. So a part that is damaged takes one hour away, and no more.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use rows::{RowKey, Window, sums::Sums};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::replay::several;
use crate::decide::coverage::windows::with;

/// Up to where the journal is counted in: all of its segments before `next`, but of those that are named only
/// so many rows from their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountedIn {
    pub(crate) next: u64,
    pub(crate) open: BTreeMap<u64, u64>,
}

impl CountedIn {
    /// How many rows of a segment are counted in.
    pub(crate) fn rows_of(&self, segment: u64) -> u64 {
        let whole = if segment < self.next { u64::MAX } else { 0 };
        self.open.get(&segment).copied().unwrap_or(whole)
    }
}

/// What was noticed while the rows of an hour were collected. Nothing is proven by it: a kill forgets what was
/// noticed in the last minute, and some of it is then noticed once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Rows that surfaced after their time had been read before.
    pub late: u64,
    /// Rows that a setting keeps from being sent.
    #[serde(default)]
    pub excluded: u64,
    /// Rows that lie with the dead letters, or did when they were read.
    pub dead_letters: u64,
    /// Those of them that could be read, and were not delivered for another reason.
    #[serde(default)]
    pub undeliverable: u64,
    /// When the first query began that read some of it.
    pub first_read: Option<DateTime<Utc>>,
    /// When the last one did.
    pub last_read: Option<DateTime<Utc>>,
}

impl Notes {
    /// A query that began at `began` has read some of the hour.
    pub(crate) fn read(&mut self, began: DateTime<Utc>) {
        self.first_read = Some(self.first_read.map_or(began, |first| first.min(began)));
        self.last_read = self.last_read.max(Some(began));
    }

    /// How many of so many rows that cannot be read do not lie with the dead letters.
    pub(crate) fn unaccounted(&self, unreadable: u64) -> u64 {
        let put_aside = self.dead_letters.saturating_sub(self.undeliverable);
        unreadable.saturating_sub(put_aside)
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.late += other.late;
        self.excluded += other.excluded;
        self.dead_letters += other.dead_letters;
        self.undeliverable += other.undeliverable;
        for began in [other.first_read, other.last_read].into_iter().flatten() {
            self.read(began);
        }
    }
}

/// What is kept of an hour whose rows were read for the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HourRecord {
    /// The parts of it that this module has read, oldest first.
    pub parts: Vec<Window>,
    /// What the accepted rows add up to, each with its last status.
    pub sums: Sums,
    /// What else was noticed.
    pub notes: Notes,
}

impl HourRecord {
    pub(crate) fn has_read(&mut self, parts: &[Window], notes: Notes) {
        for part in parts {
            self.parts = with(&self.parts, *part);
        }
        self.notes.join(notes);
    }

    /// These rows are not in it, and were accepted in this order.
    pub(crate) fn add(&mut self, keys: &[RowKey]) {
        let changed = several(keys.iter().copied());
        self.sums.merge(&Sums::of(keys.iter().copied(), &changed));
    }
}

/// The stored form of a record.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Hours since 1970.
    hour: u32,
    parts: Vec<Window>,
    #[serde(flatten)]
    notes: Notes,
    /// None when there are no rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    sums: Option<String>,
}

/// What the records of a day have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Of the keys of rows.
    pub(crate) seed: [u8; 16],
    pub(crate) position: CountedIn,
    /// Whether records were lost to damage.
    #[serde(default)]
    pub(crate) is_damaged: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) head: Head,
    /// By the hours since 1970.
    pub(crate) hours: BTreeMap<u32, HourRecord>,
}

impl Day {
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        let head = Head {
            seed,
            ..Head::default()
        };
        let hours = BTreeMap::new();
        Self { head, hours }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut text = line(&json(&self.head));
        for (hour, record) in &self.hours {
            let HourRecord { parts, sums, notes } = record;
            text += &line(&json(&Line {
                hour: *hour,
                parts: parts.clone(),
                notes: *notes,
                sums: (!sums.is_empty()).then(|| BASE64_STANDARD.encode(sums.to_bytes())),
            }));
        }
        text.into()
    }

    /// Reads the file. None when not even its head can be read.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut lines = text.split(|byte| *byte == b'\n');
        let mut head: Head = parsed(lines.next()?)?;
        let mut hours = BTreeMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            match record(line) {
                Some((hour, record)) => _ = hours.insert(hour, record),
                None => head.is_damaged = true,
            }
        }
        // A file that was cut short at the end of a line.
        head.is_damaged |= !text.ends_with(b"\n");
        Some(Self { head, hours })
    }
}

pub(super) fn json(content: &impl Serialize) -> String {
    // Neither numbers that are no numbers nor maps with keys that are no strings.
    serde_json::to_string(content).unwrap_or_default()
}

pub(super) fn line(json: &str) -> String {
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

pub(super) fn parsed<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (crc, json) = line.split_at_checked(8)?;
    let json = json.strip_prefix(b" ")?;
    let is_whole = format!("{:08x}", crc32fast::hash(json)).as_bytes() == crc;
    is_whole.then(|| serde_json::from_slice(json).ok())?
}

fn record(line: &[u8]) -> Option<(u32, HourRecord)> {
    let Line {
        hour,
        parts,
        notes,
        sums,
    } = parsed(line)?;
    let sums = match sums {
        Some(text) => Sums::from_bytes(&BASE64_STANDARD.decode(text).ok()?)?,
        None => Sums::default(),
    };
    Some((hour, HourRecord { parts, sums, notes }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rows::RowKeyer;

    use super::*;

    fn day() -> Day {
        let keyer = RowKeyer::new([3; 16]);
        let mut day = Day::new([3; 16]);
        day.head.position.next = 7;
        day.head.position.open.insert(6, 3);
        for hour in 480_000..480_024_u32 {
            let start = DateTime::from_timestamp(i64::from(hour) * 3600, 0).unwrap();
            let end = start + chrono::TimeDelta::minutes(59);
            let keys = (0..hour % 5).map(|row| keyer.key(&[row.to_string()], ""));
            let mut record = HourRecord {
                sums: Sums::of(keys, &[]),
                ..HourRecord::default()
            };
            let notes = Notes {
                late: 1,
                dead_letters: 2,
                ..Notes::default()
            };
            record.has_read(&[Window::new(start, end).unwrap()], notes);
            record.notes.read(end);
            day.hours.insert(hour, record);
        }
        day
    }

    #[test]
    fn a_day_is_found_as_it_was_kept() {
        let day = day();
        assert_eq!(Day::parse(&day.to_bytes()), Some(day));
    }

    /// 90 days may take 10 MiB.
    #[test]
    fn a_day_takes_no_more_than_its_share() {
        let keyer = RowKeyer::new([3; 16]);
        let keys: Vec<_> = (0..50_000)
            .map(|row| keyer.key(&[row.to_string()], ""))
            .collect();
        let sums = Sums::of(keys, &[]);
        let mut day = day();
        for record in day.hours.values_mut() {
            record.sums = sums.clone();
            let (start, second) = (record.parts[0].start(), chrono::TimeDelta::seconds(1));
            record.parts = (0..5)
                .map(|at| start + second * at * 7)
                .filter_map(|at| Window::new(at, at + second))
                .collect();
        }
        let bytes = day.to_bytes().len();
        assert!(bytes * 91 < 10 << 20, "{bytes}");
    }

    proptest! {
        /// What cannot be trusted is not there, and all else is as it was.
        #[test]
        fn damage_takes_away_what_it_meets(place: prop::sample::Index, byte: u8, cut: bool) {
            let day = day();
            let mut text = day.to_bytes().to_vec();
            let place = place.index(text.len());
            if cut {
                text.truncate(place);
            } else {
                prop_assume!(text[place] != byte);
                text[place] = byte;
            }
            let Some(found) = Day::parse(&text) else {
                return Ok(());
            };
            let is_cut_between = cut && (text.is_empty() || text.ends_with(b"\n"));
            prop_assert!(found.head.is_damaged || is_cut_between);
            prop_assert_eq!(&found.head.position, &day.head.position);
            for (hour, record) in &found.hours {
                prop_assert_eq!(Some(record), day.hours.get(hour));
            }
            prop_assert!(cut || found.hours.len() >= day.hours.len() - 2);
        }
    }
}
