//! What the fetch loop tells the world: logs, metrics and health are made from these.

use std::{collections::BTreeSet, time::Duration};

use base::clock::Step;
use chrono::{DateTime, TimeDelta, Utc};
use rows::{Window, exclude::Rule};
use tokio::{task, time::Instant};

use crate::{
    CheckpointLag, Lane, MissingTime,
    backfill::BackfillProgress,
    decide::{details::DetailsFate, evidence::Loss},
    letters::Stock,
    nightly::Nights,
    verify::{Verdict, VerifyProgress},
};

/// Hears of everything that happens in the fetch loop.
pub trait Observer: Send + Sync + 'static {
    /// Called for every event, in order, from the loop itself: must not block.
    fn on(&self, event: Event<'_>);
}

/// Something happened in the fetch loop.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The loop turns; it speaks again within this time at the latest, unless it is stuck.
    Turning {
        /// The longest time until the next event.
        within: Duration,
        /// When the oldest request that is being answered must have ended.
        request_due: Option<Instant>,
        /// How far the collection has come; none when it has no live edge.
        lag: Option<CheckpointLag>,
        /// What is being read, and what that waits for.
        activity: &'a Activity,
    },
    /// A request has been under way for a minute, without its wait for the quota; the longest that it may take.
    Hanging(Duration),
    /// A window is about to be read.
    Asking(Window),
    /// A page was read.
    PageRead {
        /// What for.
        lane: Lane,
        /// What rows there were on it.
        count: PageCount,
    },
    /// A rule has taken rows out that were not seen before by this run: they are not sent.
    Excluded {
        /// The rule.
        rule: Rule,
        /// How many.
        rows: usize,
        /// How many of them are of a time that a run before has read: it has counted them.
        again: usize,
    },
    /// Rows have gone of which a person wants details.
    Details {
        /// How.
        fate: DetailsFate,
        /// How many.
        rows: usize,
    },
    /// A call for details has failed, or was not answered in time.
    DetailsRefused {
        /// What happened, what it means, what to do; none when no answer came in time.
        sentence: Option<&'a str>,
        /// For how long none are asked for, when that begins now.
        pause: Option<Duration>,
    },
    /// Details come again after calls that failed.
    DetailsRecovered,
    /// Members of rows with these names were left out as nobody knows what they hold.
    LeftOut(&'a BTreeSet<String>),
    /// A row was seen for the first time so long after its reception, which says something about how late rows
    /// surface.
    FirstSeen(TimeDelta),
    /// A window was read to its end; its rows may still be on their way.
    WindowRead {
        /// Rows it had.
        rows: u64,
        /// Rows that were not known.
        new: u64,
    },
    /// There was no page.
    PageFailed {
        /// What happened, what it means, what to do.
        sentence: &'a str,
        /// A word for metrics labels.
        label: &'static str,
        /// Whether a person must act.
        person: bool,
    },
    /// A sign-in or a permission that only a person mends has been refused for a quarter of an hour: what
    /// happened, what it means, what to do.
    Persisting(&'a str),
    /// The source has wished for a long pause: nothing is asked until then.
    StandsStill(DateTime<Utc>),
    /// A page came after so many failures in a row.
    Recovered(u32),
    /// A window had too much for one query and is asked for again in narrower ones.
    Narrowed {
        /// The window.
        window: Window,
        /// Why.
        sentence: &'a str,
    },
    /// A window fails again and again while others are answered: these are read meanwhile.
    Rests {
        /// The window.
        window: Window,
        /// What happened, what it means, what to do.
        sentence: &'a str,
        /// After this it is asked for again.
        pause: Duration,
    },
    /// The source refuses these rows as older than what it keeps. Nothing is given up: it is asked
    /// again.
    Refused(Window),
    /// Rows that were not strict JSON were mended, and are delivered.
    Mended {
        /// The window that they are in.
        window: Window,
        /// How many.
        rows: usize,
        /// What was wrong with the answer.
        sentence: &'a str,
    },
    /// The links of a window lead to nothing new, however they are followed: it counts as read.
    DeadEnd(Window),
    /// A message with so many recipients that a window may not show all was asked for by its id.
    MassMail {
        /// The window.
        window: Window,
        /// The id.
        message: &'a str,
        /// How many rows were not known before.
        new: u64,
    },
    /// The answer to that was no use.
    MassMailDoubted {
        /// The window.
        window: Window,
        /// The id.
        message: &'a str,
        /// Why.
        sentence: &'a str,
        /// Whether it is not asked again, and the window counts as read as far as it is shown.
        gives_up: bool,
        /// Whether it was asked for a verification, which delivers nothing of it.
        verifies: bool,
    },
    /// The source has shown rows for a window in which they were not received.
    Outside {
        /// The window.
        window: Window,
        /// How many.
        rows: usize,
    },
    /// These rows count as lost.
    Lost(&'a Loss),
    /// The source answers for rows that counted as lost: they are read.
    Found(Window),
    /// These rows are not read again although they had not settled, as the quota does not allow for
    /// it, or the source keeps them no longer.
    Unsettled(Window),
    /// The local clock was set, or the machine has slept.
    ClockStepped(Step),
    /// What counts as read, or as missing, has not happened yet: it is taken back.
    Retracted(Window),
    /// The intake has accepted rows, of which this is the newest receipt.
    Accepted(DateTime<Utc>),
    /// Something cannot be delivered and lies with the dead letters now.
    Undeliverable {
        /// Under this id.
        id: &'a str,
        /// The message that it is about, if that can be read.
        message_id: Option<&'a str>,
        /// Why.
        reason: &'a str,
        /// Whether a copy with its subject cut goes in its place.
        copy_sent: bool,
    },
    /// So many events are in hand now: not accepted while others are.
    InHand(usize),
    /// So many events are in hand that nothing more is sent, as none is accepted that would show that
    /// the reason is in them.
    HandFull,
    /// There is no room for a dead letter beside these: it stays in hand, and its window open.
    NoRoom(Stock),
    /// So many dead letters there are now.
    Letters(Stock),
    /// Everything before the checkpoint has been delivered.
    CheckpointMoved(DateTime<Utc>),
    /// For so long nothing was asked for, as there was a pause after a failed request.
    Paused(Duration),
    /// Where the collection stands: told when the live edge is read, and at least once a minute.
    Snapshot(Snapshot),
    /// An order about a range is taken up.
    OrderBegun {
        /// What that is, in a word for people.
        what: &'static str,
        /// From when to when.
        range: Window,
        /// Whether it had been begun before.
        resumed: bool,
    },
    /// A backfill has come to its end: what became of it.
    BackfillEnded(&'a BackfillProgress),
    /// An hour was compared with what was accepted.
    Verified(&'a Verdict),
    /// A verification has come to its end.
    VerificationEnded {
        /// From when to when.
        range: Window,
        /// What became of it.
        progress: &'a VerifyProgress,
    },
    /// A standing order for verifications is followed, or none any more.
    StandingOrder(Option<&'a Nights>),
    /// A verification of a standing order has come to its end.
    NightEnded(&'a Nights),
    /// What a person has left for the collection cannot be read, or not be begun with; looked for again.
    OrderUnreadable(&'a std::io::Error),
    /// The data directory could not be written, which is tried again.
    StoreFailed(&'a std::io::Error),
    /// So many accepted rows could not be remembered before a stop: a start may send them again.
    Unremembered(usize),
}

/// What a row that is sent is to the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// Its time was read for the first time.
    New,
    /// Its time had been read before.
    Late,
    /// Its message was known with another status.
    Changed,
}

/// The rows of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCount {
    /// Rows never seen, of a time that was read for the first time.
    pub new: usize,
    /// Rows never seen, of a time that had been read before.
    pub late: usize,
    /// Rows whose message was known with another status.
    pub changed: usize,
    /// Rows that were known.
    pub known: usize,
    /// Rows that are not wanted.
    pub excluded: usize,
}

impl PageCount {
    pub(super) fn add(&mut self, novelty: Novelty) {
        match novelty {
            Novelty::New => self.new += 1,
            Novelty::Late => self.late += 1,
            Novelty::Changed => self.changed += 1,
        }
    }

    /// Rows that are sent.
    pub fn sent(&self) -> usize {
        self.new + self.late + self.changed
    }
}

/// Where a collection stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    /// The oldest instant that was never read; the live edge itself when that is late.
    pub oldest_missing: Option<DateTime<Utc>>,
    /// How much was never read.
    pub missing: MissingTime,
    /// How many rows are remembered.
    pub known: usize,
    /// How many times later than it should the past is read again, when that is worth a word.
    pub coarseness: Option<f64>,
    /// A settle time that would find more rows, when many surface near its end.
    pub better_settle_time: Option<TimeDelta>,
    /// How far the source's clock is ahead of the local one; none when the source does not tell.
    pub skew: Option<TimeDelta>,
    /// How far windows end before the local clock, where nothing else tells the time; none when the source does,
    /// and while the time is not known for certain.
    pub untold: Option<TimeDelta>,
    /// How much is held back because the source refuses it as too old.
    pub refused: TimeDelta,
}

/// What a collector is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// What is being read, as many windows as there are readers at most.
    pub busy: Vec<Busy>,
    /// When the live edge is to be asked for next; none when there is none, or it is being read.
    pub next: Option<DateTime<Utc>>,
    /// Batches that are sent and not accepted yet.
    pub batches: usize,
    /// Windows that wait until a message with many recipients was asked for by its id.
    pub completing: usize,
    /// How many events are in hand, where all that is missing was read and waits for its rows to be accepted, but
    /// for what the live edge reads; none where there is more to read.
    pub only_waits: Option<usize>,
}

/// A window that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy {
    /// What for.
    pub lane: Lane,
    /// The window.
    pub window: Window,
    /// What keeps it from going on.
    pub waits_for: WaitsFor,
}

/// What the reading of a window waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// The source: its answer, or its leave to ask, which this task waits for.
    Source(task::Id),
    /// The receiver, which has not accepted earlier rows yet.
    Receiver,
    /// The store, which cannot be written.
    Store,
    /// The end of a pause after a failure.
    Pause(Instant),
    /// The turn of its reader.
    Turn,
}
