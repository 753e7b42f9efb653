//! How far the collection has come.

use collect::{CheckpointLag, MissingTime, Snapshot};
use sekoia::{Level, Metrics};
use tokio::time::Instant;

use super::{Report, figures::Figures, number};
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

    pub(super) fn snapshot(&self, snapshot: &Snapshot) {
        let MissingTime { age, span, gaps } = snapshot.missing;
        self.figures.oldest_missing.set(age.num_seconds());
        self.figures.missing.set(span.num_seconds());
        self.figures.gaps.set(number(gaps));
        self.figures.known.set(number(snapshot.known));
        self.metrics
            .events_are_dated_ahead(snapshot.skew.unwrap_or_default());
        let untold = snapshot.untold.map(|held_back| -held_back);
        let skew = snapshot.skew.or(untold).unwrap_or_default();
        self.figures.skew.set(skew.as_seconds_f64());
        self.figures.refused.set(snapshot.refused.num_seconds());
        let now = self.clock.now();
        let outlook = self.working.lacks(span, now);
        for (level, text) in self.summary.lines(snapshot, outlook, Instant::now()) {
            match level {
                Level::Debug | Level::Info => self.log.info(text),
                Level::Warning => self.log.warning(text),
                Level::Error | Level::Critical => self.log.error(text),
            }
        }
    }
}
