//! What kills explain: rows that come twice because the module could not note that they were accepted.

use chrono::{DateTime, Utc};

/// How a life of the module went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// When it ended.
    pub(crate) at: DateTime<Utc>,
    /// Everything received before it was delivered then, said the module.
    pub(crate) checkpoint: Option<DateTime<Utc>>,
    /// How many rows had come twice by then.
    pub(crate) doubled: u64,
    /// How many rows can have been on their way, where a kill has ended it.
    pub(crate) in_flight: Option<u64>,
}

/// How many rows may come twice: as many as were on their way at a kill, and in the next life alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excuse {
    /// How often the module was killed.
    pub(crate) kills: u32,
    /// Doubles of the lives before that no kill explains.
    unexcused: u64,
    /// How many rows had come twice when the present life began.
    before: u64,
    /// How many may come twice in the present life.
    allowed: u64,
    /// When the module was killed last.
    killed: Option<DateTime<Utc>>,
}

impl Excuse {
    /// How many of so many doubles no kill explains.
    pub(crate) fn unexcused(&self, doubled: u64) -> u64 {
        let new = doubled.saturating_sub(self.before);
        self.unexcused + new.saturating_sub(self.allowed)
    }

    /// Notes the end of a life.
    pub(crate) fn end_of_life(&mut self, life: Past) {
        let new = life.doubled.saturating_sub(self.before);
        self.unexcused = self.unexcused(life.doubled);
        self.before = life.doubled;
        // A life that was too short to come to those rows leaves them to the next one.
        self.allowed = if life.checkpoint > self.killed {
            0
        } else {
            self.allowed.saturating_sub(new)
        };
        if let Some(in_flight) = life.in_flight {
            self.kills += 1;
            self.allowed += in_flight;
            self.killed = Some(life.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    /// A life that ended at this second, complete up to another one.
    fn life(end: i64, checkpoint: i64, doubled: u64, in_flight: Option<u64>) -> Past {
        Past {
            at: at(end),
            checkpoint: Some(at(checkpoint)),
            doubled,
            in_flight,
        }
    }

    #[test]
    fn a_kill_explains_what_was_on_its_way_and_in_the_next_life_alone() {
        let mut excuse = Excuse::default();
        assert_eq!(excuse.unexcused(1), 1, "nobody was killed");
        excuse.end_of_life(life(60, 50, 0, Some(40)));
        assert_eq!((excuse.unexcused(40), excuse.unexcused(41)), (0, 1));
        excuse.end_of_life(life(120, 110, 30, None));
        assert_eq!((excuse.unexcused(30), excuse.unexcused(31)), (0, 1));
    }

    #[test]
    fn what_a_life_had_too_much_stays_too_much() {
        let mut excuse = Excuse::default();
        excuse.end_of_life(life(60, 50, 2, Some(40)));
        excuse.end_of_life(life(120, 110, 50, Some(40)));
        assert_eq!((excuse.kills, excuse.unexcused(50)), (2, 10));
        assert_eq!((excuse.unexcused(90), excuse.unexcused(91)), (10, 11));
    }

    #[test]
    fn a_life_that_does_not_come_to_those_rows_leaves_them_to_the_next() {
        let mut excuse = Excuse::default();
        excuse.end_of_life(life(60, 50, 0, Some(40)));
        excuse.end_of_life(life(61, 50, 10, None));
        assert_eq!((excuse.unexcused(40), excuse.unexcused(41)), (0, 1));
    }
}
