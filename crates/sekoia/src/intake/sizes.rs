//! How large a request may be, as far as the way to the intake has told by refusing larger ones, by not
//! carrying them in time, by breaking off the answers to them, by answers that do not name all events, by
//! asking for patience without end, or by other answers than the intake's.

use http::StatusCode;

use super::answer::Cause;

/// An event of fewer bytes is never refused for its size by itself (W-04: the intake's own limit is
/// 250 KiB).
pub(super) const LARGE_EVENT: usize = 200_000;

/// Whether such an answer to a request of so many bytes says that it was too large, or took too long to arrive: a
/// gateway that waited in vain says so of any request in an outage, and is believed of a large one alone. So is
/// what answers in the intake's place, which may do so to large requests alone.
pub(super) fn is_of_size(cause: Cause, status: StatusCode, bytes: usize) -> bool {
    match (cause, status.as_u16()) {
        (Cause::TooLarge, _) | (_, 408) => true,
        (Cause::Uncertain, _) | (_, 504 | 524) => bytes > LARGE_EVENT,
        _ => false,
    }
}

/// What the way is known to take, in bytes or in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The largest body that was accepted.
    accepted: usize,
    /// The smallest that was too large.
    refused: Option<usize>,
    /// Bodies that were too large although one as large had been accepted, since one of about their size was
    /// accepted last.
    contradictions: u32,
    /// The smallest of them.
    contradicted: usize,
    /// Bodies that were accepted near the limit since it was learnt.
    near: u32,
}

/// So many contradictions mean that the way takes less than before.
const CONTRADICTIONS: u32 = 3;

/// After so many bodies near the limit it is found out whether the way takes more by now.
const NEAR: u32 = 200;

impl Sizes {
    /// A body of so many bytes was accepted: one of them is not too large.
    pub(super) fn accepted(&mut self, bytes: usize) {
        self.near += u32::from(bytes >= self.most() / 2);
        self.accepted = self.accepted.max(bytes);
        self.refused = self.refused.filter(|refused| *refused > self.accepted);
        if self.near >= NEAR {
            self.near = 0;
            self.refused = self.refused.map(|refused| refused.saturating_mul(2));
        }
        // Parts of what was refused are smaller: they tell nothing of its size.
        if bytes >= self.contradicted / 4 * 3 {
            self.contradictions = 0;
        }
    }

    /// A body of so many bytes with more than one event was too large. That says nothing of sizes
    /// as long as nothing at all was accepted, nor when one as large was: the reason is in its
    /// events then, unless that comes again and again.
    pub(super) fn refused(&mut self, bytes: usize) {
        if self.accepted >= bytes {
            // Parts are counted anew: where the reason is in an event, others of them are accepted.
            if self.contradictions == 0 || bytes < self.contradicted / 2 {
                (self.contradictions, self.contradicted) = (0, bytes);
            }
            self.contradictions += 1;
            self.contradicted = self.contradicted.min(bytes);
            if self.contradictions < CONTRADICTIONS {
                return;
            }
            (self.contradictions, self.accepted) = (0, 1);
        }
        if self.accepted > 0 {
            self.refused = Some(self.refused.map_or(bytes, |known| known.min(bytes)));
            self.near = 0;
        }
    }

    /// Whether the way is known not to take all.
    pub(super) fn are_limited(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether a body of so many bytes is larger than any that was accepted.
    pub(super) fn is_untried(&self, bytes: usize) -> bool {
        bytes > self.accepted
    }

    /// The most bytes of the next body.
    pub(super) fn most(&self) -> usize {
        let most = |refused: usize| (refused / 2).max(self.accepted);
        self.refused.map_or(usize::MAX, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_become_smaller_until_they_are_accepted() {
        let mut sizes = Sizes::default();
        sizes.refused(2_000_000);
        assert_eq!(sizes.most(), usize::MAX, "nothing at all is accepted");
        sizes.accepted(200);
        let limit = 300_000;
        let mut body = 2_000_000;
        while body > limit {
            sizes.refused(body);
            assert!(sizes.most() < body);
            body = sizes.most();
        }
        sizes.accepted(body);
        assert_eq!(sizes.most(), 250_000, "which is remembered");
        sizes.refused(400_000);
        assert_eq!(sizes.most(), 250_000);
        (0..NEAR).for_each(|_| sizes.accepted(250_000));
        assert_eq!(sizes.most(), 400_000, "it may take more by now");
        for _ in 0..CONTRADICTIONS {
            assert!(sizes.most() > 100_000);
            sizes.refused(200_000);
        }
        assert_eq!(sizes.most(), 100_000, "it takes less than before");
    }

    #[test]
    fn a_way_that_takes_less_than_before_is_found_out_although_parts_are_accepted() {
        let mut sizes = Sizes::default();
        sizes.accepted(1_900_000);
        for body in [1_900_000, 1_700_000, 1_800_000] {
            assert_eq!(sizes.most(), usize::MAX);
            sizes.refused(body);
            (0..10).for_each(|_| sizes.accepted(body / 10));
        }
        assert_eq!(sizes.most(), 900_000);
    }

    #[test]
    fn an_event_that_is_refused_in_each_batch_makes_nothing_smaller() {
        let mut sizes = Sizes::default();
        sizes.accepted(100_000);
        for _ in 0..20 {
            for part in [90_000, 9_000, 900] {
                sizes.refused(part);
                // The others of about this size.
                if part < 90_000 {
                    sizes.accepted(part / 10 * 9);
                }
            }
            assert_eq!(sizes.most(), usize::MAX);
        }
    }

    #[test]
    fn what_is_refused_for_its_content_makes_nothing_smaller() {
        let mut sizes = Sizes::default();
        sizes.accepted(100_000);
        sizes.refused(5_000);
        assert_eq!(sizes.most(), usize::MAX);
        sizes.refused(200_000);
        assert_eq!(sizes.most(), 100_000);
        sizes.accepted(300_000);
        assert_eq!(sizes.most(), usize::MAX, "it was not the size");
    }
}
