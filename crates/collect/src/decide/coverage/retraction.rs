//! What is taken back when the time goes back.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use super::{Coverage, Phase, Stretch, stretches::outside, windows::without};

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
    pub fn retract_all(
        &mut self,
        now: DateTime<Utc>,
        leapt: Option<DateTime<Utc>>,
    ) -> Option<Window> {
        let edge = self.edge();
        let soon = now + AHEAD;
        let doubted =
            self.doubt_readings(|read| read > soon || leapt.is_some_and(|leapt| read >= leapt));
        if edge > soon {
            let began = self.began(now, edge).unwrap_or(now);
            self.cut_off(now, |_| true);
            for instant in [&mut self.floor, &mut self.origin, &mut self.memory] {
                *instant = began.min(*instant);
            }
            self.reach(now);
            let taken_back = Window::new(now, edge);
            self.unasked = without(&self.unasked, taken_back);
            self.skipped = without(&self.skipped, taken_back);
            self.again = outside(&self.again, taken_back);
            return Window::new(doubted.map_or(now, |doubted| doubted.min(now)), edge);
        }
        let doubted = doubted?;
        self.retract(now);
        Window::new(doubted, edge)
    }

    /// Where a collection began all of which lies after `now`: so long before now as it has come since, by the
    /// clock that was wrong. Else what it was to begin with would never be asked for. None when it began before now.
    fn began(&self, now: DateTime<Utc>, edge: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let is_ahead = self.begun && self.origin > now;
        now.checked_sub_signed(edge - self.origin)
            .filter(|_| is_ahead)
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
