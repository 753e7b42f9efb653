//! What of the timeline has been read, and when: intervals, not one date.
//!
//! The timeline runs from a floor, before which nothing is left to do, to the live edge, behind
//! which nothing has been asked for yet. Between the two it is a sequence of [`Stretch`]es without
//! gaps, each missing, settling or final.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::Window;

/// More stretches than this are merged, so that the state stays small whatever happens.
const MOST_STRETCHES: usize = 1000;

/// As many losses are remembered, the newest ones.
const MOST_LOSSES: usize = 50;

/// Delivered rows are remembered by the hour.
const HOUR: TimeDelta = TimeDelta::hours(1);

/// How far a stretch of the timeline has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Never read to the end.
    Missing,
    /// Never read to the end either, but only a backfill asks for it: the mark does not wait for it.
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
    /// The part of it inside `window`, with its share of the rows.
    pub fn within(&self, window: Window) -> Option<Self> {
        let window = self.window.intersection(window)?;
        let share = seconds(window.span()) / seconds(self.window.span());
        Some(Self {
            window,
            rows: self.rows * share,
            ..*self
        })
    }
}

/// The timeline of one collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Behind the origin, what nobody has asked for: it lies between backfills and the rest. Oldest
    /// first.
    #[serde(default)]
    unasked: Vec<Window>,
    /// Rows received before it may have been delivered and forgotten, although the floor is lower.
    #[serde(default)]
    memory: DateTime<Utc>,
    /// Whether there is a live edge; until then all there is are backfills.
    #[serde(default = "yes")]
    begun: bool,
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
            stretches: Vec::new(),
            lost: Vec::new(),
            unasked: Vec::new(),
            memory: start,
            begun: true,
        }
    }

    /// Nothing has been read, and nobody but backfills asks for anything, the first from `start` on.
    pub fn for_backfills(start: DateTime<Utc>) -> Self {
        Self {
            begun: false,
            ..Self::new(start)
        }
    }

    /// Where the collection began.
    pub fn origin(&self) -> DateTime<Utc> {
        self.origin
    }

    /// Nothing before it is left to do.
    pub fn floor(&self) -> DateTime<Utc> {
        self.floor
    }

    /// Nothing from it on has been asked for yet.
    pub fn edge(&self) -> DateTime<Utc> {
        self.stretches
            .last()
            .map_or(self.floor, |last| last.window.end())
    }

    /// Everything received before it has been read at least once: the oldest missing instant.
    pub fn mark(&self) -> DateTime<Utc> {
        self.missing()
            .next()
            .map_or_else(|| self.edge(), |window| window.start())
    }

    /// All stretches, oldest first.
    pub fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The stretches behind the live edge that were never read to the end, oldest first.
    pub fn missing(&self) -> impl Iterator<Item = Window> {
        let missing = self.stretches.iter();
        missing
            .filter(|stretch| stretch.phase == Phase::Missing)
            .map(|stretch| stretch.window)
    }

    /// Rows that are gone for good, oldest first.
    pub fn lost(&self) -> &[Window] {
        &self.lost
    }

    /// What only a backfill asks for and was never read to the end, oldest first.
    pub fn wanted(&self) -> impl Iterator<Item = Window> {
        let wanted = self.stretches.iter();
        wanted
            .filter(|stretch| stretch.phase == Phase::Wanted)
            .map(|stretch| stretch.window)
    }

    /// Whether there is a live edge, or only backfills so far.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether a row received at this instant is to be looked at only in a window that holds it:
    /// its time is done, and whether it was delivered may be forgotten.
    pub fn is_done_with(&self, instant: DateTime<Utc>) -> bool {
        instant < self.memory.max(self.origin) && !self.is_open(instant)
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
        self.paint(window, Phase::Settling(at), rows);
    }

    /// Nobody will ever read this window.
    pub fn lose(&mut self, window: Window) {
        self.reach(window.end());
        self.paint(window, Phase::Final, 0.0);
        self.lost = with(&self.lost, window);
        let excess = self.lost.len().saturating_sub(MOST_LOSSES);
        self.lost.drain(..excess);
    }

    /// Everything before `edge` is to be read, too, when it has not been.
    pub fn reach(&mut self, edge: DateTime<Utc>) {
        if let Some(window) = Window::new(self.edge(), edge) {
            self.stretches.push(Stretch {
                window,
                phase: Phase::Missing,
                rows: 0.0,
            });
        }
    }

    /// What lies behind `now` has not happened yet, and is not missing.
    pub fn retract(&mut self, now: DateTime<Utc>) {
        let unread = |one: &Stretch| matches!(one.phase, Phase::Missing | Phase::Wanted);
        let ahead = |one: &Stretch| unread(one) && one.window.end() > now;
        while let Some(last) = self.stretches.pop_if(|last| ahead(last)) {
            let until_now = Window::new(last.window.start(), now);
            self.stretches
                .extend(until_now.and_then(|window| last.within(window)));
        }
    }

    /// A window is to be read (again), also when it lies before the origin.
    pub fn want(&mut self, window: Window) {
        self.ask(window, Phase::Missing);
    }

    /// A backfill asks for a window: for all of it when it is to be read `again`, else for what was
    /// not read. What lies behind the live edge is its own business, too, so that it is missing.
    pub fn backfill(&mut self, window: Window, again: bool) {
        let (edge, origin) = (self.edge(), self.origin);
        let unread = |window: Window| {
            let before = Window::new(window.start(), window.end().min(origin));
            let unasked = within(&self.unasked, window);
            before.into_iter().chain(unasked)
        };
        let behind = Window::new(window.start(), window.end().min(edge));
        let mut wanted: Vec<Window> = match behind {
            Some(behind) if again => without(&[behind], self.missing()),
            Some(behind) => unread(behind).chain(within(&self.lost, behind)).collect(),
            None => Vec::new(),
        };
        let ahead = Window::new(window.start().max(edge), window.end());
        if self.begun {
            self.reach(window.end());
        } else {
            wanted.extend(ahead);
        }
        for window in wanted {
            self.ask(window, Phase::Wanted);
        }
    }

    /// The backfill is given up, but for the hours that `keeps` names.
    pub fn give_up_backfill(&mut self, keeps: impl Fn(Window) -> bool) {
        let wanted: Vec<Window> = self.wanted().collect();
        for window in wanted.into_iter().flat_map(hours) {
            if !keeps(window) {
                self.paint(window, Phase::Final, 0.0);
                self.unasked = with(&self.unasked, window);
            }
        }
    }

    /// The collection begins to read from `start` on, as it does when there is nothing yet. What
    /// backfills have read is not read for the first time again.
    pub fn begin(&mut self, start: DateTime<Utc>) {
        self.begun = true;
        self.skip_to(start);
        let Some(live) = Window::new(start, self.edge()) else {
            return;
        };
        let unasked = within(&self.unasked, live);
        let unread: Vec<Window> = unasked
            .chain(self.wanted().filter_map(|one| one.intersection(live)))
            .collect();
        for window in unread {
            self.ask(window, Phase::Missing);
        }
    }

    /// Another module has delivered everything before `mark` that no backfill asks for.
    pub fn delivered_before(&mut self, mark: DateTime<Utc>) {
        let start = self.floor;
        self.reach(mark);
        let all = Window::new(start, mark);
        let theirs = all.map(|all| without(&[all], self.wanted()));
        for window in theirs.into_iter().flatten() {
            self.paint(window, Phase::Final, 0.0);
        }
        self.memory = self.memory.max(mark);
    }

    /// Nobody asks for what lies between the edge and `start`.
    fn skip_to(&mut self, start: DateTime<Utc>) {
        if let Some(skipped) = Window::new(self.edge(), start) {
            self.reach(start);
            self.paint(skipped, Phase::Final, 0.0);
            self.unasked = with(&self.unasked, skipped);
        }
    }

    /// A window is to be read as this phase says, also when it lies before the origin or behind the
    /// edge.
    fn ask(&mut self, window: Window, phase: Phase) {
        if let Some(before) = Window::new(window.start(), self.floor) {
            self.memory = self.memory.max(self.floor);
            self.stretches.insert(
                0,
                Stretch {
                    window: before,
                    phase: Phase::Final,
                    rows: 0.0,
                },
            );
            self.floor = before.start();
        }
        if let Some(older) = Window::new(window.start(), self.origin) {
            self.unasked = with(&self.unasked, older);
            self.origin = older.start();
        }
        if self.begun {
            self.reach(window.end());
        } else {
            self.skip_to(window.start());
        }
        self.unasked = without(&self.unasked, [window]);
        self.lost = without(&self.lost, [window]);
        self.reach(window.end());
        self.paint(window, phase, 0.0);
    }

    /// What was read `settle_time` after its reception, or later, is final.
    pub fn settle(&mut self, settle_time: TimeDelta) {
        let mut settled = Vec::with_capacity(self.stretches.len() + 1);
        for stretch in &self.stretches {
            let Phase::Settling(read) = stretch.phase else {
                settled.push(*stretch);
                continue;
            };
            // Of two parts at most one is empty.
            let until = (read - settle_time).clamp(stretch.window.start(), stretch.window.end());
            let done = Window::new(stretch.window.start(), until);
            let open = Window::new(until, stretch.window.end());
            settled.extend(
                done.and_then(|done| stretch.within(done))
                    .map(|part| Stretch {
                        phase: Phase::Final,
                        rows: 0.0,
                        ..part
                    }),
            );
            settled.extend(open.and_then(|open| stretch.within(open)));
        }
        self.stretches = settled;
        self.tidy();
    }

    /// What was received before `instant` and is still settling is not read again.
    pub fn give_up_before(&mut self, instant: DateTime<Utc>) {
        let settling = |one: &Stretch| matches!(one.phase, Phase::Settling(_));
        let old = |one: &&Stretch| settling(one) && one.window.end() <= instant;
        let given_up: Vec<Window> = self
            .stretches
            .iter()
            .filter(old)
            .map(|one| one.window)
            .collect();
        for window in given_up {
            self.paint(window, Phase::Final, 0.0);
        }
    }

    /// Gives a window a phase of its own.
    fn paint(&mut self, window: Window, phase: Phase, rows: f64) {
        // What lies before the floor is done.
        let Some(window) = Window::new(window.start().max(self.floor), window.end()) else {
            return;
        };
        let before = Window::new(self.floor, window.start());
        let after = Window::new(window.end(), self.edge());
        let side = |side: Option<Window>| {
            let parts = self.stretches.iter();
            parts.filter_map(move |one| one.within(side?))
        };
        let mut painted: Vec<Stretch> = side(before).collect();
        painted.push(Stretch {
            window,
            phase,
            rows,
        });
        painted.extend(side(after));
        self.stretches = painted;
        self.tidy();
    }

    /// Merges neighbors of one kind, raises the floor over what is final, and keeps within bounds.
    fn tidy(&mut self) {
        let mut merged: Vec<Stretch> = Vec::with_capacity(self.stretches.len());
        for stretch in self.stretches.drain(..) {
            match merged.last_mut() {
                Some(last) if last.phase == stretch.phase => join(last, &stretch, stretch.phase),
                _ => merged.push(stretch),
            }
        }
        if let Some(first) = merged.first()
            && first.phase == Phase::Final
        {
            self.floor = first.window.end();
            merged.remove(0);
        }
        if merged.len() > MOST_STRETCHES {
            merged = halved(merged);
        }
        self.stretches = merged;
    }
}

/// Merges pairs of settling neighbors, which are then read again as early as the earlier of them.
fn halved(stretches: Vec<Stretch>) -> Vec<Stretch> {
    let mut merged: Vec<Stretch> = Vec::with_capacity(stretches.len());
    let mut mergeable = false;
    for stretch in stretches {
        match (merged.last_mut(), stretch.phase) {
            (Some(last), Phase::Settling(read)) if mergeable => {
                if let Phase::Settling(before) = last.phase {
                    join(last, &stretch, Phase::Settling(before.min(read)));
                    mergeable = false;
                    continue;
                }
                merged.push(stretch);
            }
            // What differs in kind stays apart: a missing stretch counts as much as any other, and
            // there are only as many as there were stops.
            _ => merged.push(stretch),
        }
        mergeable = true;
    }
    merged
}

fn join(last: &mut Stretch, next: &Stretch, phase: Phase) {
    last.window = Window::new(last.window.start(), next.window.end()).unwrap_or(last.window);
    last.rows += next.rows;
    last.phase = phase;
}

/// What of some windows lies in another one.
fn within(windows: &[Window], inside: Window) -> impl Iterator<Item = Window> {
    let windows = windows.iter();
    windows.filter_map(move |one| one.intersection(inside))
}

/// Windows in order, and one more; those that meet are one.
fn with(windows: &[Window], window: Window) -> Vec<Window> {
    let mut all = without(windows, [window]);
    all.push(window);
    all.sort_by_key(Window::start);
    all.dedup_by(|next, last| {
        let meet = last.end() == next.start();
        if meet && let Some(joined) = Window::new(last.start(), next.end()) {
            *last = joined;
        }
        meet
    });
    all
}

/// Windows without what lies in others.
fn without(windows: &[Window], others: impl IntoIterator<Item = Window>) -> Vec<Window> {
    let mut left = windows.to_vec();
    for other in others {
        let sides = |window: Window| {
            let before = Window::new(window.start(), window.end().min(other.start()));
            let after = Window::new(window.start().max(other.end()), window.end());
            [before, after].into_iter().flatten()
        };
        left = left.into_iter().flat_map(sides).collect();
    }
    left
}

/// A window cut at full hours.
fn hours(window: Window) -> Vec<Window> {
    let mut cut = Vec::new();
    let mut start = window.start();
    while start < window.end() {
        let hour = start.duration_trunc(HOUR).unwrap_or(start) + HOUR;
        cut.extend(Window::new(start, hour.min(window.end())));
        start = hour;
    }
    cut
}

/// A span in seconds, with their fraction.
pub(super) fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap()
    }

    fn window(start: i64, end: i64) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    fn phases(coverage: &Coverage) -> Vec<(Window, Phase)> {
        let stretches = coverage.stretches().iter();
        stretches.map(|one| (one.window, one.phase)).collect()
    }

    #[test]
    fn a_gap_is_missing_until_it_is_read() {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(100));
        coverage.read(window(100, 102), at(102), 4);
        assert_eq!(coverage.mark(), at(0));
        coverage.read(window(0, 60), at(103), 0);
        assert_eq!(coverage.mark(), at(60));
        coverage.read(window(60, 100), at(103), 40);
        assert_eq!(coverage.mark(), at(102));
        let expected = [
            (window(0, 100), Phase::Settling(at(103))),
            (window(100, 102), Phase::Settling(at(102))),
        ];
        assert_eq!(phases(&coverage), expected);
        assert!((coverage.rows(window(50, 102)) - 24.0).abs() < 1e-6);
        assert_eq!(coverage.read_at(at(50)), Some(at(103)));
        assert_eq!(
            (coverage.read_at(at(102)), coverage.read_at(at(-1))),
            (None, None)
        );
    }

    #[test]
    fn what_was_read_late_enough_is_final_and_raises_the_floor() {
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 100), at(100), 100);
        coverage.settle(HOUR);
        assert_eq!((coverage.floor(), coverage.edge()), (at(40), at(100)));
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(10));
        coverage.read(window(10, 100), at(100), 90);
        coverage.settle(HOUR);
        assert_eq!(coverage.floor(), at(0), "what is missing holds the floor");
        let expected = [
            (window(0, 10), Phase::Missing),
            (window(10, 40), Phase::Final),
            (window(40, 100), Phase::Settling(at(100))),
        ];
        assert_eq!(phases(&coverage), expected);
        coverage.lose(window(0, 10));
        assert_eq!(coverage.floor(), at(40));
        assert_eq!(coverage.lost(), [window(0, 10)]);
    }

    #[test]
    fn what_has_not_happened_yet_is_not_missing() {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(100));
        coverage.retract(at(40));
        assert_eq!(coverage.edge(), at(40));
        coverage.read(window(30, 40), at(40), 1);
        coverage.retract(at(20));
        assert_eq!(coverage.edge(), at(40), "what was read has happened");
    }

    #[test]
    fn losses_that_meet_are_one() {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(100));
        coverage.lose(window(0, 10));
        coverage.lose(window(10, 30));
        coverage.lose(window(50, 60));
        assert_eq!(coverage.lost(), [window(0, 30), window(50, 60)]);
    }

    #[test]
    fn too_many_stretches_are_merged_to_what_is_read_soonest() {
        let mut coverage = Coverage::new(at(0));
        for minute in 0..3000 {
            coverage.read(window(minute, minute + 1), at(minute + 1 + minute % 2), 1);
        }
        assert!(coverage.stretches().len() <= MOST_STRETCHES);
        assert!((coverage.rows(window(0, 3000)) - 3000.0).abs() < 1e-6);
        assert!(coverage.read_at(at(7)).unwrap() <= at(9));
        assert_eq!((coverage.floor(), coverage.edge()), (at(0), at(3000)));
    }

    #[test]
    fn what_is_wanted_again_is_missing_also_before_the_origin() {
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 10), at(200), 1);
        coverage.settle(HOUR);
        coverage.want(window(-20, 5));
        assert_eq!((coverage.origin(), coverage.floor()), (at(-20), at(-20)));
        assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(-20, 5)]);
        coverage.read(window(-20, 5), at(200), 0);
        coverage.settle(HOUR);
        assert_eq!(coverage.floor(), at(10));
    }

    fn wanted(coverage: &Coverage) -> Vec<Window> {
        coverage.wanted().collect()
    }

    #[test]
    fn a_backfill_asks_for_what_was_not_read_and_leaves_the_mark_alone() {
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 100), at(300), 9);
        coverage.settle(HOUR);
        coverage.read(window(100, 110), at(110), 1);
        coverage.backfill(window(-50, -30), false);
        assert_eq!(wanted(&coverage), [window(-50, -30)]);
        assert_eq!((coverage.mark(), coverage.missing().count()), (at(110), 0));
        coverage.read(window(-50, -30), at(300), 5);
        coverage.settle(HOUR);
        assert_eq!(coverage.floor(), at(100), "done");
        // What lies between it and the origin was never asked for, the rest was.
        coverage.backfill(window(-60, 50), false);
        assert_eq!(wanted(&coverage), [window(-60, -50), window(-30, 0)]);
        coverage.backfill(window(-60, 50), false);
        assert_eq!(wanted(&coverage).len(), 2, "asked once");
        coverage.backfill(window(-60, 105), true);
        assert_eq!(wanted(&coverage), [window(-60, 105)]);
        assert_eq!(coverage.edge(), at(110));
    }

    #[test]
    fn what_a_backfill_asks_for_behind_the_edge_is_missing() {
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 10), at(10), 1);
        coverage.backfill(window(20, 30), false);
        assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(10, 30)]);
        assert_eq!((coverage.mark(), wanted(&coverage).len()), (at(10), 0));
    }

    #[test]
    fn what_is_lost_is_asked_for_once_more() {
        let mut coverage = Coverage::new(at(0));
        coverage.reach(at(100));
        coverage.lose(window(0, 50));
        coverage.backfill(window(20, 60), false);
        assert_eq!(wanted(&coverage), [window(20, 50)]);
        assert_eq!(coverage.lost(), [window(0, 20)]);
        coverage.lose(window(20, 30));
        assert_eq!(coverage.lost(), [window(0, 30)]);
    }

    #[test]
    fn a_collection_begins_after_backfills_as_if_it_were_the_first() {
        let mut coverage = Coverage::for_backfills(at(0));
        coverage.backfill(window(0, 10), false);
        coverage.read(window(0, 10), at(200), 1);
        coverage.settle(HOUR);
        coverage.backfill(window(20, 30), false);
        assert_eq!(wanted(&coverage), [window(20, 30)]);
        let mut behind = coverage.clone();
        behind.begin(at(50));
        assert_eq!((behind.mark(), behind.edge()), (at(50), at(50)));
        behind.backfill(window(0, 50), false);
        assert_eq!(wanted(&behind), [window(10, 50)]);
        // In its midst: what nobody has read is missing.
        coverage.begin(at(15));
        assert_eq!(coverage.missing().collect::<Vec<_>>(), [window(15, 30)]);
        assert_eq!(coverage.mark(), at(15));
    }

    #[test]
    fn rows_beside_a_window_are_left_alone_where_they_may_be_forgotten() {
        let mut coverage = Coverage::new(at(0));
        assert!(coverage.is_done_with(at(-1)), "another module's");
        coverage.read(window(0, 100), at(300), 9);
        coverage.settle(HOUR);
        coverage.backfill(window(-20, -10), false);
        assert!(coverage.is_done_with(at(0)) && coverage.is_done_with(at(99)));
        assert!(!coverage.is_done_with(at(-15)) && !coverage.is_done_with(at(100)));
        coverage.read(window(-20, -15), at(300), 9);
        coverage.settle(HOUR);
        assert!(coverage.is_done_with(at(-16)) && !coverage.is_done_with(at(-15)));
    }

    #[test]
    fn a_backfill_is_given_up_but_for_hours_that_are_begun() {
        let start = 30 - 1_800_000_000 / 60 % 60;
        let mut coverage = Coverage::new(at(start + 300));
        coverage.backfill(window(start, start + 200), false);
        let begun = window(start + 30, start + 90);
        coverage.give_up_backfill(|hour| hour == begun);
        assert_eq!(wanted(&coverage), [begun]);
        coverage.backfill(window(start, start + 400), false);
        assert_eq!(wanted(&coverage), [window(start, start + 300)]);
    }

    #[test]
    fn another_module_s_work_leaves_a_backfill_as_it_is() {
        let mut coverage = Coverage::new(at(0));
        coverage.read(window(0, 10), at(10), 1);
        coverage.backfill(window(-20, -10), false);
        coverage.delivered_before(at(50));
        assert_eq!(wanted(&coverage), [window(-20, -10)]);
        assert_eq!((coverage.mark(), coverage.edge()), (at(50), at(50)));
        assert!(coverage.is_done_with(at(49)));
    }
}
