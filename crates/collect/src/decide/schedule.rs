//! What to read next: a pure state machine over the coverage of the timeline.
//!
//! Four lanes share one quota. **Live**: every `frequency` the newest rows up to now, and with
//! them, in the same request, what of the recent past is due again. **Settle**: the rest of what
//! is due again, with at most a quarter of the quota. **Backlog**: what has never been read, oldest
//! first, in windows as wide as the source answers well. After all of these comes what a **backfill**
//! asks for, in the same way.

mod ahead;
mod audits;
mod busy;
mod cuts;
mod lag;
mod next;
mod outcome;
mod rests;
mod spare;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use tokio::time::Instant;

pub use self::lag::{CheckpointLag, MissingTime};
use self::{busy::Busy, rests::Rests};
use crate::{
    SourceLimits,
    decide::{
        budget::Budget,
        coverage::Coverage,
        evidence::Refusals,
        lateness::Lateness,
        leaps::UndoneLeap,
        narrowing::Narrowing,
        spans::{whole_second, whole_seconds},
        width::{Newest, Width},
    },
    words::words,
};

/// The shortest window: below it a query is not made narrower.
const SHORTEST_SPAN: TimeDelta = TimeDelta::seconds(1);

/// The traffic of so much of late counts as that of now.
const OF_LATE: TimeDelta = TimeDelta::hours(1);

/// When more than this many times the frequency has not been read, the newest of it is read at
/// once and the rest is a backlog.
const BEHIND: i32 = 5;

/// How much of a page an estimate may fill, so that the window fits although it is an estimate.
const FILL: f64 = 0.9;

/// The same for windows of the past, of which it is known how many rows they have.
const FULL: f64 = 0.98;

/// Settling windows have at most as many pages, so that none keeps the others waiting for long.
const SETTLE_PAGES: f64 = 8.0;

/// What a request is worth: to save one, as much of a page may be read for nothing.
const BRIDGE: f64 = 0.3;

/// After this multiple of the settle time an instant counts as final, whether the quota has
/// allowed for its last reading or not, so that what is remembered stays bounded.
const PATIENCE: i32 = 2;

/// When a greater share of late rows surfaces in the last quarter of the settle time, a longer one
/// would find more.
const NEAR_THE_END: f64 = 0.002;

/// The longest settle time that can be set.
const LONGEST_SETTLE_TIME: TimeDelta = TimeDelta::hours(72);

/// What is missing for so much longer than the settings explain makes a collection be behind.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// How late settling may be before it is said, as a multiple of what it should be.
const COARSE: f64 = 2.0;

/// What a schedule is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// Time between two queries at the live edge.
    pub frequency: TimeDelta,
    /// How far before now the live edge is kept.
    pub delay: TimeDelta,
    /// How long after its reception a row may surface or change; zero to read everything once.
    pub settle_time: TimeDelta,
    /// What the source can do.
    pub limits: SourceLimits,
}

impl ScheduleSettings {
    /// Of windows of the backlog, before anything is known of them.
    fn width(&self) -> Width {
        let longest = self.limits.longest_window;
        let shortest = SHORTEST_SPAN.max(self.frequency).min(longest);
        Width::new(self.limits.rows_per_window, shortest, longest)
    }
}

/// What a window is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// The newest rows.
    Live,
    /// Late rows and changed statuses.
    Settle,
    /// What was never read.
    Backlog,
    /// What a person asks for besides.
    Backfill,
    /// What is read once more to show that nothing of it is missing.
    Verify,
}

words! {
    Lane: Live = "live", Settle = "settle", Backlog = "backlog", Backfill = "backfill",
    Verify = "verify"
}

impl Lane {
    /// Whether it reads what was never read, in windows as wide as the source answers well.
    const fn is_past(self) -> bool {
        matches!(self, Self::Backlog | Self::Backfill | Self::Verify)
    }
}

/// Decides which window is next.
#[derive(Clone, Debug)]
pub struct Schedule {
    settings: ScheduleSettings,
    coverage: Coverage,
    lateness: Lateness,
    /// Windows that are being read, or whose rows are not all accepted yet.
    busy: Busy,
    /// When the live edge was read last: decisions are made as of then.
    tick: Option<DateTime<Utc>>,
    /// How long the live edge has been read, of time that surely passed.
    worked: TimeDelta,
    /// When a page came last.
    answered: Option<Instant>,
    /// Of windows of the backlog.
    width: Width,
    narrowing: Narrowing,
    /// No window reaches over one of these instants: a wider one has failed, or would have had too
    /// many rows.
    cuts: BTreeSet<DateTime<Utc>>,
    /// Times that the source refuses.
    refusals: Refusals,
    rests: Rests,
    /// What cannot be read lies in these windows: they are searched with settling's part of the quota.
    suspects: Vec<Window>,
    budget: Budget,
    /// How far the source's time is ahead of what is certain.
    ahead: TimeDelta,
    /// Whether nobody needed the rest of the quota when a window of settling was chosen last.
    is_spare: bool,
    /// When the source wished for fewer requests last, or failed.
    restrained: Option<DateTime<Utc>>,
    /// Whether nothing further of the past is begun for now.
    holds_past: bool,
    scope: Scope,
    /// What a verification has not read yet, oldest first.
    audits: Vec<Window>,
}

/// A window was read to its end, and its rows are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The window.
    pub window: Window,
    /// When its query began.
    pub began: DateTime<Utc>,
    /// The source's time when it was read: what lies after it had not happened yet.
    pub until: DateTime<Utc>,
    /// Rows it had.
    pub rows: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Everything.
    All,
    /// What was never read of a window.
    Only(Window),
    /// What is left of a backfill.
    Rest,
    /// Only what a verification asks for.
    Audits,
}

impl Scope {
    /// What is to be read of a gap in this lane, and as what.
    fn part_of(self, lane: Lane, gap: Window) -> Option<(Lane, Window)> {
        match self {
            Self::All => Some((lane, gap)),
            Self::Only(window) => Some((Lane::Backfill, gap.intersection(window)?)),
            Self::Rest => (lane == Lane::Backfill).then_some((lane, gap)),
            Self::Audits => None,
        }
    }
}

impl Schedule {
    /// A schedule that completes `coverage`.
    pub fn new(settings: ScheduleSettings, coverage: Coverage, lateness: Lateness) -> Self {
        Self {
            settings,
            coverage,
            lateness,
            busy: Busy::default(),
            tick: None,
            worked: TimeDelta::zero(),
            answered: None,
            width: settings.width(),
            narrowing: Narrowing::default(),
            cuts: BTreeSet::new(),
            refusals: Refusals::new(settings.limits.retention),
            rests: Rests::default(),
            suspects: Vec::new(),
            budget: Budget::of(settings.limits.share),
            ahead: TimeDelta::zero(),
            is_spare: false,
            restrained: None,
            holds_past: false,
            scope: Scope::All,
            audits: Vec::new(),
        }
    }

    /// Goes by what the source can do from now on, which may be another one than before. How wide
    /// windows may be is learnt anew.
    pub fn adapt(&mut self, limits: &SourceLimits) {
        self.settings.limits = *limits;
        self.width = self.settings.width();
        self.narrowing = Narrowing::default();
        self.refusals.set_retention(limits.retention);
        self.budget = Budget::of(limits.share);
    }

    /// What the source can do, as windows are made for it.
    pub fn limits(&self) -> &SourceLimits {
        &self.settings.limits
    }

    /// A schedule that reads what was not read in a window, and nothing else.
    #[must_use]
    pub fn only(mut self, window: Window) -> Self {
        self.scope = Scope::Only(window);
        self
    }

    /// Whether it reads the live edge, too.
    pub fn is_collecting(&self) -> bool {
        self.scope == Scope::All
    }

    /// A backfill asks for a window: for all of it when it is to be read `again`, else for what was
    /// not read.
    pub fn backfill(&mut self, window: Window, again: bool) {
        self.coverage.backfill(window, again);
    }

    /// Backfills are given up, but for what is being read, and for hours that `keeps` names. What of them is.
    pub fn give_up_backfill(&mut self, keeps: impl Fn(Window) -> bool) -> Vec<Window> {
        let busy = &self.busy;
        let given_up = self
            .coverage
            .give_up_backfill(|hour| busy.meets(hour) || keeps(hour));
        if !self.is_collecting() {
            self.scope = Scope::Rest;
        }
        given_up
    }

    /// What of a window was never read to its end, oldest first.
    pub fn unread(&self, window: Window) -> impl Iterator<Item = Window> {
        let (missing, wanted) = (self.coverage.missing(), self.coverage.wanted());
        let unread = missing.chain(wanted);
        unread.filter_map(move |one| one.intersection(window))
    }

    /// What has been read.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// How late rows are.
    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// A row was first seen at `seen`. None when its time had not been read before, else how late
    /// it is.
    pub fn first_seen(
        &mut self,
        received: DateTime<Utc>,
        seen: DateTime<Utc>,
    ) -> Option<TimeDelta> {
        let before = self.coverage.read_at(received)?;
        self.lateness.observe(received, before, seen);
        Some((seen - received).max(TimeDelta::zero()))
    }

    /// Another status of a row was seen at `seen`.
    pub fn status_changed(&mut self, received: DateTime<Utc>, seen: DateTime<Utc>) {
        if let Some(before) = self.coverage.read_at(received) {
            self.lateness.changed(received, before, seen);
        }
    }

    /// When the live edge is to be read next.
    pub fn due(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.tick {
            _ if !self.is_collecting() => now + self.settings.frequency,
            // A clock that was set back must not stop everything.
            Some(tick) if tick <= now => tick + self.settings.frequency,
            _ => now,
        }
    }

    /// The window of the live edge, when it is due. Nothing else may be reading the live edge.
    pub fn live(&mut self, now: DateTime<Utc>) -> Option<Window> {
        if !self.is_collecting() || now < self.due(now) {
            return None;
        }
        if let Some(tick) = self.tick {
            // What a jump of a clock adds was not worked.
            let most = self.settings.frequency * 2;
            self.worked += (now - tick).clamp(TimeDelta::zero(), most);
        }
        self.tick = Some(now);
        let end = whole_second(now - self.settings.delay);
        let unread = Window::new(self.asked(end), end)?;
        let newest = self.narrowing.live.end_of(self.newest(unread));
        self.coverage.reach(newest.start());
        let window = self.with_the_past(newest, now);
        self.busy.push(window, self.tick);
        Some(window)
    }

    /// The live edge lies ahead of the source's time, as a wrong clock leaves it behind: what has not
    /// happened yet is taken back, also what counts as read, and what was read while that clock was
    /// believed, since the time has `leapt` ahead. Returns it; none when there is nothing.
    pub(crate) fn retract(
        &mut self,
        now: DateTime<Utc>,
        leapt: Option<UndoneLeap>,
    ) -> Option<Window> {
        self.coverage.retract_all(now, leapt)
    }

    /// How much of the timeline is held back because the source refuses it as too old.
    pub fn refused(&self) -> impl Iterator<Item = Window> {
        self.refusals.held()
    }

    /// The newest rows of a window were read: learns how dense they lie.
    pub fn see(&mut self, lane: Lane, newest: Newest) {
        if lane.is_past() {
            self.width.see(newest);
        }
    }

    /// A window was read to its end: learns how long others may be.
    pub fn learn(&mut self, lane: Lane, window: Window, rows: u64) {
        let longest = self.settings.limits.longest_window;
        self.narrowing.of(lane).widen(window.span(), longest);
        if lane.is_past() {
            self.width.learn(window, rows);
        }
    }

    /// Whether the windows of a lane, of other times than the newest, are kept narrow, as the source has failed
    /// at wider ones.
    pub fn narrows_past(&self, lane: Lane) -> bool {
        lane != Lane::Live && self.narrowing.past.is_narrow()
    }

    /// The first page of a window that has more was read. When the window was made too wide, it is
    /// given back, and true is returned: a narrower one with the same start is asked for next.
    pub fn shorten(&mut self, lane: Lane, window: Window, first: Newest) -> bool {
        let better = Some(first).filter(|_| lane.is_past());
        let Some(span) = better.and_then(|first| self.width.better(window, first)) else {
            return false;
        };
        self.give_back(window);
        self.cuts.insert(window.start() + whole_seconds(span));
        true
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod traffic;
