//! One reader: the window it is reading, and its pauses.

use std::{collections::HashSet, fmt, hash::Hash};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::{Draft, Lane};
use crate::{
    Page, RowRef, Window,
    collect::{Newest, evidence::Moment, readings::ReadingId},
};

/// How far beyond its window a source may look to be on the safe side.
pub(super) const MARGIN: TimeDelta = TimeDelta::seconds(2);

/// After this many failures in a row a link is given up and its window begun anew, since links may
/// expire.
const LINK_FAILURES: u32 = 5;

/// A reader of windows, one after the other.
#[derive(Debug)]
pub(super) struct Slot<L, B> {
    /// What is being read. None while a page of it is taken in, too.
    pub(super) pass: Option<Pass<L, B>>,
    asking_since: Option<Instant>,
}

/// The reading of one window.
pub(super) struct Pass<L, B> {
    pub(super) id: ReadingId,
    pub(super) lane: Lane,
    pub(super) window: Window,
    /// When its first page was asked for.
    pub(super) began: Moment,
    /// The page to ask for; none for the first.
    pub(super) link: Option<L>,
    pub(super) draft: Draft<B>,
    pub(super) pages: u32,
    pub(super) rows: u64,
    pub(super) new: u64,
    /// Whether it only finds out if the source answers.
    pub(super) is_probe: bool,
    descent: Descent,
    seen: HashSet<L>,
    failures: u32,
}

impl<L, B> fmt::Debug for Pass<L, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass")
            .field("lane", &self.lane)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl<L: Clone + Eq + Hash, B> Slot<L, B> {
    pub(super) fn new() -> Self {
        Self {
            pass: None,
            asking_since: None,
        }
    }

    /// Whether it has no window.
    pub(super) fn is_idle(&self) -> bool {
        self.pass.is_none() && self.asking_since.is_none()
    }

    /// Whether its next page has not been asked for.
    pub(super) fn waits(&self) -> bool {
        self.pass.is_some() && self.asking_since.is_none()
    }

    /// What to ask for; counts as asked.
    pub(super) fn ask(&mut self) -> Option<(Lane, Window, Option<L>)> {
        let pass = self.pass.as_ref()?;
        let what = (pass.lane, pass.window, pass.link.clone());
        self.asks();
        Some(what)
    }

    /// A page has been asked for.
    pub(super) fn asks(&mut self) {
        self.asking_since = Some(Instant::now());
    }

    /// The answer came: the pass to go on with.
    pub(super) fn answered(&mut self) -> Option<Pass<L, B>> {
        self.asking_since = None;
        self.pass.take()
    }

    /// Gives up a window whose first page is still to be asked for.
    pub(super) fn give_back(&mut self) -> Option<Pass<L, B>> {
        let is_begun = |pass: &Pass<L, B>| pass.link.is_some() || pass.pages > 0;
        let may_be = self.waits() && !self.pass.as_ref().is_some_and(is_begun);
        may_be.then(|| self.pass.take()).flatten()
    }

    /// Since when a page is being waited for.
    pub(super) fn asking_since(&self) -> Option<Instant> {
        self.asking_since
    }
}

impl<L: Clone + Eq + Hash, B> Pass<L, B> {
    pub(super) fn new(
        id: ReadingId,
        lane: Lane,
        window: Window,
        began: Moment,
        draft: Draft<B>,
    ) -> Self {
        Self {
            id,
            lane,
            window,
            began,
            link: None,
            draft,
            pages: 0,
            rows: 0,
            new: 0,
            is_probe: false,
            descent: Descent::of(window),
            seen: HashSet::new(),
            failures: 0,
        }
    }

    /// Follows a link, or says why not: it was followed before, or links go on for ever.
    pub(super) fn follow(&mut self, link: &L, most: u32) -> Option<String> {
        self.failures = 0;
        if !self.seen.insert(link.clone()) {
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

    /// The newest rows of the window, with those of a page that is about to be taken in. None when
    /// rows do not come newest first.
    pub(super) fn newest(&mut self, page: &Page<L>) -> Option<Newest> {
        let within = self.descent.go_on(page)?;
        let rows = self.rows + page.len() as u64;
        Some(Newest { within, rows })
    }

    /// A request failed. Now and then the link is given up.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_multiple_of(LINK_FAILURES) {
            self.begin_anew();
        }
    }

    /// Reads the window from its first page on.
    pub(super) fn begin_anew(&mut self) {
        self.seen.clear();
        self.link = None;
        self.descent.oldest = None;
    }
}

/// How far pages have come down a window, as long as they come newest first. Only the ends of pages
/// are looked at: nothing but an estimate depends on it.
#[derive(Clone, Copy, Debug)]
struct Descent {
    window: Window,
    /// The oldest row so far; none when pages have turned out not to come newest first.
    oldest: Option<DateTime<Utc>>,
}

impl Descent {
    fn of(window: Window) -> Self {
        let oldest = Some(window.end());
        Self { window, oldest }
    }

    /// The part of the window that has been read with this page.
    fn go_on<L>(&mut self, page: &Page<L>) -> Option<Window> {
        let received = |row: Option<RowRef<'_>>| row?.received;
        let first = received(page.rows().next());
        let last = received(page.rows().next_back());
        let before = self.oldest.take()?;
        // Services look a little beyond a window, whose end belongs to it for them.
        let (first, last) = first.zip(last)?;
        self.oldest = (last <= first && first <= before + MARGIN).then_some(last);
        Window::new(self.oldest?.max(self.window.start()), self.window.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RowKeyer;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    /// What of a window of 1000 seconds is read with each page of rows, as seconds since its start.
    fn read(pages: &[&[Option<i64>]]) -> Vec<Option<i64>> {
        let window = Window::new(at(0), at(1000)).unwrap();
        let mut descent = Descent::of(window);
        let key = RowKeyer::new([7; 16]).key(&["a"], "");
        let read = pages.iter().map(|rows| {
            let mut page = Page::<()>::new("{}", None);
            for row in *rows {
                assert!(page.push(0..2, key, row.map(at)));
            }
            let within = descent.go_on(&page)?;
            assert_eq!(within.end(), window.end());
            Some((within.start() - at(0)).num_seconds())
        });
        read.collect()
    }

    #[test]
    fn pages_that_come_newest_first_tell_how_far_they_have_come() {
        let page = |first, last| [Some(first), Some(500), Some(last)];
        let down = [page(1002, 900), page(902, 700), page(700, -1)];
        let down: Vec<&[_]> = down.iter().map(|page| &page[..]).collect();
        assert_eq!(read(&down), [Some(900), Some(700), Some(0)]);
    }

    #[test]
    fn what_comes_in_another_order_tells_nothing_from_then_on() {
        let (newest, below): (&[_], &[_]) = (&[Some(1000), Some(900)], &[Some(900), Some(800)]);
        for odd in [
            &[Some(850), Some(860)][..],
            &[Some(903), Some(850)],
            &[None, Some(850)],
            &[Some(880), None],
            &[],
        ] {
            assert_eq!(
                read(&[newest, odd, below]),
                [Some(900), None, None],
                "{odd:?}"
            );
        }
        assert_eq!(
            read(&[&[Some(1003), Some(900)]]),
            [None],
            "far behind the end"
        );
    }
}
