//! The messages of a window that are asked for by their ids, after all of its pages were read.

use std::{collections::HashSet, iter, sync::Arc, time::Duration};

use base::retry::Backoff;
use chrono::{DateTime, Utc};
use foldhash::fast::RandomState;
use rows::{Message, Page, RowRef, Window};

use crate::decide::mass::{FailingQuestion, MassMessage, Recipients};

/// Pauses after a question that has failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// What a window has of messages that may have more recipients.
#[derive(Debug)]
pub(crate) struct Completion {
    recipients: Recipients,
    /// Rows that cannot be read: nobody knows of which messages they are.
    unreadable: u64,
    left: Vec<MassMessage>,
    asked: Option<Box<AskedMessage>>,
    /// Whether one was given up: the window may have rows that were not shown.
    pub(crate) gave_up: bool,
    /// Whether the question has failed since its last answer.
    pub(crate) failing: Option<FailingQuestion>,
    retries: Backoff,
}

/// A message that is asked for by its id, and what the answer has shown so far.
#[derive(Debug)]
pub(crate) struct AskedMessage {
    pub(crate) message: MassMessage,
    /// Recipients, of rows that lie in the window.
    recipients: HashSet<Message, RandomState>,
    /// What came damaged, each of which may be one of them.
    damaged: HashSet<Message, RandomState>,
    is_foreign: bool,
    /// Rows of the window that were seen for the first time before it.
    pub(crate) new_before: u64,
}

impl AskedMessage {
    /// Whether the answer had more recipients than the window has shown; none when it was no use.
    pub(crate) fn has_more(&self) -> Option<bool> {
        let most = self.recipients.union(&self.damaged).count() as u64;
        let is_whole = most >= self.message.shown && !self.is_foreign;
        is_whole.then_some(self.recipients.len() as u64 > self.message.shown)
    }
}

impl Completion {
    /// Of a window in which a message with so many rows may have others.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            recipients: Recipients::new(most),
            unreadable: 0,
            left: Vec::new(),
            asked: None,
            gave_up: false,
            failing: None,
            retries: Backoff::new(PAUSES.0, PAUSES.1),
        }
    }

    /// The id of the message that is being asked for.
    pub(crate) fn asked(&self) -> Option<&Arc<str>> {
        self.asked.as_ref().map(|asked| &asked.message.id)
    }

    /// Counts the rows of a page of the window, or looks at those of an answer for a message.
    pub(crate) fn look_at<L>(
        &mut self,
        page: &Page<L>,
        window: Window,
        id: impl Fn(&RowRef<'_>) -> Option<Arc<str>>,
    ) {
        let Some(asked) = &mut self.asked else {
            let broken = page.damage().map_or(0, |damage| damage.broken.len());
            self.unreadable += broken as u64;
            self.count(page, window, id);
            return;
        };
        self.retries.reset();
        self.failing = None;
        // Services show rows from outside of a window that nobody has asked for.
        for row in page.rows().filter(|row| is_inside(window, row.received)) {
            asked.recipients.insert(row.key.message());
            asked.is_foreign |= row.mail != asked.message.mail;
        }
        if let Some(damage) = page.damage() {
            let broken = damage.broken.iter().map(|broken| &broken.key);
            let damaged = damage.mended.iter().chain(broken);
            asked.damaged.extend(damaged.map(|key| key.message()));
        }
    }

    /// Counts the rows of each message that lie in the window, and their recipients. `id` looks for the id of the
    /// message of a row.
    fn count<L>(
        &mut self,
        page: &Page<L>,
        window: Window,
        id: impl Fn(&RowRef<'_>) -> Option<Arc<str>>,
    ) {
        let mended = page.damage().map(|damage| damage.mended.as_slice());
        let mended = mended.unwrap_or_default();
        let mut at = 0;
        // The rows of a message mostly lie side by side, and are then counted at once.
        for run in page.spans().chunk_by(|one, next| one.mail == next.mail) {
            let places = run.iter().zip(at..);
            let mut inside = places.filter(|(row, _)| is_inside(window, row.received));
            if let Some((row, place)) = inside.next() {
                let rows = 1 + inside.clone().count() as u32;
                let all = iter::once(row).chain(inside.map(|(row, _)| row));
                // What was mended may be another row when it is whole.
                let certain = all.filter(|row| !mended.contains(&row.key));
                let id = || id(&page.rows().nth(place)?);
                self.recipients
                    .add(row.mail, rows, certain.map(|row| row.key.message()), id);
            }
            at += run.len();
        }
    }

    /// Whether the answer has rows of other messages: the question was not understood.
    pub(crate) fn is_foreign(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.is_foreign)
    }

    /// All pages of the window were read: the messages that are `wanted` are asked for.
    pub(crate) fn choose(&mut self, wanted: impl Fn(&Arc<str>) -> bool) {
        self.left = self.recipients.take(std::mem::take(&mut self.unreadable));
        self.left.retain(|message| wanted(&message.id));
    }

    /// Goes on with the next message, when so many rows of the window were new. Whether there is one.
    pub(crate) fn next(&mut self, new_before: u64) -> bool {
        self.asked = self.left.pop().map(|message| {
            Box::new(AskedMessage {
                message,
                recipients: HashSet::default(),
                damaged: HashSet::default(),
                is_foreign: false,
                new_before,
            })
        });
        self.asked.is_some()
    }

    /// An answer has come to its end.
    pub(crate) fn answered(&mut self) -> Option<AskedMessage> {
        self.asked.take().map(|asked| *asked)
    }

    pub(crate) fn again(&mut self, message: MassMessage) {
        self.left.push(message);
    }

    /// A question has failed: when to ask again.
    pub(crate) fn pause(&mut self) -> Duration {
        self.retries.next_pause(None)
    }
}

fn is_inside(window: Window, received: Option<DateTime<Utc>>) -> bool {
    received.is_some_and(|at| window.contains(at))
}

#[cfg(test)]
mod tests {
    use rows::{Broken, Damage, RowKeyer, RowSpan};

    use super::*;
    use crate::testing::{at_second as at, seconds as window};

    /// A row, as second of receipt, name, and number of its message.
    type Row = (i64, &'static str, u32);

    fn page(rows: &[Row]) -> Page<()> {
        let rows = rows.iter().map(|(second, name, mail)| {
            let key = RowKeyer::new([7; 16]).key(&[name], "");
            let span = RowSpan::new(0..2, key, Some(at(*second)));
            span.unwrap().of_mail(*mail)
        });
        Page::of("{}", rows.collect(), None).unwrap()
    }

    /// What a window of 100 seconds knows of its messages, of which one with three rows may have others, after
    /// this page.
    fn after(page: &Page<()>) -> Completion {
        let mut completion = Completion::new(3);
        look_at(&mut completion, page);
        completion.choose(|_| true);
        completion
    }

    fn look_at(completion: &mut Completion, page: &Page<()>) {
        completion.look_at(page, window(0, 100), |row| {
            Some(row.mail.to_string().into())
        });
    }

    const SHOWN: [Row; 3] = [(10, "a", 7), (20, "b", 7), (30, "c", 7)];

    #[test]
    fn a_message_is_asked_for_when_a_window_may_not_have_shown_all_of_it() {
        let mut completion = after(&page(&[SHOWN[0], SHOWN[1], SHOWN[2], (40, "x", 8)]));
        assert!(completion.next(0));
        assert_eq!(completion.asked().map(|id| &**id), Some("7"));
        assert!(!completion.next(0), "the other has one row");
        // One of them lies outside of the window.
        let fewer = page(&[SHOWN[0], SHOWN[1], (200, "c", 7)]);
        assert!(!after(&fewer).next(0));
        // What cannot be read may be one of its rows.
        assert!(after(&with_a_broken_row(fewer)).next(0));
    }

    fn with_a_broken_row(page: Page<()>) -> Page<()> {
        let broken = Broken {
            bytes: "7".into(),
            key: RowKeyer::new([7; 16]).opaque(b"7"),
            position: 1,
            newer: None,
            older: None,
        };
        page.damaged(Some(Damage {
            sentence: String::new(),
            mended: Vec::new(),
            broken: vec![broken],
        }))
    }

    /// Else its window would count as read without rows that were never shown.
    #[test]
    fn an_answer_that_does_not_show_what_the_window_has_shown_is_no_use() {
        let (again, another): (Row, Row) = ((40, "d", 7), (50, "x", 8));
        let [a, b, c] = SHOWN;
        let cases: [(&[Row], Option<bool>); 9] = [
            (&[a, b, c], Some(false)),
            (&[a, b, c, again], Some(true)),
            // A replica that lags behind.
            (&[a, b], None),
            (&[a, b, b], None),
            // One has come damaged, and is another one now.
            (&[b, c, again], Some(false)),
            (&[], None),
            (&[a, b, c, another], None),
            // Services show rows from outside of a window.
            (&[a, b, (200, "c", 7)], None),
            (&[a, b, c, (200, "x", 8)], Some(false)),
        ];
        for (rows, has_more) in cases {
            let mut completion = after(&page(&SHOWN));
            assert!(completion.next(5));
            look_at(&mut completion, &page(rows));
            assert_eq!(completion.is_foreign(), rows.contains(&another));
            let answered = completion.answered().unwrap();
            assert_eq!(answered.has_more(), has_more, "{rows:?}");
            assert_eq!((answered.new_before, answered.message.shown), (5, 3));
        }
    }

    /// Else it would be asked for in vain, and given up.
    #[test]
    fn an_answer_needs_as_many_recipients_as_the_window_has_shown_for_sure() {
        let [a, b, c] = SHOWN;
        let is_whole = |shown: &Page<()>, answer: &Page<()>| {
            let mut completion = after(shown);
            assert!(completion.next(0));
            look_at(&mut completion, answer);
            completion.answered().unwrap().has_more()
        };
        // Its page was read twice, or in overlapping parts.
        let twice = page(&[a, b, a, b]);
        assert_eq!(is_whole(&twice, &page(&[a, b])), Some(false));
        assert_eq!(is_whole(&twice, &page(&[a])), None);
        assert_eq!(is_whole(&twice, &page(&[a, b, c])), Some(true));
        // What cannot be read may be the third row, but not two.
        let whole = page(&SHOWN);
        let broken = |rows: &[Row]| with_a_broken_row(page(rows));
        assert_eq!(is_whole(&whole, &broken(&[a, b])), Some(false));
        assert_eq!(is_whole(&whole, &broken(&[a])), None);
        // A row that was mended each time may be another one each time.
        let mended = Damage {
            sentence: String::new(),
            mended: vec![RowKeyer::new([7; 16]).key(&["c"], "")],
            broken: Vec::new(),
        };
        let shown = page(&SHOWN).damaged(Some(mended));
        assert_eq!(is_whole(&shown, &page(&[a, b])), Some(false));
        assert_eq!(is_whole(&shown, &page(&[a])), None);
    }
}
