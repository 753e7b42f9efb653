//! Rows that were found missing, while they are delivered: a stop must not make them be forgotten, since
//! after it they count as accepted.
//!
//! They are lines of the file of the verdicts: one when the rows of an hour are found missing, and one for
//! each page with some of them, before these are sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use chrono::{DateTime, Utc};
use rows::{Message, RowKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{RowName, append, lines_of};
use crate::{Store, known::hour};

/// What is known of the rows of an hour that were missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// All of them.
    pub(crate) wanted: BTreeSet<Message>,
    /// Those that were found, to be sent.
    pub(crate) found: BTreeMap<Message, RowName>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    order: Uuid,
    hour: DateTime<Utc>,
    missing: Vec<String>,
    found: BTreeMap<String, RowName>,
}

impl Missing {
    /// One more look at the hour has shown that these are missing.
    pub(crate) fn add(&mut self, other: Self) {
        self.wanted.extend(other.wanted);
        self.found.extend(other.found);
    }

    pub(crate) fn found(&self) -> BTreeSet<Message> {
        self.found.keys().copied().collect()
    }

    /// These were found, perhaps, but not accepted: they count as delivered only when they are found again.
    pub(crate) fn lose<'a>(&mut self, rows: impl Iterator<Item = &'a Message>) {
        for row in rows {
            self.found.remove(row);
            self.wanted.insert(*row);
        }
    }

    pub(crate) fn names(&self) -> Vec<RowName> {
        self.found.values().cloned().collect()
    }

    /// How many were not found.
    pub(crate) fn vanished(&self) -> u64 {
        let is_lacking = |row: &&Message| !self.found.contains_key(row);
        self.wanted.iter().filter(is_lacking).count() as u64
    }

    /// Adds them to the file.
    pub(crate) async fn save(
        &self,
        store: &impl Store,
        order: Uuid,
        hour: DateTime<Utc>,
    ) -> io::Result<()> {
        let found = self.found.iter();
        let line = Line {
            order,
            hour,
            missing: self.wanted.iter().copied().map(hex).collect(),
            found: found.map(|(row, name)| (hex(*row), name.clone())).collect(),
        };
        append(store, &[line]).await
    }

    /// Those of all hours of an order.
    pub(crate) async fn of_order(
        store: &impl Store,
        order: Uuid,
    ) -> io::Result<BTreeMap<u32, Self>> {
        let lines: Vec<Line> = lines_of(store).await?;
        let mut hours = BTreeMap::<u32, Self>::new();
        for line in lines.into_iter().filter(|line| line.order == order) {
            let found = line.found.into_iter();
            hours.entry(hour(line.hour)).or_default().add(Self {
                wanted: line.missing.iter().filter_map(|row| unhex(row)).collect(),
                found: found
                    .filter_map(|(row, name)| Some((unhex(&row)?, name)))
                    .collect(),
            });
        }
        Ok(hours)
    }
}

/// A message as text: the digits of a key of it.
fn hex(message: Message) -> String {
    let (_, status) = RowKey::from_bytes([0; RowKey::BYTES]).parts();
    let bytes = RowKey::of(message, status).to_bytes();
    bytes.map(|byte| format!("{byte:02x}")).concat()
}

fn unhex(text: &str) -> Option<Message> {
    let number = u128::from_str_radix(text, 16).ok()?;
    let bytes = number.to_be_bytes();
    let (zeros, bytes) = bytes.split_last_chunk::<{ RowKey::BYTES }>()?;
    let is_whole = zeros.iter().all(|byte| *byte == 0);
    is_whole.then(|| RowKey::from_bytes(*bytes).message())
}

#[cfg(test)]
mod tests {
    use rows::RowKeyer;

    use super::*;

    #[test]
    fn a_message_is_found_by_its_text() {
        for row in 0..100_u32 {
            let key = RowKeyer::new([3; 16]).key(&[row.to_string()], "delivered");
            assert_eq!(unhex(&hex(key.message())), Some(key.message()));
        }
        assert_eq!(unhex(&"f".repeat(2 * RowKey::BYTES + 1)), None);
    }
}
