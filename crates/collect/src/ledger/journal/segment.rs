//! The bytes of segments and of the seed.

use bytes::Bytes;
use rows::RowKey;

use crate::ledger::journal::KeyRef;

/// Bytes of each of the three numbers at the head of a frame.
const NUMBER: usize = 4;

/// Rows, sorted by hour, as frames.
pub(super) fn frames(rows: &[KeyRef]) -> Bytes {
    let mut text = Vec::with_capacity((rows.len() + 1) * RowKey::BYTES);
    for frame in rows.chunk_by(|one, other| one.hour == other.hour) {
        let hour = frame.first().map_or(0, |row| row.hour).to_le_bytes();
        // A batch has far fewer rows than fit into the number.
        let count = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes();
        let keys: Vec<u8> = frame.iter().flat_map(|row| row.key.to_bytes()).collect();
        text.extend(hour);
        text.extend(count);
        text.extend(checksum(&[&hour, &count, &keys]));
        text.extend(keys);
    }
    text.into()
}

/// Hands out hour and keys of all whole frames; returns how many bytes at the end are damaged.
pub(super) fn replay(mut text: &[u8], mut each: impl FnMut(u32, &[[u8; RowKey::BYTES]])) -> usize {
    while let Some(frame) = Frame::split_from(text) {
        each(frame.hour, frame.keys);
        text = frame.rest;
    }
    text.len()
}

/// The seed as it is stored.
pub(super) fn seed(seed: [u8; 16]) -> Bytes {
    let mut text = seed.to_vec();
    text.extend(checksum(&[&seed]));
    text.into()
}

/// The seed from its stored form; none when it is damaged.
pub(super) fn parse_seed(text: &[u8]) -> Option<[u8; 16]> {
    let (seed, crc) = text.split_first_chunk()?;
    (crc == checksum(&[seed])).then_some(*seed)
}

struct Frame<'a> {
    hour: u32,
    keys: &'a [[u8; RowKey::BYTES]],
    /// What comes behind it.
    rest: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the start of a text; none when it is damaged or cut short.
    fn split_from(text: &'a [u8]) -> Option<Self> {
        let (hour, rest) = text.split_first_chunk::<NUMBER>()?;
        let (count, rest) = rest.split_first_chunk::<NUMBER>()?;
        let (crc, rest) = rest.split_first_chunk::<NUMBER>()?;
        let count_of_keys = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (keys, rest) = rest.split_at_checked(count_of_keys.checked_mul(RowKey::BYTES)?)?;
        (checksum(&[hour, count, keys]) == *crc).then(|| Self {
            hour: u32::from_le_bytes(*hour),
            keys: keys.as_chunks().0,
            rest,
        })
    }
}

fn checksum(parts: &[&[u8]]) -> [u8; NUMBER] {
    let mut crc = crc32fast::Hasher::new();
    for part in parts {
        crc.update(part);
    }
    crc.finalize().to_le_bytes()
}
