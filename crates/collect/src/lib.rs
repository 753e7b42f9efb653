//! The fetch loop: what to read next, what is known, what is delivered, what may be forgotten.
//!
//! The guarantee: **every row that the source shows until `settle_time` after its reception is
//! accepted by the sink at least once, with every status that it was seen with, and at most once as
//! long as no acceptance is lost**; but for rows that a person does not want ([`Excluded`]). It
//! rests on four rules. A window counts as read only when it was read to its end and all its rows
//! were accepted (`decide::pending`). A row is known by its key from the moment it is put into a
//! batch ([`known`]), and after a restart from the moment its batch was accepted ([`journal`]).
//! What was read is read again until nothing can surface any more
//! (`decide::settling`). And nothing is skipped on an error: the same window is asked for again.
//!
//! The decisions are pure, synchronous state machines (`decide`, and [`known`]); the async shell
//! around them ([`Collector`]) is thin. The traits it needs stand here, and where a trigger is put
//! together they are implemented.

pub mod backfill;
pub mod letters;
pub mod nightly;
pub mod order;

mod decide;
mod engine;
mod event;
mod excluded;
mod ledger;
mod outflow;
pub mod proof;
mod reader;
pub mod verify;
mod words;

use std::{fmt, future::Future, hash::Hash, io, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rows::{Page, Question};
use serde::{Deserialize, Serialize};
use tokio::task;

pub use base::{
    ErrorClass, PendingRequest, Store,
    delivery::{EventBatch, GivenUp, HeldEvents, Pushed, Receipt},
};
pub use rows::known;

pub use self::{
    decide::{
        coverage,
        details::{DetailsFate, DetailsTerms},
        evidence,
        evidence::SourceTime,
        lateness,
        leaps::{KeptLeaps, KeptTime},
        schedule,
        schedule::{CheckpointLag, Lane, MissingTime},
        start,
        width::Newest,
    },
    engine::{Collector, DetailsWish, OUTSIDE_FILE, Opening, Parts},
    event::{Activity, Busy, Event, Novelty, Observer, PageCount, Snapshot, WaitsFor},
    excluded::{EXCLUSIONS_FILE, Excluded},
    ledger::{journal, timeline},
};

/// What the text of a row says, as its source writes it.
pub trait RowText {
    /// What a person finds a row by.
    fn name(&self, event: &[u8]) -> verify::RowName;

    /// The id by which the message of a row is asked for; none when it cannot be.
    fn message_of(&self, event: &[u8]) -> Option<Arc<str>>;

    /// An event with what people write in it cut, which says so, so that it has at most so many
    /// bytes; none when that does not make it fit.
    fn shorten(&self, event: &str, most: usize) -> Option<String>;
}

/// Where rows come from.
pub trait Source: Send + Sync + 'static {
    /// Leads to the next page of a window.
    type Link: Clone + Eq + Hash + Send + Sync + fmt::Display + 'static;

    /// Reads the text of its rows.
    type Text: RowText;

    /// What the text of its rows says.
    fn text(&self) -> &Self::Text;

    /// One page of what is asked for: the first, or the one that `link` leads to. Where requests are
    /// few, those of the live edge go first.
    fn page(
        &self,
        lane: Lane,
        question: Question,
        link: Option<Self::Link>,
    ) -> impl Future<Output = Result<Page<Self::Link>, SourceError>> + Send;

    /// What the source can do.
    fn limits(&self) -> SourceLimits;

    /// The oldest request that is being answered, without its wait for the quota; none when there is
    /// none.
    fn oldest_request(&self) -> Option<PendingRequest>;

    /// What is known of the source's own time, when the local clock shows `local`.
    fn time(&self, local: DateTime<Utc>) -> SourceTime;

    /// This time has surely passed, as an earlier process has kept: an answer of an earlier time is not believed.
    fn has_passed(&self, at: DateTime<Utc>);

    /// Asks the source for its time, also with a wrong local clock; what it answers is
    /// [`time`](Self::time)'s. It may take several answers until that is certain.
    fn ask_time(&self) -> impl Future<Output = Result<(), SourceError>> + Send;

    /// How long a task that asks for a page waits for leave to ask; none when it does not.
    fn leave_in(&self, task: task::Id) -> Option<Duration>;

    /// What the source lets be asked; none where no quota is known.
    fn quota_use(&self) -> Option<QuotaUse>;

    /// Nothing more is asked: what a next run should know of it is kept now.
    fn close(&self) -> impl Future<Output = ()> + Send;

    /// What happened to a message, as JSON to be added to its row: of the row of this name, received then.
    /// None when nothing is known.
    fn details(
        &self,
        name: verify::RowName,
        received: Option<DateTime<Utc>>,
    ) -> impl Future<Output = Result<Option<String>, SourceError>> + Send;
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
    /// A message with so many recipients in a window may have others that a window does not show; 0
    /// when all are shown.
    pub recipients_shown: u32,
    /// How long a page takes at present, without waiting for the quota; zero when that is not known.
    pub latency: Duration,
}

/// What a source lets be asked; told by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaUse {
    /// Requests in five minutes that are ours to make.
    pub share: u32,
    /// As many of them are allowed at present.
    #[serde(rename = "allowed_in_5_minutes")]
    pub allowed: u32,
    /// As many were made in the last five minutes.
    #[serde(rename = "used_in_5_minutes")]
    pub used: u32,
    /// When all of the share is allowed again; none when it is.
    #[serde(rename = "allowed_until")]
    pub restored: Option<DateTime<Utc>>,
}

/// In which time the share of requests is made.
const PERIOD: Duration = Duration::from_secs(300);

/// So many times more readers are wanted than are needed when every page takes as long as the last.
const SPARE: u128 = 2;

impl SourceLimits {
    /// As many readers as use up the share (Little's law): every page that is asked for earlier than
    /// that only costs memory.
    fn readers(&self) -> usize {
        let in_all = u128::from(self.share) * self.latency.as_nanos() * SPARE;
        let under_way = in_all.div_ceil(PERIOD.as_nanos()).max(1);
        usize::try_from(under_way).unwrap_or(usize::MAX)
    }
}

/// Why there is no page.
#[derive(Debug)]
pub struct SourceError {
    /// What to do about it.
    pub class: ErrorClass,
    /// What happened, what it means, and what a person should do.
    pub sentence: String,
    /// A word for metrics labels.
    pub label: &'static str,
    /// Whether a narrower window might be answered.
    pub may_be_too_wide: bool,
}

/// Where rows go.
pub trait Sink: Send + Sync + 'static {
    /// What is delivered at once.
    type Batch: EventBatch;

    /// Events that the receiver does not accept while it accepts others, or that others are to be
    /// sent before.
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

    /// After a stop: ends when what is on its way is given up. When that is too soon, the receiver gets
    /// those rows a second time after the next start.
    fn gives_up(&self) -> impl Future<Output = ()> + Send;
}

/// Where the checkpoint is kept before which everything was delivered.
pub trait CheckpointStore: Send + 'static {
    /// Keeps the checkpoint; on return it is safe on the disk.
    fn save(&mut self, checkpoint: DateTime<Utc>) -> impl Future<Output = io::Result<()>> + Send;
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
