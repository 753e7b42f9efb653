//! Batches: one that is being filled, and what became of one that was on its way.

use std::time::Duration;

use base::delivery::Receipt;
use chrono::{DateTime, Utc};
use rows::{
    Window,
    known::{BatchId, Filed},
};
use tokio::time::Instant;

use super::Lane;

/// A batch that is not full leaves so long after its last row, when the next page has not come: rows in
/// hand do not wait for a service that fails, nor for its quota.
const LINGER: Duration = Duration::from_secs(1);

/// A batch that is no longer under way, or events that are no longer in hand.
#[derive(Debug)]
pub(crate) struct Delivery<H> {
    pub(crate) id: BatchId,
    pub(crate) rows: Vec<Filed>,
    pub(crate) newest: Option<DateTime<Utc>>,
    /// Whether they count for the backfill.
    pub(crate) for_backfill: bool,
    /// Events and bytes that were in hand.
    pub(crate) held: (usize, usize),
    /// None when it was given up because of a stop.
    pub(crate) receipt: Option<Receipt<H>>,
}

/// A batch being filled.
pub(crate) struct Draft<B> {
    pub(crate) id: BatchId,
    /// Rows without a date are filed under this one.
    pub(crate) otherwise: DateTime<Utc>,
    /// Made with its first row: most windows that are read again have none.
    pub(crate) batch: Option<B>,
    pub(crate) rows: Vec<Filed>,
    pub(crate) newest: Option<DateTime<Utc>>,
    /// When the page of its last row was taken in.
    pub(crate) filled: Option<Instant>,
    /// Whether its rows count for the backfill.
    pub(crate) for_backfill: bool,
}

impl<B> Draft<B> {
    pub(crate) fn id(&self) -> BatchId {
        self.id
    }

    pub(crate) fn new(id: BatchId, lane: Lane, window: Window) -> Self {
        Self {
            id,
            for_backfill: lane == Lane::Backfill,
            otherwise: window.start(),
            batch: None,
            rows: Vec::new(),
            newest: None,
            filled: None,
        }
    }

    /// How long until it leaves as it is; none when it has no rows.
    pub(crate) fn leaves_in(&self) -> Option<Duration> {
        let filled = self.filled.filter(|_| !self.rows.is_empty())?;
        Some(LINGER.saturating_sub(filled.elapsed()))
    }
}
