//! How far the collection has come.

use chrono::{DateTime, Utc};
use collect::{CheckpointLag, MissingTime, Snapshot};
use sekoia::{Level, Metrics};

use super::{Report, figures::Figures, number, seconds};
use crate::triggers::privacy::Hidden;

impl Report {
    /// The mail of another tenant is collected than before: how far that is, is not known yet.
    pub(in crate::triggers) fn turns_to_another(metrics: &Metrics, hidden: Hidden) {
        Figures::new(metrics, hidden).forget_progress();
    }

    pub(super) fn lag(&self, lag: CheckpointLag) {
        let CheckpointLag {
            checkpoint,
            age,
            behind_from,
        } = lag;
        self.heartbeat.progress(checkpoint, age, behind_from);
        self.figures.behind.set((age > behind_from).into());
        self.figures.behind_from.set(behind_from.num_seconds());
    }

    /// So much is missing. When it will be read, as far as the pace tells.
    pub(super) fn lacks(&self, missing: MissingTime) -> Option<DateTime<Utc>> {
        let MissingTime { age, span, gaps } = missing;
        let now = self.clock.now();
        self.figures.oldest_missing.set(age.num_seconds());
        self.figures.missing.set(span.num_seconds());
        self.figures.gaps.set(number(gaps));
        self.working.lacks(span, now)
    }

    pub(super) fn snapshot(&self, snapshot: &Snapshot) {
        let now = self.clock.now();
        let caught_up = self.lacks(snapshot.missing);
        self.figures.known.set(number(snapshot.known));
        let skew = snapshot.skew.unwrap_or_default();
        self.figures.skew.set(seconds(skew));
        self.figures.refused.set(snapshot.refused.num_seconds());
        let left = caught_up.map(|at| at - now);
        for (level, text) in self.summary.lines(snapshot, left, self.steady_time()) {
            match level {
                Level::Debug | Level::Info => self.log.info(text),
                Level::Warning => self.log.warning(text),
                Level::Error | Level::Critical => self.log.error(text),
            }
        }
    }
}
