//! How far everything has been delivered: a pure state machine.
//!
//! Windows are read in order, their batches are accepted in any order; the mark moves past a
//! window only when it was read to its end and every one of its batches was accepted.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use crate::Window;

/// Names a window that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId(u64);

#[derive(Debug)]
struct UnderWay {
    id: WindowId,
    /// Where the mark goes when all is accepted; nowhere for a window that is abandoned.
    end: Option<DateTime<Utc>>,
    read: bool,
    batches: usize,
}

/// The windows under way and the mark before which everything is delivered.
#[derive(Debug)]
pub struct Progress {
    mark: DateTime<Utc>,
    next_id: u64,
    under_way: VecDeque<UnderWay>,
}

impl Progress {
    /// Nothing is under way; everything before `mark` is done with.
    pub const fn new(mark: DateTime<Utc>) -> Self {
        Self {
            mark,
            next_id: 0,
            under_way: VecDeque::new(),
        }
    }

    /// Everything before it has been delivered (or is gone for good).
    pub const fn mark(&self) -> DateTime<Utc> {
        self.mark
    }

    /// Reading of a window begins.
    pub fn begin(&mut self, window: Window) -> WindowId {
        let id = WindowId(self.next_id);
        self.next_id += 1;
        self.under_way.push_back(UnderWay {
            id,
            end: Some(window.end()),
            read: false,
            batches: 0,
        });
        id
    }

    /// A batch with rows of this window is on its way.
    pub fn sent(&mut self, id: WindowId) {
        if let Some(window) = self.find(id) {
            window.batches += 1;
        }
    }

    /// The intake has accepted a batch of this window. True when the mark moved.
    pub fn accepted(&mut self, id: WindowId) -> bool {
        if let Some(window) = self.find(id) {
            window.batches = window.batches.saturating_sub(1);
        }
        self.advance()
    }

    /// The window was read to its end. True when the mark moved.
    pub fn read(&mut self, id: WindowId) -> bool {
        if let Some(window) = self.find(id) {
            window.read = true;
        }
        self.advance()
    }

    /// The window will be asked for again, cut differently. Its batches still hold the mark back:
    /// their rows are not sent again, so nothing may pass them before they are accepted.
    pub fn abandon(&mut self, id: WindowId) {
        if let Some(window) = self.find(id) {
            window.read = true;
            window.end = None;
        }
        self.advance();
    }

    /// Whether any window is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    fn find(&mut self, id: WindowId) -> Option<&mut UnderWay> {
        self.under_way.iter_mut().find(|window| window.id == id)
    }

    fn advance(&mut self) -> bool {
        let before = self.mark;
        while let Some(window) = self.under_way.front() {
            if !window.read || window.batches > 0 {
                break;
            }
            self.mark = self.mark.max(window.end.unwrap_or(self.mark));
            self.under_way.pop_front();
        }
        self.mark != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn window(start: i64, end: i64) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn moves_only_when_read_and_accepted_in_order() {
        let mut progress = Progress::new(at(0));
        let first = progress.begin(window(0, 10));
        progress.sent(first);
        assert!(!progress.read(first), "a batch is still on its way");
        let second = progress.begin(window(10, 20));
        assert!(
            !progress.read(second),
            "the first window is not accepted yet"
        );
        assert_eq!(progress.mark(), at(0));
        assert!(progress.accepted(first));
        assert_eq!(progress.mark(), at(20));
        assert!(progress.is_idle());
    }

    #[test]
    fn batches_of_an_abandoned_window_hold_the_mark_back() {
        let mut progress = Progress::new(at(0));
        let wide = progress.begin(window(0, 10));
        progress.sent(wide);
        progress.abandon(wide);
        let narrow = progress.begin(window(0, 5));
        assert!(
            !progress.read(narrow),
            "rows of the wide window are still on their way"
        );
        assert!(progress.accepted(wide));
        assert_eq!(progress.mark(), at(5), "not the end of what was abandoned");
    }
}
