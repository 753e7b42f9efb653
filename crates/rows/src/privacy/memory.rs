//! What is known of the texts that were seen lately.

use std::{
    collections::{HashMap, hash_map},
    hash::BuildHasher as _,
};

use foldhash::fast::RandomState;
use siphasher::sip128::SipHasher13;

/// So many of the texts that were seen last are remembered, and at most twice as many. A table of 16 384
/// places holds them.
pub(super) const AT_LEAST: usize = 14_000;

/// What is known of the texts that were seen lately. No text is kept, only a keyed hash of it; whether two
/// texts share one is a matter of chance, with a probability of 2⁻¹²⁸.
pub(super) struct Memory<V> {
    /// Begins each hash, with a seed that nobody knows.
    keyed: SipHasher13,
    /// What was seen since the other became full.
    recent: HashMap<u128, V, RandomState>,
    older: HashMap<u128, V, RandomState>,
}

impl<V> Default for Memory<V> {
    fn default() -> Self {
        let random = hash_map::RandomState::new();
        Self {
            keyed: SipHasher13::new_with_keys(random.hash_one(0), random.hash_one(1)),
            recent: HashMap::default(),
            older: HashMap::default(),
        }
    }
}

impl<V: Copy> Memory<V> {
    /// What is known of a text; if there is nothing, what `find_out` says, and that is remembered.
    #[inline]
    pub(super) fn get_or(&mut self, text: &[u8], find_out: impl FnOnce() -> V) -> V {
        let key = self.keyed.hash(text).as_u128();
        if let Some(known) = self.recent.get(&key) {
            return *known;
        }
        let value = self.older.remove(&key).unwrap_or_else(find_out);
        if self.recent.len() >= AT_LEAST {
            self.older.clear();
            std::mem::swap(&mut self.recent, &mut self.older);
        }
        self.recent.insert(key, value);
        value
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}
