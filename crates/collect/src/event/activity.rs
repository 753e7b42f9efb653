//! What a collector is doing at the moment.

use chrono::{DateTime, Utc};
use rows::Window;
use tokio::{task, time::Instant};

use crate::Lane;

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
