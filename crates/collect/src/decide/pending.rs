//! Which windows are being read, and when their rows are safe: a pure state machine.
//!
//! A window is done when it was read to its end and nothing of it is on its way any more. A row
//! that another reading has put on its way counts too: until it has arrived, this window must not
//! pass as done, since after a crash nobody would look for the row again.

use std::collections::{BTreeMap, BTreeSet};

use rows::Window;

use crate::{Lane, decide::evidence::Moment, known::BatchId};

/// Names a reading of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PendingId(u64);

/// A window was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) rows: u64,
    /// When: what lies after it had not happened yet.
    pub(crate) until: Moment,
}

/// A window all of whose rows have been accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) lane: Lane,
    pub(crate) window: Window,
    pub(crate) began: Moment,
    /// What it had, and until when it counts as read.
    pub(crate) read: Read,
}

#[derive(Debug, Default)]
pub(crate) struct PendingWindows {
    last: u64,
    under_way: BTreeMap<PendingId, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    lane: Lane,
    window: Window,
    began: Moment,
    /// Once it was read to its end.
    read: Option<Read>,
    /// Batches with rows of it that are not accepted yet.
    batches: BTreeSet<BatchId>,
}

impl PendingWindows {
    pub(crate) fn begin(&mut self, lane: Lane, window: Window, began: Moment) -> PendingId {
        self.last += 1;
        let id = PendingId(self.last);
        let under_way = UnderWay {
            lane,
            window,
            began,
            read: None,
            batches: BTreeSet::new(),
        };
        self.under_way.insert(id, under_way);
        id
    }

    /// A row of the window is in this batch. This or another window has put it there.
    pub(crate) fn carried_by(&mut self, id: PendingId, batch: BatchId) {
        if let Some(reading) = self.under_way.get_mut(&id) {
            reading.batches.insert(batch);
        }
    }

    /// Some rows of a batch are in another one from now on.
    pub(crate) fn carried_instead(&mut self, batch: BatchId, other: BatchId) {
        for reading in self.under_way.values_mut() {
            if reading.batches.contains(&batch) {
                reading.batches.insert(other);
            }
        }
    }

    /// All rows of a batch are in another one from now on.
    pub(crate) fn carried_on(&mut self, batch: BatchId, other: BatchId) {
        for reading in self.under_way.values_mut() {
            if reading.batches.remove(&batch) {
                reading.batches.insert(other);
            }
        }
    }

    /// A batch was accepted. What is done now.
    pub(crate) fn accepted(&mut self, batch: BatchId) -> Vec<Done> {
        for reading in self.under_way.values_mut() {
            reading.batches.remove(&batch);
        }
        self.take_done()
    }

    /// The window was read to its end. What is done now.
    pub(crate) fn read(&mut self, id: PendingId, read: Read) -> Vec<Done> {
        if let Some(reading) = self.under_way.get_mut(&id) {
            reading.read = Some(read);
        }
        self.take_done()
    }

    /// The window will be asked for again, in another way. Its rows on their way are known by the
    /// batches that carry them.
    pub(crate) fn abandon(&mut self, id: PendingId) {
        self.under_way.remove(&id);
    }

    /// Whether all of these gaps, oldest first, was read and waits for its rows only: of the rest, the live edge
    /// reads the newest.
    pub(crate) fn hold_all_of(&self, gaps: impl IntoIterator<Item = Window>) -> bool {
        let mut gaps = gaps.into_iter().peekable();
        let Some(oldest) = gaps.peek().copied() else {
            return false;
        };
        let of_gaps = self.under_way.values();
        let of_gaps = of_gaps.filter(|one| matches!(one.lane, Lane::Live | Lane::Backlog));
        let holds = of_gaps.filter(|one| one.read.is_some() || one.lane == Lane::Live);
        let mut holds: Vec<&UnderWay> = holds.collect();
        let is_oldest = |one: &&UnderWay| one.window.contains(oldest.start());
        if !holds.iter().any(|one| one.read.is_some() && is_oldest(one)) {
            return false;
        }
        holds.sort_by_key(|one| one.window.start());
        let mut holds = holds.into_iter().map(|one| one.window).peekable();
        gaps.all(|gap| {
            let mut at = gap.start();
            while at < gap.end() {
                match holds.peek().copied() {
                    Some(held) if held.end() <= at => _ = holds.next(),
                    Some(held) if held.start() <= at => at = held.end(),
                    _ => return false,
                }
            }
            true
        })
    }

    fn take_done(&mut self) -> Vec<Done> {
        let is_done =
            |_: &PendingId, one: &mut UnderWay| one.read.is_some() && one.batches.is_empty();
        let done = self.under_way.extract_if(.., is_done);
        let done = done.filter_map(|(_, one)| {
            Some(Done {
                lane: one.lane,
                window: one.window,
                began: one.began,
                read: one.read?,
            })
        });
        done.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::LazyLock, time::Duration};

    use tokio::time::Instant;

    use super::*;
    use crate::testing::{at_second as at, seconds as window};

    fn moment(seconds: i64) -> Moment {
        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let instant = *ORIGIN + Duration::from_secs(seconds.unsigned_abs());
        let time = at(seconds);
        Moment { time, instant }
    }

    fn read(rows: u64) -> Read {
        Read {
            rows,
            until: moment(30),
        }
    }

    fn windows(done: &[Done]) -> Vec<Window> {
        done.iter().map(|done| done.window).collect()
    }

    #[test]
    fn done_is_what_was_read_and_accepted_in_any_order() {
        let mut pending = PendingWindows::default();
        let first = pending.begin(Lane::Live, window(0, 10), moment(20));
        let second = pending.begin(Lane::Live, window(10, 20), moment(20));
        pending.carried_by(first, BatchId(1));
        assert_eq!(pending.read(first, read(5)), [], "a batch is on its way");
        assert_eq!(windows(&pending.read(second, read(0))), [window(10, 20)]);
        let done = pending.accepted(BatchId(1));
        let expected = Done {
            lane: Lane::Live,
            window: window(0, 10),
            began: moment(20),
            read: read(5),
        };
        assert_eq!(done, [expected]);
        assert_eq!(pending.accepted(BatchId(1)), [], "once");
    }

    #[test]
    fn a_window_waits_for_the_rows_that_stay_in_hand() {
        let mut pending = PendingWindows::default();
        let one = pending.begin(Lane::Live, window(0, 10), moment(20));
        pending.carried_by(one, BatchId(1));
        let other = pending.begin(Lane::Live, window(10, 20), moment(20));
        pending.carried_by(other, BatchId(2));
        pending.read(one, read(5));
        pending.carried_instead(BatchId(1), BatchId(7));
        assert_eq!(pending.accepted(BatchId(1)), []);
        assert_eq!(windows(&pending.accepted(BatchId(7))), [window(0, 10)]);
        pending.read(other, read(5));
        assert_eq!(windows(&pending.accepted(BatchId(2))), [window(10, 20)]);
    }

    #[test]
    fn a_window_waits_for_the_batch_that_a_row_has_come_into() {
        let mut pending = PendingWindows::default();
        let one = pending.begin(Lane::Live, window(0, 10), moment(20));
        pending.carried_by(one, BatchId(1));
        pending.read(one, read(5));
        pending.carried_on(BatchId(1), BatchId(7));
        assert_eq!(pending.accepted(BatchId(1)), []);
        assert_eq!(windows(&pending.accepted(BatchId(7))), [window(0, 10)]);
    }

    #[test]
    fn rows_that_another_reading_carries_count() {
        let mut pending = PendingWindows::default();
        let wide = pending.begin(Lane::Live, window(0, 10), moment(20));
        pending.carried_by(wide, BatchId(1));
        pending.abandon(wide);
        let narrow = pending.begin(Lane::Live, window(0, 5), moment(21));
        pending.carried_by(narrow, BatchId(1));
        assert_eq!(pending.read(narrow, read(1)), []);
        assert_eq!(windows(&pending.accepted(BatchId(1))), [window(0, 5)]);
    }

    #[test]
    fn what_was_read_and_waits_for_its_rows_only_is_told() {
        let mut pending = PendingWindows::default();
        assert!(!pending.hold_all_of([]), "nothing is missing");
        let later = pending.begin(Lane::Backlog, window(10, 20), moment(20));
        let first = pending.begin(Lane::Backlog, window(0, 10), moment(20));
        let beside = pending.begin(Lane::Backfill, window(20, 30), moment(20));
        for (id, batch) in [(first, 1), (later, 2), (beside, 3)] {
            pending.carried_by(id, BatchId(batch));
        }
        let all = [window(2, 8), window(9, 20)];
        assert!(!pending.hold_all_of(all), "both are being read");
        pending.read(first, read(5));
        assert!(pending.hold_all_of([window(0, 10)]));
        assert!(!pending.hold_all_of(all), "one is being read");
        pending.read(later, read(5));
        assert!(pending.hold_all_of(all));
        pending.read(beside, read(5));
        let more = [window(0, 25)];
        assert!(!pending.hold_all_of(more), "a backfill fills no gap");
        pending.begin(Lane::Live, window(20, 25), moment(25));
        assert!(pending.hold_all_of(more));
        assert!(!pending.hold_all_of([window(0, 26)]), "nobody reads that");
        assert!(!pending.hold_all_of([window(20, 25)]), "it is being read");
    }

    #[test]
    fn what_is_asked_for_in_another_way_is_not_done() {
        let mut pending = PendingWindows::default();
        let wide = pending.begin(Lane::Live, window(0, 10), moment(20));
        pending.carried_by(wide, BatchId(1));
        pending.abandon(wide);
        assert_eq!(pending.read(wide, read(5)), []);
        assert_eq!(pending.accepted(BatchId(1)), []);
    }
}
