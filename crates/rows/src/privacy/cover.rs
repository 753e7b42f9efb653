//! What takes the place of a value that is hidden.

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

    /// Appends its JSON.
    #[inline]
    pub(super) fn write(self, to: &mut Vec<u8>) {
        match self {
            Self::Null => to.extend_from_slice(b"null"),
            Self::Hash(hash) => enclose(to, b"\"", &digits(hash), b"\""),
            Self::Address(local, domain) => enclose(to, b"\"", &address(local, domain), b"\""),
            Self::Bracketed(local, domain) => enclose(to, b"\"<", &address(local, domain), b">\""),
            Self::BracketedHash(hash) => enclose(to, b"\"<", &digits(hash), b">\""),
        }
    }
}

#[inline]
fn enclose<const E: usize, const N: usize>(
    to: &mut Vec<u8>,
    before: &[u8; E],
    text: &[u8; N],
    behind: &[u8; E],
) {
    to.extend_from_slice(before);
    to.extend_from_slice(text);
    to.extend_from_slice(behind);
}

/// The hashes with what makes them no address that anybody can have (RFC 2606).
#[inline]
fn address(local: Hash, domain: Hash) -> [u8; 41] {
    let mut text = *b"0123456789abcdef@0123456789abcdef.invalid";
    if let Some(place) = text.first_chunk_mut() {
        *place = digits(local);
    }
    if let Some(place) = text.get_mut(17..).and_then(|rest| rest.first_chunk_mut()) {
        *place = digits(domain);
    }
    text
}

/// The two hexadecimal digits of every byte.
#[allow(clippy::indexing_slicing, reason = "checked when it is compiled")]
static HEX: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [hex(byte >> 4), hex(byte & 15)];
        byte += 1;
    }
    pairs
};

const fn hex(half: usize) -> u8 {
    let half = half as u8;
    if half < 10 {
        b'0' + half
    } else {
        b'a' - 10 + half
    }
}

/// The hexadecimal digits of a hash.
#[inline]
pub(super) fn digits(hash: Hash) -> Digits {
    let mut digits = [0; 2 * BYTES];
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(hash) {
        *pair = HEX.get(usize::from(byte)).copied().unwrap_or_default();
    }
    digits
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
