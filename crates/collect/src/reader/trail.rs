//! Whether a walk along the links of a window gets anywhere: a pure state machine.
//!
//! Links may lead to the same rows for ever, or to page after page without rows. A walk that gets
//! nowhere is ended; what becomes of its window is for others to decide.

use std::{collections::HashSet, time::Duration};

use base::retry::Backoff;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rows::{Page, RowKey, Window};

use crate::reader::MARGIN;

/// So many pages in a row without a row that is new to the window end a walk.
const BARREN: u32 = 2;

/// So many pages in a row without any row end it, too: they are legal, so there may be more of them.
const EMPTY: u32 = 5;

/// So many pages in a row without a new row end a walk where nothing else can be asked for.
const PATIENT: u32 = 16;

/// Pauses before the page after one without a new row.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// So many keys are remembered where only keys tell old rows from new ones.
const MOST_KEYS: usize = 400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalkStep {
    /// It had rows that are new to the window: the next page is asked for at once.
    Forward,
    /// It had none: the next page is asked for after this pause.
    Nowhere(Duration),
    /// It had none, as those before it: links are followed no longer.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Trail {
    /// What is asked for, and a little beyond: rows outside of it say nothing about the way.
    around: Option<Window>,
    /// That itself: services look a little beyond it on both sides.
    asked: Window,
    /// The newest row of the first page: no later page has a newer one, when they come newest first.
    high: Option<DateTime<Utc>>,
    /// The oldest row so far; none when pages have turned out not to come newest first.
    low: Option<DateTime<Utc>>,
    /// Rows as old as that one, or, when pages come in any order, all since that turned out.
    seen: HashSet<RowKey>,
    /// Whether any row was one of what is asked for: that there are others says nothing of it.
    pub(super) has_rows: bool,
    /// The most rows on one page.
    pub(super) longest_page: usize,
    barren: u32,
    empty: u32,
    /// Whether as many pages are followed as where nothing else can be asked for.
    is_patient: bool,
    pauses: Backoff,
}

impl Trail {
    pub(crate) fn of(window: Window) -> Self {
        Self {
            around: Window::new(window.start() - MARGIN, window.end() + MARGIN),
            asked: window,
            high: None,
            low: Some(window.end() + MARGIN),
            seen: HashSet::new(),
            has_rows: false,
            longest_page: 0,
            barren: 0,
            empty: 0,
            is_patient: false,
            pauses: Backoff::new(PAUSES.0, PAUSES.1),
        }
    }

    /// Whether a page comes forward for certain, as its rows come newest first; then nothing else is to be
    /// looked at.
    pub(crate) fn advances<L>(&mut self, page: &Page<L>) -> bool {
        self.longest_page = self.longest_page.max(page.len());
        let Some(low) = self.low else {
            return false;
        };
        let mut inside = page.rows().filter_map(|row| self.inside(row.received));
        let Some(first) = inside.next() else {
            return false;
        };
        let high = self.high.unwrap_or(first);
        if first > high {
            // What was read lies below, not above.
            self.loses_order();
            return false;
        }
        let mut oldest = first;
        let mut has_rows = self.asked.contains(first);
        for received in inside {
            if received > oldest {
                // What lies between could not be told from what was read.
                self.loses_order();
                return false;
            }
            oldest = received;
            has_rows |= self.asked.contains(received);
        }
        self.high = Some(high);
        if low <= oldest {
            return false;
        }
        self.low = Some(oldest);
        self.has_rows |= has_rows;
        self.seen.clear();
        let as_old = page.rows().rev();
        let as_old = as_old.skip_while(|row| row.received != Some(oldest));
        let as_old = as_old.take_while(|row| row.received == Some(oldest));
        self.seen.extend(as_old.map(|row| row.key));
        self.forward();
        true
    }

    /// What a page was that does not advance for certain. `is_news` tells whether it had a row that
    /// nobody had seen before.
    pub(crate) fn step<L>(&mut self, page: &Page<L>, is_news: bool) -> WalkStep {
        if page.is_empty() {
            self.empty += 1;
            return self.nowhere(self.empty, EMPTY);
        }
        let mut is_new = is_news;
        for row in page.rows() {
            let inside = self.inside(row.received);
            self.has_rows |= inside.is_some_and(|received| self.asked.contains(received));
            let passed = self.low.zip(inside);
            if passed.is_none_or(|(low, received)| received <= low) {
                is_new |= self.seen.len() < MOST_KEYS && self.seen.insert(row.key);
            }
        }
        if is_new {
            self.forward();
            return WalkStep::Forward;
        }
        self.barren += 1;
        self.nowhere(self.barren, BARREN)
    }

    /// Goes on although it was lost: more pages without a new row are followed from now on, the next
    /// after this pause.
    pub(crate) fn be_patient(&mut self) -> Duration {
        self.is_patient = true;
        self.pauses.next_pause(None)
    }

    /// What of the asked window has not been read, when its rows came newest first down to one that is
    /// older than its end. Rows as old as that one come again. Rows of one instant do not tell in which
    /// order they come, unless several pages after them have shown no others.
    pub(crate) fn rest(&self, asked: Window) -> Option<Window> {
        rest_from(self.ordered_low()?, asked, TimeDelta::seconds(1))
    }

    /// The same down to the millisecond, and when the oldest row was received. A row of a full second does not tell
    /// its fraction.
    pub(crate) fn rest_of_second(&self, asked: Window) -> Option<(Window, DateTime<Utc>)> {
        let low = self.ordered_low()?;
        let has_fraction = low.timestamp_subsec_nanos() != 0;
        let rest = rest_from(low, asked, TimeDelta::milliseconds(1));
        Some((rest.filter(|_| has_fraction)?, low))
    }

    /// The oldest row, when rows came newest first.
    fn ordered_low(&self) -> Option<DateTime<Utc>> {
        let low = self.low.filter(|_| self.has_rows)?;
        let is_lost = self.barren >= BARREN || self.empty >= EMPTY;
        let is_ordered = is_lost || self.high.is_some_and(|high| low < high);
        Some(low).filter(|_| is_ordered)
    }

    /// The second that the oldest row was received in, when rows came newest first.
    pub(crate) fn lowest_second(&self) -> Option<DateTime<Utc>> {
        let low = self.low.filter(|_| self.has_rows)?;
        low.duration_trunc(TimeDelta::seconds(1)).ok()
    }

    /// The date of a row, if that lies in what is asked for.
    fn inside(&self, received: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        received.filter(|received| self.around.is_some_and(|around| around.contains(*received)))
    }

    fn forward(&mut self) {
        (self.barren, self.empty) = (0, 0);
        self.pauses.reset();
    }

    /// So many pages in a row were like this one; an impatient walk ends at `most`.
    fn nowhere(&mut self, pages: u32, most: u32) -> WalkStep {
        let most = if self.is_patient { PATIENT } else { most };
        if pages >= most {
            return WalkStep::Lost;
        }
        WalkStep::Nowhere(self.pauses.next_pause(None))
    }

    fn loses_order(&mut self) {
        self.low = None;
        self.seen.clear();
    }
}

/// What of the asked window lies before the end of this step of time, in which `low` is.
fn rest_from(low: DateTime<Utc>, asked: Window, step: TimeDelta) -> Option<Window> {
    let end = low.duration_trunc(step).ok()? + step;
    Window::new(asked.start(), end).filter(|rest| rest.end() < asked.end())
}

#[cfg(test)]
mod tests {
    use rows::{RowKeyer, RowSpan};

    use super::*;
    use crate::testing::{at_second as at, seconds as window};

    /// A page of rows, as second of receipt and name; one of the second -1 has no date.
    fn page(rows: &[(i64, &str)]) -> Page<()> {
        let rows = rows.iter().map(|(second, name)| {
            let key = RowKeyer::new([7; 16]).key(&[name], "");
            let received = Some(*second).filter(|second| *second != -1).map(at);
            RowSpan::new(0..2, key, received).unwrap()
        });
        Page::of("{}", rows.collect(), None).unwrap()
    }

    /// What pages are to a walk through 100 seconds whose rows are all known.
    fn walk(pages: &[&[(i64, &str)]]) -> (String, Trail) {
        let mut trail = Trail::of(window(0, 100));
        let steps = pages.iter().map(|rows| {
            let page = page(rows);
            if trail.advances(&page) {
                return '>';
            }
            match trail.step(&page, false) {
                WalkStep::Forward => '+',
                WalkStep::Nowhere(_) => '.',
                WalkStep::Lost => '!',
            }
        });
        (steps.collect(), trail)
    }

    #[test]
    fn two_pages_without_a_row_new_to_the_window_end_a_walk() {
        let (first, second): (&[_], &[_]) =
            (&[(90, "a"), (80, "b")], &[(80, "b"), (80, "c"), (70, "d")]);
        assert_eq!(walk(&[first, second, second, second]).0, ">>.!");
        assert_eq!(walk(&[first, second, first, second]).0, ">>.!");
        assert_eq!(walk(&[first, first, second, second, second]).0, ">.>.!");
        // Rows that were known to the collection are new to this window all the same.
        let (steps, trail) = walk(&[first, second]);
        assert_eq!(steps, ">>");
        assert_eq!(trail.rest(window(0, 100)), Some(window(0, 71)));
        assert_eq!(trail.rest(window(0, 71)), None, "not narrower");
        assert_eq!(trail.lowest_second(), Some(at(70)));
    }

    #[test]
    fn rows_of_one_instant_may_fill_many_pages() {
        let tie = |names: &[&'static str]| names.iter().map(|name| (70, *name)).collect::<Vec<_>>();
        let pages = [
            tie(&["a", "b"]),
            tie(&["b", "c"]),
            tie(&["d", "e"]),
            tie(&["a", "e"]),
        ];
        let pages: Vec<&[_]> = pages.iter().map(|page| &page[..]).collect();
        assert_eq!(walk(&pages).0, ">++.");
    }

    #[test]
    fn rows_outside_of_what_is_asked_for_say_nothing() {
        let page = |high, low, name| [(-1, "none"), (high, name), (low, name), (-500, "old")];
        let pages = [page(90, 80, "a"), page(80, 70, "b"), page(70, 60, "c")];
        let pages: Vec<&[_]> = pages.iter().map(|page| &page[..]).collect();
        assert_eq!(walk(&pages).0, ">>>");
        let (steps, trail) = walk(&[pages[0], pages[1], pages[1], pages[1]]);
        assert_eq!(
            steps, ">>+.",
            "the odd ones are new to a walk once for each page"
        );
        assert_eq!(trail.rest(window(0, 100)), Some(window(0, 71)));
        let strays: &[_] = &[(-1, "none"), (-500, "old")];
        assert_eq!(walk(&[strays, strays, strays]).0, "+.!");
    }

    #[test]
    fn rows_that_do_not_belong_to_what_is_asked_for_do_not_show_that_it_has_any() {
        let (later, odd, earlier): (&[_], &[_], &[_]) = (
            // Services include the end.
            &[(101, "next"), (100, "end")],
            &[(-1, "none"), (-500, "old")],
            &[(-2, "before")],
        );
        for strays in [later, odd, earlier] {
            let (steps, trail) = walk(&[strays, strays, &[]]);
            assert!(steps.ends_with(".."), "{steps}");
            assert!(!trail.has_rows && trail.lowest_second().is_none());
            assert_eq!(trail.rest(window(0, 100)), None);
        }
        let (row, both): (&[_], &[_]) = (&[(99, "a")], &[(99, "a"), (100, "end")]);
        assert!(walk(&[later, row]).1.has_rows);
        assert!(walk(&[both]).1.has_rows, "in any order");
    }

    #[test]
    fn rows_of_one_instant_do_not_tell_in_which_order_pages_come() {
        let page = |second, name| [(second, name)];
        let pages = [page(10, "a"), page(20, "b"), page(30, "c"), page(40, "d")];
        let pages: Vec<&[_]> = pages.iter().map(|page| &page[..]).collect();
        let (steps, trail) = walk(&pages[..1]);
        assert_eq!(steps, ">");
        assert_eq!(trail.rest(window(0, 100)), None, "it may lie above");
        assert_eq!(trail.lowest_second(), Some(at(10)));
        let (steps, trail) = walk(&[pages[0]; 3]);
        assert_eq!(steps, ">.!");
        let below = Some(window(0, 11));
        assert_eq!(trail.rest(window(0, 100)), below, "nothing else is shown");
        assert_eq!(walk(&pages).0, ">+++", "oldest first");
        let (steps, trail) = walk(&[pages[3], pages[0]]);
        assert_eq!(steps, ">>");
        assert_eq!(trail.rest(window(0, 100)), below);
    }

    #[test]
    fn empty_pages_are_followed_a_bounded_number_of_times() {
        let mut trail = Trail::of(window(0, 100));
        let mut pauses = Vec::new();
        for _ in 1..EMPTY {
            match trail.step(&page(&[]), false) {
                WalkStep::Nowhere(pause) => pauses.push(pause),
                step => panic!("{step:?}"),
            }
        }
        assert!(pauses.is_sorted() && pauses[0] >= PAUSES.0, "{pauses:?}");
        assert_eq!(trail.step(&page(&[]), false), WalkStep::Lost);
        assert_eq!(trail.rest(window(0, 100)), None, "there was no row");
        let rows: &[_] = &[(50, "a")];
        assert_eq!(
            walk(&[&[], &[], rows, &[], &[], &[], &[], &[]]).0,
            "..>....!"
        );
    }

    #[test]
    fn a_patient_walk_follows_more_pages_and_ends_all_the_same() {
        let rows = page(&[(50, "a")]);
        for (again, most) in [(rows.clone(), BARREN), (page(&[]), EMPTY)] {
            let mut trail = Trail::of(window(0, 100));
            assert!(trail.advances(&rows));
            let steps = |trail: &mut Trail| {
                let steps = std::iter::repeat_with(|| trail.step(&again, false));
                steps.take_while(|step| *step != WalkStep::Lost).count() + 1
            };
            assert_eq!(steps(&mut trail), most as usize);
            assert!(trail.be_patient() <= PAUSES.1);
            assert_eq!(steps(&mut trail), (PATIENT - most) as usize);
            // A row that is new begins the count anew.
            assert_eq!(trail.step(&page(&[(50, "b")]), false), WalkStep::Forward);
            assert_eq!(steps(&mut trail), PATIENT as usize);
        }
    }

    #[test]
    fn in_any_other_order_only_keys_tell() {
        let (up, down): (&[_], &[_]) = (&[(10, "a"), (20, "b")], &[(50, "c"), (40, "d")]);
        let (steps, trail) = walk(&[up, down, up, down, &[(50, "c"), (-1, "e")], down, up]);
        assert_eq!(steps, "++.!+.!");
        assert_eq!(
            (trail.rest(window(0, 100)), trail.lowest_second()),
            (None, None)
        );
        // What nobody had seen before is new, wherever it comes from.
        let mut trail = Trail::of(window(0, 100));
        assert!(trail.advances(&page(&[(90, "a"), (10, "b")])));
        assert_eq!(
            trail.step(&page(&[(80, "late"), (70, "x")]), true),
            WalkStep::Forward
        );
    }
}
