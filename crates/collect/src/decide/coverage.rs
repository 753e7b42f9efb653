//! What of the timeline has been read, and when: intervals, not one date.
//!
//! The timeline runs from a floor, before which nothing is left to do, to the live edge, after
//! which nothing has been asked for yet. Between the two it is a sequence of [`Stretch`]es without
//! gaps, each missing, settling or final.

mod backfill;
mod intervals;
mod lost;
mod retraction;
mod shortened;
mod stretches;
mod unasked;
pub(crate) mod windows;

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use serde::{Deserialize, Serialize};

pub use self::intervals::Stage;
pub(crate) use self::retraction::AHEAD;
use crate::decide::{
    coverage::windows::{with, without},
    evidence::Loss,
};

/// More stretches than this are merged, so that the state always stays small.
const MOST_STRETCHES: usize = 1000;

/// As many windows are remembered that the position was moved over, the newest ones. The others are
/// among those that nobody has asked for: a backfill still does.
const MOST_SKIPPED: usize = 50;

/// How far a stretch of the timeline has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Never read to the end.
    Missing,
    /// Never read to the end either, but only a backfill asks for it: the checkpoint does not wait
    /// for it.
    Wanted,
    /// Read, for the last time by a query that began at this instant; rows may still surface.
    Settling(DateTime<Utc>),
    /// Read for the last time.
    Final,
}

/// A part of the timeline with one history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// From when to when.
    pub window: Window,
    /// How far it has got.
    pub phase: Phase,
    /// Rows that it had when it was read last, about.
    pub rows: f64,
}

impl Stretch {
    fn of(window: Window, phase: Phase) -> Self {
        let rows = 0.0;
        Self {
            window,
            phase,
            rows,
        }
    }

    /// The part of it inside `window`, with its share of the rows.
    pub fn within(&self, window: Window) -> Option<Self> {
        let window = self.window.intersection(window)?;
        let share = window.span().as_seconds_f64() / self.window.span().as_seconds_f64();
        Some(Self {
            window,
            rows: self.rows * share,
            ..*self
        })
    }
}

/// The timeline of one collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Rows received before it are not ours: another module has delivered them, or nobody asked
    /// for them.
    origin: DateTime<Utc>,
    /// Nothing before it is left to do.
    floor: DateTime<Utc>,
    /// From the floor to the live edge, oldest first.
    stretches: Vec<Stretch>,
    /// Rows that were out of the source's reach before they could be read, oldest first.
    lost: Vec<Window>,
    /// Why they count as lost, and when they were asked for last.
    #[serde(default)]
    losses: Vec<Loss>,
    /// After the origin, what nobody has asked for: it lies between backfills and the rest, or was lost or
    /// skipped before all that is remembered of that. Oldest first.
    #[serde(default)]
    unasked: Vec<Window>,
    /// What somebody has skipped by moving the position on, oldest first; the newest of it.
    #[serde(default)]
    skipped: Vec<Window>,
    /// What was read before a backfill, or a position that was moved back, asked for it again, as it stood: so it
    /// stands when that is given up, or the source keeps it no more.
    #[serde(default)]
    again: Vec<Stretch>,
    /// Rows received before it may have been delivered and forgotten, although the floor is lower.
    #[serde(default)]
    memory: DateTime<Utc>,
    /// Whether there is a live edge; until then all there is are backfills.
    #[serde(default = "yes")]
    begun: bool,
    /// What it was to begin with, until its first start; none when it went on where another one was.
    #[serde(default)]
    first: Option<Window>,
}

fn yes() -> bool {
    true
}

impl Coverage {
    /// Nothing has been read, and nothing before `start` is asked for.
    pub fn new(start: DateTime<Utc>) -> Self {
        Self {
            origin: start,
            floor: start,
            memory: start,
            begun: true,
            ..Self::default()
        }
    }

    /// It is the very first collection, which starts `now` and is to begin with what was received since `from`.
    pub fn starts_first(&mut self, from: DateTime<Utc>, now: DateTime<Utc>) {
        self.first = Window::new(from, now);
    }

    /// Where the collection began.
    pub fn origin(&self) -> DateTime<Utc> {
        self.origin
    }

    /// Nothing before it is left to do.
    pub fn floor(&self) -> DateTime<Utc> {
        self.floor
    }

    /// What has surely passed, as all before it was read for the last time by both clocks; none when nothing was.
    pub fn passed(&self) -> Option<DateTime<Utc>> {
        Some(self.floor).filter(|floor| *floor > self.origin)
    }

    /// What was received before it may have been delivered and forgotten, although the floor is lower.
    pub fn memory(&self) -> DateTime<Utc> {
        self.memory
    }

    /// Nothing from it on has been asked for yet.
    pub fn edge(&self) -> DateTime<Utc> {
        self.stretches
            .last()
            .map_or(self.floor, |last| last.window.end())
    }

    /// Everything received before it has been read at least once: the oldest missing instant.
    pub fn checkpoint(&self) -> DateTime<Utc> {
        self.missing()
            .next()
            .map_or_else(|| self.edge(), |window| window.start())
    }

    /// Whether the stretches follow one another, as they always do.
    pub(crate) fn is_sound(&self) -> bool {
        let mut at = self.floor;
        self.stretches.iter().all(|stretch| {
            let follows = stretch.window.start() == at;
            at = stretch.window.end();
            follows && stretch.rows.is_finite()
        })
    }

    /// All stretches, oldest first.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The stretches before the live edge that were never read to the end, oldest first.
    pub fn missing(&self) -> impl Iterator<Item = Window> {
        self.in_phase(Phase::Missing)
    }

    fn in_phase(&self, phase: Phase) -> impl Iterator<Item = Window> {
        let stretches = self.stretches.iter();
        stretches.filter_map(move |one| (one.phase == phase).then_some(one.window))
    }

    /// What is read again until nothing can surface in it any more, oldest first.
    pub(crate) fn settling(&self) -> impl DoubleEndedIterator<Item = &Stretch> {
        let stretches = self.stretches.iter();
        stretches.filter(|one| matches!(one.phase, Phase::Settling(_)))
    }

    /// Whether a row received at this instant is to be looked at only in a window that holds it:
    /// its time is done, and whether it was delivered may be forgotten.
    pub fn is_done_with(&self, instant: DateTime<Utc>) -> bool {
        // What is lost, skipped or not asked for was never read: a later backfill is sent its rows.
        let holes = [&self.unasked, &self.skipped, &self.lost];
        let mut holes = holes.into_iter().flatten();
        let is_closed =
            instant < self.memory.max(self.origin) || holes.any(|hole| hole.contains(instant));
        is_closed && !self.is_open(instant)
    }

    /// Whether an instant is still to be read, or read again.
    fn is_open(&self, instant: DateTime<Utc>) -> bool {
        let stretch = self.stretch(instant);
        stretch.is_some_and(|stretch| stretch.phase != Phase::Final)
    }

    fn stretch(&self, instant: DateTime<Utc>) -> Option<&Stretch> {
        let after = self
            .stretches
            .partition_point(|stretch| stretch.window.start() <= instant);
        let stretch = self.stretches.get(after.checked_sub(1)?)?;
        Some(stretch).filter(|stretch| stretch.window.contains(instant))
    }

    /// When the instant was read last; none when it was not, or nothing is known of it any more.
    pub fn read_at(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.stretch(instant)?.phase {
            Phase::Settling(read) => Some(read),
            _ => None,
        }
    }

    /// The stretch around an instant that is still to be read for the first time; none when there is
    /// none.
    pub fn unread_around(&self, instant: DateTime<Utc>) -> Option<Window> {
        let stretch = self.stretch(instant)?;
        matches!(stretch.phase, Phase::Missing | Phase::Wanted).then_some(stretch.window)
    }

    /// Since when rows are being looked for that surface late; none when nothing is settling.
    pub fn settling_since(&self) -> Option<DateTime<Utc>> {
        Some(self.settling().next()?.window.start())
    }

    /// About how many rows lie in `window`, as far as it has been read.
    pub fn rows(&self, window: Window) -> f64 {
        let parts = self.stretches.iter().filter_map(|one| one.within(window));
        parts.map(|part| part.rows).sum()
    }

    /// A window has been read to its end, by a query that began at `at`, and its rows are safe.
    pub fn read(&mut self, window: Window, at: DateTime<Utc>, rows: u64) {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let rows = rows as f64;
        self.reach(window.end());
        self.skipped = without(&self.skipped, [window]);
        self.found(window);
        self.paint(window, Phase::Settling(at), rows);
    }

    /// Everything before `edge` is to be read, too, when it has not been.
    pub fn reach(&mut self, edge: DateTime<Utc>) {
        if let Some(window) = Window::new(self.edge(), edge) {
            self.stretches.push(Stretch::of(window, Phase::Missing));
        }
    }

    /// A window is to be read (again), also when it lies before the origin. What of it was read stands as it did
    /// when the source keeps it no more.
    pub fn want(&mut self, window: Window) {
        let kept = self.again.iter().filter_map(|one| one.within(window));
        let read: Vec<Stretch> = kept.chain(self.read_within(window)).collect();
        self.ask(window, Phase::Missing);
        self.again.extend(read);
    }

    /// Somebody has moved the position on to `checkpoint`: what was not read before it, and no
    /// backfill asks for, is not read. What was read goes on settling: nobody else reads
    /// rows that surface late in it.
    pub fn skip_by_position(&mut self, checkpoint: DateTime<Utc>) {
        let ahead = Window::new(self.edge(), checkpoint);
        let before = |unread: Window| Window::new(unread.start(), unread.end().min(checkpoint));
        let unread = self.missing().filter_map(before);
        let skipped: Vec<Window> = unread.chain(ahead).collect();
        self.reach(checkpoint);
        for window in skipped {
            // It was moved back before, and is put right: what settled then goes on, too. What was final is skipped:
            // new records of its hours have begun, and would say that none of its rows were accepted.
            let again = self.again.iter().filter_map(|one| one.within(window));
            let settled = again.filter(|one| matches!(one.phase, Phase::Settling(_)));
            let settled: Vec<Stretch> = settled.collect();
            for part in &settled {
                self.paint(part.window, part.phase, part.rows);
            }
            for rest in without(&[window], settled.iter().map(|part| part.window)) {
                self.paint(rest, Phase::Final, 0.0);
                self.skipped = with(&self.skipped, rest);
            }
        }
        self.memory = self.memory.max(checkpoint);
        let excess = self.skipped.len().saturating_sub(MOST_SKIPPED);
        for window in self.skipped.drain(..excess).collect::<Vec<_>>() {
            self.nobody_asks(window);
        }
    }

    /// What somebody has skipped by moving the position on, and nobody has read since, oldest first.
    pub fn skipped(&self) -> &[Window] {
        &self.skipped
    }

    /// Nobody asks for what lies between the edge and `start`.
    fn skip_to(&mut self, start: DateTime<Utc>) {
        if let Some(skipped) = Window::new(self.edge(), start) {
            self.reach(start);
            self.paint(skipped, Phase::Final, 0.0);
            self.nobody_asks(skipped);
        }
    }

    /// A window is to be read as this phase says, also when it lies before the origin or after the
    /// edge.
    fn ask(&mut self, window: Window, phase: Phase) {
        if let Some(before) = Window::new(window.start(), self.floor) {
            self.memory = self.memory.max(self.floor);
            self.stretches.insert(0, Stretch::of(before, Phase::Final));
            self.floor = before.start();
        }
        if let Some(older) = Window::new(window.start(), self.origin) {
            self.nobody_asks(older);
            self.origin = older.start();
        }
        if self.begun {
            self.reach(window.end());
        } else {
            self.skip_to(window.start());
        }
        self.unasked = without(&self.unasked, [window]);
        // A backfill may be given up: until it has read them, rows are lost or skipped.
        if phase != Phase::Wanted {
            self.skipped = without(&self.skipped, [window]);
            self.found(window);
        }
        self.reach(window.end());
        self.paint(window, phase, 0.0);
    }

    /// What was read `settle_time` after its reception, or later, is final, if that time has passed
    /// for `certain`.
    pub fn settle(&mut self, settle_time: TimeDelta, certain: DateTime<Utc>) {
        let mut settled = Vec::with_capacity(self.stretches.len() + 1);
        for stretch in &self.stretches {
            let Phase::Settling(read) = stretch.phase else {
                settled.push(*stretch);
                continue;
            };
            // Of two parts at most one is empty.
            let until = (read.min(certain) - settle_time)
                .clamp(stretch.window.start(), stretch.window.end());
            let done = Window::new(stretch.window.start(), until);
            let open = Window::new(until, stretch.window.end());
            settled.extend(done.map(|done| Stretch::of(done, Phase::Final)));
            settled.extend(open.and_then(|open| stretch.within(open)));
        }
        self.stretches = settled;
        self.tidy();
    }

    /// Gives up to read again what was received before `instant` and is still settling, and returns it.
    pub fn give_up_before(&mut self, instant: DateTime<Utc>) -> Vec<Window> {
        let settling = self.settling().map(|one| one.window);
        let given_up: Vec<Window> = settling.filter(|one| one.end() <= instant).collect();
        for window in &given_up {
            self.paint(*window, Phase::Final, 0.0);
        }
        given_up
    }
}

#[cfg(test)]
mod tests;
