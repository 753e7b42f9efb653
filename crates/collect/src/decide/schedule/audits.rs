//! What a verification reads, after all else.

use chrono::TimeDelta;
use rows::Window;

use super::{Schedule, Scope};
use crate::decide::coverage::{
    Phase,
    windows::{with, without},
};

/// No window is longer: what its rows add up to is kept for each of its hours.
const LONGEST: TimeDelta = TimeDelta::hours(48);

impl Schedule {
    /// A schedule that reads what a verification asks for, and nothing else.
    #[must_use]
    pub fn auditing(mut self) -> Self {
        self.scope = Scope::Audits;
        self
    }

    /// Whether it reads nothing else.
    pub fn is_auditing(&self) -> bool {
        self.scope == Scope::Audits
    }

    /// These windows are to be read once more, oldest first, instead of those before.
    pub fn set_audits(&mut self, windows: Vec<Window>) {
        let joined = |all: Vec<Window>, window| with(&all, window);
        self.audits = windows.into_iter().fold(Vec::new(), joined);
        // What nobody reads any more is not searched either.
        let stretches = self.coverage.stretches().iter();
        let open = stretches.filter(|one| one.phase != Phase::Final);
        let read: Vec<Window> = open
            .map(|one| one.window)
            .chain(self.audits.iter().copied())
            .collect();
        let nobodys = without(&self.suspects, read);
        self.suspects = without(&self.suspects, nobodys);
    }

    /// Whether all that a verification asks for was read.
    pub fn is_audited(&self) -> bool {
        self.audits.is_empty()
    }

    /// The next window of the verification; none when there is none that nobody reads.
    pub fn audit(&self) -> Option<Window> {
        self.audit_of(&self.audits)
    }

    /// The next one of these windows.
    pub fn audit_of(&self, windows: &[Window]) -> Option<Window> {
        let mut free = windows.iter().filter_map(|window| self.free(*window, &[]));
        let free = free.next()?;
        let longest = Window::new(free.start(), free.end().min(free.start() + LONGEST))?;
        self.fitting(longest)
    }

    /// A window is being read.
    pub fn occupy(&mut self, window: Window) -> Window {
        self.busy.push(window, self.tick);
        window
    }

    /// A window was read once more, or cannot be. Nothing else is known of it but before.
    pub fn audited(&mut self, window: Window) {
        self.was_read(window);
        self.audits = without(&self.audits, [window]);
    }
}
