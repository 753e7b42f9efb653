//! Whose the identifiers of an answer are: a pure state machine.
//!
//! What stands on the way may give a request the answer to another one with as many events, and drop it. That an
//! answer has an identifier for each event proves nothing then: they were given to others before.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
};

/// So many answers are remembered.
const REMEMBERED: usize = 1000;

/// So often other requests have had the same identifiers, and none has had others, when it counts after a while
/// that they are nobody's.
const ALIKE: usize = 3;

/// Whose identifiers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of the events that were sent, as far as anybody can tell.
    Theirs,
    /// Of other events.
    Others,
    /// Of none, as turns out now: from here on only their number counts.
    Nobodys,
}

/// The first and the last event of a request, and how many it has, which tells it from others.
pub(super) type Mark<'a> = (&'a [u8], &'a [u8], usize);

/// An accepted request and its answer, as hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    request: u64,
    first_event: u64,
    ids: u64,
    first_id: u64,
    count: usize,
}

/// What an intake has answered.
#[derive(Debug, Default)]
pub(super) struct Given {
    hasher: RandomState,
    answers: VecDeque<Answer>,
    /// Whether two answers had different identifiers.
    differ: bool,
    /// How often a request had those of another one.
    repeated: usize,
    are_nobodys: bool,
}

impl Given {
    /// Judges the identifiers that are in the answer to a request. `is_long` says that nothing has been certain for
    /// a while.
    pub(super) fn judge(&mut self, ids: &[&str], request: Mark<'_>, is_long: bool) -> Whose {
        let Some(first_id) = ids.first().filter(|_| !self.are_nobodys) else {
            return Whose::Theirs;
        };
        let answer = Answer {
            request: self.hasher.hash_one(request),
            first_event: self.hasher.hash_one(request.0),
            ids: self.hasher.hash_one(ids),
            first_id: self.hasher.hash_one(first_id),
            count: ids.len(),
        };
        // The same request may have been accepted before, and the intake know its events.
        let (mut is_repeated, mut are_of_places) = (false, false);
        for known in &self.answers {
            let begins_alike = known.first_id == answer.first_id;
            self.differ |= !begins_alike;
            is_repeated |= known.ids == answer.ids && known.request != answer.request;
            // An answer that was kept would be as long as it was.
            are_of_places |= begins_alike
                && known.count != answer.count
                && known.first_event != answer.first_event;
        }
        self.repeated = self.repeated.saturating_add(usize::from(is_repeated));
        let are_alike = is_long && !self.differ && self.repeated >= ALIKE;
        let are_nobodys = are_of_places || is_repeated && (are_alike || !are_distinct(ids));
        if are_nobodys {
            self.are_nobodys = true;
            self.answers = VecDeque::new();
            return Whose::Nobodys;
        }
        if is_repeated {
            return Whose::Others;
        }
        if !self.answers.contains(&answer) {
            self.answers.truncate(REMEMBERED - 1);
            self.answers.push_front(answer);
        }
        Whose::Theirs
    }
}

fn are_distinct(ids: &[&str]) -> bool {
    let distinct: HashSet<&str> = ids.iter().copied().collect();
    distinct.len() == ids.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with so many events from this one on.
    fn request(events: &[u8]) -> Mark<'_> {
        let (first, last) = (&events[..1], &events[events.len() - 1..]);
        (first, last, events.len())
    }

    #[test]
    fn what_was_given_to_others_is_not_theirs() {
        let mut given = Given::default();
        let mut judge = |ids: &[&str], events: &[u8]| given.judge(ids, request(events), true);
        assert_eq!(judge(&["1", "2"], b"ab"), Whose::Theirs);
        assert_eq!(judge(&["3", "4"], b"cd"), Whose::Theirs);
        for _ in 0..99 {
            assert_eq!(judge(&["1", "2"], b"ab"), Whose::Theirs, "the same request");
            for events in [b"ef", b"cd", b"gh", b"ij"] {
                assert_eq!(judge(&["1", "2"], events), Whose::Others, "also for ever");
            }
        }
        assert_eq!(judge(&["5"], b"e"), Whose::Theirs);
        assert_eq!(judge(&["5"], b"f"), Whose::Others);
        assert_eq!(judge(&[], b"f"), Whose::Theirs, "it says so in other words");
        // An intake that knows its events.
        assert_eq!(judge(&["1"], b"a"), Whose::Theirs);
        assert_eq!(judge(&["2"], b"b"), Whose::Theirs);
    }

    #[test]
    fn identifiers_of_places_or_of_none_tell_nothing() {
        for (first, second, events) in [
            (&["1", "2"][..], &["1", "2", "3"][..], &b"cde"[..]),
            (&["1", "2"], &["1"], b"c"),
            (&["x", "x"], &["x", "x"], b"cd"),
        ] {
            let mut given = Given::default();
            let mut judge = |ids: &[&str], events: &[u8]| given.judge(ids, request(events), false);
            assert_eq!(judge(first, b"ab"), Whose::Theirs);
            assert_eq!(judge(second, events), Whose::Nobodys, "{second:?}");
            assert_eq!(judge(first, b"fg"), Whose::Theirs, "it is said once");
        }
    }

    #[test]
    fn where_there_are_no_others_the_same_for_each_are_nobodys_after_a_while() {
        let mut given = Given::default();
        let mut judge = |events: &[u8], long: bool| given.judge(&["x"], request(events), long);
        assert_eq!(judge(b"a", false), Whose::Theirs);
        for _ in 0..9 {
            for events in [b"b", b"c", b"d"] {
                assert_eq!(judge(events, false), Whose::Others);
            }
        }
        assert_eq!(judge(b"b", true), Whose::Nobodys);
        let mut given = Given::default();
        let mut judge = |events: &[u8]| given.judge(&["x"], request(events), true);
        assert_eq!(judge(b"a"), Whose::Theirs);
        let judged = [(); ALIKE].map(|()| judge(b"b"));
        assert_eq!(judged, [Whose::Others, Whose::Others, Whose::Nobodys]);
    }

    #[test]
    fn a_thousand_answers_are_remembered() {
        let mut given = Given::default();
        for n in 0..=REMEMBERED {
            let id = n.to_string();
            let event = id.as_bytes();
            let whose = given.judge(&[id.as_str()], (event, event, 1), false);
            assert_eq!(whose, Whose::Theirs);
        }
        assert_eq!(given.answers.len(), REMEMBERED);
        assert_eq!(given.judge(&["1"], request(b"a"), false), Whose::Others);
        assert_eq!(given.judge(&["0"], request(b"a"), false), Whose::Theirs);
    }
}
