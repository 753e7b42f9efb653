//! The bytes of segments and of the seed.

use bytes::Bytes;
use rows::RowKey;

use crate::ledger::journal::KeyRef;

/// Bytes of each of the three numbers at the head of a frame. Together they are as long as a key, so that each
/// frame begins at a multiple of that.
const NUMBER: usize = 4;

/// The hour of a frame that stands in the place of damaged ones: what comes behind it keeps its number, by
/// which the proof tells what it has counted.
pub(super) const GAP: u32 = u32::MAX;

/// To find where rows go on behind a damaged place, at most so many times the length of a segment is added up:
/// each damaged head may claim that most of the segment is one frame.
const EFFORT: usize = 64;

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

/// A segment without what was damaged of it.
pub(super) struct Mended {
    /// So many bytes were damaged.
    pub(super) damaged: usize,
    pub(super) text: Bytes,
}

/// Hands out hour and keys of all whole frames. Some when there is anything else.
pub(super) fn replay(
    text: &[u8],
    mut each: impl FnMut(u32, &[[u8; RowKey::BYTES]]),
) -> Option<Mended> {
    let (mut rest, mut damaged) = (text, 0);
    let mut mended: Option<Vec<u8>> = None;
    while !rest.is_empty() {
        if let Some(frame) = Frame::split_from(rest) {
            each(frame.hour, frame.keys);
            let (whole, behind) = rest.split_at(rest.len() - frame.rest.len());
            if let Some(mended) = &mut mended {
                mended.extend(whole);
            }
            rest = behind;
            continue;
        }
        let (before, _) = text.split_at(text.len() - rest.len());
        let mended = mended.get_or_insert_with(|| before.to_vec());
        let (lost, behind) = rest.split_at(next_frame(rest).unwrap_or(rest.len()));
        damaged += lost.len();
        // At the end there is nothing that must keep its number.
        if !behind.is_empty() {
            let gap = gap(lost.len());
            each(GAP, gap.as_chunks().0.get(1..).unwrap_or_default());
            mended.extend(gap);
        }
        rest = behind;
    }
    Some(Mended {
        damaged,
        text: mended?.into(),
    })
}

/// How many bytes there are to the next whole frame; none when there is none, or it takes too long to find.
fn next_frame(text: &[u8]) -> Option<usize> {
    let mut effort = EFFORT * text.len();
    for at in (RowKey::BYTES..text.len()).step_by(RowKey::BYTES) {
        let behind = text.get(at..)?;
        if Frame::split_from(behind).is_some_and(|frame| !frame.keys.is_empty()) {
            return Some(at);
        }
        effort = effort.checked_sub(claimed(behind))?;
    }
    None
}

/// As many bytes had to be added up to see that no frame begins here.
fn claimed(text: &[u8]) -> usize {
    let count = text.get(NUMBER..).and_then(<[u8]>::first_chunk::<NUMBER>);
    let count = count.map_or(0, |count| u32::from_le_bytes(*count));
    let bytes = usize::try_from(count).unwrap_or(usize::MAX);
    let bytes = bytes.saturating_mul(RowKey::BYTES);
    if bytes <= text.len() { bytes } else { 0 }
}

/// A frame in the place of damaged bytes, which were one frame most likely; nothing where they were none.
fn gap(bytes: usize) -> Vec<u8> {
    let row = KeyRef {
        hour: GAP,
        key: RowKey::from_bytes([0; RowKey::BYTES]),
    };
    let rows = (bytes / RowKey::BYTES).saturating_sub(1);
    frames(&vec![row; rows]).to_vec()
}

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

/// Tells a seed from others. A seed is drawn, so that two have one mark by a chance in four thousand million.
pub(super) fn seed_mark(seed: [u8; 16]) -> u32 {
    crc32fast::hash(&seed)
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
