//! Windows whose page came damaged wait here, while their readers go on with others.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    CheckpointStore, Sink, Source, Store,
    engine::{BESIDE, Collector},
    reader::Reader,
};

/// Windows that wait with a page that came damaged, at most. When more pages come so, something
/// between here and the service damages all of them.
const MOST_PARKED: usize = 4;

/// A window whose page came damaged: it waits, and its reader goes on with others.
pub(super) struct Parked<P> {
    read: P,
    until: Instant,
}

impl<P> std::fmt::Debug for Parked<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parked({:?})", self.until)
    }
}

/// Windows that wait.
#[derive(Debug)]
pub(super) struct Parking<P> {
    parked: Vec<Parked<P>>,
    /// How many pages have come whole.
    pub(super) whole_pages: u64,
    /// That number when the last was parked.
    at_last: Option<u64>,
    /// That number when a window was cut although no other page had come whole.
    at_blind_cut: Option<u64>,
}

impl<P> Default for Parking<P> {
    fn default() -> Self {
        Self {
            parked: Vec::new(),
            whole_pages: 0,
            at_last: None,
            at_blind_cut: None,
        }
    }
}

impl<P> Parking<P> {
    /// Whether one more may wait: pages still come whole.
    pub(super) fn has_place(&self) -> bool {
        let others_are_whole = self.at_last != Some(self.whole_pages);
        self.parked.is_empty() || (self.parked.len() < MOST_PARKED && others_are_whole)
    }

    pub(super) fn park(&mut self, read: P, pause: Duration) {
        self.at_last = Some(self.whole_pages);
        let until = Instant::now() + pause;
        self.parked.push(Parked { read, until });
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }

    /// How many of a kind wait.
    pub(super) fn count(&self, of_kind: impl Fn(&P) -> bool) -> usize {
        self.parked.iter().filter(|one| of_kind(&one.read)).count()
    }

    /// One that has waited long enough.
    pub(super) fn take_due(&mut self) -> Option<P> {
        let now = Instant::now();
        let due = self.parked.iter().position(|one| one.until <= now)?;
        Some(self.parked.swap_remove(due).read)
    }

    /// When the next has waited long enough.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let until = self.parked.iter().map(|one| one.until).min()?;
        // One that is due waits for a reader, which ends the waiting, too.
        let due = until.saturating_duration_since(Instant::now());
        Some(due).filter(|due| !due.is_zero())
    }

    pub(super) fn page_is_whole(&mut self) {
        self.whole_pages += 1;
    }

    /// Whether a window may be cut: other pages came whole, or none was cut in vain since.
    pub(super) fn may_cut(&mut self, others_are_whole: bool) -> bool {
        if !others_are_whole && self.at_blind_cut == Some(self.whole_pages) {
            return false;
        }
        self.at_blind_cut = Some(self.whole_pages);
        true
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Gives a reader without a window one whose page came damaged and that has waited long enough.
    /// Whether there is one.
    pub(super) fn unpark(&mut self, reader: usize) -> bool {
        if !self.is_free(reader) {
            return false;
        }
        let due = self.parking.take_due();
        let is_one_due = due.is_some();
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.read = due;
        }
        is_one_due
    }

    /// Whether a reader has no window, and may go on with one that has waited.
    pub(super) fn is_free(&self, reader: usize) -> bool {
        let most = self.parts.source.limits().readers().min(BESIDE);
        let may_read = match reader {
            0 => !self.schedule.is_collecting(),
            _ => self.reading_beside() < most,
        };
        may_read && self.readers.get(reader).is_some_and(Reader::is_idle)
    }
}
