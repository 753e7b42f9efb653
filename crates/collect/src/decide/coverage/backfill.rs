//! What backfills do to the timeline.

use chrono::{DateTime, Utc};
use rows::Window;

use crate::decide::coverage::{
    Coverage, Phase, Stage, Stretch,
    windows::{hours, within, without},
};

impl Coverage {
    /// Nothing has been read, and nobody but backfills asks for anything, the first from `start` on.
    pub fn for_backfills(start: DateTime<Utc>) -> Self {
        Self {
            begun: false,
            ..Self::new(start)
        }
    }

    /// What only a backfill asks for and was never read to the end, oldest first.
    pub fn wanted(&self) -> impl Iterator<Item = Window> {
        self.in_phase(Phase::Wanted)
    }

    /// Whether there is a live edge, or only backfills so far.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// A backfill asks for a window: for all of it when it is to be read `again`, else for what was
    /// not read. What lies after the live edge is not its business, nor what a collection still reads again: its
    /// rows are known, and behind all of the backfill those that surface late would wait for days.
    pub fn backfill(&mut self, window: Window, again: bool) {
        let (edge, origin) = (self.edge(), self.origin);
        let before_edge = Window::new(window.start(), window.end().min(edge));
        let mut wanted: Vec<Window> = match before_edge {
            Some(before_edge) if again => {
                let settling = self.settling().filter(|_| self.begun);
                let settling = settling.map(|one| one.window);
                without(&[before_edge], self.missing().chain(settling))
            }
            Some(before_edge) => {
                let before = Window::new(window.start(), before_edge.end().min(origin));
                let holes = [&self.unasked, &self.lost, &self.skipped].into_iter();
                let holes = holes.flat_map(|holes| within(holes, before_edge));
                before.into_iter().chain(holes).collect()
            }
            None => Vec::new(),
        };
        let ahead = Window::new(window.start().max(edge), window.end());
        if self.begun {
            self.reach(window.end());
        } else {
            wanted.extend(ahead);
        }
        if again {
            for window in &wanted {
                self.again.extend(self.read_within(*window));
            }
        }
        for window in wanted {
            self.ask(window, Phase::Wanted);
        }
    }

    /// Whether a backfill asks for something again that was read, and that was not read again yet.
    pub fn is_sending_again(&self) -> bool {
        self.sent_again().next().is_some()
    }

    /// Whether some of that lies in a window.
    pub fn sends_again(&self, window: Window) -> bool {
        let mut sent = self.sent_again();
        sent.any(|one| one.intersection(window).is_some())
    }

    fn sent_again(&self) -> impl Iterator<Item = Window> {
        self.wanted().flat_map(move |wanted| {
            let again = self.again.iter();
            again.filter_map(move |one| one.window.intersection(wanted))
        })
    }

    /// What of a window was read, as it stands.
    pub(super) fn read_within(&self, window: Window) -> Vec<Stretch> {
        let settling = self.settling().copied();
        let done = self.intervals().into_iter();
        let done = done.filter(|(_, stage)| *stage == Stage::Final);
        let done = done.map(|(window, _)| Stretch::of(window, Phase::Final));
        let read = done.chain(settling);
        read.filter_map(|one| one.within(window)).collect()
    }

    /// Gives up the backfill, but for the hours that `keeps` names: all others stand as before, and are
    /// returned.
    pub fn give_up_backfill(&mut self, keeps: impl Fn(Window) -> bool) -> Vec<Window> {
        let wanted: Vec<Window> = self.wanted().collect();
        let given_up = wanted.into_iter().flat_map(hours);
        let given_up: Vec<Window> = given_up.filter(|window| !keeps(*window)).collect();
        for window in &given_up {
            let unread = self.restore(*window);
            let named = self.lost.iter().chain(&self.skipped).copied();
            for part in without(&unread, named) {
                self.nobody_asks(part);
            }
        }
        given_up
    }

    /// What of a window was read before a backfill asked for it again stands as it did. The rest becomes
    /// final, and is returned.
    pub(super) fn restore(&mut self, window: Window) -> Vec<Window> {
        let again = self.again.iter();
        let read: Vec<Stretch> = again.filter_map(|one| one.within(window)).collect();
        for part in &read {
            self.paint(part.window, part.phase, part.rows);
        }
        let unread = without(&[window], read.iter().map(|part| part.window));
        for part in &unread {
            self.paint(*part, Phase::Final, 0.0);
        }
        unread
    }

    /// The collection begins to read from `start` on, as it does when there is nothing yet. What
    /// backfills have read is not read for the first time again.
    pub fn begin(&mut self, start: DateTime<Utc>) {
        self.begun = true;
        // No backfill has asked for it.
        let before = Window::new(start, self.origin.min(self.edge()));
        self.skip_to(start);
        let Some(live) = Window::new(start, self.edge()) else {
            return;
        };
        let unasked = within(&self.unasked, live);
        let unread: Vec<Window> = before
            .into_iter()
            .chain(unasked)
            .chain(self.wanted().filter_map(|one| one.intersection(live)))
            .collect();
        for window in unread {
            self.ask(window, Phase::Missing);
        }
    }
}
