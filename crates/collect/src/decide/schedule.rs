//! What to read next: a pure state machine over the coverage of the timeline.
//!
//! Four lanes share one quota. **Live**: every `frequency` the newest rows up to now, and with
//! them, in the same request, what of the recent past is due again. **Settle**: the rest of what
//! is due again, with at most a quarter of the quota. **Backlog**: what has never been read, oldest
//! first, in windows as wide as the source answers well. After all of these comes what a **backfill**
//! asks for, in the same way.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use rows::Window;
use tokio::time::Instant;

use crate::{
    SourceLimits, Standpoint,
    decide::{
        budget::Budget,
        coverage::{Coverage, Phase, scaled, seconds, windows},
        evidence::{Judgement, Refusal, Refusals, SourceTime},
        lateness::Lateness,
        narrowing::Narrowing,
        settling::{self, Rhythm},
        width::{Newest, Width},
    },
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
    /// How far behind now the live edge is kept.
    pub delay: TimeDelta,
    /// How long after its reception a row may surface or change; zero to read everything once.
    pub settle_time: TimeDelta,
    /// The longest window that the source answers.
    pub longest: TimeDelta,
    /// How far back the source keeps rows.
    pub retention: TimeDelta,
    /// As many rows as one window of a backlog should hold.
    pub rows_per_window: u32,
    /// As many rows as one page holds.
    pub rows_per_page: u32,
    /// Requests in five minutes that are ours to make.
    pub share: u32,
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
}

impl Lane {
    /// The word for logs and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Settle => "settle",
            Self::Backlog => "backlog",
            Self::Backfill => "backfill",
        }
    }

    /// Whether it reads what was never read, in windows as wide as the source answers well.
    const fn is_past(self) -> bool {
        matches!(self, Self::Backlog | Self::Backfill)
    }
}

/// Decides which window is next.
#[derive(Clone, Debug)]
pub struct Schedule {
    settings: ScheduleSettings,
    coverage: Coverage,
    lateness: Lateness,
    /// Windows that are being read, or whose rows are not all accepted yet.
    busy: Vec<Window>,
    /// When the live edge was read last: decisions are made as of then.
    tick: Option<DateTime<Utc>>,
    /// How long the live edge has been read, of time that surely passed.
    worked: TimeDelta,
    /// Of windows of the backlog.
    width: Width,
    narrowing: Narrowing,
    /// No window reaches over one of these instants: a wider one has failed, or would have had too
    /// many rows.
    cuts: BTreeSet<DateTime<Utc>>,
    /// Times that the source refuses.
    refusals: Refusals,
    /// What cannot be read lies in these windows: they are searched with settling's part of the quota.
    suspects: Vec<Window>,
    budget: Budget,
    scope: Scope,
}

/// A window was read to its end, and its rows are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The window.
    pub window: Window,
    /// When its query began.
    pub began: DateTime<Utc>,
    /// The source's time when it was read: what lies behind had not happened yet.
    pub until: DateTime<Utc>,
    /// Rows it had.
    pub rows: u64,
}

/// What is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Everything.
    All,
    /// What was never read of a window.
    Only(Window),
    /// What is left of a backfill.
    Rest,
}

impl Schedule {
    /// A schedule that completes `coverage`.
    pub fn new(settings: ScheduleSettings, coverage: Coverage, lateness: Lateness) -> Self {
        let longest = settings.longest;
        let shortest = SHORTEST_SPAN.max(settings.frequency).min(longest);
        Self {
            settings,
            coverage,
            lateness,
            busy: Vec::new(),
            tick: None,
            worked: TimeDelta::zero(),
            width: Width::new(settings.rows_per_window, shortest, longest),
            narrowing: Narrowing::default(),
            cuts: BTreeSet::new(),
            refusals: Refusals::new(settings.retention),
            suspects: Vec::new(),
            budget: Budget::of(settings.share),
            scope: Scope::All,
        }
    }

    /// Goes by what the source can do from now on, which may be another one than before. How wide
    /// windows may be is learnt anew.
    pub fn adapt(&mut self, limits: &SourceLimits) {
        let settings = ScheduleSettings {
            longest: limits.longest_window,
            retention: limits.retention,
            rows_per_window: limits.rows_per_window,
            rows_per_page: limits.rows_per_page,
            share: limits.share,
            ..self.settings
        };
        let longest = settings.longest;
        let shortest = SHORTEST_SPAN.max(settings.frequency).min(longest);
        self.width = Width::new(settings.rows_per_window, shortest, longest);
        self.refusals.set_retention(settings.retention);
        self.budget = Budget::of(settings.share);
        self.settings = settings;
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

    /// Backfills are given up, but for what is being read, and for hours that `keeps` names.
    pub fn give_up_backfill(&mut self, keeps: impl Fn(Window) -> bool) {
        let busy = &self.busy;
        let is_busy = |window| busy.iter().any(|one| one.intersection(window).is_some());
        self.coverage
            .give_up_backfill(|hour| is_busy(hour) || keeps(hour));
        if !self.is_collecting() {
            self.scope = Scope::Rest;
        }
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
        self.coverage.read_at(received)?;
        self.lateness.observe(received, seen);
        Some((seen - received).max(TimeDelta::zero()))
    }

    /// The part of the timeline around an instant that had not been read before; none when it had.
    pub fn unread_around(&self, instant: DateTime<Utc>) -> Option<Window> {
        self.coverage.unread_around(instant)
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
        let unread = Window::new(self.asked(), end)?;
        let newest = self.narrowing.live.end_of(self.newest(unread));
        self.coverage.reach(newest.start());
        let window = self.with_the_past(newest, now);
        self.busy.push(window);
        Some(window)
    }

    /// The live edge lies ahead of the source's time, as a wrong clock leaves it behind: what has not
    /// happened yet is taken back, also what counts as read. What that is; none when there is nothing.
    pub fn retract(&mut self, now: DateTime<Utc>) -> Option<Window> {
        self.coverage.retract_all(now)
    }

    /// What to read beside the live edge.
    pub fn beside(&mut self, now: DateTime<Utc>, instant: Instant) -> Option<(Lane, Window)> {
        let settling = self.settling(now).or_else(|| self.search());
        let settling = settling.map(|window| (Lane::Settle, window));
        let next = settling
            .or_else(|| self.refused_before(instant))
            .or_else(|| self.backlog())
            .or_else(|| self.lost_before(now))?;
        self.busy.push(next.1);
        Some(next)
    }

    /// What was never read, as when requests fail: what is read again can wait.
    pub fn never_read(&mut self) -> Option<(Lane, Window)> {
        let next = self.backlog()?;
        self.busy.push(next.1);
        Some(next)
    }

    /// As little as can be asked for to find out whether the source answers: the newest `span`, or the
    /// first of what is to be read when there is no live edge. None when it is being read.
    pub fn probe(&mut self, now: DateTime<Utc>, span: TimeDelta) -> Option<(Lane, Window)> {
        let (lane, window) = if self.is_collecting() {
            let end = whole_second(now - self.settings.delay);
            let busy = self.busy.iter().map(Window::end);
            let free = busy.fold(self.coverage.floor(), DateTime::max);
            let window = Window::new(free.max(end - span), end)?;
            self.tick = Some(now);
            self.coverage.reach(window.start());
            (Lane::Live, window)
        } else {
            let (lane, window) = self.backlog()?;
            let end = window.end().min(window.start() + span);
            (lane, Window::new(window.start(), end)?)
        };
        self.busy.push(window);
        Some((lane, window))
    }

    /// A window was not read, and will be asked for in another way.
    pub fn put_back(&mut self, window: Window) {
        self.release(window);
    }

    /// What was refused as too old, and is to be asked for again.
    fn refused_before(&mut self, instant: Instant) -> Option<(Lane, Window)> {
        let (coverage, scope) = (&self.coverage, self.scope);
        let lane = |window: Window| {
            let is_in = |gap: Window| gap.intersection(window).is_some();
            let lane = if coverage.missing().any(is_in) {
                Lane::Backlog
            } else if coverage.wanted().any(is_in) {
                Lane::Backfill
            } else {
                return None;
            };
            match scope {
                Scope::All => Some(lane),
                Scope::Only(only) => only.intersection(window).map(|_| Lane::Backfill),
                Scope::Rest => Some(lane).filter(|lane| *lane == Lane::Backfill),
            }
        };
        self.refusals.retain(|held| lane(held).is_some());
        let mut due = self.refusals.next(instant);
        due.find_map(|window| Some((lane(window)?, window)).filter(|_| !self.is_busy(window)))
    }

    /// What counts as lost, and is asked for once more.
    fn lost_before(&mut self, now: DateTime<Utc>) -> Option<(Lane, Window)> {
        if !self.is_collecting() {
            return None;
        }
        let window = self.coverage.lost_to_ask(now)?;
        if self.is_busy(window) {
            return None;
        }
        self.coverage.lost_asked(window, now);
        Some((Lane::Backlog, window))
    }

    /// How much of the timeline is held back because the source refuses it as too old.
    pub fn refused(&self) -> impl Iterator<Item = Window> {
        self.refusals.held()
    }

    /// The first page of a window came. What counted as lost and is missing again because of it.
    pub fn answered(&mut self, window: Window, instant: Instant) -> Option<Window> {
        self.refusals.answered(window, instant);
        self.coverage.find_again(window)
    }

    /// A page was read.
    pub fn paged(&mut self, lane: Lane) {
        if lane == Lane::Settle {
            self.budget.spend();
        }
    }

    /// The newest rows of a window were read: learns how dense they lie.
    pub fn see(&mut self, lane: Lane, newest: Newest) {
        if lane.is_past() {
            self.width.see(newest);
        }
    }

    /// A window was read to its end: learns how long others may be.
    pub fn learn(&mut self, lane: Lane, window: Window, rows: u64) {
        self.narrowing.of(lane).widen(self.settings.longest);
        if lane.is_past() {
            self.width.learn(window, rows);
        }
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

    /// A window was read. `certain` is what acts go by that cannot be taken back. What is not read
    /// again although it had not settled, as the quota has not allowed for it.
    pub fn complete(&mut self, completed: Completed, certain: DateTime<Utc>) -> Vec<Window> {
        let Completed {
            window,
            began,
            until,
            rows,
        } = completed;
        self.release(window);
        self.suspects = windows::without(&self.suspects, [window]);
        self.cuts
            .retain(|cut| *cut < window.start() || window.end() < *cut);
        if let Some(window) = Window::new(window.start(), window.end().min(until)) {
            self.coverage.read(window, began.min(until), rows);
        }
        self.coverage.settle(self.settings.settle_time, certain);
        self.give_up(certain)
    }

    /// Gives up what the quota has not allowed for. What was out of reach because of a stop has its
    /// time first, and what is being read is not overdue.
    fn give_up(&mut self, certain: DateTime<Utc>) -> Vec<Window> {
        let settle_time = self.settings.settle_time;
        if self.worked < settle_time {
            return Vec::new();
        }
        let oldest_busy = self.busy.iter().map(Window::start).min();
        let patience = certain - settle_time * PATIENCE;
        let before = oldest_busy.map_or(patience, |busy| busy.min(patience));
        self.coverage.give_up_before(before)
    }

    /// Whether all of a window will be read again that is read at this time.
    pub fn reads_again(&self, window: Window, began: DateTime<Utc>) -> bool {
        began - window.start() < self.settings.settle_time
    }

    /// Whether a window can be cut.
    pub fn can_narrow(&self, window: Window) -> bool {
        window.span() > SHORTEST_SPAN
    }

    /// A window cannot be read whole: it is given back, to be asked for in narrower ones.
    pub fn narrow(&mut self, window: Window) {
        self.give_back(window);
        let half = SHORTEST_SPAN.max(whole_seconds(window.span() / 2));
        self.cuts.insert(window.start() + half);
        self.width.halve(window);
    }

    /// A window fails while others are answered, which a narrower one may cure: it is given back, and
    /// until narrower ones succeed, those of its kind are half as wide. At the live edge the past in
    /// front of it is left away first.
    pub fn relieve(&mut self, lane: Lane, window: Window) {
        let half = SHORTEST_SPAN.max(whole_seconds(window.span() / 2));
        if lane != Lane::Live {
            self.narrow(window);
            self.narrowing.of(lane).most = Some(half);
            return;
        }
        self.release(window);
        let newest = Window::new(self.asked(), window.end()).map(|unread| self.newest(unread));
        // It will be longer by the time it is asked for.
        let alone = newest.map(|newest| newest.span() + self.settings.frequency);
        let alone = alone.filter(|alone| *alone < window.span());
        self.narrowing.live.most = Some(alone.unwrap_or(half));
        // The newest rows do not wait.
        self.tick = None;
    }

    /// A window cannot be read whole: it is given back, to be asked for in parts that meet at an instant
    /// in it, whose second is a part of its own.
    pub fn part(&mut self, window: Window, at: DateTime<Utc>) {
        self.give_back(window);
        self.cuts.insert(at);
    }

    /// There is something `around` here that cannot be read: the window is given back, to be asked for
    /// apart from that. When that is all of it, its halves are searched.
    pub fn suspect(&mut self, window: Window, around: Window) {
        self.give_back(window);
        self.cuts.extend([around.start(), around.end()]);
        if around == window {
            let half = SHORTEST_SPAN.max(whole_seconds(window.span() / 2));
            self.cuts.insert(window.start() + half);
        }
        self.suspects = windows::with(&self.suspects, around);
    }

    /// Whether a window is a part of one that is searched.
    pub fn is_suspect(&self, window: Window) -> bool {
        let mut suspects = self.suspects.iter();
        suspects.any(|one| one.intersection(window) == Some(window))
    }

    /// A part of what is searched, oldest first.
    fn search(&self) -> Option<Window> {
        if self.budget.is_exhausted() {
            return None;
        }
        let missing = self.coverage.missing().chain(self.coverage.wanted());
        let missing = missing.filter_map(|gap| match self.scope {
            Scope::Only(only) => gap.intersection(only),
            Scope::All | Scope::Rest => Some(gap),
        });
        let parts = missing.flat_map(|gap| {
            let parts = self.suspects.iter();
            parts.filter_map(move |suspect| suspect.intersection(gap))
        });
        let mut free = parts.filter_map(|part| self.free(part, &[]));
        self.fitting(free.next()?)
    }

    /// A window ends behind `now`, the source's time: nothing of it was read, and what of it has not
    /// happened yet is not asked for.
    pub fn withdraw(&mut self, window: Window, now: DateTime<Utc>) {
        self.give_back(window);
        self.coverage.retract(now);
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
        self.release(window);
        if gap.is_none() && self.coverage.edge() > window.start() {
            // It was read before, or counts as lost.
            self.coverage.reach(window.end());
            return None;
        }
        self.coverage.reach(window.end());
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

    /// How many times later than it should the past is read again, when that is worth a word.
    pub fn coarseness(&self) -> Option<f64> {
        let now = self.tick?;
        let most = self
            .runs(now)
            .iter()
            .map(|run| run.overdue)
            .fold(1.0, f64::max);
        (self.budget.is_exhausted() && most >= COARSE).then_some(most)
    }

    /// A settle time that would catch more, when many rows still surface near its end.
    pub fn better_settle_time(&self) -> Option<TimeDelta> {
        let now = self.settings.settle_time;
        let near_the_end = self.lateness.beyond(now * 3 / 4)?;
        let better = (now * 3 / 2).min(LONGEST_SETTLE_TIME);
        (near_the_end > NEAR_THE_END && better > now).then_some(better)
    }

    /// How far the collection has come; none when it has no live edge.
    pub fn standpoint(&self, now: DateTime<Utc>) -> Option<Standpoint> {
        let ScheduleSettings {
            frequency, delay, ..
        } = self.settings;
        let missing = self.coverage.mark();
        self.is_collecting().then(|| Standpoint {
            missing,
            age: now - missing,
            behind_from: delay + frequency + LATE,
        })
    }

    /// How much of the timeline has never been read to its end.
    pub fn missing(&self) -> TimeDelta {
        let missing = self.coverage.missing().map(|window| window.span());
        missing.fold(TimeDelta::zero(), |sum, span| sum + span)
    }

    /// Everything before it has been asked for, or is in the coverage.
    fn asked(&self) -> DateTime<Utc> {
        let busy = self.busy.iter().map(Window::end);
        busy.fold(self.coverage.edge(), DateTime::max)
    }

    /// The newest part of what is unread, as much as one request gives at once.
    fn newest(&self, unread: Window) -> Window {
        let frequency = self.settings.frequency;
        let estimate = self.density().map(|rate| rate * seconds(unread.span()));
        let fits = estimate.is_some_and(|rows| rows <= self.page() * FILL);
        let most = if unread.span() <= frequency * BEHIND || fits {
            self.settings.longest
        } else {
            frequency * 2
        };
        let start = unread.start().max(whole_second(unread.end() - most));
        self.uncut(Window::new(start, unread.end()).unwrap_or(unread))
    }

    /// What of a window lies behind the last cut through it.
    fn uncut(&self, window: Window) -> Window {
        let cuts = self.cuts.range(window.start()..window.end());
        let cut = cuts.last().copied().unwrap_or(window.start());
        Window::new(cut, window.end()).unwrap_or(window)
    }

    /// The window of the live edge, begun earlier so that what is due again is read by the way.
    fn with_the_past(&self, newest: Window, now: DateTime<Utc>) -> Window {
        let most = self.narrowing.live.most;
        if most.is_some_and(|most| most < newest.span() * 2) {
            return newest;
        }
        let rate = self.density().unwrap_or_default();
        let mut rows = rate * seconds(newest.span());
        let mut window = newest;
        for run in self.runs(now).iter().rev() {
            let Some(between) = settling::between(&self.coverage, run.window, window) else {
                break;
            };
            rows += between + run.rows;
            let start = whole_second(run.window.start()).max(self.coverage.floor());
            let Some(wider) = Window::new(start, newest.end()) else {
                break;
            };
            let full = rows > self.page() * FILL;
            if full || between > settling::worth(rows - between) || self.uncut(wider) != wider {
                break;
            }
            window = wider;
        }
        self.narrowing.live.end_of(window)
    }

    fn settling(&mut self, now: DateTime<Utc>) -> Option<Window> {
        self.budget.refill(now);
        if self.budget.is_exhausted() {
            return None;
        }
        let runs = self.runs(self.tick?);
        let more_urgent = |a: &&settling::Run, b: &&settling::Run| {
            a.last.cmp(&b.last).then(a.overdue.total_cmp(&b.overdue))
        };
        let run = runs.iter().max_by(more_urgent)?;
        let window = self.filled(run.at_most(self.page() * SETTLE_PAGES));
        let start = whole_second(window.start()).max(self.coverage.floor());
        let window = Window::new(start, window.end())?;
        Some(self.narrowing.past.start_of(self.uncut(window)))
    }

    /// The window with as much of what follows it as its last page holds anyway.
    fn filled(&self, window: Window) -> Window {
        let pages = (self.coverage.rows(window) / (self.page() * FULL))
            .ceil()
            .max(1.0);
        let most = pages * self.page() * FULL;
        let mut wider = window;
        let after = self.coverage.stretches().iter();
        for stretch in after.filter(|one| one.window.end() > window.end()) {
            let room = most - self.coverage.rows(wider);
            let free = stretch.window.end().min(self.next_busy(wider.end()));
            let Some(next) = Window::new(wider.end(), free) else {
                break;
            };
            let Some(part) = stretch.within(next) else {
                break;
            };
            if !matches!(part.phase, Phase::Settling(_)) {
                break;
            }
            let share = (room / part.rows.max(1.0)).min(1.0);
            let end = whole_second(next.start() + scaled(next.span(), share));
            wider = Window::new(wider.start(), end).unwrap_or(wider);
            if share < 1.0 {
                break;
            }
        }
        wider
    }

    /// Where the first busy window after this instant begins.
    fn next_busy(&self, from: DateTime<Utc>) -> DateTime<Utc> {
        let later = self.busy.iter().filter(|busy| busy.end() > from);
        later
            .map(Window::start)
            .min()
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    fn runs(&self, now: DateTime<Utc>) -> Vec<settling::Run> {
        let rhythm = Rhythm {
            frequency: self.settings.frequency,
            settle_time: self.settings.settle_time,
            bridge: self.page() * BRIDGE,
            most_rows: self.page() * SETTLE_PAGES,
        };
        settling::runs(&self.coverage, &self.lateness, rhythm, &self.busy, now)
    }

    /// What was never read, oldest first: what the mark waits for, then what it does not.
    fn backlog(&self) -> Option<(Lane, Window)> {
        let missing = self.coverage.missing().map(|gap| (Lane::Backlog, gap));
        let wanted = self.coverage.wanted().map(|gap| (Lane::Backfill, gap));
        let gaps = missing
            .chain(wanted)
            .filter_map(|(lane, gap)| match self.scope {
                Scope::All => Some((lane, gap)),
                Scope::Only(only) => Some((Lane::Backfill, gap.intersection(only)?)),
                Scope::Rest => Some((lane, gap)).filter(|(lane, _)| *lane == Lane::Backfill),
            });
        // What is searched is left to settling.
        let free = |gap| self.free(gap, &self.suspects);
        let mut free = gaps.filter_map(|(lane, gap)| Some((lane, free(gap)?)));
        let (lane, free) = free.next()?;
        Some((lane, self.fitting(free)?))
    }

    /// The beginning of a window that has as many rows as it should.
    fn fitting(&self, free: Window) -> Option<Window> {
        let width = self.width.at(free.start());
        let most = self.narrowing.past.most.unwrap_or(width);
        let end = whole_second(free.start() + width.min(most));
        let end = end.max(free.start() + SHORTEST_SPAN);
        let end = end.min(free.end());
        // Cuts at the start itself are no cuts of this window.
        let after = free.start() + TimeDelta::nanoseconds(1);
        let cut = self.cuts.range(after..).next().copied();
        Window::new(free.start(), cut.map_or(end, |cut| cut.min(end)))
    }

    /// The oldest part of a gap that nobody is reading, and that is none of `others`.
    fn free(&self, gap: Window, others: &[Window]) -> Option<Window> {
        let busy = self.busy.iter().chain(others).copied();
        let mut busy: Vec<Window> = busy.chain(self.refusals.held()).collect();
        busy.sort_by_key(Window::start);
        let mut start = gap.start();
        for window in busy {
            if window.start() > start {
                let end = gap.end().min(window.start());
                return Window::new(start, end);
            }
            start = start.max(window.end());
        }
        Window::new(start, gap.end())
    }

    /// Rows per second of late; none when nothing is known.
    fn density(&self) -> Option<f64> {
        let stretches = self.coverage.stretches().iter().rev();
        let mut rows = 0.0;
        let mut span = TimeDelta::zero();
        for stretch in stretches.filter(|one| matches!(one.phase, Phase::Settling(_))) {
            rows += stretch.rows;
            span += stretch.window.span();
            if span >= OF_LATE {
                break;
            }
        }
        (span > TimeDelta::zero()).then(|| rows / seconds(span))
    }

    fn page(&self) -> f64 {
        f64::from(self.settings.rows_per_page)
    }

    fn is_busy(&self, window: Window) -> bool {
        self.busy
            .iter()
            .any(|busy| busy.intersection(window).is_some())
    }

    fn release(&mut self, window: Window) {
        if let Some(place) = self.busy.iter().position(|busy| *busy == window) {
            self.busy.swap_remove(place);
        }
    }

    /// A window was not read: unless others take it, it is missing.
    pub fn give_back(&mut self, window: Window) {
        self.release(window);
        self.coverage.reach(window.end());
    }
}

fn whole_second(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant
        .duration_trunc(TimeDelta::seconds(1))
        .unwrap_or(instant)
}

fn whole_seconds(span: TimeDelta) -> TimeDelta {
    TimeDelta::seconds(span.num_seconds())
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod traffic;
