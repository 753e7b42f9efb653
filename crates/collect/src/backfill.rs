//! A backfill: a range that a person wants delivered, and how far it has got.
//!
//! Two files in the store, each with one writer. Whoever asks writes the [`Order`]; the collection
//! looks at it now and then, and writes its [`Progress`]. So a command can leave an order to a
//! running trigger, and both survive restarts.

use std::io;

use chrono::{DateTime, Utc};
use rows::Window;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Store, event::PageCount};

/// The file with the order.
pub const ORDER_FILE: &str = "backfill.json";

/// The file with its progress.
pub const PROGRESS_FILE: &str = "backfill-progress.json";

/// The version of both formats.
const VERSION: u32 = 1;

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    version: u32,
    /// Tells it from other orders.
    pub id: Uuid,
    /// Rows received in it are to be delivered.
    pub range: Window,
    /// The same in the person's words.
    pub words: (String, String),
    /// Whether rows are to be delivered that are delivered already and forgotten.
    pub again: bool,
    /// Whether the person has thought better of it.
    pub cancelled: bool,
}

/// Where a backfill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is being read.
    Running,
    /// All that can be had of it is delivered.
    Done,
    /// It was given up.
    Cancelled,
}

/// How far a backfill has got. Each count is made where it happens: at the reading, or when the receiver
/// has accepted or refused. After a crash a window may be read and counted a second time, though its
/// rows are delivered once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    version: u32,
    /// The order.
    pub id: Uuid,
    /// Where it stands.
    pub phase: Phase,
    /// When it was begun.
    pub begun: DateTime<Utc>,
    /// When this was written.
    pub at: DateTime<Utc>,
    /// Seconds that were worked on it.
    pub worked: u64,
    /// What of the range is left to it: all but what lies behind the live edge of a collection.
    pub range: Window,
    /// Seconds of the range that had to be read when it was begun.
    pub asked: i64,
    /// Seconds of the range that are still to be read.
    pub left: i64,
    /// Nothing before it is left.
    pub complete_until: DateTime<Utc>,
    /// Windows that were read to their end.
    pub windows: u64,
    /// Rows they had.
    pub rows: u64,
    /// Rows among them that were not known: they are sent, or would be.
    pub new: u64,
    /// Rows among them that had been delivered already.
    pub known: u64,
    /// Rows that the receiver has accepted.
    #[serde(default)]
    pub accepted: u64,
    /// Rows that it will not accept, which are kept as dead letters.
    #[serde(default)]
    pub refused: u64,
    /// Seconds of the range that the source no longer kept.
    pub lost: i64,
    /// What keeps it from going on at the moment.
    pub trouble: Option<Trouble>,
    /// When the source's quota lets it ask again; none when it does not wait for that.
    #[serde(default)]
    pub next_request: Option<DateTime<Utc>>,
}

/// What keeps a backfill from going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What happened, what it means, what to do.
    pub sentence: String,
    /// Whether a person must act.
    pub person: bool,
}

impl Order {
    /// A new order.
    pub fn new(id: Uuid, range: Window, words: (String, String), again: bool) -> Self {
        Self {
            version: VERSION,
            id,
            range,
            words,
            again,
            cancelled: false,
        }
    }

    /// The content of its file.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn to_json(&self) -> io::Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(io::Error::other)
    }

    /// Reads the file; none when there is none that this program understands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(store: &impl Store) -> io::Result<Option<Self>> {
        let order: Option<Self> = load(store, ORDER_FILE).await?;
        Ok(order.filter(|order| order.version == VERSION))
    }
}

/// After so many seconds its pace says something.
const TELLING: i64 = 30;

impl Progress {
    /// The backfill of `order` begins, with its `range` as far as it is not left to the live edge.
    pub fn new(order: &Order, range: Window, now: DateTime<Utc>) -> Self {
        Self {
            version: VERSION,
            id: order.id,
            phase: Phase::Running,
            begun: now,
            at: now,
            worked: 0,
            range,
            asked: 0,
            left: 0,
            complete_until: range.start(),
            windows: 0,
            rows: 0,
            new: 0,
            known: 0,
            accepted: 0,
            refused: 0,
            lost: 0,
            trouble: None,
            next_request: None,
        }
    }

    /// How much of what had to be read is read, in percent.
    pub fn percent(&self) -> i64 {
        let asked = self.asked.max(1);
        (asked - self.left.clamp(0, asked)) * 100 / asked
    }

    /// How long the rest takes at the pace so far; none when that says nothing yet.
    pub fn seconds_left(&self) -> Option<i64> {
        let worked = self.worked.cast_signed();
        let read = self.asked - self.left;
        let is_certain = worked >= TELLING && read > 0 && self.left > 0;
        is_certain.then(|| worked.saturating_mul(self.left) / read)
    }

    /// Whether nothing will happen to it any more.
    pub fn has_ended(&self) -> bool {
        self.phase != Phase::Running
    }

    /// Reads the file; none when there is none that this program understands.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(store: &impl Store) -> io::Result<Option<Self>> {
        let progress: Option<Self> = load(store, PROGRESS_FILE).await?;
        Ok(progress.filter(|progress| progress.version == VERSION))
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn save(&self, store: &impl Store) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        store.write(PROGRESS_FILE, text.into()).await
    }

    /// A page was read.
    pub(super) fn page(&mut self, count: PageCount) {
        let sent = count.sent();
        self.rows += (sent + count.known) as u64;
        self.new += sent as u64;
        self.known += count.known as u64;
    }

    /// What is `unread` of the range.
    pub(super) fn measure(&mut self, unread: impl Iterator<Item = Window>) {
        let mut oldest = self.range.end();
        self.left = 0;
        for window in unread {
            oldest = oldest.min(window.start());
            self.left += window.span().num_seconds().max(1);
        }
        self.complete_until = oldest;
    }
}

async fn load<T: DeserializeOwned>(store: &impl Store, name: &str) -> io::Result<Option<T>> {
    let text = store.read(name).await?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}
