//! What is read once more when the settle time is made shorter.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use super::{Coverage, Phase, Stretch};

/// What is due for its last reading counts as read by so much too early for that.
const TOO_EARLY: TimeDelta = TimeDelta::seconds(1);

impl Coverage {
    /// What was read until now by a settle time of `before` is read by a shorter one: what is old enough for
    /// that, and was to be read again, is due for its last reading. Only that one asks for what a window may
    /// not show, and follows links for longer.
    pub fn shorten(&mut self, before: TimeDelta, settle_time: TimeDelta) {
        if before <= settle_time {
            return;
        }
        for stretches in [&mut self.stretches, &mut self.again] {
            let due = stretches.iter();
            *stretches = due
                .flat_map(|stretch| due_for_the_last(stretch, before, settle_time))
                .collect();
        }
        self.tidy();
    }
}

/// The parts of a stretch: what was read for the last time, what is to be, and what is too young.
fn due_for_the_last(stretch: &Stretch, before: TimeDelta, settle_time: TimeDelta) -> Vec<Stretch> {
    let Phase::Settling(read) = stretch.phase else {
        return vec![*stretch];
    };
    let (start, end) = (stretch.window.start(), stretch.window.end());
    let aged = |age| {
        let at = read.checked_sub_signed(age);
        at.unwrap_or(DateTime::<Utc>::MIN_UTC).clamp(start, end)
    };
    let (last, old) = (aged(before), aged(settle_time));
    let part = |from, to| stretch.within(Window::new(from, to)?);
    let due = part(last, old).map(|due| Stretch {
        phase: Phase::Settling(due.window.start() + settle_time - TOO_EARLY),
        ..due
    });
    let parts = [part(start, last), due, part(old, end)];
    parts.into_iter().flatten().collect()
}
