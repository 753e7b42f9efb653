//! What takes the place of a value that is hidden.

use wide::u8x16;

/// Bytes of a hash that are used: 64 bits. Of 100 million different texts two share a hash with a probability
/// of 0.03 %.
pub(super) const BYTES: usize = 8;

/// What is used of the hash of a text.
pub(super) type Hash = [u8; BYTES];

/// A hash in hexadecimal digits.
pub(super) type Digits = [u8; 2 * BYTES];

/// What takes the place of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cover {
    /// Null.
    Null,
    /// A hash.
    Hash(Hash),
    /// The hashes of the local part and of the domain of an address.
    Address(Hash, Hash),
    /// The same for a message id.
    Bracketed(Hash, Hash),
    /// A message id without a domain.
    BracketedHash(Hash),
}

impl Cover {
    /// The same in angle brackets.
    pub(super) fn bracketed(self) -> Self {
        match self {
            Self::Hash(hash) => Self::BracketedHash(hash),
            Self::Address(local, domain) => Self::Bracketed(local, domain),
            bracketed => bracketed,
        }
    }

    /// Appends its JSON. Domains are made that nobody can have (RFC 2606).
    #[inline]
    pub(super) fn write(self, to: &mut Vec<u8>) {
        match self {
            Self::Null => to.extend_from_slice(b"null"),
            Self::Hash(hash) => {
                to.extend_from_slice(&filled(*b"\"0123456789abcdef\"", [(1, hash)]));
            }
            Self::BracketedHash(hash) => {
                to.extend_from_slice(&filled(*b"\"<0123456789abcdef>\"", [(2, hash)]));
            }
            Self::Address(local, domain) => to.extend_from_slice(&filled(
                *b"\"0123456789abcdef@0123456789abcdef.invalid\"",
                [(1, local), (18, domain)],
            )),
            Self::Bracketed(local, domain) => to.extend_from_slice(&filled(
                *b"\"<0123456789abcdef@0123456789abcdef.invalid>\"",
                [(2, local), (19, domain)],
            )),
        }
    }
}

/// A text with the digits of hashes at these places.
#[inline]
fn filled<const N: usize, const H: usize>(
    mut text: [u8; N],
    hashes: [(usize, Hash); H],
) -> [u8; N] {
    for (place, hash) in hashes {
        let rest = text.get_mut(place..);
        if let Some(place) = rest.and_then(<[u8]>::first_chunk_mut) {
            *place = digits(hash);
        }
    }
    text
}

/// The hexadecimal digits of a hash.
#[inline]
pub(super) fn digits(hash: Hash) -> Digits {
    /// The lower half of each byte.
    const LOWER: u64 = 0x0f0f_0f0f_0f0f_0f0f;
    let bytes = u64::from_le_bytes(hash);
    let block = |halves: u64| u8x16::new(u128::from(halves & LOWER).to_le_bytes());
    let halves = u8x16::unpack_low(block(bytes >> 4), block(bytes));
    let are_letters = halves.simd_gt(u8x16::splat(9));
    let to_letters = are_letters & u8x16::splat(b'a' - 10 - b'0');
    (halves + u8x16::splat(b'0') + to_letters).to_array()
}

/// Whether a text has the form of what takes the place of another.
pub(super) fn is_hidden(text: &str) -> bool {
    let inside = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    let text = inside.unwrap_or(text);
    let is_hash = |text: &str| {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.len() == 2 * BYTES && text.bytes().all(is_digit)
    };
    match text.split_once('@') {
        None => is_hash(text),
        Some((local, domain)) => {
            let domain = domain.strip_suffix(".invalid");
            is_hash(local) && domain.is_some_and(is_hash)
        }
    }
}
