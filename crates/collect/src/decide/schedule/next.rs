//! Which window comes next, of each lane.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;
use tokio::time::Instant;

use super::{BEHIND, BRIDGE, FILL, FULL, Lane, OF_LATE, SETTLE_PAGES, SHORTEST_SPAN, Schedule};
use crate::decide::{
    coverage::{AHEAD, Phase, windows::without},
    settling::{self, Rhythm},
    spans::{scaled, seconds, whole_second},
};

impl Schedule {
    /// For how long after their reception rows are looked for; zero when everything is read once.
    pub fn settle_time(&self) -> TimeDelta {
        self.settings.settle_time
    }

    /// Up to when what a person wants is asked for. What is read only once is not read before the delay has passed:
    /// what surfaces after that reading is never seen.
    pub fn asks_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.settings.settle_time.is_zero() {
            true => whole_second(now - self.settings.delay),
            false => now,
        }
    }

    /// Where everything is read once, what the delay has not passed for, also of what a longer settle time has left.
    fn too_young(&self, now: DateTime<Utc>) -> Option<Window> {
        let young = Window::new(self.asks_until(now), DateTime::<Utc>::MAX_UTC);
        young.filter(|_| self.settings.settle_time.is_zero())
    }

    /// What to read beside the live edge.
    pub fn beside(&mut self, now: DateTime<Utc>, instant: Instant) -> Option<(Lane, Window)> {
        let settling = self.settling(now).or_else(|| self.search());
        let settling = settling.map(|window| (Lane::Settle, window));
        let next = settling
            .or_else(|| self.refused_before(instant))
            .or_else(|| self.backlog())
            .or_else(|| self.lost_before(now))?;
        self.busy.push(next.1, self.tick);
        Some(next)
    }

    /// What was never read, as when requests fail: what is read again can wait.
    pub fn never_read(&mut self) -> Option<(Lane, Window)> {
        let next = self.backlog()?;
        self.busy.push(next.1, self.tick);
        Some(next)
    }

    /// As little as can be asked for to find out whether the source answers: the newest `span`. None when it is
    /// being read.
    pub fn probe(&mut self, now: DateTime<Utc>, span: TimeDelta) -> Option<(Lane, Window)> {
        let end = whole_second(now - self.settings.delay);
        // What the position was moved over is not ours to read, or is delivered and forgotten.
        let done = self.coverage.floor().max(self.coverage.memory());
        let free = self.busy_until(end).fold(done, DateTime::max);
        let window = Window::new(free.max(end - span), end)?;
        self.tick = Some(now);
        self.coverage.reach(window.start());
        self.busy.push(window, self.tick);
        Some((Lane::Live, window))
    }

    /// What was refused as too old, and is to be asked for again.
    pub(super) fn refused_before(&mut self, instant: Instant) -> Option<(Lane, Window)> {
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
            scope.part_of(lane, window).map(|(lane, _)| lane)
        };
        self.refusals.retain(|held| lane(held).is_some());
        let mut due = self.refusals.next(instant);
        due.find_map(|window| Some((lane(window)?, window)).filter(|_| !self.busy.meets(window)))
    }

    /// What counts as lost, and is asked for once more.
    pub(super) fn lost_before(&mut self, now: DateTime<Utc>) -> Option<(Lane, Window)> {
        if !self.is_collecting() {
            return None;
        }
        let window = self.coverage.lost_to_ask(now)?;
        if self.busy.meets(window) {
            return None;
        }
        self.coverage.lost_asked(window, now);
        Some((Lane::Backlog, window))
    }

    /// A part of what is searched, oldest first.
    pub(super) fn search(&self) -> Option<Window> {
        if self.budget.is_exhausted(false) {
            return None;
        }
        let parts = self.gaps().flat_map(|(_, gap)| {
            let parts = self.suspects.iter();
            parts.filter_map(move |suspect| suspect.intersection(gap))
        });
        let mut free = parts.filter_map(|part| self.free(part, &[]));
        self.fitting(free.next()?)
    }

    /// Everything before it has been asked for, or is in the coverage, when the live edge is to be read until
    /// `end`.
    pub(super) fn asked(&self, end: DateTime<Utc>) -> DateTime<Utc> {
        self.busy_until(end)
            .fold(self.coverage.edge(), DateTime::max)
    }

    /// Where windows end that are busy. One that ends in the future was made by a clock that ran ahead: its
    /// rows may be on their way for hours, and the live edge does not wait until that time has come.
    fn busy_until(&self, end: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let busy = self.busy.windows().map(|busy| busy.end());
        busy.filter(move |busy| *busy <= end + AHEAD)
    }

    /// The newest part of what is unread, as much as one request gives at once.
    pub(super) fn newest(&self, unread: Window) -> Window {
        let frequency = self.settings.frequency;
        let estimate = self.density().map(|rate| rate * seconds(unread.span()));
        let fits = estimate.is_some_and(|rows| rows <= self.page() * FILL);
        let most = if unread.span() <= frequency * BEHIND || fits {
            self.settings.limits.longest_window
        } else {
            frequency * 2
        };
        let start = unread.start().max(whole_second(unread.end() - most));
        self.uncut(Window::new(start, unread.end()).unwrap_or(unread))
    }

    /// What of a window lies after the last cut through it.
    pub(super) fn uncut(&self, window: Window) -> Window {
        let cuts = self.cuts.range(window.start()..window.end());
        let cut = cuts.last().copied().unwrap_or(window.start());
        Window::new(cut, window.end()).unwrap_or(window)
    }

    /// The window of the live edge, begun earlier so that it takes along what is due again.
    pub(super) fn with_the_past(&self, newest: Window, now: DateTime<Utc>) -> Window {
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
            let start = self.second_of(run.window.start());
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

    pub(super) fn settling(&mut self, now: DateTime<Utc>) -> Option<Window> {
        if !self.may_settle(now) {
            return None;
        }
        let runs = self.runs(self.tick?);
        let page = self.page();
        let more_urgent = |a: &&settling::Run, b: &&settling::Run| {
            let news = |run: &settling::Run| run.news_of_a_request(page);
            a.last.cmp(&b.last).then(news(a).total_cmp(&news(b)))
        };
        let run = runs.iter().max_by(more_urgent)?;
        let window = self.filled(run.at_most(self.page() * SETTLE_PAGES));
        let start = self.second_of(window.start());
        let window = Window::new(start, window.end())?;
        Some(self.narrowing.past.start_of(self.uncut(window)))
    }

    /// The beginning of the second of an instant that is read again, or the instant itself where the position
    /// was moved over that beginning: what was skipped is not ours to read.
    fn second_of(&self, instant: DateTime<Utc>) -> DateTime<Utc> {
        let second = whole_second(instant).max(self.coverage.floor());
        let read = self.coverage.read_at(second);
        read.map_or(instant, |_| second)
    }

    /// The window with as much of what follows it as its last page holds anyway.
    pub(super) fn filled(&self, window: Window) -> Window {
        let pages = (self.coverage.rows(window) / (self.page() * FULL))
            .ceil()
            .max(1.0);
        let most = pages * self.page() * FULL;
        let mut wider = window;
        let young = self.tick.and_then(|tick| self.too_young(tick));
        let young = young.map_or(DateTime::<Utc>::MAX_UTC, |young| young.start());
        let after = self.coverage.stretches().iter();
        for stretch in after.filter(|one| one.window.end() > window.end()) {
            let room = most - self.coverage.rows(wider);
            let free = stretch.window.end().min(self.next_busy(wider.end()));
            let Some(next) = Window::new(wider.end(), free.min(young)) else {
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
    pub(super) fn next_busy(&self, from: DateTime<Utc>) -> DateTime<Utc> {
        let later = self.occupied().filter(|busy| busy.end() > from);
        later
            .map(|busy| busy.start())
            .min()
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    pub(super) fn runs(&self, now: DateTime<Utc>) -> Vec<settling::Run> {
        let rhythm = Rhythm {
            frequency: self.settings.frequency,
            settle_time: self.looked_for(),
            bridge: self.page() * BRIDGE,
            most_rows: self.page() * SETTLE_PAGES,
        };
        let occupied = self.occupied().chain(self.too_young(now));
        let occupied: Vec<Window> = occupied.collect();
        settling::runs(&self.coverage, &self.lateness, rhythm, &occupied, now)
    }

    /// What was never read, oldest first: what the checkpoint waits for, then what it does not.
    pub(super) fn backlog(&self) -> Option<(Lane, Window)> {
        if self.holds_past {
            return None;
        }
        // What is searched is left to settling.
        let free = |gap| self.free(gap, &self.suspects);
        let mut free = self
            .gaps()
            .filter_map(|(lane, gap)| Some((lane, free(gap)?)));
        let (lane, free) = free.next()?;
        Some((lane, self.fitting(free)?))
    }

    /// What was never read and is to be.
    fn gaps(&self) -> impl Iterator<Item = (Lane, Window)> {
        let missing = self.coverage.missing().map(|gap| (Lane::Backlog, gap));
        let wanted = self.coverage.wanted().map(|gap| (Lane::Backfill, gap));
        let gaps = missing.chain(wanted);
        gaps.filter_map(move |(lane, gap)| self.scope.part_of(lane, gap))
    }

    /// The beginning of a window that has as many rows as it should.
    pub(super) fn fitting(&self, free: Window) -> Option<Window> {
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
    pub(super) fn free(&self, gap: Window, others: &[Window]) -> Option<Window> {
        let taken = self.occupied().chain(others.iter().copied());
        let free = without(&[gap], taken.chain(self.refusals.held()));
        free.first().copied()
    }

    /// What nobody begins: it is being read, or rests.
    pub(super) fn occupied(&self) -> impl Iterator<Item = Window> {
        self.busy.windows().chain(self.rests.windows())
    }

    /// Rows per second of late; none when nothing is known.
    pub(super) fn density(&self) -> Option<f64> {
        let mut rows = 0.0;
        let mut span = TimeDelta::zero();
        for stretch in self.coverage.settling().rev() {
            rows += stretch.rows;
            span += stretch.window.span();
            if span >= OF_LATE {
                break;
            }
        }
        (span > TimeDelta::zero()).then(|| rows / seconds(span))
    }

    pub(super) fn page(&self) -> f64 {
        f64::from(self.settings.limits.rows_per_page)
    }
}

#[cfg(test)]
mod tests;
