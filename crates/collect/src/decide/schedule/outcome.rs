//! What became of a window that was asked for.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use tokio::time::Instant;

use super::{Completed, PATIENCE, Schedule};
use crate::decide::{
    coverage::windows::without,
    evidence::{Judgement, Refusal, SourceTime},
};

/// Also when everything is read once, what a longer settle time has left has the time that belongs to this one.
const LEAST: TimeDelta = TimeDelta::hours(1);

/// A reading that takes this part of the settle time keeps others from reading its window in time.
const HELD: i32 = 4;

impl Schedule {
    /// The first page of a window came. What counted as lost and is missing again because of it.
    pub fn answered(&mut self, window: Window, instant: Instant) -> Option<Window> {
        self.look_for_standstill(instant);
        self.answered = Some(instant);
        self.refusals.answered(window, instant);
        self.coverage.find_again(window)
    }

    /// Notices that no page came for long until now, as the source did not answer, or nothing was accepted. What
    /// could not be read meanwhile is not given up before it had its time.
    pub fn look_for_standstill(&mut self, instant: Instant) {
        let rested = self
            .answered
            .map(|at| instant.saturating_duration_since(at));
        let rested = rested.and_then(|rested| TimeDelta::from_std(rested).ok());
        let long = (self.time_to_settle() / HELD).max(self.settings.frequency * 2);
        if rested.is_some_and(|rested| rested >= long) {
            self.worked = TimeDelta::zero();
        }
    }

    /// For how long after its reception what was read has to be read again at the least.
    fn time_to_settle(&self) -> TimeDelta {
        match self.settings.settle_time {
            zero if zero.is_zero() => LEAST.max(self.settings.delay),
            settle_time => settle_time,
        }
    }

    /// A window was read. `certain` is what acts go by that cannot be taken back. What is not read
    /// again although it had not settled, as the quota has not allowed for it.
    pub fn complete(&mut self, completed: Completed, certain: DateTime<Utc>) -> Vec<Window> {
        let Completed {
            window,
            began,
            until,
            rows,
        } = completed;
        self.was_read(window);
        if let Some(window) = Window::new(window.start(), window.end().min(until)) {
            self.coverage.read(window, began.min(until), rows);
        }
        // Both by the source's clock.
        let certainly = certain + self.longer();
        self.coverage.settle(self.looked_for(), certainly);
        self.give_up(certain)
    }

    /// Nobody reads a window any more, and what was known of its failures is over.
    pub(super) fn was_read(&mut self, window: Window) {
        self.release(window);
        self.rests.rested = without(&self.rests.rested, [window]);
        self.rests.narrowed = without(&self.rests.narrowed, [window]);
        self.suspects = without(&self.suspects, [window]);
        self.cuts
            .retain(|cut| *cut < window.start() || window.end() < *cut);
    }

    /// Gives up what the quota has not allowed for. What was out of reach because of a stop or a standstill, or
    /// because a reading of it did not end, has its time first. What is being read is not overdue, nor is what was asked
    /// for and could not be read, as long as the source keeps it: else it would hold up the rest for ever.
    pub(super) fn give_up(&mut self, certain: DateTime<Utc>) -> Vec<Window> {
        let settle_time = self.time_to_settle();
        let patience = certain - settle_time * PATIENCE;
        // Else it would be given up as soon as it is free, although nobody could read it.
        if self.busy.has_held(patience, certain, settle_time / HELD) {
            self.worked = TimeDelta::zero();
        }
        if self.worked < settle_time {
            return Vec::new();
        }
        let kept_since = certain - self.settings.limits.retention;
        let narrowed = &mut self.rests.narrowed;
        narrowed.retain(|one| one.end() > kept_since);
        let failing = self.failing().filter(|one| one.end() > kept_since);
        let occupied = self.occupied().chain(failing);
        let oldest_busy = occupied.map(|busy| busy.start()).min();
        let before = oldest_busy.map_or(patience, |busy| busy.min(patience));
        self.coverage.give_up_before(before)
    }

    /// The source has refused a window as older than what it keeps; `oldest` is what it says it
    /// keeps. What follows; none when there was nothing of the window to lose, and it is only given
    /// back.
    pub fn refuse(
        &mut self,
        window: Window,
        oldest: Option<DateTime<Utc>>,
        time: SourceTime,
        instant: Instant,
    ) -> Option<Judgement> {
        let unread = self.coverage.missing().chain(self.coverage.wanted());
        let is_in = |gap: &Window| gap.contains(window.start());
        let gap = unread.into_iter().find(is_in);
        // It was read before, or counts as lost.
        let is_done = gap.is_none() && self.coverage.edge() > window.start();
        self.give_back(window);
        if is_done {
            return None;
        }
        let end = gap.unwrap_or(window).end().max(window.end());
        let others = self.refusals.held().map(|held| held.start());
        let other = others.filter(|start| *start > window.start()).min();
        let end = end.min(self.next_busy(window.end()));
        let end = other.map_or(end, |other| other.min(end));
        let judgement = self.refusals.refused(Refusal {
            window,
            gap: Window::new(window.start(), end)?,
            oldest,
            instant,
            time,
        });
        if let Judgement::Lost(loss) = judgement {
            self.coverage.lose(loss);
        }
        Some(judgement)
    }
}
