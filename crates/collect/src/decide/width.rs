//! How wide a window of a backlog may be, so that it has about as many rows as it should.
//!
//! Nobody knows how much mail there was at some time before it has been read, and mail grows tenfold
//! within two hours of a morning. So three things are asked: how many rows the last windows had, how
//! dense rows lay just before this one, and how dense they ever lay. When the first page of a window
//! shows that it was too wide nevertheless, it is made narrower. No row depends on any of it: what is
//! estimated here is how many requests a backlog takes, and how many rows must be remembered at once.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use rows::Window;

use crate::decide::spans::{scaled, seconds};

/// The span of the first window, when nothing is known of the tenant's traffic.
const FIRST_SPAN: TimeDelta = TimeDelta::hours(1);

/// A window grows at most this much over the one before, since traffic is uneven.
const GROWTH: f64 = 2.0;

/// So much of the rows of a window tells how dense they lie at its end.
const NEAR: f64 = 0.15;

/// The windows whose ends are remembered: those of two readers, and the ones before them.
const ENDS: usize = 4;

/// Rows may always lie as dense as this part of the densest there were.
const EVER: f64 = 1.0 / 3.0;

/// What is left of the densest with each window that is less dense, so that a single wave of mail is
/// forgotten.
const FADING: f64 = 0.97;

/// Windows with a smaller part of the rows they should have say nothing about the densest.
const ENOUGH: f64 = 0.25;

/// A window that seems to have more than so many times its rows is made narrower, at the price of
/// the page that was read.
const TOO_MANY: f64 = 1.5;

/// It must become narrower by more than this to be worth the page.
const WORTH_IT: f64 = 0.75;

/// The newest rows of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// They and no others lie in it, as far as pages are read; it ends where the window ends.
    pub within: Window,
    /// How many there are.
    pub rows: u64,
}

impl Newest {
    /// Rows per second.
    fn density(&self) -> f64 {
        count(self.rows) / seconds(self.within.span())
    }
}

/// Estimates how wide the next window may be.
#[derive(Clone, Debug)]
pub(crate) struct Width {
    /// Rows that a window should have.
    rows: f64,
    shortest: TimeDelta,
    longest: TimeDelta,
    /// By the number of rows of the windows before.
    span: TimeDelta,
    /// The ends of the windows that were begun last.
    ends: VecDeque<Newest>,
    /// Rows per second where they lay densest.
    densest: f64,
}

impl Width {
    /// Of windows that should have so many rows.
    pub(crate) fn new(rows: u32, shortest: TimeDelta, longest: TimeDelta) -> Self {
        Self {
            rows: f64::from(rows),
            shortest,
            longest,
            span: FIRST_SPAN.max(shortest).min(longest),
            ends: VecDeque::new(),
            densest: 0.0,
        }
    }

    /// How wide a window that begins there may be.
    pub(crate) fn at(&self, start: DateTime<Utc>) -> TimeDelta {
        let near = self.near(start).unwrap_or_default();
        let dense = near.max(self.densest * EVER);
        // A density of 0, of which nothing is known, is no limit.
        let most = (self.rows / dense).min(seconds(self.span));
        scaled(TimeDelta::seconds(1), most).clamp(self.shortest, self.longest)
    }

    /// More of a window has been read.
    pub(crate) fn see(&mut self, newest: Newest) {
        let end = newest.within.end();
        // More rows would tell more about the window than about its end.
        let enough = self.rows * NEAR;
        match self.ends.iter_mut().find(|one| one.within.end() == end) {
            Some(known) if count(known.rows) >= enough => {}
            Some(known) => *known = newest,
            None => {
                if self.ends.len() == ENDS {
                    self.ends.pop_front();
                }
                self.ends.push_back(newest);
            }
        }
    }

    /// A window was read to its end.
    pub(crate) fn learn(&mut self, window: Window, rows: u64) {
        let all = Newest {
            within: window,
            rows,
        };
        self.see(all);
        let rows = count(rows.max(1));
        if rows >= self.rows * ENOUGH {
            self.densest = (self.densest * FADING).max(all.density());
        }
        let factor = (self.rows / rows).min(GROWTH);
        let span = scaled(window.span(), factor);
        // What is left of a gap may be short: that must not shrink what the next may ask for.
        if factor < 1.0 || span > self.span {
            self.span = span.clamp(self.shortest, self.longest);
        }
    }

    /// A window could not be read because it was too wide; half of it will be tried.
    pub(crate) fn halve(&mut self, window: Window) {
        if window.span() >= self.span {
            self.span = (window.span() / 2).max(self.shortest);
        }
    }

    /// How wide a window had better be whose first page was read; none when it may stay.
    ///
    /// Density is taken to grow evenly from the start of the window, before which it is known, to its
    /// end. Should it fall, the window has fewer rows than were wanted, which costs little.
    pub(crate) fn better(&self, window: Window, first: Newest) -> Option<TimeDelta> {
        let span = seconds(window.span());
        let at_end = first.density();
        let at_start = self.near(window.start()).unwrap_or_default().min(at_end);
        if span * f64::midpoint(at_start, at_end) <= self.rows * TOO_MANY {
            return None;
        }
        let growth = (at_end - at_start) / span;
        // Where at_start * x + growth * x² / 2 are the rows that a window should have.
        let root = (at_start.powi(2) + 2.0 * growth * self.rows).sqrt();
        let better = 2.0 * self.rows / (at_start + root);
        let better = scaled(TimeDelta::seconds(1), better).max(self.shortest);
        (seconds(better) <= span * WORTH_IT).then_some(better)
    }

    /// Rows per second just before an instant, if enough of them were seen.
    fn near(&self, instant: DateTime<Utc>) -> Option<f64> {
        let before = self.ends.iter().filter(|one| one.within.end() <= instant);
        let last = before.max_by_key(|one| one.within.end())?;
        (count(last.rows) >= self.rows * NEAR / 2.0).then(|| last.density())
    }
}

#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn count(rows: u64) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: f64 = 100_000.0;

    const LONGEST: TimeDelta = TimeDelta::days(10);

    fn at(minutes: f64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + scaled(TimeDelta::minutes(1), minutes)
    }

    fn window(start: f64, end: f64) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    fn width() -> Width {
        Width::new(WANTED as u32, TimeDelta::minutes(1), LONGEST)
    }

    #[test]
    fn a_window_grows_to_twice_the_last_one_and_as_long_as_the_source_allows() {
        let mut width = width();
        let (mut start, mut spans) = (0.0, Vec::new());
        for _ in 0..10 {
            let span = seconds(width.at(at(start))) / 60.0;
            width.learn(window(start, start + span), 3);
            start += span;
            spans.push(span / 60.0);
        }
        assert_eq!(
            spans,
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 240.0, 240.0]
        );
        // What is left of a gap says nothing.
        width.learn(window(0.0, 1.0), 3);
        assert_eq!(width.at(at(start)), LONGEST);
    }

    #[test]
    fn dense_rows_just_before_make_a_window_narrower() {
        let mut width = width();
        width.learn(window(0.0, 600.0), WANTED as u64);
        assert_eq!(width.at(at(600.0)), TimeDelta::minutes(600));
        // Of the window before, as far as it was read, half of what tells enough: still too little ...
        let newest = |minutes: f64, rows| Newest {
            within: window(1200.0 - minutes, 1200.0),
            rows,
        };
        width.see(newest(1.0, 7000));
        assert_eq!(width.at(at(1200.0)), TimeDelta::minutes(600));
        // ... and enough.
        width.see(newest(20.0, 10_000));
        assert_eq!(width.at(at(1200.0)), TimeDelta::minutes(200));
        width.see(newest(30.0, 15_000));
        // More would tell about the window, not about its end.
        width.see(newest(300.0, 30_000));
        width.learn(window(600.0, 1200.0), 40_000);
        assert_eq!(width.at(at(1200.0)), TimeDelta::minutes(200));
        // It says nothing about what was before.
        assert_eq!(width.at(at(1199.0)), TimeDelta::minutes(600));
    }

    #[test]
    fn rows_may_become_as_dense_as_a_third_of_the_densest_ever() {
        let mut width = width();
        width.learn(window(0.0, 60.0), WANTED as u64);
        // A wave of mail in a window that is too short to tell.
        width.learn(window(60.0, 61.0), 7000);
        // A night.
        let mut start = 61.0;
        for _ in 0..2 {
            let span = seconds(width.at(at(start))) / 60.0;
            width.learn(window(start, start + span), 1000);
            start += span;
        }
        assert_eq!(width.at(at(start)), TimeDelta::minutes(180));
        // In time it is forgotten.
        for _ in 0..40 {
            width.learn(window(start, start + 240.0), 30_000);
        }
        assert!(width.at(at(start + 241.0)) > TimeDelta::minutes(300));
    }

    #[test]
    fn a_first_page_tells_that_a_window_is_too_wide() {
        let mut width = width();
        width.learn(window(0.0, 600.0), 6000);
        let too_wide = window(600.0, 1200.0);
        let first = |minutes: f64| Newest {
            within: window(1200.0 - minutes, 1200.0),
            rows: 5000,
        };
        assert_eq!(width.better(too_wide, first(20.0)), None, "150 000 at most");
        assert_eq!(width.better(too_wide, first(19.0)), None, "hardly narrower");
        // Nothing before it that tells enough: from none to 1000 a minute.
        let better = width.better(too_wide, first(5.0)).unwrap();
        assert_eq!(better.num_minutes(), 346);
        // Just before it there were 900 a minute.
        width.see(Newest {
            within: window(590.0, 600.0),
            rows: 9000,
        });
        let better = width.better(too_wide, first(5.0)).unwrap();
        assert_eq!(better.num_minutes(), 109);
    }

    #[test]
    fn what_failed_is_halved() {
        let mut width = width();
        width.halve(window(0.0, 60.0));
        assert_eq!(width.at(at(0.0)), TimeDelta::minutes(30));
        // A narrower one than the next would be says nothing about it.
        width.halve(window(0.0, 20.0));
        assert_eq!(width.at(at(0.0)), TimeDelta::minutes(30));
        (0..9).for_each(|_| width.halve(window(0.0, 30.0)));
        assert_eq!(width.at(at(0.0)), TimeDelta::minutes(15));
    }
}
