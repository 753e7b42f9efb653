//! The links of a window: followed, done without, or given up as they lead nowhere.

use std::{hash::BuildHasher as _, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rows::{Page, Window};

use super::{Tries, WindowRead};
use crate::{Lane, Sink, Source, decide::spans::whole_second};

/// So many walks that come to nothing show that another one would, too.
const LOST_WALKS: u32 = 2;

/// A window in which there seem to be no rows is cut down to this width, since each part costs several
/// requests.
const QUIET_SPAN: TimeDelta = TimeDelta::hours(1);

/// Any page has room for so many rows.
const FEW_ROWS: usize = 20;

/// What to do with a window whose links lead nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeadEnd {
    /// Its links are followed on, the next after this pause.
    On(Duration),
    /// The same is asked for once more.
    Again,
    /// It is read in parts that meet here, or at their middle.
    Apart(Option<DateTime<Utc>>),
    /// Nothing is left that could be asked for.
    Read,
}

impl<S: Source, K: Sink> WindowRead<S, K> {
    /// Follows a link, or says why not: it was followed before, or links go on for ever.
    pub(crate) fn follow(&mut self, link: &S::Link, most: u32) -> Option<String> {
        self.tries.failures = 0;
        if !self.seen.insert(self.hashes.hash_one(link)) {
            let pages = self.seen.len();
            return Some(format!(
                "the link to the next page repeats itself after {pages} pages"
            ));
        }
        if self.seen.len() >= most as usize {
            return Some(format!("more than {most} pages in one query"));
        }
        self.link = Some(link.clone());
        None
    }

    /// Goes on without the link, by the time of the last row; false when nothing is known of that, or
    /// as much would be asked for as before.
    pub(crate) fn goes_by_time(&mut self) -> bool {
        let rest = self.trail.rest(self.asked);
        rest.is_some_and(|rest| self.goes_on_with(rest, None))
    }

    /// The same by the millisecond of the last row, where full seconds do not help: a second may have more rows
    /// than a page. Not when the source has turned out not to heed fractions.
    pub(crate) fn goes_by_fraction(&mut self) -> bool {
        let rest = self.trail.rest_of_second(self.asked);
        let rest = rest.filter(|_| !self.is_coarse);
        rest.is_some_and(|(rest, witness)| self.goes_on_with(rest, Some(witness)))
    }

    fn goes_on_with(&mut self, rest: Window, witness: Option<DateTime<Utc>>) -> bool {
        (self.asked, self.witness) = (rest, witness);
        self.tries = Tries {
            failures: self.tries.failures,
            longest_page: self.tries.longest_page.max(self.trail.longest_page),
            ..Tries::default()
        };
        self.begin_anew();
        true
    }

    /// Whether a page that has come does without the row that it goes on from: the source has cut the second
    /// off, and shows nothing of it. Then it is asked for by full seconds again.
    pub(crate) fn is_cut_off(&mut self, page: &Page<S::Link>) -> bool {
        let witness = self.witness.filter(|_| self.link.is_none());
        let is_shown = |witness: DateTime<Utc>| {
            let mut rows = page.rows();
            rows.any(|row| row.received == Some(witness))
        };
        if witness.is_none_or(is_shown) {
            return false;
        }
        let end = whole_second(self.asked.end()) + TimeDelta::seconds(1);
        let end = end.min(self.window.end());
        self.asked = Window::new(self.asked.start(), end).unwrap_or(self.window);
        (self.witness, self.is_coarse) = (None, true);
        self.begin_anew();
        true
    }

    /// The link is given up, and [`goes_by_time`](Self::goes_by_time) does not help: what is asked for
    /// is asked for from its first page on. When it comes to the same again, in parts. An outage alone
    /// cuts nothing: in between, a first page has come.
    pub(crate) fn give_up_link(&mut self, can_narrow: bool) -> DeadEnd {
        self.tries.failed_links += 1;
        let cut = self.trail.lowest_second();
        let cut = cut.filter(|cut| self.window.start() < *cut && *cut < self.window.end());
        self.begin_anew();
        match can_narrow && self.tries.failed_links >= LOST_WALKS {
            true => DeadEnd::Apart(cut),
            false => DeadEnd::Again,
        }
    }

    /// The links of the window lead nowhere, and [`goes_by_time`](Self::goes_by_time) does not help.
    ///
    /// As long as something else can be asked for, it is: the window is read in parts, where it `can_narrow`.
    /// That two pages brought nothing is hearsay, and a row that was never read must not be passed over for
    /// it: a service may give pages that are short, or empty, or repeat what it gave before. So the links are
    /// followed on, slowly, for as many pages as no service is known to need. Only the live edge does not wait
    /// for that when it `is_read_again` soon, and as many links are followed then.
    ///
    /// Then the window counts as read if its last query has shown no more than the rows that were the last
    /// before, on a page that had room for more, or if there seems to be no row in it and asking once more has
    /// not changed that. A full page of one second says that there are more rows: it never counts as read.
    pub(crate) fn dead_end(&mut self, can_narrow: bool, is_read_again: bool) -> DeadEnd {
        let second = self.trail.lowest_second();
        let page = self.trail.longest_page;
        let longest = &mut self.tries.longest_page;
        *longest = page.max(*longest);
        let is_short = page * 2 < *longest || page < FEW_ROWS;
        let shows_one_second =
            second.is_some_and(|second| self.asked.end() <= second + TimeDelta::seconds(1));
        let is_hurried = self.lane == Lane::Live && is_read_again;
        // Only a walk before tells that a window has nothing before its last second.
        let is_second_walk = self.asked != self.window;
        let seems_read = shows_one_second && is_short && (is_second_walk || is_hurried);
        let cut = second.filter(|cut| self.window.start() < *cut && *cut < self.window.end());
        let seems_empty = second.is_none() && !self.trail.has_rows && is_short;
        let is_quiet = seems_empty && self.window.span() <= QUIET_SPAN;
        let is_lowest = second.is_some() && cut.is_none();
        if can_narrow && !seems_read && !is_quiet && !is_lowest {
            return DeadEnd::Apart(cut);
        }
        if !is_hurried && !std::mem::replace(&mut self.tries.was_patient, true) {
            return DeadEnd::On(self.trail.be_patient());
        }
        if shows_one_second {
            return match is_short {
                true => DeadEnd::Read,
                // There may be more of it than links lead to.
                false => DeadEnd::Apart(None),
            };
        }
        self.tries.lost_walks += 1;
        if self.tries.lost_walks < LOST_WALKS {
            self.begin_anew();
            return DeadEnd::Again;
        }
        DeadEnd::Read
    }
}
