//! What to read next: a pure state machine over windows of time.
//!
//! Windows follow one another without gap or overlap. At the live edge one window is due every
//! `frequency`; behind it windows grow until one query carries as many rows as is sensible, and
//! shrink when it carries more.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::Window;

/// The span of the first window when nothing is known of the tenant's traffic.
const FIRST_SPAN: TimeDelta = TimeDelta::hours(1);

/// The shortest window: below it a query is not made narrower.
const SHORTEST_SPAN: TimeDelta = TimeDelta::seconds(1);

/// How far behind the end of a source's reach it is asked: by the time it hears, its reach has moved.
const REACH_MARGIN: TimeDelta = TimeDelta::minutes(1);

/// A window grows at most this much over the one before, since traffic is uneven.
const GROWTH: i32 = 4;

/// What a plan is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// Time between two queries at the live edge.
    pub frequency: TimeDelta,
    /// How far behind now the live edge is kept.
    pub delay: TimeDelta,
    /// The longest window that the source answers.
    pub longest: TimeDelta,
    /// How far back the source keeps rows.
    pub retention: TimeDelta,
    /// As many rows as one window should hold.
    pub rows_per_window: u32,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read this window.
    Read(Window),
    /// Nothing is due before this instant.
    Wait(DateTime<Utc>),
    /// These rows are out of the source's reach for good; the plan goes on behind them.
    Lost(Window),
}

/// Decides which window is next.
#[derive(Clone, Debug)]
pub struct Plan {
    settings: PlanSettings,
    /// Everything before it has been planned.
    edge: DateTime<Utc>,
    span: TimeDelta,
}

impl Plan {
    /// A plan that reads everything from `start` on.
    pub fn new(settings: PlanSettings, start: DateTime<Utc>) -> Self {
        let span = FIRST_SPAN.max(settings.frequency).min(settings.longest);
        Self {
            settings,
            edge: start,
            span,
        }
    }

    /// The next thing to do. The window given is counted as planned: what follows lies behind it.
    pub fn next(&mut self, now: DateTime<Utc>) -> Next {
        let kept = whole_second(now - self.settings.retention) + REACH_MARGIN;
        if let Some(lost) = Window::new(self.edge, kept) {
            self.edge = kept;
            return Next::Lost(lost);
        }
        let due = self.edge + self.settings.frequency + self.settings.delay;
        if now < due {
            return Next::Wait(due);
        }
        let live = whole_second(now - self.settings.delay);
        let end = whole_second(self.edge + self.span)
            .max(self.edge + SHORTEST_SPAN)
            .min(live);
        match Window::new(self.edge, end) {
            Some(window) => {
                self.edge = end;
                Next::Read(window)
            }
            None => Next::Wait(due + SHORTEST_SPAN),
        }
    }

    /// Learns from a window that was read to its end how long the next may be.
    pub fn learn(&mut self, window: Window, rows: u64) {
        let goal = f64::from(self.settings.rows_per_window);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let factor = (goal / (rows.max(1) as f64)).min(f64::from(GROWTH));
        #[allow(
            clippy::cast_possible_truncation,
            reason = "bounded by the longest window"
        )]
        let fitting =
            TimeDelta::milliseconds((window.span().num_milliseconds() as f64 * factor) as i64);
        // A short window at the live edge must not shrink what catching up may ask for.
        if factor < 1.0 || fitting > self.span {
            self.span = fitting;
        }
        self.span = self
            .span
            .clamp(self.settings.frequency, self.settings.longest);
    }

    /// Takes back a window that cannot be read whole: it is asked for again in narrower ones.
    /// False when it is as narrow as can be already.
    pub fn narrow(&mut self, window: Window) -> bool {
        self.edge = window.start();
        self.span = SHORTEST_SPAN.max(whole_seconds(window.span() / 2));
        window.span() > SHORTEST_SPAN
    }

    /// Gives up what of a window is older than `oldest`, which the source says it does not keep, and
    /// goes on behind that. None, and nothing changes, when that is nothing of the window.
    pub fn forget_before(&mut self, window: Window, oldest: DateTime<Utc>) -> Option<Window> {
        let lost = Window::new(window.start(), whole_second(oldest) + REACH_MARGIN)?;
        self.edge = lost.end();
        Some(lost)
    }

    /// Everything before it has been planned.
    pub fn edge(&self) -> DateTime<Utc> {
        self.edge
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
mod tests {
    use super::*;

    const SETTINGS: PlanSettings = PlanSettings {
        frequency: TimeDelta::seconds(60),
        delay: TimeDelta::minutes(5),
        longest: TimeDelta::days(10),
        retention: TimeDelta::days(30),
        rows_per_window: 1000,
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn window(start: i64, end: i64) -> Next {
        Next::Read(Window::new(at(start), at(end)).unwrap())
    }

    #[test]
    fn asks_once_a_frequency_at_the_live_edge() {
        let mut plan = Plan::new(SETTINGS, at(0));
        assert_eq!(plan.next(at(359)), Next::Wait(at(360)));
        assert_eq!(plan.next(at(360)), window(0, 60));
        assert_eq!(plan.next(at(360)), Next::Wait(at(420)));
        // Late by a few seconds: the window takes them in, and the next is due from its end.
        assert_eq!(plan.next(at(427)), window(60, 127));
        assert_eq!(plan.next(at(428)), Next::Wait(at(487)));
    }

    #[test]
    fn windows_end_at_whole_seconds_and_follow_one_another() {
        let start = at(0) + TimeDelta::microseconds(123_456);
        let mut plan = Plan::new(SETTINGS, start);
        let now = at(7200) + TimeDelta::milliseconds(789);
        let (Next::Read(first), Next::Read(second)) = (plan.next(now), plan.next(now)) else {
            panic!("both are due");
        };
        assert_eq!((first.start(), first.end()), (start, at(3600)));
        assert_eq!((second.start(), second.end()), (at(3600), at(6900)));
    }

    #[test]
    fn a_backlog_of_thirty_days_takes_few_windows() {
        let mut plan = Plan::new(SETTINGS, at(0));
        let now = at(29 * 86_400);
        let mut windows = 0;
        while let Next::Read(window) = plan.next(now) {
            // Twenty rows an hour.
            plan.learn(window, window.span().num_hours().unsigned_abs() * 20);
            windows += 1;
        }
        assert!(windows <= 20, "{windows}");
    }

    #[test]
    fn a_dense_window_makes_the_next_one_shorter() {
        let mut plan = Plan::new(SETTINGS, at(0));
        let now = at(100 * 3600);
        let Next::Read(first) = plan.next(now) else {
            panic!("due")
        };
        plan.learn(first, 10_000);
        assert_eq!(plan.next(now), window(3600, 3960));
    }

    #[test]
    fn a_window_that_is_too_much_is_halved_down_to_a_second() {
        let mut plan = Plan::new(SETTINGS, at(0));
        let now = at(100 * 3600);
        let mut spans = Vec::new();
        loop {
            let Next::Read(window) = plan.next(now) else {
                panic!("due")
            };
            assert_eq!(window.start(), at(0), "the same start is asked for again");
            spans.push(window.span().num_seconds());
            if !plan.narrow(window) {
                break;
            }
        }
        assert_eq!(spans, [3600, 1800, 900, 450, 225, 112, 56, 28, 14, 7, 3, 1]);
    }

    #[test]
    fn what_the_source_no_longer_keeps_is_lost_and_said() {
        let mut plan = Plan::new(SETTINGS, at(0));
        let now = at(31 * 86_400);
        let kept = at(86_400 + 60);
        assert_eq!(
            plan.next(now),
            Next::Lost(Window::new(at(0), kept).unwrap())
        );
        let Next::Read(first) = plan.next(now) else {
            panic!("due")
        };
        assert_eq!(first.start(), kept);
    }

    #[test]
    fn a_shorter_reach_than_thought_loses_what_lies_before_it() {
        let mut plan = Plan::new(SETTINGS, at(0));
        let now = at(20 * 86_400);
        let Next::Read(first) = plan.next(now) else {
            panic!("due")
        };
        assert_eq!(
            plan.forget_before(first, at(-60)),
            None,
            "nothing of it is too old"
        );
        assert_eq!(plan.edge(), first.end());
        let lost = plan.forget_before(first, at(86_400)).unwrap();
        assert_eq!(lost, Window::new(at(0), at(86_460)).unwrap());
        let Next::Read(next) = plan.next(now) else {
            panic!("due")
        };
        assert_eq!(next.start(), at(86_460));
    }

    #[test]
    fn a_clock_set_back_waits() {
        let mut plan = Plan::new(SETTINGS, at(0));
        assert_eq!(plan.next(at(-9000)), Next::Wait(at(360)));
    }
}
