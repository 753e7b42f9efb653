//! Windows that are given back, and windows that are cut: because they are too much, or because
//! something in them cannot be read.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use super::{Lane, SHORTEST_SPAN, Schedule};
use crate::decide::{
    coverage::windows::{is_part, with},
    spans::whole_seconds,
};

impl Schedule {
    /// Whether a window can be cut.
    pub fn can_narrow(&self, window: Window) -> bool {
        window.span() > SHORTEST_SPAN
    }

    /// A window cannot be read whole: it is given back, to be asked for in narrower ones.
    pub fn narrow(&mut self, window: Window) {
        self.give_back(window);
        self.cuts.insert(window.start() + half(window));
        self.rests.narrowed = with(&self.rests.narrowed, window);
        self.width.halve(window);
    }

    /// A window fails while others are answered, which a narrower one may cure: it is given back, and
    /// until narrower ones have succeeded, those of its kind are half as wide. At the live edge the past in
    /// front of it is left away first.
    pub fn relieve(&mut self, lane: Lane, window: Window) {
        if lane != Lane::Live {
            self.narrow(window);
            self.narrowing.of(lane).fail(window.span(), half(window));
            return;
        }
        self.release(window);
        let alone = self.newest_alone(window);
        let most = alone.unwrap_or_else(|| half(window));
        self.narrowing.live.fail(window.span(), most);
        // The newest rows do not wait.
        self.tick = None;
    }

    /// A window may be too much for the source, and is left alone for now: until some of its kind have succeeded,
    /// the others are half as wide.
    pub fn expect_less(&mut self, lane: Lane, window: Window) {
        let bound = self.narrowing.of(lane);
        bound.fail(window.span(), half(window));
    }

    /// The live edge fails together with the past before it: it goes on with its newest part alone.
    pub fn let_go_of_the_past(&mut self, window: Window) {
        self.release(window);
        if let Some(alone) = self.newest_alone(window) {
            self.narrowing.live.fail(window.span(), alone);
        }
        self.tick = None;
    }

    /// How long the newest part of a window of the live edge is, that lies after what was read before; none
    /// when that is all of it.
    fn newest_alone(&self, window: Window) -> Option<TimeDelta> {
        let unread = Window::new(self.asked(window.end()), window.end())?;
        // It will be longer by the time it is asked for.
        let alone = self.newest(unread).span() + self.settings.frequency;
        Some(alone).filter(|alone| *alone < window.span())
    }

    /// A window cannot be read whole: it is given back, to be asked for in parts that meet at an
    /// instant in it, whose second is a part of its own.
    pub fn part(&mut self, window: Window, at: DateTime<Utc>) {
        self.give_back(window);
        self.cuts.insert(at);
    }

    /// There is something `around` here that cannot be read: the window is given back, to be asked for
    /// apart from that. When that is all of it, its halves are searched.
    pub fn suspect(&mut self, window: Window, around: Window) {
        self.give_back(window);
        self.cuts.extend([around.start(), around.end()]);
        if around == window {
            self.cuts.insert(window.start() + half(window));
        }
        self.suspects = with(&self.suspects, around);
    }

    /// Whether a window is a part of one that is searched.
    pub fn is_suspect(&self, window: Window) -> bool {
        self.suspects.iter().any(|one| is_part(window, *one))
    }

    /// A window ends after `now`, the source's time. It does not count as read, and its future is not
    /// asked for.
    pub fn withdraw(&mut self, window: Window, now: DateTime<Utc>) {
        self.give_back(window);
        self.coverage.retract(now);
    }

    /// Nobody reads this window any more. Its missing parts are asked for again.
    pub fn release(&mut self, window: Window) {
        self.busy.release(window);
    }

    /// A window was not read: unless others take it, it is missing.
    pub fn give_back(&mut self, window: Window) {
        self.release(window);
        self.coverage.reach(window.end());
    }
}

/// Half of a window, and no less than the shortest.
fn half(window: Window) -> TimeDelta {
    SHORTEST_SPAN.max(whole_seconds(window.span() / 2))
}
