//! What follows when the platform refuses log lines: a pure state machine.
//!
//! A refusal may be about one line, about the size, or about nothing that we send. So the same
//! batch is sent again first; then smaller ones find the line that is refused, while the others
//! pass.

use super::outbox::BATCH;

/// So many refusals in a row are no accident.
const ACCIDENTS: u32 = 3;

/// What to do with a batch that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Repeat,
    /// Send a part of it.
    Smaller,
    /// It is one line that is refused alone: let the others go first.
    Aside,
}

/// How many lines the next batch may hold, and since when lines are refused.
#[derive(Debug)]
pub(super) struct Refusals {
    limit: usize,
    in_a_row: u32,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self {
            limit: BATCH,
            in_a_row: 0,
        }
    }

    /// Lines in the next batch.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn is_refused(&self) -> bool {
        self.in_a_row > 0
    }

    /// So many lines were refused, because of their size or for another reason. In a `hurry`
    /// nothing is repeated.
    pub(super) fn refused(&mut self, lines: usize, too_large: bool, hurry: bool) -> Next {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let certain = too_large || hurry || self.in_a_row >= ACCIDENTS;
        match lines {
            0 | 1 if certain => {
                self.in_a_row = 0;
                Next::Aside
            }
            0 | 1 => Next::Repeat,
            // It is known already that there is a line that is refused.
            _ if certain || lines < BATCH && self.limit < BATCH => {
                self.limit = lines / 2;
                self.in_a_row = 1;
                Next::Smaller
            }
            _ => Next::Repeat,
        }
    }

    /// Lines were accepted: the next batch may be a little larger.
    pub(super) fn accepted(&mut self) {
        self.in_a_row = 0;
        self.limit = (self.limit + 1).min(BATCH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accident_is_repeated_and_a_bad_line_is_found() {
        let mut refusals = Refusals::new();
        for next in [Next::Repeat, Next::Repeat, Next::Smaller] {
            assert_eq!(refusals.refused(50, false, false), next);
        }
        let mut sizes = Vec::new();
        while refusals.limit() > 1 {
            sizes.push(refusals.limit());
            assert_eq!(
                refusals.refused(refusals.limit(), false, false),
                Next::Smaller
            );
        }
        assert_eq!(sizes, [25, 12, 6, 3]);
        assert_eq!(refusals.refused(1, false, false), Next::Repeat);
        assert_eq!(refusals.refused(1, false, false), Next::Aside);
        refusals.accepted();
        assert_eq!((refusals.limit(), refusals.is_refused()), (2, false));
        (0..100).for_each(|_| refusals.accepted());
        assert_eq!(refusals.limit(), BATCH);
    }

    #[test]
    fn what_is_too_large_becomes_smaller_at_once() {
        let mut refusals = Refusals::new();
        assert_eq!(refusals.refused(50, true, false), Next::Smaller);
        assert_eq!(refusals.limit(), 25);
        assert_eq!(refusals.refused(1, true, false), Next::Aside);
    }
}
