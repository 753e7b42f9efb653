//! A backfill: a range that a person wants delivered, and what is counted of it.

use chrono::{DateTime, Utc};
use rows::Window;
use serde::{Deserialize, Serialize};

use crate::order::{RangeOrder, RangeProgress, RangeWork};

/// A range that a person wants delivered.
pub type BackfillOrder = RangeOrder<BackfillWork>;

/// How far a backfill has got.
pub type BackfillProgress = RangeProgress<BackfillWork>;

/// What is to be delivered of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillWork {
    /// Whether rows are to be delivered that are delivered already and forgotten.
    pub again: bool,
}

/// What is counted of a backfill. Each count is made where it happens: at the reading, or when the
/// receiver has accepted or refused. After a crash a window may be read and counted a second time,
/// though its rows are delivered once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackfillCounts {
    /// What of the range is left to it: all but what lies after the live edge of a collection.
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
    /// Rows among them that are not wanted.
    #[serde(default)]
    pub excluded: u64,
    /// Rows that the receiver has accepted.
    #[serde(default)]
    pub accepted: u64,
    /// Rows that it will not accept, which are kept as dead letters.
    #[serde(default)]
    pub refused: u64,
    /// Seconds of the range that the source no longer kept.
    pub lost: i64,
}

impl RangeWork for BackfillWork {
    const ORDER_FILE: &'static str = "backfill.json";
    const PROGRESS_FILE: &'static str = "backfill-progress.json";

    type Counts = BackfillCounts;

    fn done_and_left(counts: &BackfillCounts) -> (i64, i64) {
        (counts.asked - counts.left, counts.left)
    }
}

impl BackfillCounts {
    /// Of a backfill that begins, with its `range` as far as it is not left to the live edge.
    pub fn new(range: Window) -> Self {
        Self {
            range,
            asked: 0,
            left: 0,
            complete_until: range.start(),
            windows: 0,
            rows: 0,
            new: 0,
            known: 0,
            excluded: 0,
            accepted: 0,
            refused: 0,
            lost: 0,
        }
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
