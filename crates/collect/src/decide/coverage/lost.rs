//! What of the timeline counts as lost, and why.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use crate::decide::{
    coverage::{
        Coverage,
        windows::{is_part, with, within, without},
    },
    evidence::Loss,
};

/// As many losses are remembered, the newest ones. The others are among those times that nobody has
/// asked for: a backfill still does.
const MOST_LOSSES: usize = 50;

/// What counts as lost is asked for once in this time.
const ASKED_AGAIN: TimeDelta = TimeDelta::hours(24);

/// Of a lost time, its newest part is asked for, of this length: it comes back first.
const PART: TimeDelta = TimeDelta::minutes(1);

impl Coverage {
    /// Rows that count as lost, oldest first.
    pub fn lost(&self) -> &[Window] {
        &self.lost
    }

    /// Why they count as lost, as far as it is remembered.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// What of a window counts as lost, also when that is more than is remembered.
    pub fn lost_within(&self, window: Window) -> Vec<Window> {
        let mut lost: Vec<Window> = within(&self.lost, window).collect();
        let unasked: Vec<Window> = within(&self.unasked, window).collect();
        lost.extend(without(&unasked, self.lost.iter().copied()));
        lost
    }

    /// A time counts as lost, but for what was read before it was asked for again: that stands as it did.
    pub fn lose(&mut self, loss: Loss) {
        let Loss { window, .. } = loss;
        self.reach(window.end());
        self.skipped = without(&self.skipped, [window]);
        // A backfill may have asked for what was lost before.
        self.found(window);
        for window in self.restore(window) {
            self.lost = with(&self.lost, window);
            self.note(Loss { window, ..loss });
        }
        let excess = self.lost.len().saturating_sub(MOST_LOSSES);
        for window in self.lost.drain(..excess).collect::<Vec<_>>() {
            self.nobody_asks(window);
        }
        self.forget_notes();
    }

    /// A window does not count as lost any more.
    pub(super) fn found(&mut self, window: Window) {
        self.lost = without(&self.lost, [window]);
        self.forget_notes();
    }

    /// Of what is not lost any more, it is not kept why.
    fn forget_notes(&mut self) {
        let lost = &self.lost;
        self.losses
            .retain(|loss| within(lost, loss.window).next().is_some());
    }

    /// What of the lost times is to be asked for once more: not more often than once a day, in case
    /// they were called lost for nothing.
    pub fn lost_to_ask(&self, now: DateTime<Utc>) -> Option<Window> {
        let is_due = |lost: &&Window| {
            let own = self.losses.iter().filter(|one| is_part(one.window, **lost));
            let asked = own.map(|one| one.asked).max();
            // A clock that was set back must not put it off.
            asked.is_none_or(|asked| (now - asked).abs() >= ASKED_AGAIN)
        };
        let due = self.lost.iter().filter(is_due);
        let mut parts =
            due.filter_map(|lost| Window::new(lost.start().max(lost.end() - PART), lost.end()));
        parts.find(|part| !self.is_wanted(*part))
    }

    /// A lost time is being asked for.
    pub fn lost_asked(&mut self, part: Window, now: DateTime<Utc>) {
        let lost = self.lost.iter().find(|lost| is_part(part, **lost));
        let Some(window) = lost.copied() else {
            return;
        };
        let is_own = |loss: &Loss| is_part(loss.window, window);
        if !self.losses.iter().any(is_own) {
            self.note(Loss {
                window,
                evidence: None,
                asked: now,
            });
        }
        for loss in self.losses.iter_mut().filter(|one| is_own(one)) {
            loss.asked = now;
        }
    }

    /// A page of a window came. The lost time that it is part of is missing again, as it was not lost;
    /// none when it is no part of one, or a backfill asks for it.
    pub fn find_again(&mut self, window: Window) -> Option<Window> {
        let lost = self.lost.iter().find(|lost| is_part(window, **lost));
        let again = *lost.filter(|_| !self.is_wanted(window))?;
        for part in without(&[again], self.wanted()) {
            self.want(part);
        }
        Some(again)
    }

    /// Whether a backfill asks for some of a window.
    fn is_wanted(&self, window: Window) -> bool {
        self.wanted().any(|one| one.intersection(window).is_some())
    }

    fn note(&mut self, loss: Loss) {
        self.losses.push(loss);
        let excess = self.losses.len().saturating_sub(MOST_LOSSES);
        self.losses.drain(..excess);
    }
}
