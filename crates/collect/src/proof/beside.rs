//! Delivered rows that belong to no hour, remembered for as long as there are records: a source may show one with
//! its date only after its hour was read for the last time, in which it would seem to be missing.
//!
//! Their keys are forgotten about a day after they were shown last, and come here then. They are asked for only
//! when rows of an hour seem to be missing: for all else they are forgotten.

use std::{collections::BTreeMap, io};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rows::{Message, RowKey};
use serde::{Deserialize, Serialize};

use super::{
    Proof,
    day::{json, line, parsed},
};
use crate::{
    Store,
    known::{Forgotten, age_of},
};

/// The file: a line like those of the files of days. Without it such rows seem to be missing, and come once more.
const FILE: &str = "proof/beside.v1";

/// So many are remembered, those that were shown last.
const MOST: usize = if cfg!(test) { 20 } else { 20_000 };

/// The rows, one of each message.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Of their keys.
    seed: [u8; 16],
    rows: BTreeMap<Message, Shown>,
    is_changed: bool,
}

/// A row, and the hour in which it was shown last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    hour: u32,
    key: RowKey,
}

/// The stored form.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    seed: [u8; 16],
    /// By the hours since 1970 in which they were shown last.
    rows: BTreeMap<u32, String>,
}

impl Beside {
    /// What is kept. Damage is no error: nothing is known then.
    pub(super) async fn open(store: &impl Store) -> io::Result<Self> {
        let text = store.read_or_empty(FILE).await?.unwrap_or_default();
        let Some(kept) = parsed::<Kept>(text.trim_ascii_end()) else {
            return Ok(Self::default());
        };
        let mut found = Self::default();
        for (hour, keys) in kept.rows {
            let bytes = BASE64_STANDARD.decode(keys).unwrap_or_default();
            for key in bytes.chunks_exact(RowKey::BYTES) {
                if let Ok(key) = key.try_into() {
                    found.add(kept.seed, hour, RowKey::from_bytes(key));
                }
            }
        }
        found.is_changed = false;
        Ok(found)
    }

    fn to_text(&self) -> String {
        let mut hours = BTreeMap::<u32, Vec<u8>>::new();
        for Shown { hour, key } in self.rows.values() {
            hours.entry(*hour).or_default().extend(key.to_bytes());
        }
        let hours = hours.into_iter();
        line(&json(&Kept {
            seed: self.seed,
            rows: hours
                .map(|(hour, keys)| (hour, BASE64_STANDARD.encode(keys)))
                .collect(),
        }))
    }

    fn add(&mut self, seed: [u8; 16], hour: u32, key: RowKey) {
        if self.seed != seed {
            // Other keys say nothing.
            *self = Self {
                seed,
                ..Self::default()
            };
        }
        let before = self.rows.get(&key.message());
        if before.is_none_or(|before| before.hour <= hour) {
            self.rows.insert(key.message(), Shown { hour, key });
            self.is_changed = true;
        }
    }

    /// Takes away what is more than may be remembered.
    fn bound(&mut self) {
        let excess = self.rows.len().saturating_sub(MOST);
        if excess == 0 {
            return;
        }
        let rows = self.rows.iter();
        let mut by_age: Vec<(u32, Message)> = rows.map(|(row, shown)| (shown.hour, *row)).collect();
        by_age.sort_unstable();
        for (_, row) in by_age.iter().take(excess) {
            self.rows.remove(row);
        }
    }

    /// There are no records any more of the hours before this one, in which these rows may have been received.
    pub(super) fn forget_before(&mut self, hour: u32) {
        let before = self.rows.len();
        self.rows.retain(|_, shown| shown.hour >= hour);
        self.is_changed |= self.rows.len() < before;
    }
}

impl Proof {
    /// These rows are forgotten: those of them that belong to no hour are remembered here.
    pub(super) fn put_beside(&mut self, forgotten: &[Forgotten]) {
        for one in forgotten {
            let shown = age_of(one.hour);
            if shown != one.hour {
                for key in one.keys() {
                    self.beside.add(self.seed, shown, key);
                }
                self.beside.bound();
            }
        }
    }

    /// Makes it safe which rows there are beside the hours.
    pub(super) async fn keep_beside(&mut self, store: &impl Store) -> io::Result<()> {
        if self.beside.is_changed {
            store.write(FILE, self.beside.to_text().into()).await?;
            self.beside.is_changed = false;
        }
        Ok(())
    }

    /// The rows of these messages that were delivered as ones that belong to no hour, and are forgotten.
    pub(crate) fn delivered_beside(&self, messages: &[Message]) -> Vec<RowKey> {
        if self.beside.seed != self.seed {
            return Vec::new();
        }
        let shown = messages.iter().filter_map(|row| self.beside.rows.get(row));
        shown.map(|shown| shown.key).collect()
    }
}
