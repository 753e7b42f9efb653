//! What of a row must not leave: its subject and its addresses are dropped, or replaced by keyed hashes.
//!
//! The text of a row is copied in stretches, without a tree of it. What is not known by its name is left out,
//! since nobody can tell what it holds; what is known and cannot be hidden makes the row [`Unhidden`], and
//! such a row goes nowhere.

mod cover;
mod events;
mod hasher;
mod layout;
mod memory;

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
};

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

pub use self::hasher::KeyedHasher;
use self::{
    cover::{Cover, is_hidden},
    layout::Layout,
};
use crate::{json::Raw, row::lowercase_into};

/// What a member of a row tells of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Nothing that is hidden.
    Plain,
    /// A mail address.
    Address,
    /// The id that its sender has given a message, which looks like an address in angle brackets.
    MessageId,
    /// What a person has written.
    Subject,
    /// A list of objects, of which the members with these names stay that are no list or object.
    Events(&'static [&'static str]),
    /// Nothing that anybody reads; it is left out without a word.
    Needless,
    /// Nobody knows: it is left out.
    Unknown,
}

/// Tells what a member with this name tells of people.
pub type Exposing = fn(&str) -> Exposure;

/// What becomes of subjects; read from settings, and told, by these words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subjects {
    /// They stay as they are.
    #[default]
    Keep,
    /// Null takes their place.
    Drop,
    /// Their hash takes their place.
    Hash,
}

/// What becomes of addresses and message ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// They stay as they are.
    #[default]
    Keep,
    /// Those of other domains than these are hashed. Domains are compared without regard to letter case, and
    /// those below them are others.
    HashExternal(HashSet<Vec<u8>, RandomState>),
    /// All are hashed.
    Hash,
}

impl Addresses {
    /// Those of other domains than these are hashed.
    pub fn hash_external(own: &[String]) -> Self {
        let own = own.iter().map(|domain| domain.to_lowercase().into_bytes());
        Self::HashExternal(own.collect())
    }

    /// Whether an address stays as it is.
    fn keeps(&self, address: &str) -> bool {
        match self {
            Self::Keep => true,
            Self::HashExternal(own) => address.rsplit_once('@').is_some_and(|(local, domain)| {
                in_lower_case(domain, |domain| own.contains(domain)) && !names_another(local)
            }),
            Self::Hash => false,
        }
    }
}

/// Whether an address may stand in the local part of another one: forwarded mail, bounces, guests of a
/// directory and addresses of other mail systems are written so.
fn names_another(local: &str) -> bool {
    let begins = |marker: &str| {
        let start = local.as_bytes().get(..marker.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(marker.as_bytes()))
    };
    let holds = |marker: &str| {
        let mut parts = local.as_bytes().windows(marker.len());
        parts.any(|part| part.eq_ignore_ascii_case(marker.as_bytes()))
    };
    local.contains(['@', '=', '<', '%', '!']) || holds("#EXT#") || begins("IMCEA")
}

/// What `then` makes of a text in lower case. Short ones, which nearly all are, take no memory of their own.
#[inline]
fn in_lower_case<T>(text: &str, then: impl FnOnce(&[u8]) -> T) -> T {
    let mut room = [0; 128];
    if let Some(room) = room.get_mut(..text.len())
        && lowercase_into(text.as_bytes(), room)
    {
        return then(room);
    }
    then(text.to_lowercase().as_bytes())
}

/// A row that cannot be hidden: it must not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unhidden;

/// Hides what must not leave.
pub struct Privacy {
    exposing: Exposing,
    hiding: Hiding,
    /// How the last row that was unlike those before it is made.
    layout: Layout,
    unknown: BTreeSet<String>,
}

/// What becomes of values.
struct Hiding {
    subjects: Subjects,
    addresses: Addresses,
    hasher: Option<KeyedHasher>,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy")
            .field("subjects", &self.hiding.subjects)
            .finish_non_exhaustive()
    }
}

/// So many names of members are kept that nobody knows, and so much of each.
const UNKNOWN: (usize, usize) = (16, 64);

impl Privacy {
    /// Hides this of rows whose members tell such things of people. None when all of it stays. What is to be
    /// hashed makes a row [`Unhidden`] when there is no hasher.
    pub fn new(
        exposing: Exposing,
        subjects: Subjects,
        addresses: Addresses,
        hasher: Option<KeyedHasher>,
    ) -> Option<Self> {
        let keeps_all = subjects == Subjects::Keep && addresses == Addresses::Keep;
        (!keeps_all).then(|| Self {
            exposing,
            hiding: Hiding {
                subjects,
                addresses,
                hasher,
            },
            layout: Layout::default(),
            unknown: BTreeSet::new(),
        })
    }

    /// Appends a row without what must not leave.
    ///
    /// # Errors
    /// When it is no JSON object, has very many members, or what must not leave is a list or an object. What
    /// was appended is of no use then.
    pub fn hide(&mut self, row: &[u8], to: &mut Vec<u8>) -> Result<(), Unhidden> {
        self.write(row, to, false)
    }

    /// A row of which this or other settings may have hidden something before: what has the form of a hash
    /// stays as it is.
    ///
    /// # Errors
    /// As [`hide`](Self::hide).
    pub fn hidden_again(&mut self, row: &str) -> Result<String, Unhidden> {
        let mut text = Vec::with_capacity(row.len());
        self.write(row.as_bytes(), &mut text, true)?;
        String::from_utf8(text).map_err(|_| Unhidden)
    }

    /// An address of a row of which this or other settings may have hidden something before, as
    /// [`hidden_again`](Self::hidden_again) leaves it. None when it cannot be hidden.
    pub fn hidden_address(&mut self, address: &str) -> Option<String> {
        let json = serde_json::to_string(address).ok()?;
        let value = Raw {
            json: &json,
            is_escaped: true,
        };
        let Some(cover) = self.hiding.cover(Exposure::Address, value, true).ok()? else {
            return Some(address.to_owned());
        };
        let mut hidden = Vec::new();
        cover.write(&mut hidden);
        serde_json::from_slice(&hidden).ok()
    }

    /// The names of members that were left out as nobody knows them, since this was asked last.
    pub fn take_unknown(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.unknown)
    }

    fn write(&mut self, row: &[u8], to: &mut Vec<u8>, again: bool) -> Result<(), Unhidden> {
        let text = simdutf8::basic::from_utf8(row).map_err(|_| Unhidden)?;
        let start = to.len();
        if let Some(outcome) = self.copy(text, to, again) {
            return outcome;
        }
        to.truncate(start);
        self.learn(text).ok_or(Unhidden)?;
        self.copy(text, to, again).unwrap_or(Err(Unhidden))
    }

    /// Copies a row that is made like the last one. None when it is not.
    #[inline]
    fn copy(&mut self, text: &str, to: &mut Vec<u8>, again: bool) -> Option<Result<(), Unhidden>> {
        let Self { layout, hiding, .. } = self;
        layout.copy(text, to, |exposure, value| {
            hiding.cover(exposure, value, again)
        })
    }

    /// Keeps how a row is made. None when it cannot be hidden.
    #[cold]
    fn learn(&mut self, text: &str) -> Option<()> {
        let unknown = &mut self.unknown;
        self.layout = Layout::of(text, self.exposing, |name| {
            let (most, longest) = UNKNOWN;
            if unknown.len() < most {
                unknown.insert(name.chars().take(longest).collect());
            }
        })?;
        Some(())
    }
}

impl Hiding {
    /// What takes the place of a value; none when it stays.
    #[inline]
    fn cover(
        &mut self,
        exposure: Exposure,
        value: Raw<'_>,
        again: bool,
    ) -> Result<Option<Cover>, Unhidden> {
        let is_kept = match exposure {
            Exposure::Subject => self.subjects == Subjects::Keep,
            Exposure::Address | Exposure::MessageId => matches!(self.addresses, Addresses::Keep),
            Exposure::Plain | Exposure::Needless | Exposure::Unknown | Exposure::Events(_) => true,
        };
        if is_kept {
            return Ok(None);
        }
        if matches!(value.json.as_bytes().first(), Some(b'{' | b'[')) {
            return Err(Unhidden);
        }
        let Some(text) = value.text() else {
            return Ok(None);
        };
        if exposure == Exposure::Subject && self.subjects == Subjects::Drop {
            return Ok(Some(Cover::Null));
        }
        // Only a hash would be another one the second time.
        if again && is_hidden(&text) {
            return Ok(None);
        }
        let hasher = self.hasher.as_mut().ok_or(Unhidden)?;
        Ok(match exposure {
            Exposure::Subject => Some(hasher.subject(&text)),
            Exposure::Address => hasher.address(&text, &self.addresses),
            _ => hasher.message_id(&text, &self.addresses),
        })
    }
}

#[cfg(test)]
mod tests;
