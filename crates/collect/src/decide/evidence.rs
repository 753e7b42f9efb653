//! What must be known before an act that cannot be taken back: pure, and told the time.
//!
//! The table in `docs/evidence.md` has all these acts, and the evidence of each. Here stands that of the
//! first: a time is called lost only when the source has refused it twice, long enough apart, has answered
//! for another time between, and both clocks say that it is older than the source is documented to keep
//! rows. What the source says of its reach only chooses what to ask next.

use std::time::Duration;

pub use base::SourceTime;
use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::decide::spans::whole_second;

/// Two refusals closer to one another are one.
const APART: Duration = Duration::from_secs(600);

/// Between two looks at a time that is refused and may not be called lost, at most.
const RARELY: Duration = Duration::from_secs(86_400);

/// The end of the source's reach is looked for down to this span.
const GRAIN: TimeDelta = TimeDelta::minutes(1);

/// An instant by both clocks, so that it can be told later by a clock that was set right meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// As the source's time was known then.
    pub time: DateTime<Utc>,
    /// By the monotonic clock.
    pub instant: Instant,
}

impl Moment {
    /// When it was, at the earliest, seen from another moment after it.
    pub fn at_the_earliest(&self, seen_from: Self) -> DateTime<Utc> {
        let passed = seen_from.instant.saturating_duration_since(self.instant);
        let passed = TimeDelta::from_std(passed).unwrap_or(TimeDelta::MAX);
        let known = seen_from.time.checked_sub_signed(passed);
        known.map_or(self.time, |known| known.min(self.time))
    }
}

/// Why a time counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// A window in it that the source refused twice as older than what it keeps.
    pub refused: Window,
    /// When, by the local clock.
    pub refusals: [DateTime<Utc>; 2],
    /// Another window, for which it gave a whole page between.
    pub answered: Window,
    /// The local time when it was called lost.
    pub local: DateTime<Utc>,
    /// The source's time then.
    pub source: DateTime<Utc>,
}

/// A time that counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// From when to when.
    pub window: Window,
    /// Why; none when an earlier version did not keep that.
    pub evidence: Option<Evidence>,
    /// When it was asked for last.
    pub asked: DateTime<Utc>,
}

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// From here on, this time is held back: the end of the source's reach is looked for in it.
    Begun(Window),
    /// It is still not certain: this time is held back, and asked for again.
    Held(Window),
    /// It is lost.
    Lost(Loss),
}

/// A window was refused as older than what the source keeps.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The window.
    pub window: Window,
    /// What may be refused like it: all of the gap that the window is part of, from its start on.
    pub gap: Window,
    /// The oldest instant that the source says it keeps, as a hint.
    pub oldest: Option<DateTime<Utc>>,
    /// When.
    pub instant: Instant,
    /// What time it was.
    pub time: SourceTime,
}

/// The times that the source refuses.
#[derive(Clone, Debug)]
pub struct Refusals {
    /// How long the source is documented to keep rows.
    retention: TimeDelta,
    /// In no order, and apart from one another.
    held: Vec<Held>,
}

/// A time whose start is refused, and whose end is not known to be answered for.
#[derive(Clone, Copy, Debug)]
struct Held {
    window: Window,
    /// Where the newest window began that was refused.
    refused_from: DateTime<Utc>,
    /// Where to look next, because the source said so.
    hint: Option<DateTime<Utc>>,
    /// The first refusal of the part at the end, once that is short.
    first: Option<First>,
    /// When it is asked for again.
    next: Instant,
    pause: Duration,
}

#[derive(Clone, Copy, Debug)]
struct First {
    instant: Instant,
    local: DateTime<Utc>,
    /// Another window, for which there was a page since.
    answered: Option<Window>,
}

impl Held {
    /// The part at the end, once the reach is known that closely.
    fn end(&self) -> Option<Window> {
        let end = Window::new(self.refused_from, self.window.end())?;
        (end.span() <= GRAIN).then_some(end)
    }

    /// What to ask for next, to find the end of the reach or to have it confirmed.
    fn question(&self) -> Option<Window> {
        if let Some(end) = self.end() {
            return Some(end);
        }
        let (from, to) = (self.refused_from, self.window.end());
        let middle = from + (to - from) / 2;
        let hint = self.hint.filter(|hint| from < *hint && *hint < to);
        let start = whole_second(hint.unwrap_or(middle)).max(from + TimeDelta::seconds(1));
        Window::new(start, to.min(start + GRAIN))
    }

    /// The part at the end was refused once more.
    fn judge(&mut self, end: Window, refusal: &Refusal, retention: TimeDelta) -> Option<Loss> {
        let Refusal { instant, time, .. } = *refusal;
        let local = time.now - time.skew.unwrap_or_default();
        let Some(first) = self.first else {
            self.first = Some(First {
                instant,
                local,
                answered: None,
            });
            self.next = instant + APART;
            return None;
        };
        let is_apart = instant.saturating_duration_since(first.instant) >= APART;
        if !is_apart {
            self.next = first.instant + APART;
            return None;
        }
        let kept_since = time.kept_since(retention);
        let is_too_old = kept_since.is_some_and(|since| self.window.end() <= since);
        let Some(answered) = first.answered.filter(|_| is_too_old) else {
            self.next = instant + self.pause;
            self.pause = (self.pause * 2).min(RARELY);
            return None;
        };
        Some(Loss {
            window: self.window,
            evidence: Some(Evidence {
                refused: end,
                refusals: [first.local, local],
                answered,
                local,
                source: time.now,
            }),
            asked: time.now,
        })
    }
}

impl Refusals {
    /// Nothing is refused by a source that is documented to keep rows for so long.
    pub fn new(retention: TimeDelta) -> Self {
        let held = Vec::new();
        Self { retention, held }
    }

    /// Goes by how long another source is documented to keep rows.
    pub fn set_retention(&mut self, retention: TimeDelta) {
        self.retention = retention;
    }

    /// What is held back: nothing of it is asked for but [`next`](Self::next).
    pub fn held(&self) -> impl Iterator<Item = Window> {
        self.held.iter().map(|held| held.window)
    }

    /// What of the times that are held back is to be asked for now.
    pub fn next(&self, now: Instant) -> impl Iterator<Item = Window> {
        let due = self.held.iter().filter(move |held| held.next <= now);
        due.filter_map(Held::question)
    }

    /// Forgets what nobody asks for any more.
    pub fn retain(&mut self, is_asked_for: impl Fn(Window) -> bool) {
        self.held.retain(|held| is_asked_for(held.window));
    }

    /// A window was refused.
    pub fn refused(&mut self, refusal: Refusal) -> Judgement {
        let start = refusal.window.start();
        let near = |held: &Held| held.window.contains(start) || held.window.end() == start;
        let place = self.held.iter().position(near);
        let Some((place, held)) = place.and_then(|at| Some((at, self.held.get_mut(at)?))) else {
            let held = Held {
                window: refusal.gap,
                refused_from: start,
                hint: refusal.oldest,
                first: None,
                next: refusal.instant,
                pause: APART,
            };
            self.held.push(held);
            return Judgement::Begun(refusal.gap);
        };
        held.hint = None;
        if held.window.end() == start {
            // What follows it is refused, too.
            held.window =
                Window::new(held.window.start(), refusal.gap.end()).unwrap_or(held.window);
            held.hint = refusal.oldest;
            held.first = None;
        }
        let before = held.refused_from;
        held.refused_from = before.max(start);
        let window = held.window;
        // Only what lies wholly in it tells of all of it.
        let Some(end) = held.end().filter(|_| before == start) else {
            held.next = refusal.instant;
            return Judgement::Held(window);
        };
        match held.judge(end, &refusal, self.retention) {
            Some(loss) => {
                self.held.swap_remove(place);
                Judgement::Lost(loss)
            }
            None => Judgement::Held(window),
        }
    }

    /// The first page of a window came, so that all from its start on is in reach.
    pub fn answered(&mut self, window: Window, now: Instant) {
        let start = window.start();
        self.held.retain_mut(|held| {
            if !held.window.contains(start) {
                if let Some(first) = &mut held.first
                    && first.instant < now
                {
                    first.answered = Some(window);
                }
                return true;
            }
            // What was refused before and is not now was refused for nothing.
            let Some(older) =
                Window::new(held.window.start(), start).filter(|_| held.refused_from < start)
            else {
                return false;
            };
            *held = Held {
                window: older,
                hint: None,
                first: None,
                next: now,
                ..*held
            };
            true
        });
    }
}

#[cfg(test)]
mod tests;
