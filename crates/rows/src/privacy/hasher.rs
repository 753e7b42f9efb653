//! Keyed hashes of addresses and subjects.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{
    Addresses,
    cover::{Cover, Hash, digits},
    in_lower_case,
    memory::Memory,
};

/// Makes keyed hashes: HMAC-SHA-256 of a text in lower case, of which the first 16 hexadecimal digits are
/// used. The same text has the same hash wherever it stands.
///
/// `Debug` shows neither the key nor what was hashed.
pub struct KeyedHasher {
    keyed: Keyed,
    addresses: Memory<Cover>,
    /// The hashes of domains in lower case.
    domains: Memory<Hash>,
    /// The rows of a message, one for each recipient, mostly come one after the other.
    last_id: (String, Option<Cover>),
    last_subject: (String, Hash),
}

impl fmt::Debug for KeyedHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHasher")
    }
}

/// Where each hash begins: what depends on the key alone is done.
struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// The hash of a text in lower case.
    fn hash(&self, text: &[u8]) -> Hash {
        let keyed = self.0.clone().chain_update(text);
        let tag: [u8; 32] = keyed.finalize().into_bytes().into();
        let [a, b, c, d, e, f, g, h, ..] = tag;
        [a, b, c, d, e, f, g, h]
    }
}

impl KeyedHasher {
    /// Hashes with this key, which may have any length. None when that is not possible, which is not known to
    /// happen (RFC 2104 takes any key): then nothing can be hashed, and no row leaves.
    pub fn new(key: &[u8]) -> Option<Self> {
        let keyed = Keyed(Hmac::new_from_slice(key).ok()?);
        Some(Self {
            addresses: Memory::default(),
            domains: Memory::default(),
            last_id: (String::new(), None),
            last_subject: (String::new(), keyed.hash(b"")),
            keyed,
        })
    }

    /// Eight digits that tell this key from others, and from which it cannot be found out.
    pub fn fingerprint(&self) -> String {
        let hash = self
            .keyed
            .hash(b"the fingerprint of a key of message-trace");
        let digits = digits(hash).into_iter().take(8);
        digits.map(char::from).collect()
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> [usize; 2] {
        [self.addresses.len(), self.domains.len()]
    }

    #[inline]
    pub(super) fn subject(&mut self, text: &str) -> Cover {
        let (last, hash) = &mut self.last_subject;
        if last != text {
            *hash = in_lower_case(text, |text| self.keyed.hash(text));
            text.clone_into(last);
        }
        Cover::Hash(*hash)
    }

    /// What takes the place of an address; none when it stays, as `addresses` say, or as there is nobody in
    /// it.
    #[inline]
    pub(super) fn address(&mut self, text: &str, addresses: &Addresses) -> Option<Cover> {
        // The sender of what is not to be answered.
        if text == "<>" || addresses.keeps(text) {
            return None;
        }
        let (keyed, domains) = (&self.keyed, &mut self.domains);
        let find_out = || hidden(text, keyed, domains);
        Some(self.addresses.get_or(text.as_bytes(), find_out))
    }

    /// The same for a message id.
    #[inline]
    pub(super) fn message_id(&mut self, text: &str, addresses: &Addresses) -> Option<Cover> {
        let (last, cover) = &mut self.last_id;
        if last != text {
            let inside = text
                .strip_prefix('<')
                .and_then(|text| text.strip_suffix('>'));
            let id = inside.unwrap_or(text);
            *cover = (!id.is_empty() && !addresses.keeps(id)).then(|| {
                let cover = hidden(id, &self.keyed, &mut self.domains);
                if inside.is_some() {
                    cover.bracketed()
                } else {
                    cover
                }
            });
            text.clone_into(last);
        }
        *cover
    }
}

/// What takes the place of a text that is an address, or should be one.
fn hidden(text: &str, keyed: &Keyed, domains: &mut Memory<Hash>) -> Cover {
    in_lower_case(text, |text| {
        match text.iter().rposition(|byte| *byte == b'@') {
            None => Cover::Hash(keyed.hash(text)),
            Some(at) => {
                let (local, domain) = text.split_at(at);
                let domain = domain.get(1..).unwrap_or_default();
                let domain = domains.get_or(domain, || keyed.hash(domain));
                Cover::Address(keyed.hash(local), domain)
            }
        }
    })
}
