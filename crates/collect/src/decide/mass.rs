//! Mass mail: messages of which a window may not show all recipients. Which of them are asked for by
//! their ids, and when an answer to that is no use: a pure state machine.
//!
//! A source may show no more than so many recipients of a message in a window. So a message with as
//! many is asked for by its id, too, and the window is not read before that was answered. Rows that cannot
//! be read count for each message, as they may be of any. The first
//! reading of a message always asks, and so does the last one; between them only those are asked for
//! again that had more recipients than the window has shown, as far as settling has requests left.
//!
//! That a source answers such a question not at all, or in a way that cannot be true, is believed
//! when it has done so twice, ten minutes apart, and has answered for a window between. A failure that
//! may pass is no answer: it is asked again.

use std::{collections::HashMap, hash::Hash, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use rows::Message;
use tokio::time::Instant;

/// After this time the same useless answer is believed.
const UNTIL_BELIEVED: Duration = Duration::from_secs(600);

/// And after this one when the last message was given up.
const UNTIL_BELIEVED_AGAIN: Duration = Duration::from_secs(60);

/// So many windows of the past may wait for their messages; while there are more, no further ones are
/// begun: their rows are remembered until they are done.
pub(crate) const MOST_PAST: usize = 4;

/// A message with this part of the rows that one must have is remembered: rows that cannot be read may be the
/// rest of them.
const SUSPECT: u64 = 2;

/// So many messages are remembered, of each of two generations.
const REMEMBERED: usize = 10_000;

/// So many messages of a window are counted, of each of two generations: rows of one message have the
/// same date, so that they come close together.
const COUNTED: usize = 200_000;

/// A message of which a window may not show all recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MassMessage {
    /// By which it is asked for.
    pub(crate) id: Arc<str>,
    /// What its rows have in common.
    pub(crate) mail: u32,
    /// How many rows the window has shown of all messages that have this in common.
    rows: u64,
    /// How many recipients of it the window has shown for sure: an answer with fewer is not whole.
    pub(crate) shown: u64,
    /// Since when answers were no use.
    useless: Option<FailingQuestion>,
}

/// Counts the rows of each message of a window.
#[derive(Debug)]
pub(crate) struct Recipients {
    most: u64,
    counts: Generations<u32, Count, COUNTED>,
    /// Recipients that were counted, by a part of them: a row may be shown twice, and with another status. That two
    /// share it is rare, and they count as one.
    seen: Generations<u32, (), COUNTED>,
    found: Vec<MassMessage>,
}

#[derive(Debug, Default)]
struct Count {
    rows: u32,
    recipients: u32,
}

impl Recipients {
    /// A message with so many rows may have others.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            most: most.into(),
            counts: Generations::default(),
            seen: Generations::default(),
            found: Vec::new(),
        }
    }

    /// So many more rows of a message, to these recipients for sure. `id` looks for the id of the message; none
    /// when that cannot be asked for.
    pub(crate) fn add(
        &mut self,
        mail: u32,
        rows: u32,
        recipients: impl IntoIterator<Item = Message>,
        id: impl FnOnce() -> Option<Arc<str>>,
    ) {
        if mail == 0 || self.most == 0 {
            return;
        }
        let recipients = recipients.into_iter();
        let parts = recipients.map(|one| (one.prefix() >> 32) as u32);
        let new = parts.filter(|part| self.seen.add(*part)).count() as u32;
        let count = self.counts.entry(mail);
        count.rows = count.rows.saturating_add(rows);
        count.recipients = count.recipients.saturating_add(new);
        let [rows, recipients, new] = [count.rows, count.recipients, new].map(u64::from);
        if rows < self.most / SUSPECT {
            return;
        }
        // Another message may share the number.
        let Some(id) = id() else {
            return;
        };
        let is_shared = self.found.iter().any(|one| one.mail == mail);
        match self.found.iter_mut().find(|one| one.id == id) {
            Some(message) => {
                message.rows = rows;
                message.shown += new;
            }
            None => self.found.push(MassMessage {
                id,
                mail,
                rows,
                shown: if is_shared { new } else { recipients },
                useless: None,
            }),
        }
    }

    /// The messages that may have more recipients, when the window has shown so many rows that cannot be
    /// read, each of which may be one of theirs.
    pub(crate) fn take(&mut self, unreadable: u64) -> Vec<MassMessage> {
        (self.counts, self.seen) = Default::default();
        let mut found = std::mem::take(&mut self.found);
        found.retain(|message| message.rows + unreadable >= self.most);
        found
    }
}

/// What is known of messages that were asked for.
#[derive(Debug, Default)]
pub(crate) struct MassMail {
    /// Whether a message had recipients that its window has not shown.
    hides: Generations<Arc<str>, bool, REMEMBERED>,
    /// Pages of windows that came.
    pub(crate) pages: u64,
    /// Whether the last message was given up.
    is_useless: bool,
    /// Whether the last window has made way as the question for its message failed.
    is_unanswered: bool,
}

/// Since when a question for a message has failed, and how many pages of windows had come then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FailingQuestion {
    since: Instant,
    pages: u64,
}

impl MassMail {
    /// Whether a message of a window that was read is asked for. `is_last` when not all of the window
    /// is read again; `may_spend` when settling has requests left.
    pub(crate) fn wants(&self, id: &Arc<str>, is_last: bool, may_spend: bool) -> bool {
        match self.hides.get(id) {
            None => true,
            Some(hides) => is_last || *hides && may_spend,
        }
    }

    /// A message was shown as a whole; whether it had recipients that the window has not shown.
    pub(crate) fn completed(&mut self, message: &MassMessage, hides: bool) {
        (self.is_useless, self.is_unanswered) = (false, false);
        *self.hides.entry(Arc::clone(&message.id)) = hides;
    }

    /// The answer for a message was no use: when it is asked for again; none when it is given up.
    pub(crate) fn useless(&mut self, message: &mut MassMessage, now: Instant) -> Option<Duration> {
        let pause = until_believed(self.is_useless);
        if !self.has_lasted(&mut message.useless, pause, now) {
            return Some(pause);
        }
        self.is_useless = true;
        *self.hides.entry(Arc::clone(&message.id)) = false;
        None
    }

    /// A question for a message has failed. Whether it has done so for so long that its window may make way for
    /// others: windows were answered meanwhile.
    pub(crate) fn fails_on(&self, failing: &mut Option<FailingQuestion>, now: Instant) -> bool {
        self.has_lasted(failing, until_believed(self.is_unanswered), now)
    }

    /// Whether a question has failed for so long, and windows were answered meanwhile.
    fn has_lasted(
        &self,
        failing: &mut Option<FailingQuestion>,
        long: Duration,
        now: Instant,
    ) -> bool {
        let pages = self.pages;
        let first = *failing.get_or_insert(FailingQuestion { since: now, pages });
        now.saturating_duration_since(first.since) >= long && pages > first.pages
    }

    /// A window has made way for others, as the question for its message fails.
    pub(crate) fn made_way(&mut self) {
        self.is_unanswered = true;
    }
}

fn until_believed(again: bool) -> Duration {
    match again {
        true => UNTIL_BELIEVED_AGAIN,
        false => UNTIL_BELIEVED,
    }
}

/// A map that forgets what was not looked up for long, so that it stays small.
#[derive(Debug)]
struct Generations<K, V, const MOST: usize> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K, V, const MOST: usize> Default for Generations<K, V, MOST> {
    fn default() -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
        }
    }
}

impl<K: Hash + Eq, V: Default, const MOST: usize> Generations<K, V, MOST> {
    fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn entry(&mut self, key: K) -> &mut V {
        if self.young.len() >= MOST && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        let young = self.young.entry(key);
        young.or_insert_with_key(|key| old.remove(key).unwrap_or_default())
    }

    /// Whether it was not there before.
    fn add(&mut self, key: K) -> bool {
        let is_new = self.get(&key).is_none();
        self.entry(key);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use rows::RowKeyer;

    use super::*;

    fn row(number: u64) -> Message {
        RowKeyer::new([7; 16]).message(&[number.to_le_bytes()])
    }

    fn id(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn a_message_with_as_many_rows_is_found_wherever_they_lie() {
        // Four of one message and two of another, between those of others with one each.
        let counted = || {
            let mut recipients = Recipients::new(4);
            for number in 0..1000 {
                recipients.add(1000 + number, 1, [row(1000 + u64::from(number))], || {
                    panic!("looked at")
                });
                match number {
                    0 => recipients.add(7, 1, [row(1)], || panic!("looked at")),
                    500 => recipients.add(7, 1, [row(2)], || Some(id("seven"))),
                    900 | 999 => recipients.add(7, 1, [row(3)], || Some(id("seven"))),
                    300 => recipients.add(8, 1, [row(4)], || panic!("looked at")),
                    600 => recipients.add(8, 1, [row(5)], || Some(id("eight"))),
                    _ => {}
                }
            }
            recipients
        };
        let mut recipients = counted();
        let found = recipients.take(0);
        let expected = |name, mail, rows, shown| MassMessage {
            id: id(name),
            mail,
            rows,
            shown,
            useless: None,
        };
        // The last one was shown twice.
        assert_eq!(found, [expected("seven", 7, 4, 3)]);
        // Rows that cannot be read may be of any message.
        assert_eq!(counted().take(1), [expected("seven", 7, 4, 3)]);
        let both = [expected("seven", 7, 4, 3), expected("eight", 8, 2, 2)];
        let [mut one, mut other] = [counted().take(2), both.into()];
        one.sort_by_key(|message| message.mail);
        other.sort_by_key(|message| message.mail);
        assert_eq!(one, other);
        assert_eq!(recipients.take(0), []);

        // A page has several of them side by side.
        recipients.add(7, 3, [1, 2, 3].map(row), || Some(id("seven")));
        recipients.add(7, 2, [3, 4].map(row), || Some(id("seven")));
        assert_eq!(recipients.take(0), [expected("seven", 7, 5, 4)]);
    }

    #[test]
    fn messages_that_share_a_number_are_told_apart_and_counting_stays_small() {
        let mut recipients = Recipients::new(2);
        recipients.add(7, 1, [row(1)], || Some(id("one")));
        recipients.add(7, 1, [row(2)], || Some(id("two")));
        recipients.add(7, 1, [row(3)], || Some(id("one")));
        recipients.add(7, 1, [row(3)], || None);
        recipients.add(0, 1, [row(1)], || panic!("it names no message"));
        recipients.add(0, 1, [row(1)], || panic!("it names no message"));
        let found = recipients.take(0).into_iter();
        let shown: Vec<_> = found.map(|one| (one.id, one.shown)).collect();
        assert_eq!(shown, [(id("one"), 2), (id("two"), 1)]);

        for mail in 1..=3 * COUNTED as u32 {
            recipients.add(mail, 1, [row(mail.into())], || None);
        }
        let Recipients { counts, seen, .. } = &recipients;
        assert!(counts.young.len() + counts.old.len() <= 2 * COUNTED);
        assert!(seen.young.len() + seen.old.len() <= 2 * COUNTED);
    }

    fn message(name: &str) -> MassMessage {
        MassMessage {
            id: id(name),
            mail: 1,
            rows: 1000,
            shown: 1000,
            useless: None,
        }
    }

    #[test]
    fn the_first_and_the_last_reading_ask_and_between_them_what_hides_something() {
        let mut mail = MassMail::default();
        let (open, hiding) = (message("open"), message("hiding"));
        assert!(mail.wants(&open.id, false, false), "the first");
        mail.completed(&open, false);
        mail.completed(&hiding, true);
        for (is_last, may_spend, expected) in [
            (false, true, [false, true]),
            (false, false, [false, false]),
            (true, false, [true, true]),
        ] {
            let wanted = [&open, &hiding].map(|one| mail.wants(&one.id, is_last, may_spend));
            assert_eq!(wanted, expected, "{is_last} {may_spend}");
        }
    }

    #[test]
    fn a_useless_answer_is_believed_when_it_comes_again_and_windows_are_answered() {
        let mut mail = MassMail::default();
        let (mut one, mut other) = (message("one"), message("other"));
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let long = Some(UNTIL_BELIEVED);
        assert_eq!(mail.useless(&mut one, start), long);
        assert_eq!(
            mail.useless(&mut one, later(600)),
            long,
            "nothing else came"
        );
        mail.pages += 1;
        assert_eq!(mail.useless(&mut one, later(599)), long);
        assert_eq!(mail.useless(&mut one, later(600)), None);
        assert!(!mail.wants(&one.id, false, true) && mail.wants(&one.id, true, true));
        // The next is believed sooner, but not at once.
        let short = Some(UNTIL_BELIEVED_AGAIN);
        assert_eq!(mail.useless(&mut other, start), short);
        assert_eq!(mail.useless(&mut other, later(60)), short);
        mail.pages += 1;
        assert_eq!(mail.useless(&mut other, later(60)), None);
        // One answer that is of use, and it is in doubt again.
        mail.completed(&message("third"), true);
        assert_eq!(mail.useless(&mut message("fourth"), start), long);
    }

    #[test]
    fn a_question_that_fails_has_its_window_make_way_when_windows_are_answered() {
        let mut mail = MassMail::default();
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let (mut one, mut other) = (None, None);
        assert!(!mail.fails_on(&mut one, start));
        assert!(!mail.fails_on(&mut one, later(600)), "nothing else came");
        mail.pages += 1;
        assert!(!mail.fails_on(&mut one, later(599)));
        assert!(mail.fails_on(&mut one, later(600)));
        // The next one makes way sooner, but not at once.
        mail.made_way();
        assert!(!mail.fails_on(&mut other, later(600)));
        mail.pages += 1;
        assert!(!mail.fails_on(&mut other, later(659)));
        assert!(mail.fails_on(&mut other, later(660)));
        mail.completed(&message("answered"), false);
        assert!(
            !mail.fails_on(&mut other, later(660)),
            "they are answered again"
        );
    }
}
