//! What a backfill has come to.

use collect::{
    backfill::{BackfillCounts, BackfillProgress},
    order::OrderPhase,
};

use super::Report;

impl Report {
    pub(super) fn backfill_ended(&self, progress: &BackfillProgress) {
        let BackfillCounts {
            range,
            rows,
            accepted,
            known,
            excluded,
            refused,
            ..
        } = &progress.counts;
        let ended = match progress.phase {
            OrderPhase::Cancelled => "is cancelled",
            OrderPhase::Running | OrderPhase::Done => "is done",
        };
        let kept = match refused {
            0 => String::new(),
            refused => format!(", and {refused} are kept as dead letters"),
        };
        let excluded = match excluded {
            0 => String::new(),
            excluded => format!(", {excluded} are excluded by rules"),
        };
        self.log.info(format!(
            "The backfill of the rows received from {range} {ended}: {rows} rows were read, the intake \
             has accepted {accepted}, {known} were known already{excluded}{kept}."
        ));
    }
}
