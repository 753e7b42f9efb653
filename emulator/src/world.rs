//! Everything that changes while the emulator runs.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::{
    AcceptedEvent, LogEntry, Settings, Since,
    agenda::Agenda,
    faults::Faults,
    journal::Journal,
    ledger::Ledger,
    microsoft::{Quota, SigningKey},
    rows::{Rows, Slot},
    time::Ticks,
};

/// Log entries and envelopes that are remembered, of each.
const KEPT: usize = 20_000;
/// Bytes of accepted events that are kept to be read as text.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// The state of the emulated services.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) started: Ticks,
    pub(crate) settings: Settings,
    pub(crate) rows: Rows,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    /// What a scenario has in store.
    pub(crate) agenda: Agenda,
    /// How many seconds the module's clock is ahead.
    pub(crate) module_ahead: i64,
    /// How often rows were shown that are no strict JSON.
    pub(crate) unreadable_reads: HashMap<Slot, u32>,
    pub(crate) journal: Journal,
    pub(crate) accepted: VecDeque<AcceptedEvent>,
    pub(crate) accepted_bytes: usize,
    /// How many events were accepted so far, by any key.
    pub(crate) accepted_number: u64,
    pub(crate) logs: Bounded<LogEntry>,
    pub(crate) envelopes: Bounded<Bytes>,
    /// Signs the tokens that are issued.
    pub(crate) key: SigningKey,
    pub(crate) quota: Quota,
    /// When a name and password were refused.
    pub(crate) refused_passwords: Vec<DateTime<Utc>>,
    /// When links to further pages of Graph were issued last.
    pub(crate) links: HashMap<u64, Ticks>,
}

/// The latest of what came in.
#[derive(Debug)]
pub(crate) struct Bounded<T> {
    items: VecDeque<T>,
    /// How many there were so far.
    number: u64,
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            number: 0,
        }
    }
}

impl<T: Clone> Bounded<T> {
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() == KEPT {
            self.items.pop_front();
        }
        self.number += 1;
        self.items.push_back(item);
    }

    pub(crate) fn to_vec(&self) -> Vec<T> {
        self.items.iter().cloned().collect()
    }

    pub(crate) fn since(&self, after: u64, most: usize) -> Since<T> {
        since(&self.items, self.number, after, most)
    }
}

/// What has come in since the one with the number `after`: the newest `most` of it, oldest first.
pub(crate) fn since<T: Clone>(
    items: &VecDeque<T>,
    number: u64,
    after: u64,
    most: usize,
) -> Since<T> {
    let new = usize::try_from(number.saturating_sub(after)).unwrap_or(usize::MAX);
    let shown = new.min(items.len()).min(most);
    Since {
        number,
        items: items.iter().skip(items.len() - shown).cloned().collect(),
    }
}

impl World {
    /// Keeps the text of an accepted event, and lets go of the oldest ones.
    pub(crate) fn keep(&mut self, event: AcceptedEvent) {
        self.accepted_bytes += event.text.len();
        self.accepted_number += 1;
        self.accepted.push_back(event);
        while self.accepted_bytes > KEPT_BYTES
            && let Some(oldest) = self.accepted.pop_front()
        {
            self.accepted_bytes -= oldest.text.len();
        }
    }
}
