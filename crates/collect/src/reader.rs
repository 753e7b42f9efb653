//! One reader: the window it is reading, and its pauses.

pub(crate) mod completion;
mod descent;
pub(crate) mod doubt;
mod links;
pub(crate) mod trail;

use std::{
    collections::{HashMap, HashSet},
    hash::RandomState,
};

use chrono::{DateTime, TimeDelta, Utc};
use rows::{Page, Question, RowKey, Window};
use tokio::task;
use uuid::Uuid;

pub(crate) use self::links::DeadEnd;
use crate::{
    Lane, Newest, Sink, Source,
    decide::{evidence::Moment, pending::PendingId},
    known::KeyRef,
    outflow::{Draft, Outflow},
    reader::{completion::Completion, descent::Descent, doubt::Doubt, trail::Trail},
};

/// How far beyond its window a source may look to be on the safe side.
pub(crate) const MARGIN: TimeDelta = TimeDelta::seconds(2);

/// After this many failures in a row a link is given up and its window begun anew, since links may
/// expire.
const LINK_FAILURES: u32 = 5;

/// A reader of windows, one after the other.
pub(crate) struct Reader<S: Source, K: Sink> {
    /// What is being read. None while a page of it is taken in, too.
    pub(crate) read: Option<WindowRead<S, K>>,
    /// The task that asks for its next page, or for the time.
    pub(crate) asked_by: Option<task::Id>,
}

/// The reading of one window.
pub(crate) struct WindowRead<S: Source, K: Sink> {
    pub(crate) id: PendingId,
    /// The number of its reader, set with each page: another one may go on with a window that has waited.
    pub(crate) reader: usize,
    pub(crate) lane: Lane,
    pub(crate) window: Window,
    /// When its first page was asked for.
    pub(crate) began: Moment,
    /// The part of the window that is asked for: what the links of an earlier walk did not lead to.
    pub(crate) asked: Window,
    /// When the row was received that it goes on from, where what is asked for ends in the middle of a second.
    witness: Option<DateTime<Utc>>,
    /// Whether it is asked for by full seconds alone, as the source does not heed fractions.
    is_coarse: bool,
    /// The page to ask for; none for the first.
    pub(crate) link: Option<S::Link>,
    pub(crate) draft: Draft<K::Batch>,
    pub(crate) pages: u32,
    /// So many rows fill the page that came last, or more.
    pub(crate) full_page: u32,
    pub(crate) rows: u64,
    pub(crate) new: u64,
    /// Rows among them of which no other status was known.
    pub(crate) first_seen: u64,
    /// The verification that it is read for; none when for none.
    pub(crate) order: Option<Uuid>,
    /// Whether what it shows for a verification is delivered.
    pub(crate) heals: bool,
    /// The rows on its pages, when they are only looked at.
    pub(crate) shown: ShownRows,
    /// Whether it only finds out if the source answers.
    pub(crate) is_probe: bool,
    descent: Descent,
    pub(crate) trail: Trail,
    /// Hashes of the links that were followed.
    seen: HashSet<u64>,
    hashes: RandomState,
    tries: Tries,
    /// While an answer cannot be read as a whole.
    pub(crate) doubt: Option<Doubt>,
    /// What its pages have shown so far that cannot be read as a row, and how often; without what stands on every
    /// page.
    pub(crate) unreadable: HashMap<RowKey, usize>,
    /// Messages that may have more recipients than the window shows.
    pub(crate) completion: Completion,
}

/// Rows that a verification compares.
#[derive(Debug, Default)]
pub(crate) struct ShownRows {
    pub(crate) wanted: Vec<KeyRef>,
    /// Those that a rule leaves out.
    pub(crate) unwanted: Vec<KeyRef>,
    /// Those that cannot be read.
    pub(crate) broken: Vec<ShownBroken>,
}

/// Something that cannot be read as a row, and was met by a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShownBroken {
    /// Its key, and the hour in which it was put aside, or else was met.
    pub(crate) row: KeyRef,
    /// How many the same were met before it in its window.
    pub(crate) before: usize,
    /// The second that it was met in, since 1970.
    pub(crate) second: i64,
    /// Whether it is remembered that it was put aside.
    pub(crate) is_known: bool,
}

/// How a window, or an answer for one of its messages, has come so far.
#[derive(Debug, Default)]
struct Tries {
    failures: u32,
    /// Walks through the same in a row that have come to nothing.
    lost_walks: u32,
    /// Whether links were followed further in the hope of more since something new was last asked for.
    was_patient: bool,
    /// Links that have failed since the window was asked for by time.
    failed_links: u32,
    /// The most rows on one page.
    longest_page: usize,
}

impl<S: Source, K: Sink> Reader<S, K> {
    pub(crate) fn new() -> Self {
        Self {
            read: None,
            asked_by: None,
        }
    }

    pub(crate) fn is_asking(&self) -> bool {
        self.asked_by.is_some()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.read.is_none() && !self.is_asking()
    }

    /// Whether its next page has not been asked for.
    pub(crate) fn waits(&self) -> bool {
        self.read.is_some() && !self.is_asking()
    }

    /// The answer came: the window to go on with.
    pub(crate) fn answered(&mut self) -> Option<WindowRead<S, K>> {
        self.asked_by = None;
        self.read.take()
    }

    /// Gives up a window whose first page is still to be asked for.
    pub(crate) fn give_back(&mut self) -> Option<WindowRead<S, K>> {
        let is_asking = self.is_asking();
        self.read
            .take_if(|read| !is_asking && read.link.is_none() && read.pages == 0)
    }
}

impl<S: Source, K: Sink> WindowRead<S, K> {
    pub(crate) fn new(
        id: PendingId,
        lane: Lane,
        window: Window,
        began: Moment,
        draft: Draft<K::Batch>,
        recipients_shown: u32,
    ) -> Self {
        Self {
            id,
            reader: 0,
            lane,
            window,
            began,
            asked: window,
            witness: None,
            is_coarse: false,
            link: None,
            draft,
            pages: 0,
            full_page: 0,
            rows: 0,
            new: 0,
            first_seen: 0,
            order: None,
            heals: false,
            shown: ShownRows::default(),
            is_probe: false,
            descent: Descent::of(window),
            trail: Trail::of(window),
            seen: HashSet::new(),
            hashes: RandomState::new(),
            tries: Tries::default(),
            doubt: None,
            unreadable: HashMap::new(),
            completion: Completion::new(recipients_shown),
        }
    }

    /// What its next page is asked for: in which lane, what, and by which link.
    pub(crate) fn asks(&self) -> (Lane, Question, Option<S::Link>) {
        let question = Question {
            window: self.asked,
            message: self.completion.asked().cloned(),
        };
        (self.asking_lane(), question, self.link.clone())
    }

    /// What its next page is asked for in: messages are asked for with settling's part of the quota, those of
    /// a verification with what all else leaves.
    pub(crate) fn asking_lane(&self) -> Lane {
        match self.is_completing() && self.lane != Lane::Verify {
            true => Lane::Settle,
            false => self.lane,
        }
    }

    /// What it has in hand, which is to be sent: the next rows come into another batch.
    pub(crate) fn take_draft(&mut self, outflow: &mut Outflow<K>) -> Draft<K::Batch> {
        let next = outflow.draft(self.lane, self.window);
        std::mem::replace(&mut self.draft, next)
    }

    /// Whether all of its pages were read, and a message is asked for by its id.
    pub(crate) fn is_completing(&self) -> bool {
        self.completion.asked().is_some()
    }

    /// Asks for a message from now on.
    pub(crate) fn asks_for_message(&mut self) {
        self.asked = self.window;
        self.witness = None;
        self.is_probe = false;
        self.doubt = None;
        self.tries = Tries::default();
        self.begin_anew();
    }

    /// Whether a page was full, of what was asked for last.
    pub(crate) fn has_full_page(&self) -> bool {
        self.tries.longest_page.max(self.trail.longest_page) >= self.full_page as usize
    }

    /// The newest rows of the window, with those of a page that is about to be taken in. None when
    /// rows do not come newest first.
    pub(crate) fn newest(&mut self, page: &Page<S::Link>) -> Option<Newest> {
        let within = self.descent.go_on(page)?;
        let rows = self.rows + page.len() as u64;
        Some(Newest { within, rows })
    }

    /// A request failed. Whether the link has failed so often that it is given up.
    pub(crate) fn failed(&mut self) -> bool {
        self.tries.failures = self.tries.failures.saturating_add(1);
        self.link.is_some() && self.tries.failures.is_multiple_of(LINK_FAILURES)
    }

    /// Reads what is asked for from its first page on.
    pub(crate) fn begin_anew(&mut self) {
        self.seen.clear();
        if self.asked == self.window {
            self.unreadable.clear();
        }
        self.link = None;
        self.descent.oldest = None;
        self.trail = Trail::of(self.asked);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rows::{RowKeyer, RowSpan};
    use tokio::time::Instant;

    use super::*;
    use crate::{
        decide::pending::PendingWindows,
        testing::{SilentSink, SilentSource, at_second as at, seconds},
    };

    /// A window of so many seconds is read.
    fn reading(lane: Lane, span: i64) -> WindowRead<SilentSource, SilentSink> {
        let window = seconds(0, span);
        let began = Moment {
            time: window.end(),
            instant: Instant::now(),
        };
        let id = PendingWindows::default().begin(lane, window, began);
        let draft = Outflow::new(Arc::new(SilentSink)).draft(lane, window);
        WindowRead::new(id, lane, window, began, draft, 0)
    }

    /// A page comes with rows of these seconds, in this order, so many of each.
    fn comes(read: &mut WindowRead<SilentSource, SilentSink>, rows: &[(i64, usize)]) {
        let keyer = RowKeyer::new([7; 16]);
        let each = rows.iter().flat_map(|(second, count)| {
            let names = (0..*count).map(move |n| format!("{second} {n}"));
            names.map(move |name| (*second, name))
        });
        let rows = each.map(|(second, name)| {
            RowSpan::new(0..2, keyer.key(&[name], ""), Some(at(second))).unwrap()
        });
        let page = Page::<u32>::of("{}", rows.collect(), None).unwrap();
        if !read.trail.advances(&page) {
            _ = read.trail.step(&page, false);
        }
    }

    #[test]
    fn a_window_whose_links_lead_nowhere_is_read_in_parts_as_long_as_that_is_possible() {
        // Its rows come in any order.
        let mut read = reading(Lane::Backlog, 100);
        comes(&mut read, &[(10, 1), (90, 1)]);
        assert_eq!(read.dead_end(true, false), DeadEnd::Apart(None));
        // Newest first, so that they meet where it was left.
        let mut read = reading(Lane::Backlog, 100);
        comes(&mut read, &[(90, 1), (80, 1)]);
        assert_eq!(read.dead_end(true, false), DeadEnd::Apart(Some(at(80))));
        // Only one row is shown, of its last second: what is before it was not asked for alone.
        let mut read = reading(Lane::Backlog, 100);
        comes(&mut read, &[(99, 1)]);
        assert_eq!(read.dead_end(true, false), DeadEnd::Apart(Some(at(99))));
        // The live edge does not wait when it is read again.
        let mut read = reading(Lane::Live, 100);
        comes(&mut read, &[(99, 1)]);
        assert_eq!(read.dead_end(true, true), DeadEnd::Read);
    }

    #[test]
    fn a_window_without_rows_is_read_in_parts_unless_it_is_short() {
        let mut read = reading(Lane::Backlog, 3601);
        assert_eq!(read.dead_end(true, false), DeadEnd::Apart(None));
        let mut read = reading(Lane::Backlog, 3600);
        assert!(matches!(read.dead_end(true, false), DeadEnd::On(_)));
        assert_eq!(read.dead_end(true, false), DeadEnd::Again);
        assert_eq!(read.dead_end(true, false), DeadEnd::Read);
    }

    /// Else rows would be passed over to which no link leads.
    #[test]
    fn what_is_left_counts_as_read_only_when_its_page_had_room_for_more() {
        for (most, last, is_short) in [
            (2, 1, true),
            (60, 19, true),
            (60, 29, true),
            (60, 30, false),
            (2, 20, false),
        ] {
            for can_narrow in [false, true] {
                let mut read = reading(Lane::Backlog, 100);
                comes(&mut read, &[(90, most - 1), (80, 1)]);
                assert!(read.goes_by_time());
                assert_eq!(read.asked, seconds(0, 81));
                comes(&mut read, &[(80, last)]);
                let expected = match (is_short, can_narrow) {
                    (true, _) => DeadEnd::Read,
                    (false, true) => DeadEnd::Apart(Some(at(80))),
                    (false, false) => DeadEnd::Apart(None),
                };
                // Its links are followed on first.
                _ = read.dead_end(can_narrow, false);
                let found = read.dead_end(can_narrow, false);
                assert_eq!(found, expected, "{last} rows after {most}");
            }
        }
    }

    #[test]
    fn a_link_that_fails_a_second_time_parts_its_window_where_it_can_be() {
        for can_narrow in [false, true] {
            let mut read = reading(Lane::Backlog, 100);
            for is_second in [false, true] {
                comes(&mut read, &[(90, 1), (80, 1)]);
                let expected = match is_second && can_narrow {
                    true => DeadEnd::Apart(Some(at(80))),
                    false => DeadEnd::Again,
                };
                assert_eq!(read.give_up_link(can_narrow), expected);
            }
        }
    }
}
