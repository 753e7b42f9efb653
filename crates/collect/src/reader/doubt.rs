//! When an answer that is not readable as a whole is believed: a pure state machine.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use base::retry::drawn;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use rows::{Damage, Page, RowKey, Window};

/// The same page is asked for again after each of these pauses, over two minutes: mostly it comes
/// whole then.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(35),
    Duration::from_secs(80),
];

/// A row that had to be mended is believed when it was the same in so many answers in a row.
const STEADY: u32 = 3;

/// What is known of a page that came damaged.
#[derive(Debug)]
pub(crate) struct Doubt {
    /// How many whole pages had come before it did first.
    whole_pages: u64,
    /// How many damaged answers there were.
    pub(crate) answers: u32,
    /// What was damaged in the last answer.
    traces: u64,
    /// Whether that was the same in all of them.
    is_steady: bool,
    /// The rows that had to be mended in the last answer that could be read, and in how many in a row each was
    /// the same.
    mended: HashMap<RowKey, u32>,
}

/// What is known of an answer that is not readable as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DamagedAnswer {
    /// Tells its damage from other damage.
    pub(crate) traces: u64,
    /// Something of it cannot be read, and was not mended.
    pub(crate) is_broken: bool,
    /// Each row that was mended was the same for long, or is known.
    pub(crate) is_steady: bool,
    /// The same has long been on pages of other windows.
    pub(crate) stands_elsewhere: bool,
    /// Its window can be read in narrower ones.
    pub(crate) can_narrow: bool,
    /// Its window was cut out of another one because of what cannot be read.
    pub(crate) is_suspect: bool,
}

/// What becomes of an answer that is not readable as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageFate {
    /// The same page is asked for again after this pause.
    AskAgain(Duration),
    /// All of its rows are certain, also those that were mended: it is taken in.
    Mended,
    /// What cannot be read is looked for in narrower windows.
    Narrower {
        /// Other pages came whole meanwhile.
        others_are_whole: bool,
    },
    /// What cannot be read need not be looked for: the window is as narrow as can be, or all pages have it.
    Located {
        /// The damage has been the same each time, and other pages came whole meanwhile, or have the same
        /// on them: it is the service's, not the way's.
        is_proven: bool,
        /// Other pages came whole meanwhile: then the window is as narrow as can be.
        others_are_whole: bool,
        /// It has long been on pages of other windows, and none came whole.
        stands_elsewhere: bool,
    },
}

impl Doubt {
    /// Before the first answer, when so many whole pages have come.
    pub(crate) fn new(whole_pages: u64) -> Self {
        Self {
            whole_pages,
            answers: 0,
            traces: 0,
            is_steady: true,
            mended: HashMap::new(),
        }
    }

    /// These rows had to be mended in one more answer.
    pub(crate) fn mended(&mut self, keys: &[RowKey]) {
        let before = std::mem::take(&mut self.mended);
        let count = |key: &RowKey| before.get(key).map_or(1, |count| count.saturating_add(1));
        self.mended = keys.iter().map(|key| (*key, count(key))).collect();
    }

    /// Whether a row that had to be mended may be another one in the next answer. It is known by its bytes alone:
    /// who delivers it may deliver it again each time.
    pub(crate) fn is_unsteady(&self, key: RowKey) -> bool {
        self.mended.get(&key).is_none_or(|count| *count < STEADY)
    }

    /// What becomes of one more damaged answer; so many whole pages have come.
    pub(crate) fn judge(&mut self, answer: DamagedAnswer, whole_pages: u64) -> PageFate {
        self.is_steady &= self.answers == 0 || self.traces == answer.traces;
        self.traces = answer.traces;
        let pause = PAUSES.get(self.answers as usize);
        self.answers = self.answers.saturating_add(1);
        let is_broken = answer.is_broken;
        let (is_proven, others_are_whole) = match pause {
            // Where something is known to be, it is looked for without waiting.
            Some(_) if is_broken && answer.can_narrow && answer.is_suspect => (false, true),
            Some(pause) => return PageFate::AskAgain(jittered(*pause)),
            None => {
                let others_are_whole = whole_pages > self.whole_pages;
                let is_theirs = others_are_whole || answer.stands_elsewhere;
                (self.is_steady && is_theirs, others_are_whole)
            }
        };
        if !is_broken && answer.is_steady {
            return PageFate::Mended;
        }
        // What stands on all pages need not be looked for in this one.
        let stands_elsewhere = answer.stands_elsewhere && is_proven && !others_are_whole;
        match answer.can_narrow && !stands_elsewhere {
            true => PageFate::Narrower { others_are_whole },
            false => PageFate::Located {
                is_proven,
                others_are_whole,
                stands_elsewhere,
            },
        }
    }
}

/// How long to wait when what is known does not suffice.
pub(crate) fn long_pause() -> Duration {
    jittered(PAUSES.iter().sum())
}

/// The pause, or up to a tenth more.
fn jittered(pause: Duration) -> Duration {
    drawn(pause, pause + pause / 10)
}

/// Tells damage from other damage.
pub(crate) fn traces(damage: &Damage) -> u64 {
    let mut hasher = DefaultHasher::new();
    damage.mended.hash(&mut hasher);
    let broken = damage.broken.iter().map(|broken| broken.key);
    broken.for_each(|key| key.hash(&mut hasher));
    hasher.finish()
}

/// The seconds of a window that the unreadable rows of a page lie in, by the rows beside them; none
/// when that is not narrower.
pub(crate) fn around(damage: &Damage, window: Window) -> Option<Window> {
    let second = |at: DateTime<Utc>| at.duration_trunc(TimeDelta::seconds(1)).ok();
    let newest = damage.broken.iter().map(|broken| broken.newer);
    let newest = newest.map(|newer| Some(second(newer?)? + TimeDelta::seconds(1)));
    let newest = newest.max_by_key(|end| end.unwrap_or(window.end()))?;
    let oldest = damage.broken.iter().map(|broken| second(broken.older?));
    let oldest = oldest.min_by_key(|start| start.unwrap_or(window.start()))?;
    let start = oldest.unwrap_or(window.start()).max(window.start());
    let end = newest.unwrap_or(window.end()).min(window.end());
    Window::new(start, end).filter(|around| *around != window)
}

/// Whether a page has a row of its window, of which all is certain.
pub(crate) fn has_rows_of<L>(page: &Page<L>, window: Window) -> bool {
    let mended = page.damage().map(|damage| damage.mended.as_slice());
    let mended = mended.unwrap_or_default();
    page.spans()
        .iter()
        .any(|row| row.received.is_some_and(|at| window.contains(at)) && !mended.contains(&row.key))
}

#[cfg(test)]
mod tests {
    use rows::{Broken, RowKeyer};

    use super::*;
    use crate::testing::{at_second as at, seconds};

    /// What follows from answers, as pauses in seconds, and what is believed then.
    fn judge(answers: &[(u64, u64)]) -> (Vec<u64>, Option<(bool, bool)>) {
        judge_beside(answers, false)
    }

    /// Of a window that cannot be read in narrower ones.
    const BROKEN: DamagedAnswer = DamagedAnswer {
        traces: 1,
        is_broken: true,
        is_steady: true,
        stands_elsewhere: false,
        can_narrow: false,
        is_suspect: false,
    };

    fn judge_beside(
        answers: &[(u64, u64)],
        stands_elsewhere: bool,
    ) -> (Vec<u64>, Option<(bool, bool)>) {
        let mut doubt = Doubt::new(10);
        let (mut pauses, mut believed) = (Vec::new(), None);
        for (traces, whole) in answers {
            let answer = DamagedAnswer {
                traces: *traces,
                stands_elsewhere,
                ..BROKEN
            };
            match doubt.judge(answer, *whole) {
                PageFate::AskAgain(pause) => pauses.push(pause.as_secs()),
                PageFate::Located {
                    is_proven,
                    others_are_whole,
                    ..
                } => believed = Some((is_proven, others_are_whole)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(doubt.answers as usize, answers.len());
        (pauses, believed)
    }

    #[test]
    fn a_page_is_asked_for_three_times_over_two_minutes() {
        let (pauses, believed) = judge(&[(1, 10), (1, 10), (1, 11)]);
        assert_eq!((pauses.len(), believed), (3, None));
        assert!(
            (118..=132).contains(&pauses.iter().sum::<u64>()),
            "{pauses:?}"
        );
        assert_eq!(
            judge(&[(1, 10), (1, 10), (1, 11), (1, 11)]).1,
            Some((true, true))
        );
    }

    #[test]
    fn damage_is_proven_by_being_the_same_while_others_come_whole() {
        let same = [(1, 10); 4];
        assert_eq!(judge(&same).1, Some((false, false)), "all may come damaged");
        let changing = [(1, 10), (2, 10), (1, 10), (1, 12)];
        assert_eq!(judge(&changing).1, Some((false, true)));
        assert_eq!(judge_beside(&same, true).1, Some((true, false)));
        assert_eq!(judge_beside(&changing, true).1, Some((false, true)));
    }

    #[test]
    fn what_cannot_be_read_is_looked_for_until_it_is_located() {
        // After the fourth answer, when so many other pages have come whole.
        let fate = |answer: DamagedAnswer, whole_pages: u64| {
            let mut doubt = Doubt::new(0);
            for _ in 0..3 {
                doubt.judge(answer, 0);
            }
            doubt.judge(answer, whole_pages)
        };
        let narrower = |others_are_whole| PageFate::Narrower { others_are_whole };
        let broken = DamagedAnswer {
            can_narrow: true,
            ..BROKEN
        };
        assert_eq!(fate(broken, 0), narrower(false));
        assert_eq!(fate(broken, 1), narrower(true));
        let suspect = DamagedAnswer {
            is_suspect: true,
            ..broken
        };
        let first = Doubt::new(0).judge(suspect, 0);
        assert_eq!(first, narrower(true), "without waiting");
        let narrowest = DamagedAnswer {
            can_narrow: false,
            ..suspect
        };
        let first = Doubt::new(0).judge(narrowest, 0);
        assert!(matches!(first, PageFate::AskAgain(_)), "{first:?}");
        let mended = DamagedAnswer {
            is_broken: false,
            ..broken
        };
        assert_eq!(fate(mended, 0), PageFate::Mended);
        let unsteady = DamagedAnswer {
            is_steady: false,
            ..mended
        };
        assert_eq!(fate(unsteady, 1), narrower(true));
        let elsewhere = DamagedAnswer {
            stands_elsewhere: true,
            ..broken
        };
        let located = PageFate::Located {
            is_proven: true,
            others_are_whole: false,
            stands_elsewhere: true,
        };
        assert_eq!(fate(elsewhere, 0), located);
        assert_eq!(fate(elsewhere, 1), narrower(true));
    }

    #[test]
    fn a_row_that_was_mended_is_steady_when_three_answers_in_a_row_have_it() {
        let mut doubt = Doubt::new(0);
        let [steady, other] = [1, 2].map(|byte| RowKey::from_bytes([byte; 12]));
        let mut are_unsteady = |keys: &[RowKey]| {
            doubt.mended(keys);
            [steady, other].map(|key| doubt.is_unsteady(key))
        };
        assert_eq!(are_unsteady(&[steady]), [true, true]);
        assert_eq!(are_unsteady(&[steady, other]), [true, true]);
        assert_eq!(are_unsteady(&[steady, other]), [false, true]);
        assert_eq!(are_unsteady(&[other]), [true, false]);
        assert_eq!(are_unsteady(&[steady, other]), [true, false], "begun anew");
    }

    /// Else everything else of its window would wait until it is found.
    #[test]
    fn what_cannot_be_read_is_looked_for_between_the_rows_beside_it() {
        type Beside = (Option<i64>, Option<i64>);
        let cases: [(&[Beside], Option<Window>); 6] = [
            (&[(Some(50), Some(40))], Some(seconds(40, 51))),
            (
                &[(Some(80), Some(70)), (Some(30), Some(20))],
                Some(seconds(20, 81)),
            ),
            (
                &[(Some(30), Some(20)), (None, Some(70))],
                Some(seconds(20, 100)),
            ),
            (
                &[(Some(50), None), (Some(30), Some(20))],
                Some(seconds(0, 51)),
            ),
            (&[(None, None)], None),
            // Services show rows from outside of a window.
            (&[(Some(150), Some(-20))], None),
        ];
        for (beside, expected) in cases {
            let later = TimeDelta::milliseconds(300);
            let broken = beside.iter().map(|(newer, older)| Broken {
                bytes: "7".into(),
                key: RowKeyer::new([7; 16]).opaque(b"7"),
                position: 1,
                newer: newer.map(|second| at(second) + later),
                older: older.map(|second| at(second) + later),
            });
            let damage = Damage {
                sentence: String::new(),
                mended: Vec::new(),
                broken: broken.collect(),
            };
            assert_eq!(around(&damage, seconds(0, 100)), expected, "{beside:?}");
        }
    }
}
