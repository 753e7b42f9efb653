//! Where a run begins: what is kept is judged when the service has told the time.

use chrono::{DateTime, TimeDelta, Utc};
use collect::{
    Opening,
    coverage::Coverage,
    known::KnownRows,
    lateness::Lateness,
    schedule::{Schedule, ScheduleSettings},
    start::{Remark, StartDecision, Terms, Weight, Witnesses, first_collected},
    timeline::Found,
};
use sekoia::Log;

use super::{collection::Task, state::Kept};

/// What a run begins by.
pub(super) struct Beginning {
    pub(super) task: Task,
    pub(super) kept: Kept,
    pub(super) found: Found,
    /// When an earlier process was first started that has never kept a position; none where none was.
    pub(super) begun: Option<DateTime<Utc>>,
    pub(super) start_time: TimeDelta,
    /// How far back the source can be asked.
    pub(super) reach: TimeDelta,
    pub(super) settings: ScheduleSettings,
    pub(super) log: Log,
}

impl Beginning {
    /// The oldest instant that is missing, as far as that can be told before the service has told the time.
    pub(super) fn missing(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let kept = self.kept.missing_from(&self.found, now);
        kept.unwrap_or_else(|| self.first(now, now))
    }

    /// Where the very first collection begins, when this process was `started` then.
    fn first(&self, started: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
        let begun = self.begun.unwrap_or(started);
        first_collected(started, begun, self.start_time, self.reach, now)
    }

    /// A schedule until the state is judged.
    pub(super) fn unknown(&self, now: DateTime<Utc>) -> Schedule {
        let nothing = Schedule::new(self.settings, Coverage::new(now), Lateness::default());
        scoped(nothing, self.task)
    }

    /// The schedule that follows from what is kept.
    pub(super) fn judged(self, opening: Opening, known: &KnownRows) -> Schedule {
        let settle_time = self.settings.settle_time;
        let terms = Terms {
            now: opening.now,
            first: self.first(opening.started, opening.now),
            settle_time,
        };
        let witnesses = Witnesses {
            position: self.kept.position,
            copy: self.kept.copy,
            timeline: self.found.settled_by(settle_time),
            newest_known: known.newest_hour(opening.now),
        };
        let start = match self.task.range() {
            Some(range) => StartDecision::of_backfill(range.start(), witnesses, terms),
            None => StartDecision::new(witnesses, terms),
        };
        for Remark { weight, sentence } in &start.remarks {
            match weight {
                Weight::Info => self.log.info(sentence),
                Weight::Warning => self.log.warning(sentence),
                Weight::Error => self.log.error(sentence),
            }
        }
        let schedule = Schedule::new(self.settings, start.coverage, start.lateness);
        scoped(schedule, self.task)
    }
}

/// A task of a range reads nothing else.
fn scoped(schedule: Schedule, task: Task) -> Schedule {
    match task {
        Task::Collect => schedule,
        Task::Verify(_) => schedule.auditing(),
        Task::Backfill(range) | Task::Count { range, .. } => schedule.only(range),
    }
}
