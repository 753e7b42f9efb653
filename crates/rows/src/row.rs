//! Keys of rows.

use std::{fmt, hash::Hasher, ops::RangeInclusive};

use siphasher::sip128::{Hasher128, SipHasher13};
use wide::u8x16;

use crate::block::{BLOCK, last_block};

/// Bytes of a key that say which message to which recipient it is; the rest is the status.
const IDENTITY: usize = 9;

/// Identifies a row of the message trace: the same message, recipient and status give the same key.
///
/// A key is 12 bytes, also for long addresses, so that millions can be remembered: a
/// hash of message and recipient (72 bits), then a hash of the status (24 bits). Keys of one
/// message thus lie side by side in order, and a changed status can be told from a new row.
///
/// # Collisions
///
/// Two messages that share a key hide one of them when they have the same status too, and were
/// received in the same hour, within which keys are compared. The hash of the identity is keyed
/// ([`RowKeyer`]), so nobody who can choose an address can bring that about; what remains is
/// chance. Of 10 million rows a day an hour has 416 667, hence 8.7 · 10¹⁰ pairs; a day has
/// 2.1 · 10¹² pairs, each of which collides with a probability of 2⁻⁷². That hides a row with a
/// probability of 4.4 · 10⁻¹⁰ a day: once in six million years.
///
/// Two different statuses of one message collide with a probability of 2⁻²⁴ (1 in 17 million); the
/// documented ones do not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey([u8; Self::BYTES]);

impl RowKey {
    /// How long a key is in its stored form.
    pub const BYTES: usize = 12;

    /// The key from its stored form.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The key in the form in which it is stored.
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// Whether both are rows of the same message to the same recipient. Their statuses may differ.
    pub fn same_message(self, other: Self) -> bool {
        self.message() == other.message()
    }

    /// The message to a recipient that this is a row of.
    pub const fn message(self) -> Message {
        self.parts().0
    }

    /// Message and status.
    pub const fn parts(self) -> (Message, Status) {
        let [a, b, c, d, e, f, g, h, i, x, y, z] = self.0;
        (Message([a, b, c, d, e, f, g, h, i]), Status([x, y, z]))
    }

    /// The key of the row of a message that has this status.
    pub const fn of(message: Message, status: Status) -> Self {
        let Message([a, b, c, d, e, f, g, h, i]) = message;
        let Status([x, y, z]) = status;
        Self([a, b, c, d, e, f, g, h, i, x, y, z])
    }

    /// The keys of all rows of this message to this recipient lie in this range.
    pub(crate) fn any_status(self) -> RangeInclusive<Self> {
        let with = |status| Self::of(self.message(), Status([status; 3]));
        with(0)..=with(u8::MAX)
    }
}

/// Identifies a message to a recipient: what the keys of all its rows have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message([u8; IDENTITY]);

/// Tells the rows of a message from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status([u8; RowKey::BYTES - IDENTITY]);

impl Message {
    /// Most of it, as a number; as evenly spread as any hash.
    pub const fn prefix(self) -> u64 {
        let [a, b, c, d, e, f, g, h, _] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// All of it, as numbers: its last byte, and all before it.
    pub(crate) const fn halves(self) -> (u8, u64) {
        (self.0[IDENTITY - 1], self.prefix())
    }

    /// The message of these numbers.
    pub(crate) const fn of_halves(last: u8, prefix: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = prefix.to_be_bytes();
        Self([a, b, c, d, e, f, g, h, last])
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKey(")?;
        for byte in self.to_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Makes [`RowKey`]s; two keyers with the same seed make the same keys.
///
/// `Debug` does not show the seed: who knows it can forge collisions.
#[derive(Clone, Copy)]
pub struct RowKeyer {
    seed: [u8; 16],
}

impl RowKeyer {
    /// A keyer with this seed, which is kept for as long as the keys are.
    pub const fn new(seed: [u8; 16]) -> Self {
        Self { seed }
    }

    /// The key of a row with these identifying parts and this status, compared without regard to
    /// letter case.
    ///
    /// Parts are told apart: `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn key(&self, identity: &[impl AsRef<[u8]>], status: &str) -> RowKey {
        RowKey::of(self.message(identity), Status::of(status))
    }

    /// The key of what cannot be read as a row: a hash of its bytes as they are. It is no key of any message.
    pub fn opaque(&self, bytes: &[u8]) -> RowKey {
        let mut hasher = SipHasher13::new_with_key(&self.seed.map(|byte| !byte));
        hasher.write(bytes);
        // As the keys are that versions before have kept.
        hasher.write(&0_u64.to_le_bytes());
        let [a, b, c, d, e, f, g, h, i, x, y, z, ..] = hasher.finish128().as_bytes();
        RowKey::from_bytes([a, b, c, d, e, f, g, h, i, x, y, z])
    }

    /// The message with these identifying parts.
    pub fn message(&self, identity: &[impl AsRef<[u8]>]) -> Message {
        let mut hasher = SipHasher13::new_with_key(&self.seed);
        write_lowercase(&mut hasher, identity);
        let [a, b, c, d, e, f, g, h, i, ..] = hasher.finish128().as_bytes();
        Message([a, b, c, d, e, f, g, h, i])
    }
}

impl Status {
    /// It as a number.
    pub(crate) const fn number(self) -> u32 {
        let [x, y, z] = self.0;
        u32::from_be_bytes([0, x, y, z])
    }

    /// The one of a number; its highest byte does not count.
    pub(crate) const fn of_number(number: u32) -> Self {
        let [_, x, y, z] = number.to_be_bytes();
        Self([x, y, z])
    }

    /// Without a seed, so that it can be tested that no two documented statuses collide; a sender
    /// chooses no status.
    pub fn of(status: impl AsRef<[u8]>) -> Self {
        let mut hasher = SipHasher13::new();
        write_lowercase(&mut hasher, &[status]);
        let [x, y, z, ..] = hasher.finish128().as_bytes();
        Self([x, y, z])
    }
}

/// Writes each part in lower case, and behind it its length.
#[inline]
fn write_lowercase(hasher: &mut SipHasher13, parts: &[impl AsRef<[u8]>]) {
    // One write of all that is short and plain is faster than many.
    let mut buffer = [0_u8; 128];
    let mut filled = 0;
    for part in parts {
        let part = part.as_ref();
        if let Some(end) = put_lowercase(part, &mut buffer, filled) {
            filled = end;
            continue;
        }
        hasher.write(buffer.get(..filled).unwrap_or_default());
        filled = 0;
        write_unusual(hasher, part);
    }
    hasher.write(buffer.get(..filled).unwrap_or_default());
}

/// Longer parts count as they are: in lower case a hostile one would take more memory than its answer.
const LONGEST_LOWERCASE: usize = 64 << 10;

#[cold]
fn write_unusual(hasher: &mut SipHasher13, part: &[u8]) {
    if part.len() > LONGEST_LOWERCASE {
        hasher.write(part);
        hasher.write(&(part.len() as u64).to_le_bytes());
        return;
    }
    let lower = String::from_utf8_lossy(part).to_lowercase();
    hasher.write(lower.as_bytes());
    hasher.write(&(lower.len() as u64).to_le_bytes());
}

/// Puts a part in lower case, and its length, at a place; the place behind both. None when there is
/// no room, or when not all of it is ASCII.
#[inline]
fn put_lowercase(part: &[u8], buffer: &mut [u8], at: usize) -> Option<usize> {
    let end = at + part.len();
    let (room, behind) = buffer.get_mut(at..)?.split_at_mut_checked(part.len())?;
    *behind.first_chunk_mut()? = (part.len() as u64).to_le_bytes();
    lowercase_into(part, room).then_some(end + size_of::<u64>())
}

/// Puts a text in lower case into a room of its length. False when not all of it is ASCII: what is in the
/// room is of no use then.
#[inline]
pub(crate) fn lowercase_into(text: &[u8], room: &mut [u8]) -> bool {
    let mut seen = u8x16::ZERO;
    let mut put = |block: [u8; BLOCK]| {
        let bytes = u8x16::new(block);
        seen |= bytes;
        lowercase(bytes).to_array()
    };
    for (room, block) in room.as_chunks_mut().0.iter_mut().zip(text.as_chunks().0) {
        *room = put(*block);
    }
    if let Some((last, room)) = text.last_chunk().zip(room.last_chunk_mut()) {
        // Some of it has been put before.
        *room = put(*last);
    } else if !text.is_empty() {
        let last = put(last_block(text, text.len()));
        for (room, byte) in room.iter_mut().zip(last) {
            *room = byte;
        }
    }
    // The highest bit of a byte.
    seen.to_bitmask() == 0
}

#[inline]
fn lowercase(bytes: u8x16) -> u8x16 {
    let from_a = bytes.max(u8x16::splat(b'A')).simd_eq(bytes);
    let to_z = bytes.min(u8x16::splat(b'Z')).simd_eq(bytes);
    bytes | (from_a & to_z & u8x16::splat(b'a' - b'A'))
}

impl fmt::Debug for RowKeyer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKeyer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of both services (https://learn.microsoft.com/en-us/graph/api/resources/exchangemessagetrace
    /// and .../previous-versions/office/developer/o365-enterprise-developers/jj984335), one that is
    /// seen although it is not documented, and of a row without one.
    const STATUSES: [&str; 12] = [
        "None",
        "GettingStatus",
        "Failed",
        "Pending",
        "Delivered",
        "Expanded",
        "Quarantined",
        "FilteredAsSpam",
        "unknownFutureValue",
        "recalled",
        "resolved",
        "",
    ];

    #[test]
    fn keys_ignore_case_and_tell_parts_apart() {
        let keyer = RowKeyer::new([7; 16]);
        let key = |parts: &[&str]| keyer.key(parts, "s");
        let long = "x".repeat(200);
        assert_eq!(key(&["Ab", "C"]), key(&["aB", "c"]));
        assert_eq!(key(&["É", &long]), key(&["é", &long.to_uppercase()]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a", ""]), key(&["", "a"]));
        assert_ne!(key(&["a"]), RowKeyer::new([8; 16]).key(&["a"], "s"));
    }

    /// Keys are kept on the disk: a version that made others would deliver everything twice.
    #[test]
    fn keys_are_the_same_in_every_version() {
        let keyer = RowKeyer::new(*b"0123456789abcdef");
        let long = "X".repeat(150);
        let cases: [(&[&str], &str, &str); 3] = [
            (
                &[
                    "c1AF2bb8-c863-da3c-3eb4-1eea9447530d",
                    "Jonas.Tanaka@contoso.example",
                ],
                "Delivered",
                "a95bb58854e482b57b8de71d",
            ),
            (&["a", "bé", &long], "failed", "c4dc14daaa11b461a229dd2e"),
            (&["0123456789abcdef", "Q"], "", "c2d10249d494f8d57fd6eee8"),
        ];
        for (identity, status, expected) in cases {
            let key = keyer.key(identity, status);
            assert_eq!(format!("{key:?}"), format!("RowKey({expected})"));
        }
    }

    #[test]
    fn documented_statuses_never_share_a_key() {
        let keyer = RowKeyer::new([7; 16]);
        for (n, one) in STATUSES.iter().enumerate() {
            let key = keyer.key(&["a", "b"], one);
            assert_eq!(key, keyer.key(&["a", "b"], &one.to_uppercase()));
            for other in STATUSES.iter().skip(n + 1) {
                let other = keyer.key(&["a", "b"], other);
                assert_ne!(key, other, "{one}");
                assert!(key.same_message(other));
            }
        }
    }

    #[test]
    fn keys_of_a_message_lie_side_by_side() {
        let keyer = RowKeyer::new([7; 16]);
        let key = keyer.key(&["a", "b"], "Delivered");
        let stranger = keyer.key(&["a", "c"], "Delivered");
        assert!(!key.same_message(stranger));
        assert!(!key.any_status().contains(&stranger));
        for status in STATUSES {
            let other = keyer.key(&["a", "b"], status);
            assert!(key.any_status().contains(&other));
            assert_eq!(key.any_status(), other.any_status());
        }
        assert_eq!(RowKey::from_bytes(key.to_bytes()), key);
    }

    #[test]
    fn every_byte_and_length_is_made_lower_case() {
        let all: String = (0..128_u8).map(char::from).collect();
        for start in 0..all.len() {
            for end in start..all.len() {
                let part = all.get(start..end).unwrap();
                let mut buffer = [0; 256];
                let put = put_lowercase(part.as_bytes(), &mut buffer, 3).unwrap();
                assert_eq!(&buffer[3..3 + part.len()], part.to_lowercase().as_bytes());
                assert_eq!(
                    &buffer[3 + part.len()..put],
                    (part.len() as u64).to_le_bytes()
                );
            }
        }
        for not_ascii in [
            "\u{80}",
            "aaaaaaaaaaaaaaaaaaaaaaé",
            "éaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(put_lowercase(not_ascii.as_bytes(), &mut [0; 256], 0), None);
        }
        assert_eq!(put_lowercase(b"a", &mut [0; 256], 250), None, "no room");
    }
}
