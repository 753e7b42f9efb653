//! Dead letters: what cannot be delivered is kept here, and never dropped.
//!
//! Files of JSON lines, one letter each, in the store's folder `dead-letters/`. A full file is
//! closed and a new one begun; nothing is deleted for room. A letter leaves its file in two steps,
//! so that a crash between them neither loses nor doubles it: its id is filed in `settled.jsonl`
//! with what became of it, and then the file is written without it, and without others that leave.

mod letter;
mod listing;
mod opened;
pub mod order;
mod settling;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    letter::{Content, Letter, Owner, Settled, Stock, UNHIDDEN, Undelivered},
    listing::{each, stock},
};
use self::{
    letter::{Head, Note},
    listing::{files, text_of},
    opened::OpenedFile,
    settling::notes,
};
use crate::Store;

/// Where letters lie in the store.
pub const FOLDER: &str = "dead-letters/";

/// Letters that are being taken out of their files, with what became of them.
const SETTLED: &str = "dead-letters/settled.jsonl";

/// A file is closed when the next letter would make it longer than this.
const FILE_BYTES: u64 = 16 << 20;

/// How much is kept at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Letters.
    pub letters: usize,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Room {
    /// A person is to be told long before it is used up.
    pub const WIDE: Self = Self {
        letters: 100_000,
        bytes: 1 << 30,
    };
}

/// The letters of one store, whose only writer this is.
#[derive(Debug)]
pub struct Letters {
    owner: Owner,
    room: Room,
    /// Which file each letter lies in, and since when.
    places: BTreeMap<String, (u64, DateTime<Utc>)>,
    /// How many of them were kept at each instant.
    times: BTreeMap<DateTime<Utc>, usize>,
    /// Which file each letter lies in still, of which it is filed what became of it.
    leaving: BTreeMap<String, u64>,
    /// What was filed before these were opened, and came before their letters had left.
    settled: Vec<Note>,
    /// Bytes of each file.
    files: BTreeMap<u64, u64>,
    /// The file that the next letter may go to.
    open: Option<u64>,
    /// Files with letters, perhaps, that lie in another one, too: an addition may have failed when all of it
    /// was there.
    doubled: BTreeSet<u64>,
    /// Files in the place of which something else is.
    unusable: Vec<String>,
    /// Whether something may be filed: that may have failed in its midst.
    is_settling: bool,
}

impl Letters {
    /// Finds what is kept in `store`, and finishes what a crash has interrupted. New letters are
    /// `owner`'s.
    ///
    /// # Errors
    /// When the store cannot be read or written. A line that cannot be read stays where it is, and so does
    /// a file.
    pub async fn open(store: &impl Store, owner: Owner, room: Room) -> io::Result<Self> {
        let mut letters = Self {
            owner,
            room,
            places: BTreeMap::new(),
            times: BTreeMap::new(),
            leaving: BTreeMap::new(),
            settled: Vec::new(),
            files: BTreeMap::new(),
            open: None,
            doubled: BTreeSet::new(),
            unusable: Vec::new(),
            is_settling: false,
        };
        let (found, in_its_place) = files(store).await?;
        letters.unusable.extend(in_its_place);
        for (number, name) in found {
            let text = text_of(store, &name).await?;
            if text.is_none() {
                letters.unusable.push(name);
            }
            let text = text.unwrap_or_default();
            // Also when it is no file: no letter goes to its place.
            letters.files.insert(number, text.len() as u64);
            for head in parsed::<Head>(&text) {
                let other = letters.place(head.id, number, head.time);
                letters
                    .doubled
                    .extend(other.filter(|other| *other != number));
            }
        }
        letters.settled = notes(store).await?;
        let settled: Vec<String> = letters.settled.iter().map(|note| note.id.clone()).collect();
        if !settled.is_empty() {
            letters.leave(&settled);
            letters.take_out(store).await?;
        }
        Ok(letters)
    }

    /// A letter lies in this file. The one in which it lay before, if it lay anywhere.
    fn place(&mut self, id: String, number: u64, since: DateTime<Utc>) -> Option<u64> {
        let before = self.displace(&id);
        *self.times.entry(since).or_default() += 1;
        self.places.insert(id, (number, since));
        before
    }

    /// It is no letter any more. The file in which it lies, if it was one.
    fn displace(&mut self, id: &str) -> Option<u64> {
        let (number, since) = self.places.remove(id)?;
        if let Some(count) = self.times.get_mut(&since) {
            *count -= 1;
            if *count == 0 {
                self.times.remove(&since);
            }
        }
        Some(number)
    }

    /// Letters are being taken out of their files.
    fn leave<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>) {
        for id in ids {
            if let Some(number) = self.displace(id) {
                self.leaving.insert(id.clone(), number);
            }
        }
    }

    /// Files in the place of which something else was when they were opened: nobody knows which letters lay
    /// there.
    pub fn unusable(&self) -> &[String] {
        &self.unusable
    }

    /// The message that something is about, if that can be read.
    pub fn message_id(&self, content: &Content) -> Option<String> {
        self.owner.message_id(content)
    }

    /// The fingerprint of the key of the intake that new letters are for.
    pub fn intake(&self) -> &str {
        &self.owner.intake
    }

    /// How many there are.
    pub fn stock(&self) -> Stock {
        Stock {
            letters: self.places.len(),
            bytes: self.files.values().sum(),
            oldest: self.times.first_key_value().map(|(time, _)| *time),
        }
    }

    pub(crate) fn are_full(&self) -> bool {
        let Stock { letters, bytes, .. } = self.stock();
        letters >= self.room.letters || bytes >= self.room.bytes
    }

    /// Keeps what cannot be delivered: on return it is safe on the disk, under this id; none when a
    /// person must make room first. The same event is kept once. What is too long for one file is kept in
    /// parts, and the id is that of the first.
    ///
    /// # Errors
    /// When it could not be written. The next call begins a new file.
    pub async fn keep(
        &mut self,
        store: &impl Store,
        now: DateTime<Utc>,
        undelivered: Undelivered,
    ) -> io::Result<Option<String>> {
        let letter = Letter {
            id: undelivered.id(&self.owner.intake),
            time: now,
            reason: undelivered.reason,
            intake: self.owner.intake.clone(),
            message_id: self.owner.message_id(&undelivered.content),
            copy_sent: undelivered.copy_sent,
            content: undelivered.content,
        };
        let mut first = None;
        for part in letter.parts()? {
            let Some(id) = self.keep_letter(store, part).await? else {
                return Ok(None);
            };
            first.get_or_insert(id);
        }
        Ok(first)
    }

    async fn keep_letter(
        &mut self,
        store: &impl Store,
        letter: Letter,
    ) -> io::Result<Option<String>> {
        let id = letter.id.clone();
        if self.places.contains_key(&id) {
            return Ok(Some(id));
        }
        if self.leaving.contains_key(&id) {
            self.take_out(store).await?;
            // Its file cannot be read for the moment.
            self.doubled.extend(self.leaving.remove(&id));
        }
        let line = line(&letter)?;
        let length = line.len() as u64;
        let stock = self.stock();
        if stock.letters >= self.room.letters || stock.bytes + length > self.room.bytes {
            return Ok(None);
        }
        if self.is_settling {
            self.forget_note(store, &id).await?;
        }
        let number = self.file_for(length);
        // While it is written to, no file is open: a failure may leave half a line in it.
        self.open = None;
        let bytes = self.files.get(&number).copied().unwrap_or(0);
        // Also when that fails, the next one goes to another file.
        self.files.insert(number, bytes);
        let name = file_name(number);
        // Until that is certain: the next call keeps it in another file.
        self.doubled.insert(number);
        store.append(&name, line).await?;
        store.sync(&name).await?;
        self.doubled.remove(&number);
        self.files.insert(number, bytes + length);
        self.open = Some(number);
        self.place(id.clone(), number, letter.time);
        Ok(Some(id))
    }

    fn file_for(&self, length: u64) -> u64 {
        let has_room = |number: &u64| {
            let bytes = self.files.get(number).copied().unwrap_or(0);
            bytes + length <= FILE_BYTES
        };
        let last = self.files.last_key_value().map_or(0, |(last, _)| *last);
        // Somebody may have made one with the highest number of all.
        let free = || (1..).find(|number| !self.files.contains_key(number));
        let next = || last.checked_add(1).or_else(free).unwrap_or(last);
        self.open.filter(has_room).unwrap_or_else(next)
    }

    /// Those of these letters in the place of whose file something else is.
    pub(crate) async fn unreadable(
        &self,
        store: &impl Store,
        ids: &[String],
    ) -> io::Result<BTreeSet<String>> {
        let mut of_file = BTreeMap::<u64, Vec<&String>>::new();
        for id in ids {
            if let Some((number, _)) = self.places.get(id) {
                of_file.entry(*number).or_default().push(id);
            }
        }
        let mut unreadable = BTreeSet::new();
        for (number, ids) in of_file {
            if text_of(store, &file_name(number)).await?.is_none() {
                unreadable.extend(ids.into_iter().cloned());
            }
        }
        Ok(unreadable)
    }

    /// The letter with this id, if it is there. `opened` is the file that was looked into last.
    async fn find(
        &self,
        store: &impl Store,
        id: &str,
        opened: &mut Option<OpenedFile>,
    ) -> io::Result<Option<Letter>> {
        let Some((number, _)) = self.places.get(id) else {
            return Ok(None);
        };
        let last = opened.take().filter(|last| last.number == *number);
        if let Some(letter) = last.as_ref().and_then(|last| last.letter(id)) {
            *opened = last;
            return Ok(Some(letter));
        }
        // It lies in another one, or was added since.
        drop(last);
        let file = opened.insert(OpenedFile::read(store, *number).await?);
        Ok(file.letter(id))
    }

    fn since(&self, id: &str) -> Option<DateTime<Utc>> {
        self.places.get(id).map(|(_, time)| *time)
    }

    /// The ids of all letters, the oldest first.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.places.iter().collect();
        ids.sort_by_key(|(id, (_, time))| (*time, *id));
        ids.into_iter().map(|(id, _)| id.clone()).collect()
    }
}

/// Tells an intake key from others without telling it.
pub fn fingerprint(key: &str) -> String {
    hex(key.as_bytes(), &[])
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
}

/// The lines of one kind.
fn parsed<T: DeserializeOwned>(text: &[u8]) -> impl Iterator<Item = T> {
    lines(text).filter_map(|line| serde_json::from_slice(line).ok())
}

fn line(value: &impl Serialize) -> io::Result<Bytes> {
    let mut line = serde_json::to_vec(value).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line.into())
}

fn id(intake: &str, content: &Content) -> String {
    hex(intake.as_bytes(), content.text().as_bytes())
}

impl Undelivered {
    /// Tells it from others. What is no event, `null` say, may stand in several places, of which the reason tells.
    fn id(&self, intake: &str) -> String {
        match &self.content {
            Content::Event(_) => id(intake, &self.content),
            content => hex(
                intake.as_bytes(),
                format!("{}\n{}", self.reason, content.text()).as_bytes(),
            ),
        }
    }
}

/// The first 64 bits of a hash, in hexadecimal digits.
fn hex(first: &[u8], second: &[u8]) -> String {
    let hash = digest(&SHA256, &[first, b"\n", second].concat());
    let first = hash.as_ref().iter().take(8);
    first.map(|byte| format!("{byte:02x}")).collect()
}

fn file_name(number: u64) -> String {
    format!("{FOLDER}{number:010}.jsonl")
}

fn file_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix(FOLDER)?.strip_suffix(".jsonl")?;
    number.parse().ok()
}

#[cfg(test)]
mod tests;
