//! Which parts of the past are due to be read again: pure arithmetic over the coverage.
//!
//! An instant that was read at the age `a` is due again after `DUE * a`, and may be taken along
//! from `ELIGIBLE * a` on, so that few wide windows serve instead of many narrow ones. A row that
//! surfaces between two readings is thus seen after at most a quarter of its lateness, plus the
//! time between two ticks. `docs/settling.md` has the reasoning and the measurements.

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use crate::decide::{
    coverage::{Coverage, Phase, Stretch, windows},
    lateness::{Lateness, ZONES, begin},
    spans::{scaled, seconds},
};

/// Reading again is due when this part of the age at the last reading has passed.
const DUE: f64 = 0.25;

/// Together with something that is due, what has waited for this part of its age is read, too.
const ELIGIBLE: f64 = 0.2;

/// Reading as many rows for nothing costs less than a request.
const FREE_ROWS: f64 = 50.0;

/// And so does this multiple of the rows that are due.
const FREE_PART: f64 = 2.0;

/// How much later than the settle time the last reading may be, so that it has some width.
const LAST_SLACK: i32 = 100;

/// A stretch of time that should be read again in one query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) window: Window,
    /// About as many rows.
    pub(crate) rows: f64,
    /// How long the most urgent part of it has waited, as a multiple of what it should: at least 1.
    pub(crate) overdue: f64,
    /// How much news reading it may bring, late rows and other statuses: fit to be compared with that
    /// of other runs.
    pub(crate) news: f64,
    /// Whether its oldest part is to be read for the last time, and that is due: nothing is more
    /// urgent, as only the last reading makes sure that nothing is missing.
    pub(crate) last: bool,
}

/// What decides when the past is read again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    /// The time between two ticks.
    pub(crate) frequency: TimeDelta,
    /// Rows are looked for until this age.
    pub(crate) settle_time: TimeDelta,
    /// At most as many rows between two due parts are read for nothing, to save a request.
    pub(crate) bridge: f64,
    /// No run has more rows than that, unless a single part has.
    pub(crate) most_rows: f64,
}

/// The runs that are due at `now`, oldest first. What is `busy` is left alone.
pub(crate) fn runs(
    coverage: &Coverage,
    lateness: &Lateness,
    rhythm: Rhythm,
    busy: &[Window],
    now: DateTime<Utc>,
) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for stretch in coverage.stretches() {
        let Phase::Settling(read) = stretch.phase else {
            continue;
        };
        // What was read as late as that is done with, also while it is not certain enough to say so.
        let since = read - rhythm.settle_time;
        let open = Window::new(since, DateTime::<Utc>::MAX_UTC);
        let Some(stretch) = open.and_then(|open| stretch.within(open)) else {
            continue;
        };
        let readings = (0..ZONES).rev();
        for reading in readings.filter_map(|zone| Reading::of(zone, lateness, rhythm, read, now)) {
            for part in reading.parts(&stretch) {
                for piece in outside(&part, busy) {
                    add(&mut runs, piece, coverage, rhythm);
                }
            }
        }
    }
    runs.retain(|run| run.overdue >= 1.0);
    runs
}

impl Run {
    /// How much news a request of it may bring, where a page has so many rows.
    pub(crate) fn news_of_a_request(&self, page: f64) -> f64 {
        self.news / (self.rows / page).ceil().max(1.0)
    }

    /// As much of the run as has at most `rows` rows, from the end that is more urgent.
    pub(crate) fn at_most(&self, rows: f64) -> Window {
        let span = self.window.span();
        if self.rows <= rows {
            return self.window;
        }
        let part = scaled(span, rows / self.rows);
        let part = part.max(TimeDelta::seconds(1)).min(span);
        let (start, end) = (self.window.start(), self.window.end());
        let cut = if self.last {
            Window::new(start, start + part)
        } else {
            Window::new(end - part, end)
        };
        cut.unwrap_or(self.window)
    }
}

/// The reading of instants of one zone of age, by one query.
struct Reading<'a> {
    lateness: &'a Lateness,
    read: DateTime<Utc>,
    now: DateTime<Utc>,
    zone: Window,
    due: f64,
    eligible: f64,
    /// No instant is due sooner than this after it was read.
    shortest: TimeDelta,
    settle_time: TimeDelta,
}

impl<'a> Reading<'a> {
    fn of(
        zone: usize,
        lateness: &'a Lateness,
        rhythm: Rhythm,
        read: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let relaxation = lateness.relaxation(zone);
        let oldest = match zone + 1 {
            ZONES => DateTime::<Utc>::MIN_UTC,
            next => read - begin(next),
        };
        let newest = match zone {
            0 => DateTime::<Utc>::MAX_UTC,
            zone => read - begin(zone),
        };
        Some(Self {
            lateness,
            read,
            now,
            zone: Window::new(oldest, newest)?,
            due: DUE * relaxation,
            eligible: ELIGIBLE * relaxation,
            // Ticks are not exact to the millisecond.
            shortest: rhythm.frequency * 9 / 10,
            settle_time: rhythm.settle_time,
        })
    }

    /// The parts of a stretch that may be read again now.
    fn parts(&self, stretch: &Stretch) -> Vec<Run> {
        let Some(stretch) = stretch.within(self.zone) else {
            return Vec::new();
        };
        let waited = self.now - self.read;
        if waited < self.shortest {
            return Vec::new();
        }
        let parts = [self.last(&stretch, waited), self.again(&stretch, waited)];
        parts.into_iter().flatten().collect()
    }

    /// Instants read at this age or a greater one are read again for the last time.
    fn age_before_last(&self) -> TimeDelta {
        scaled(self.settle_time, 1.0 / (1.0 + self.due)).min(self.settle_time - self.shortest)
    }

    /// What is to be read for the last time, as it is old enough.
    fn last(&self, stretch: &Stretch, waited: TimeDelta) -> Option<Run> {
        let until = self.now - self.settle_time;
        let part = stretch.within(Window::new(stretch.window.start(), until)?)?;
        let slack = self.settle_time / LAST_SLACK + self.shortest;
        let allowed = part.window.start() + self.settle_time + slack - self.read;
        let overdue = seconds(waited) / seconds(allowed.max(TimeDelta::seconds(1)));
        Some(Run {
            window: part.window,
            rows: part.rows,
            overdue,
            news: self.news(&part),
            last: overdue >= 1.0,
        })
    }

    /// What may have come to its rows since they were read.
    fn news(&self, part: &Stretch) -> f64 {
        let middle = part.window.start() + part.window.span() / 2;
        part.rows * self.lateness.news(self.read - middle, self.now - middle)
    }

    /// What is to be read again, and not for the last time.
    fn again(&self, stretch: &Stretch, waited: TimeDelta) -> Option<Run> {
        let eligible = self.read - scaled(waited, 1.0 / self.eligible);
        // What was read as late as this waits for the last time.
        let waiting = self.read - self.age_before_last();
        let from = eligible.max(waiting).max(self.now - self.settle_time);
        let from = from.max(stretch.window.start());
        let part = stretch.within(Window::new(from, stretch.window.end())?)?;
        let age = (self.read - part.window.end()).max(TimeDelta::zero());
        let allowed = scaled(age, self.due).max(self.shortest);
        Some(Run {
            window: part.window,
            rows: part.rows,
            overdue: seconds(waited) / seconds(allowed.max(TimeDelta::milliseconds(1))),
            news: self.news(&part),
            last: false,
        })
    }
}

/// Adds a part to the last run, when they meet or few rows lie between them, else as a new run.
fn add(runs: &mut Vec<Run>, part: Run, coverage: &Coverage, rhythm: Rhythm) {
    if let Some(last) = runs.last_mut()
        && let Some(between) = between(coverage, last.window, part.window)
        && between <= rhythm.bridge.min(worth(last.rows + part.rows))
        && last.rows + between + part.rows <= rhythm.most_rows
        && let Some(window) = Window::new(last.window.start(), part.window.end())
    {
        last.window = window;
        last.rows += between + part.rows;
        last.news += part.news;
        last.overdue = last.overdue.max(part.overdue);
        last.last |= part.last;
        return;
    }
    runs.push(part);
}

/// As many rows may be read for nothing, together with these: a tenant so small that one page holds
/// all its day is not read whole every minute.
pub(crate) fn worth(rows: f64) -> f64 {
    FREE_ROWS + rows * FREE_PART
}

/// About how many rows lie between two windows; none when not all of it is settling: what is final
/// is no longer known, and would be delivered again.
pub(crate) fn between(coverage: &Coverage, before: Window, after: Window) -> Option<f64> {
    let Some(gap) = Window::new(before.end(), after.start()) else {
        return (before.end() == after.start()).then_some(0.0);
    };
    let parts = coverage.stretches().iter();
    let mut rows = 0.0;
    let mut covered = TimeDelta::zero();
    for part in parts.filter_map(|one| one.within(gap)) {
        if !matches!(part.phase, Phase::Settling(_)) {
            return None;
        }
        covered += part.window.span();
        rows += part.rows;
    }
    (covered == gap.span()).then_some(rows)
}

/// The parts of a run outside of what is busy.
fn outside(run: &Run, busy: &[Window]) -> Vec<Run> {
    let rests = windows::without(&[run.window], busy.iter().copied());
    let part = |rest: Window| {
        let share = seconds(rest.span()) / seconds(run.window.span());
        Run {
            window: rest,
            rows: run.rows * share,
            news: run.news * share,
            ..*run
        }
    };
    rests.into_iter().map(part).collect()
}
