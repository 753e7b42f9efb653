//! Log entries that wait for the platform, in bounded memory.

use std::{collections::VecDeque, sync::Mutex};

use base::lock;
use chrono::{DateTime, Timelike as _, Utc};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Level;

/// Entries in one request (G-02).
pub(super) const BATCH: usize = 50;

/// Entries kept at most while the platform does not take them.
const CAPACITY: usize = 1000;

/// Characters of an entry that is put in the plainest words.
const PLAIN: usize = 1000;

/// One entry of the logs endpoint (G-01).
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) date: DateTime<Utc>,
    pub(crate) level: Level,
    pub(crate) message: String,
}

impl Entry {
    pub(super) fn to_json(&self) -> Value {
        json!({"date": naive(self.date), "level": self.level.word(), "message": self.message})
    }

    /// The entry, short and in plain characters, for a platform that refuses it as it is. None when it
    /// is like that already.
    pub(super) fn plain(&self) -> Option<Self> {
        let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
        let mut message: String = self.message.chars().take(PLAIN).map(plain).collect();
        if message == self.message {
            return None;
        }
        message.push_str(" [refused as it was: cut to plain characters]");
        Some(Self {
            message,
            ..self.clone()
        })
    }
}

/// UTC without offset, as Python writes it: microseconds unless they are zero.
pub(crate) fn naive(date: DateTime<Utc>) -> String {
    let whole = date.nanosecond() / 1000 == 0;
    let form = if whole {
        "%Y-%m-%dT%H:%M:%S"
    } else {
        "%Y-%m-%dT%H:%M:%S%.6f"
    };
    date.format(form).to_string()
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// There is an entry where there was none.
    pub(super) filled: Notify,
    /// Something should leave at once.
    pub(super) woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    dropped: u64,
}

impl State {
    /// Makes room for one entry at the cost of the least important one, the oldest of these. A
    /// critical entry stays.
    fn make_room(&mut self) {
        if self.entries.len() < CAPACITY {
            return;
        }
        let places = self.entries.iter().enumerate();
        let least = places.min_by_key(|(_, entry)| entry.level);
        if let Some(at) = least.map(|(at, _)| at) {
            self.entries.remove(at);
            self.dropped += 1;
        }
    }
}

impl Outbox {
    /// Adds an entry, in place of a less important one when there is no room, and wakes the shipper
    /// when it should leave at once (G-02).
    pub(super) fn put(&self, entry: Entry) {
        let mut state = lock(&self.state);
        let urgent = entry.level >= Level::Error;
        if state.entries.is_empty() {
            self.filled.notify_one();
        }
        state.make_room();
        state.entries.push_back(entry);
        if urgent || state.entries.len() >= BATCH {
            self.woken.notify_one();
        }
    }

    /// Takes the critical entry, which tells the platform to stop us.
    pub(super) fn take_critical(&self) -> Option<Entry> {
        let entries = &mut lock(&self.state).entries;
        let at = entries
            .iter()
            .position(|entry| entry.level == Level::Critical)?;
        entries.remove(at)
    }

    pub(super) fn take(&self, most: usize) -> Vec<Entry> {
        let mut state = lock(&self.state);
        let count = most.min(state.entries.len());
        state.entries.drain(..count).collect()
    }

    /// Puts back what [`take`](Self::take) gave, as far as there is room.
    pub(super) fn put_back(&self, entries: Vec<Entry>) {
        let mut state = lock(&self.state);
        for entry in entries.into_iter().rev() {
            state.make_room();
            state.entries.push_front(entry);
        }
    }

    /// Notes that an entry was given up.
    pub(super) fn drop_entry(&self) {
        lock(&self.state).dropped += 1;
    }

    /// How many entries were lost since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut lock(&self.state).dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: String) -> Entry {
        let date = DateTime::from_timestamp(1_777_885_687, 123_456_000).unwrap();
        Entry {
            date,
            level: Level::Info,
            message,
        }
    }

    #[test]
    fn entries_look_like_the_contract_s() {
        let mut entry = entry("m".to_owned());
        assert_eq!(
            entry.to_json().to_string(),
            r#"{"date":"2026-05-04T09:08:07.123456","level":"info","message":"m"}"#
        );
        entry.date = entry.date.with_nanosecond(0).unwrap();
        assert_eq!(naive(entry.date), "2026-05-04T09:08:07");
    }

    #[test]
    fn memory_is_bounded_and_losses_are_counted() {
        let outbox = Outbox::default();
        for n in 0..CAPACITY + 5 {
            outbox.put(entry(n.to_string()));
        }
        let taken = outbox.take(BATCH);
        assert_eq!((taken.len(), taken[0].message.as_str()), (BATCH, "5"));
        outbox.put(entry("new".to_owned()));
        outbox.put_back(taken);
        assert_eq!(outbox.take(1)[0].message, "5", "they are in order");
        assert_eq!((outbox.take_dropped(), outbox.take_dropped()), (6, 0));
    }

    #[test]
    fn what_matters_most_stays() {
        let outbox = Outbox::default();
        for level in [Level::Critical, Level::Error] {
            let entry = entry(level.word().to_owned());
            outbox.put(Entry { level, ..entry });
        }
        for n in 0..3 * CAPACITY {
            outbox.put(entry(n.to_string()));
        }
        assert_eq!(outbox.take_critical().unwrap().message, "critical");
        assert!(outbox.take_critical().is_none());
        assert_eq!(outbox.take(1)[0].message, "error");
    }

    #[test]
    fn a_refused_entry_has_a_plain_copy() {
        assert!(entry("plain".to_owned()).plain().is_none());
        let copy = entry(format!("a\u{1}é{}", "x".repeat(5000)))
            .plain()
            .unwrap();
        assert!(copy.message.starts_with("a??xxx") && copy.message.len() < 1100);
        assert!(copy.message.ends_with("cut to plain characters]"));
    }
}
