//! Which rows wait for the details of their message, and of which of them is asked next: a pure state
//! machine.
//!
//! A row waits a short while, and goes without details when they have not come. Details are asked for within
//! a quota of their own, of the newest message first; a row that can get no turn in time does not wait. A
//! source that refuses details is left alone for a while.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use base::retry::Backoff;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::{known::BatchId, words::words};

/// The time in which the calls of the quota are made.
const PERIOD: Duration = Duration::from_secs(300);

/// Rows that wait, and their bytes, at most.
const MOST_WAITING: (usize, usize) = (1000, 8 << 20);

/// Bytes of details that have come and wait to leave with their rows, at most: while the intake accepts
/// nothing, none leaves.
const MOST_DETAILS: usize = 8 << 20;

/// A source that refuses details is left alone for so long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Calls under way, at most.
const MOST_CALLS: usize = 4;

/// What a row may cost that waits for details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetailsTerms {
    /// How long it waits at most.
    pub patience: Duration,
    /// How many calls are made in five minutes at most.
    pub calls: u32,
}

/// How a row went out of which a person wants details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DetailsFate {
    /// With them.
    Added,
    /// Without: the source knows none, or cannot be asked, as the row does not say whose it is.
    Unknown,
    /// Without: the call for them failed.
    Failed,
    /// Without: they did not come in time.
    Late,
    /// Without: the quota allowed no call in time.
    Quota,
    /// Without: the source has refused details, and is left alone for a while.
    Paused,
    /// Without: too many rows wait, or too much of what was told of them.
    Crowded,
    /// Without: with them it would be too long.
    TooLong,
}

words! {
    DetailsFate: Added = "added", Unknown = "unknown", Failed = "failed", Late = "late",
    Quota = "quota", Paused = "paused", Crowded = "crowded", TooLong = "too_long"
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Released<P> {
    pub(crate) id: BatchId,
    pub(crate) row: P,
    pub(crate) fate: DetailsFate,
    /// There are some when its fate is [`DetailsFate::Added`].
    pub(crate) details: Option<String>,
    /// Whether a call for them is under way, which is of no use any more.
    pub(crate) is_asked: bool,
}

#[derive(Debug)]
struct Waiting<P> {
    row: P,
    bytes: usize,
    received: Option<DateTime<Utc>>,
    until: Instant,
}

/// The rows that wait, named by what carries them, in the order in which they came.
#[derive(Debug)]
pub(crate) struct DetailsQueue<P> {
    terms: DetailsTerms,
    waiting: BTreeMap<BatchId, Waiting<P>>,
    /// Those of which it is known how they go, each with its bytes.
    ended: VecDeque<(Released<P>, usize)>,
    /// Bytes of both.
    bytes: usize,
    /// Bytes of details that have come.
    details_bytes: usize,
    /// Those of which nothing was asked yet, the newest message last.
    unasked: BTreeSet<(Option<DateTime<Utc>>, BatchId)>,
    /// Those of which it is being asked.
    asking: BTreeSet<BatchId>,
    /// The calls of the last five minutes.
    calls: VecDeque<Instant>,
    /// How long a source that refuses details is left alone.
    backoff: Backoff,
    /// Until when no call is made.
    paused: Option<Instant>,
    /// Whether the last call failed.
    has_failed: bool,
}

impl<P> DetailsQueue<P> {
    pub(crate) fn new(terms: DetailsTerms) -> Self {
        Self {
            terms,
            waiting: BTreeMap::new(),
            ended: VecDeque::new(),
            bytes: 0,
            details_bytes: 0,
            unasked: BTreeSet::new(),
            asking: BTreeSet::new(),
            calls: VecDeque::new(),
            backoff: Backoff::new(Duration::from_secs(60), LONGEST_PAUSE),
            paused: None,
            has_failed: false,
        }
    }

    /// How a row of so many bytes goes at once; none when it may wait.
    pub(crate) fn turned_away(&self, bytes: usize, now: Instant) -> Option<DetailsFate> {
        let (rows, most) = MOST_WAITING;
        if self.waiting.len() + self.ended.len() >= rows || self.bytes + bytes > most {
            return Some(DetailsFate::Crowded);
        }
        let due = now + self.terms.patience;
        self.is_paused_at(due).then_some(DetailsFate::Paused)
    }

    /// A row waits. When there are more than can get a turn in time, those of the oldest messages do not
    /// wait any longer.
    pub(crate) fn add(
        &mut self,
        id: BatchId,
        received: Option<DateTime<Utc>>,
        bytes: usize,
        row: P,
        now: Instant,
    ) {
        let until = now + self.terms.patience;
        let waiting = Waiting {
            row,
            bytes,
            received,
            until,
        };
        self.bytes += bytes;
        self.waiting.insert(id, waiting);
        self.unasked.insert((received, id));
        let turns = self.turns_until(until);
        while self.unasked.len() > turns
            && let Some((_, oldest)) = self.unasked.first().copied()
        {
            self.end(oldest, DetailsFate::Quota, None);
        }
    }

    /// The row of which it is to be asked now; none when that is of none.
    pub(crate) fn next_question(&mut self, now: Instant) -> Option<(BatchId, &P)> {
        if self.may_ask_from(now)? > now {
            return None;
        }
        // Of one whose time is over no answer comes in time, which says nothing of the source.
        let has_time = |id: &BatchId| self.waiting.get(id).is_some_and(|row| row.until > now);
        let mut newest = self.unasked.iter().rev();
        let chosen = newest.find(|(_, id)| has_time(id)).copied()?;
        self.unasked.remove(&chosen);
        let (_, id) = chosen;
        self.asking.insert(id);
        while self.calls.front().is_some_and(|at| *at + PERIOD <= now) {
            self.calls.pop_front();
        }
        self.calls.push_back(now);
        self.waiting.get(&id).map(|waiting| (id, &waiting.row))
    }

    /// The source has answered. Whether it had refused before.
    pub(crate) fn answered(&mut self, id: BatchId, details: Option<String>) -> bool {
        let (fate, details) = match details {
            Some(text) if self.details_bytes + text.len() > MOST_DETAILS => {
                (DetailsFate::Crowded, None)
            }
            Some(text) => (DetailsFate::Added, Some(text)),
            None => (DetailsFate::Unknown, None),
        };
        self.end(id, fate, details);
        self.paused = None;
        self.backoff.reset();
        std::mem::take(&mut self.has_failed)
    }

    /// A call has failed; the source asks for a pause `after` it, perhaps. How long the source is left
    /// alone, when that begins with it.
    pub(crate) fn failed(
        &mut self,
        id: BatchId,
        after: Option<Duration>,
        now: Instant,
    ) -> Option<Duration> {
        self.end(id, DetailsFate::Failed, None);
        self.trip(after, now)
    }

    /// The source is left alone from now on, if it is not already: for how long. Rows that can get no turn
    /// until then do not wait for it.
    fn trip(&mut self, after: Option<Duration>, now: Instant) -> Option<Duration> {
        self.has_failed = true;
        // Calls that were made together fail together.
        if self.is_paused_at(now) {
            return None;
        }
        let pause = self.backoff.next_pause(None);
        let pause = after.map_or(pause, |after| after.clamp(pause, LONGEST_PAUSE));
        self.paused = Some(now + pause);
        let is_in_vain = |id: &BatchId| {
            let waiting = self.waiting.get(id);
            waiting.is_some_and(|row| row.until < now + pause)
        };
        let unasked = self.unasked.iter().map(|(_, id)| *id);
        let in_vain: Vec<BatchId> = unasked.filter(is_in_vain).collect();
        for id in in_vain {
            self.end(id, DetailsFate::Paused, None);
        }
        Some(pause)
    }

    /// A row that waits no longer, with the pause that begins as the source did not answer in time.
    pub(crate) fn next_released(
        &mut self,
        now: Instant,
    ) -> Option<(Released<P>, Option<Duration>)> {
        let mut is_asked = false;
        if self.ended.is_empty() {
            let (id, waiting) = self.waiting.first_key_value()?;
            if waiting.until > now {
                return None;
            }
            let id = *id;
            is_asked = self.asking.contains(&id);
            let fate = if is_asked {
                DetailsFate::Late
            } else if self.has_failed {
                DetailsFate::Paused
            } else if self.asking.len() >= MOST_CALLS
                || self.may_ask_from(now).is_some_and(|from| from <= now)
            {
                DetailsFate::Late
            } else {
                DetailsFate::Quota
            };
            self.end(id, fate, None);
        }
        let (mut released, bytes) = self.ended.pop_front()?;
        released.is_asked = is_asked;
        self.bytes = self.bytes.saturating_sub(bytes);
        let come = released.details.as_ref().map_or(0, String::len);
        self.details_bytes = self.details_bytes.saturating_sub(come);
        let pause = is_asked.then(|| self.trip(None, now)).flatten();
        Some((released, pause))
    }

    /// How long until there is something to do; none when nothing waits.
    pub(crate) fn due_in(&self, now: Instant) -> Option<Duration> {
        if !self.ended.is_empty() {
            return Some(Duration::ZERO);
        }
        let (_, first) = self.waiting.first_key_value()?;
        let next = self
            .may_ask_from(now)
            .map_or(first.until, |from| from.min(first.until));
        Some(next.saturating_duration_since(now))
    }

    /// It is known how a row goes, unless that was known before.
    fn end(&mut self, id: BatchId, fate: DetailsFate, details: Option<String>) {
        self.asking.remove(&id);
        let Some(waiting) = self.waiting.remove(&id) else {
            return;
        };
        self.unasked.remove(&(waiting.received, id));
        self.details_bytes += details.as_ref().map_or(0, String::len);
        let released = Released {
            id,
            row: waiting.row,
            fate,
            details,
            is_asked: false,
        };
        self.ended.push_back((released, waiting.bytes));
    }

    /// From when on the next call may be made; none when there is none to make, or too many are under way.
    fn may_ask_from(&self, now: Instant) -> Option<Instant> {
        let most = if self.has_failed { 1 } else { MOST_CALLS };
        if self.unasked.is_empty() || self.asking.len() >= most {
            return None;
        }
        let before = self.calls.len().checked_sub(self.terms.calls as usize);
        let free = before.and_then(|index| self.calls.get(index));
        let free = free.map_or(now, |at| *at + PERIOD);
        Some(self.paused.map_or(free, |until| free.max(until)))
    }

    fn turns_until(&self, at: Instant) -> usize {
        if self.is_paused_at(at) {
            return 0;
        }
        let used = self.calls.iter().filter(|call| **call + PERIOD > at);
        (self.terms.calls as usize).saturating_sub(used.count())
    }

    fn is_paused_at(&self, at: Instant) -> bool {
        self.paused.is_some_and(|until| until > at)
    }
}

#[cfg(test)]
mod tests;
