//! What is taken back when the time goes back.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use super::{Coverage, Phase, Stretch, stretches::outside, windows::without};
use crate::decide::leaps::UndoneLeap;

/// A source's time is known to the second or so: what lies ahead of it by no more is waited for.
pub(crate) const AHEAD: TimeDelta = TimeDelta::seconds(10);

impl Coverage {
    /// What lies after `now` has not happened yet, and is not missing.
    pub fn retract(&mut self, now: DateTime<Utc>) {
        self.cut_off(now, |phase| matches!(phase, Phase::Missing | Phase::Wanted));
    }

    /// What lies after `now` has not happened yet, also when it counts as read. What was read in the
    /// future, or since the time has `leapt` ahead, was read earlier than it is said, nobody knows when:
    /// it is missing. From where to where that is; none when there is nothing, or so little that it will
    /// soon have happened.
    pub(crate) fn retract_all(
        &mut self,
        now: DateTime<Utc>,
        leapt: Option<UndoneLeap>,
    ) -> Option<Window> {
        let edge = self.edge();
        let soon = now + AHEAD;
        let mut doubted = self
            .doubt_readings(|read| read > soon || leapt.is_some_and(|leapt| read >= leapt.since));
        if edge > soon {
            self.cut_off(now, |_| true);
            for instant in [&mut self.floor, &mut self.origin, &mut self.memory] {
                *instant = now.min(*instant);
            }
            self.reach(now);
            let taken_back = Window::new(now, edge);
            self.unasked = without(&self.unasked, taken_back);
            self.skipped = without(&self.skipped, taken_back);
            self.again = outside(&self.again, taken_back);
            doubted = Some(doubted.map_or(now, |doubted| doubted.min(now)));
        }
        if let Some(leapt) = leapt {
            self.begin_before_leap(leapt, now);
        }
        self.begin_as_long_before(now, edge);
        let doubted = doubted?;
        self.retract(now);
        Window::new(doubted, edge)
    }

    /// The first start of a collection lies after `now`, by a clock that ran ahead: it began too late by as much.
    /// It began as long before now as it has come since, to the `edge`; else some of what it was to begin with, or
    /// all, would never be asked for. A clock may go back in several steps.
    fn begin_as_long_before(&mut self, now: DateTime<Utc>, edge: DateTime<Utc>) {
        let Some(first) = self.first.filter(|first| first.end() > now + AHEAD) else {
            return;
        };
        let since = (edge - first.end()).max(TimeDelta::zero());
        if let Some(end) = now.checked_sub_signed(since) {
            self.first_ended(first, end, now);
        }
    }

    /// The clock by which a collection has started first was ahead, also where the time has come since that it
    /// showed: it began too late by as much.
    fn begin_before_leap(&mut self, leapt: UndoneLeap, now: DateTime<Utc>) {
        let first = self
            .first
            .filter(|first| leapt.since - first.end() <= AHEAD);
        if let Some(first) = first
            && let Some(end) = first.end().checked_sub_signed(leapt.by)
        {
            self.first_ended(first, end, now);
        }
    }

    /// The `first` start was earlier than it seemed: what it was to begin with is asked for, too.
    fn first_ended(&mut self, first: Window, end: DateTime<Utc>, now: DateTime<Utc>) {
        let start = end.checked_sub_signed(first.span());
        let Some(right) = start.and_then(|start| Window::new(start, end)) else {
            return;
        };
        self.first = Some(right);
        let Some(earlier) = Window::new(right.start(), first.start().min(now)) else {
            return;
        };
        // Nothing of it was delivered, unless by a backfill: what that has read would come twice, as its rows may be
        // forgotten by now.
        let read = self.read_within(earlier);
        let unread = without(&[earlier], read.iter().map(|one| one.window));
        if unread.is_empty() {
            return;
        }
        // What was read for the last time is forgotten.
        let done = self.memory.max(self.floor);
        let memory = match done <= self.origin {
            true => earlier.start(),
            false => done,
        };
        for part in unread {
            self.ask(part, Phase::Missing);
        }
        self.memory = memory;
    }

    /// What was read at an instant that is wrong is to be read once more, also when a backfill that asks for it
    /// again is given up. Where it begins; none when there is nothing.
    fn doubt_readings(
        &mut self,
        is_wrong: impl Fn(DateTime<Utc>) -> bool,
    ) -> Option<DateTime<Utc>> {
        let is_doubted =
            |one: &Stretch| matches!(one.phase, Phase::Settling(read) if is_wrong(read));
        for stretch in self.again.iter_mut().filter(|one| is_doubted(one)) {
            stretch.phase = Phase::Missing;
        }
        let first = self.stretches.iter().find(|one| is_doubted(one))?;
        let first = first.window.start();
        for stretch in self.stretches.iter_mut().filter(|one| is_doubted(one)) {
            stretch.phase = Phase::Missing;
        }
        self.tidy();
        Some(first)
    }

    /// Cuts the timeline off at an instant, down to what is not `taken`.
    fn cut_off(&mut self, at: DateTime<Utc>, taken: impl Fn(Phase) -> bool) {
        let ahead = |one: &Stretch| taken(one.phase) && one.window.end() > at;
        while let Some(last) = self.stretches.pop_if(|last| ahead(last)) {
            let before = Window::new(last.window.start(), at);
            self.stretches
                .extend(before.and_then(|window| last.within(window)));
        }
    }
}
