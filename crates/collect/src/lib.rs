//! The fetch loop: what to read next, what is known, what is delivered, what may be forgotten.
//!
//! The guarantee: **every row that the source shows until `settle_time` after its reception is
//! accepted by the sink at least once, with every status that it was seen with, and at most once as
//! long as no acceptance is lost**. It rests on four rules. A window counts as read only when it was
//! read to its end and all its rows were accepted (`decide::pending`). A row is known by its key from the
//! moment it is put into a batch ([`known`]), and after a restart from the moment its batch was
//! accepted ([`journal`]). What was read is read again until nothing can surface any more
//! (`decide::settling`). And nothing is skipped on an error: the same window is asked for again.
//!
//! The decisions are pure, synchronous state machines (`decide`, and [`known`]); the async shell around
//! them ([`Collector`]) is thin. The traits it needs stand here, and where a trigger is put together they
//! are implemented.

pub mod backfill;
pub mod letters;

mod decide;
mod engine;
mod event;
mod ledger;
mod outflow;
mod reader;

use std::{fmt, future::Future, hash::Hash, io, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rows::{Page, Window};
use tokio::{task, time::Instant};

pub use base::{
    Store,
    delivery::{EventBatch, GivenUp, HeldEvents, Pushed, Receipt},
};
pub use rows::known;

pub use self::{
    decide::{
        coverage, evidence, evidence::SourceTime, lateness, schedule, schedule::Lane, start,
        width::Newest,
    },
    engine::{Collector, Opening, Parts},
    event::{Activity, Busy, Event, Novelty, Observer, PageCount, Standing, Standpoint, WaitsFor},
    ledger::{journal, timeline},
};

/// Where rows come from.
pub trait Source: Send + Sync + 'static {
    /// Leads to the next page of a window.
    type Link: Clone + Eq + Hash + Send + Sync + fmt::Display + 'static;

    /// One page of a window: the first, or the one that `link` leads to. Where requests are few,
    /// those of the live edge go first.
    fn page(
        &self,
        lane: Lane,
        window: Window,
        link: Option<Self::Link>,
    ) -> impl Future<Output = Result<Page<Self::Link>, SourceError>> + Send;

    /// What the source can do.
    fn limits(&self) -> SourceLimits;

    /// The oldest request that is being answered, without its wait for the quota; none when there is
    /// none.
    fn oldest_request(&self) -> Option<UnderWay> {
        None
    }

    /// What is known of the source's own time, when the local clock shows `local`.
    fn time(&self, local: DateTime<Utc>) -> SourceTime {
        SourceTime::local(local)
    }

    /// Asks the source for its time, also with a wrong local clock; what it answers is
    /// [`time`](Self::time)'s. It may take several answers until that is certain.
    fn ask_time(&self) -> impl Future<Output = Result<(), SourceError>> + Send {
        std::future::ready(Ok(()))
    }

    /// How long a task that asks for a page waits for leave to ask; none when it does not.
    fn leave_in(&self, _task: task::Id) -> Option<Duration> {
        None
    }

    /// What the source lets be asked; none where no quota is known.
    fn quota_use(&self) -> Option<QuotaUse> {
        None
    }

    /// Nothing more is asked: what a next run should know of it is kept now.
    fn close(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// An event with what people write in it cut, which says so, so that it has at most so many
    /// bytes; none when that does not make it fit.
    fn shorten(&self, _event: &str, _most: usize) -> Option<String> {
        None
    }
}

/// What a source can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLimits {
    /// The longest window of one query.
    pub longest_window: TimeDelta,
    /// How far back rows are kept.
    pub retention: TimeDelta,
    /// As many rows as one query of a backlog should give.
    pub rows_per_window: u32,
    /// As many rows as one page holds.
    pub rows_per_page: u32,
    /// Requests in five minutes that are ours to make.
    pub share: u32,
    /// More pages than this in one query are a sign that its links go on for ever, or come near
    /// the service's cap: the window is cut.
    pub pages_per_window: u32,
    /// How long a page takes at present, without waiting for the quota; zero when that is not known.
    pub latency: Duration,
}

/// What a source lets be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    /// Requests in five minutes that are ours to make.
    pub share: u32,
    /// As many of them are allowed at present.
    pub allowed: u32,
    /// As many were made in the last five minutes.
    pub used: u32,
    /// When all of the share is allowed again; none when it is.
    pub restored: Option<DateTime<Utc>>,
}

/// A request that is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    /// Since when.
    pub since: Instant,
    /// The longest that it may take by its own limits.
    pub limit: Duration,
}

/// In how many seconds the share of requests is made.
const PERIOD_SECONDS: f64 = 300.0;

/// So many times more readers are wanted than are needed when every page takes as long as the last.
const SPARE: f64 = 2.0;

impl SourceLimits {
    /// As many readers as use up the share (Little's law): every page that is asked for earlier than
    /// that only costs memory.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    fn readers(&self) -> usize {
        let rate = f64::from(self.share) / PERIOD_SECONDS;
        let under_way = rate * self.latency.as_secs_f64();
        (under_way * SPARE).ceil().max(1.0) as usize
    }
}

/// Why there is no page.
#[derive(Debug)]
pub struct SourceError {
    /// What to do about it.
    pub remedy: Remedy,
    /// What happened, what it means, and what a person should do.
    pub sentence: String,
    /// A word for metrics labels.
    pub label: &'static str,
    /// Whether a narrower window might be answered.
    pub may_be_too_wide: bool,
}

/// What to do when there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The source does not answer: find out with single requests when it is back.
    Outage,
    /// The source has too much to do, and every request may prolong that: ask as seldom as it wishes,
    /// and more seldom each time.
    Throttled {
        /// The pause that the source asked for.
        after: Option<Duration>,
    },
    /// This page cannot be read at present, which passes by itself: ask for it again with growing
    /// pauses.
    Retry {
        /// The pause that the source asked for.
        after: Option<Duration>,
    },
    /// The answer cannot be read: ask for the same page again, for two minutes, while others are read.
    Unreadable,
    /// The source refuses this account or app until a person acts: ask again at a slow pace.
    Refused {
        /// Whether that heals by itself in the end, such as what takes a day to be ready.
        heals: bool,
    },
    /// A person must act for this page: ask for it again at a slow pace.
    Person,
    /// The window cannot be read like this: ask for a narrower one.
    Narrow,
    /// The source says that the window begins before what it keeps.
    TooOld {
        /// The oldest instant that it says it keeps. A hint, and no more.
        oldest: Option<DateTime<Utc>>,
    },
}

impl Remedy {
    /// Whether a person must act.
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Person)
    }
}

/// Where rows go.
pub trait Sink: Send + Sync + 'static {
    /// What is delivered at once.
    type Batch: EventBatch;

    /// Events that the receiver does not accept while it accepts others.
    type InHand: HeldEvents;

    /// An empty batch.
    fn batch(&self) -> Self::Batch;

    /// Delivers a batch: returns when the receiver has accepted its events, but for those that stay in
    /// hand, however long that takes. None when that was given up because of a stop.
    fn deliver(
        &self,
        batch: Self::Batch,
    ) -> impl Future<Output = Option<Receipt<Self::InHand>>> + Send;

    /// Delivers events in hand: returns when something has become certain. What is kept then is to be
    /// insisted on again. None when that was given up because of a stop.
    fn insist(
        &self,
        events: Self::InHand,
    ) -> impl Future<Output = Option<Receipt<Self::InHand>>> + Send;

    /// Sends one event alone, once: whether the receiver accepts it, or why not. None when that was
    /// given up because of a stop.
    fn offer(&self, event: &[u8]) -> impl Future<Output = Option<Result<(), String>>> + Send;

    /// Takes one event of any length in hand.
    fn alone(&self, event: &[u8]) -> Self::InHand;

    /// The longest event that a batch takes, in bytes.
    fn longest_event(&self) -> usize;
}

/// Where the mark is kept before which everything was delivered.
pub trait Checkpoint: Send + 'static {
    /// Keeps the mark; on return it is safe on the disk.
    fn save(&mut self, mark: DateTime<Utc>) -> impl Future<Output = io::Result<()>> + Send;
}

#[cfg(test)]
mod tests;
