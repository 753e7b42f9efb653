//! Remembers delivered rows across restarts: segment files that are only appended to.
//!
//! A segment is a sequence of frames, one for each accepted batch: the number of rows and a CRC-32
//! (both `u32`, little endian), then for each row its hour (`u32`) and its key (`u128`). A frame
//! that a crash cut short ends the segment; after a start a new segment is begun, so nothing is
//! ever written behind a damaged place. A segment is deleted when its newest row is forgotten.

use std::{collections::BTreeMap, io};

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::{
    Store,
    known::{Filed, KnownRows, hour},
};
use crate::{RowKey, RowKeyer};

/// Where segments and the seed live in the store.
const FOLDER: &str = "known-rows/";

/// The file with the seed of the keys; its name carries the version of the format.
const SEED: &str = "known-rows/seed-v1";

/// Bytes of a frame's head.
const HEAD: usize = 8;

/// Bytes of a row in a frame.
const ROW: usize = 20;

/// A segment is closed when it is longer than this.
const SEGMENT_BYTES: usize = 4 << 20;

/// The journal of delivered rows.
#[derive(Debug)]
pub struct Journal {
    /// The newest hour in each closed segment.
    closed: BTreeMap<u64, u32>,
    open: u64,
    open_bytes: usize,
    open_newest: u32,
}

/// What a store remembers.
#[derive(Debug)]
pub struct Remembered {
    /// The rows that were delivered.
    pub known: KnownRows,
    /// The journal to go on with.
    pub journal: Journal,
    /// Makes keys that agree with the remembered ones.
    pub keyer: RowKeyer,
    /// What could not be read, one sentence each; rows in it may be sent a second time.
    pub damage: Vec<String>,
}

impl Journal {
    /// Reads what `store` remembers; `fresh_seed` is used when it remembers nothing.
    ///
    /// # Errors
    /// When the store cannot be read or written. Damage is no error.
    pub async fn open(store: &impl Store, fresh_seed: [u8; 16]) -> io::Result<Remembered> {
        let mut damage = Vec::new();
        let mut known = KnownRows::default();
        let mut closed = BTreeMap::new();
        let mut last = 0;
        let seed = match store.read(SEED).await? {
            Some(text) => <[u8; 16]>::try_from(text.as_ref()).ok(),
            None => None,
        };
        for name in store.list(FOLDER).await? {
            let Some(number) = segment_number(&name) else {
                continue;
            };
            last = last.max(number);
            let text = match seed {
                Some(_) => store.read(&name).await?.unwrap_or_default(),
                // Keys made with another seed say nothing.
                None => Bytes::new(),
            };
            let mut newest = 0;
            let left = replay(&text, |row| {
                newest = newest.max(row.hour);
                known.deliver(&[row]);
            });
            if left > 0 {
                damage.push(format!(
                    "{name}: the last {left} of {} bytes are damaged",
                    text.len()
                ));
            }
            closed.insert(number, newest);
        }
        if seed.is_none() {
            if !closed.is_empty() {
                damage.push(format!(
                    "{SEED}: missing or damaged, all known rows are forgotten"
                ));
            }
            store
                .write(SEED, Bytes::copy_from_slice(&fresh_seed))
                .await?;
        }
        let journal = Self {
            closed,
            open: last + 1,
            open_bytes: 0,
            open_newest: 0,
        };
        Ok(Remembered {
            known,
            journal,
            keyer: RowKeyer::new(seed.unwrap_or(fresh_seed)),
            damage,
        })
    }

    /// Remembers an accepted batch; on return it is safe on the disk.
    ///
    /// # Errors
    /// When it could not be written. The next call begins a new segment.
    pub async fn append(&mut self, store: &impl Store, rows: &[Filed]) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if self.open_bytes > SEGMENT_BYTES {
            self.close();
        }
        let frame = frame(rows);
        self.open_bytes += frame.len();
        self.open_newest = rows
            .iter()
            .map(|row| row.hour)
            .fold(self.open_newest, u32::max);
        let written = store.append(&segment_name(self.open), frame).await;
        if written.is_err() {
            self.close();
        }
        written
    }

    /// Deletes segments all of whose rows were received before the hour of `horizon`.
    ///
    /// # Errors
    /// When a segment could not be deleted; it is tried again the next time.
    pub async fn forget_before(
        &mut self,
        store: &impl Store,
        horizon: DateTime<Utc>,
    ) -> io::Result<()> {
        let first_kept = hour(horizon);
        let old: Vec<u64> = self
            .closed
            .iter()
            .filter(|(_, newest)| **newest < first_kept)
            .map(|(n, _)| *n)
            .collect();
        for number in old {
            store.delete(&segment_name(number)).await?;
            self.closed.remove(&number);
        }
        Ok(())
    }

    fn close(&mut self) {
        self.closed.insert(self.open, self.open_newest);
        self.open += 1;
        self.open_bytes = 0;
        self.open_newest = 0;
    }
}

fn segment_name(number: u64) -> String {
    format!("{FOLDER}{number:010}.log")
}

fn segment_number(name: &str) -> Option<u64> {
    name.strip_prefix(FOLDER)?
        .strip_suffix(".log")?
        .parse()
        .ok()
}

fn frame(rows: &[Filed]) -> Bytes {
    let mut body = Vec::with_capacity(rows.len() * ROW);
    for row in rows {
        body.extend_from_slice(&row.hour.to_le_bytes());
        body.extend_from_slice(&row.key.as_u128().to_le_bytes());
    }
    let mut frame = Vec::with_capacity(HEAD + body.len());
    frame.extend_from_slice(&u32::try_from(rows.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    frame.extend_from_slice(&body);
    frame.into()
}

/// Hands out the rows of all whole frames; returns how many bytes at the end are damaged.
fn replay(mut text: &[u8], mut each: impl FnMut(Filed)) -> usize {
    while let Some((rows, rest)) = split_frame(text) {
        for row in rows.chunks_exact(ROW) {
            if let Some((hour, key)) = row.split_first_chunk()
                && let Ok(key) = <[u8; 16]>::try_from(key)
            {
                let key = RowKey::from_u128(u128::from_le_bytes(key));
                each(Filed {
                    key,
                    hour: u32::from_le_bytes(*hour),
                });
            }
        }
        text = rest;
    }
    text.len()
}

fn split_frame(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = text.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let bytes = usize::try_from(u32::from_le_bytes(*count))
        .ok()?
        .checked_mul(ROW)?;
    let (rows, rest) = rest.split_at_checked(bytes)?;
    (crc32fast::hash(rows) == u32::from_le_bytes(*crc)).then_some((rows, rest))
}
