//! How long an answer may take: a pure state machine.
//!
//! An intake may accept events and answer later than anybody waits for it. Each request would come to nothing, and
//! its events be sent again without end: the next one has twice as long.

use std::time::Duration;

/// How often that doubles, and what it comes to at most.
const DOUBLINGS: u32 = 4;
const MOST: Duration = Duration::from_secs(300);

/// After so many answers in a row that half of the time was enough for, the next have half of it.
const IN_HALF: u32 = 100;

/// How much longer than usual an answer may take at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowance {
    doublings: u32,
    in_half: u32,
}

impl Allowance {
    /// The time for an answer that has so long as a rule.
    pub(super) fn of(self, usual: Duration) -> Duration {
        (usual * 2_u32.pow(self.doublings)).min(MOST.max(usual))
    }

    /// There was no answer in time. Of requests that were under way at once, the first counts.
    pub(super) fn timed_out(&mut self, given: Self) {
        if given.doublings == self.doublings {
            self.doublings = (self.doublings + 1).min(DOUBLINGS);
        }
        self.in_half = 0;
    }

    /// A success came in time; whether half of the time was enough for it.
    pub(super) fn answered(&mut self, in_half: bool) {
        self.in_half = if in_half { self.in_half + 1 } else { 0 };
        if self.in_half >= IN_HALF {
            self.doublings = self.doublings.saturating_sub(1);
            self.in_half = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(30);

    fn seconds(allowance: Allowance) -> u64 {
        allowance.of(USUAL).as_secs()
    }

    #[test]
    fn it_doubles_up_to_five_minutes_and_goes_back_slowly() {
        let mut allowance = Allowance::default();
        let mut given = Vec::new();
        for _ in 0..7 {
            given.push(seconds(allowance));
            // Four were under way.
            let before = allowance;
            (0..4).for_each(|_| allowance.timed_out(before));
        }
        assert_eq!(given, [30, 60, 120, 240, 300, 300, 300]);
        for shorter in [240, 120, 60, 30, 30] {
            let before = seconds(allowance);
            (1..IN_HALF).for_each(|_| allowance.answered(true));
            allowance.answered(false);
            (1..IN_HALF).for_each(|_| allowance.answered(true));
            assert_eq!(seconds(allowance), before, "not so soon");
            allowance.answered(true);
            assert_eq!(seconds(allowance), shorter);
        }
    }

    /// Else each answer that takes as long would be missed once more.
    #[test]
    fn it_does_not_go_back_where_half_of_it_is_not_enough() {
        let mut allowance = Allowance::default();
        allowance.timed_out(allowance);
        (0..9 * IN_HALF).for_each(|n| allowance.answered(n % IN_HALF > 0));
        assert_eq!(seconds(allowance), 60);
    }
}
