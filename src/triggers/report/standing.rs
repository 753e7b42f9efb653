//! How far the collection has come.

use chrono::{DateTime, Utc};
use collect::{Lack, Standing, Standpoint};
use sekoia::{Level, Metrics};

use super::{Report, figures::Figures, number, seconds};
use crate::triggers::hiding::Hidden;

impl Report {
    /// The mail of another tenant is collected than before: how far that is, is not known yet.
    pub(in crate::triggers) fn turns_to_another(metrics: &Metrics, hidden: Hidden) {
        Figures::new(metrics, hidden).forget_standing();
    }

    pub(super) fn progress(&self, progress: Standpoint) {
        let Standpoint {
            missing,
            age,
            behind_from,
        } = progress;
        self.heartbeat.progress(missing, age, behind_from);
        self.figures.behind.set((age > behind_from).into());
        self.figures.behind_from.set(behind_from.num_seconds());
    }

    /// So much is missing. When it will be read, as far as the pace tells.
    pub(super) fn lacks(&self, lack: Lack) -> Option<DateTime<Utc>> {
        let Lack { age, span, gaps } = lack;
        let now = self.clock.now();
        self.figures.oldest_missing.set(age.num_seconds());
        self.figures.missing.set(span.num_seconds());
        self.figures.gaps.set(number(gaps));
        self.working.lacks(span, now)
    }

    pub(super) fn standing(&self, standing: &Standing) {
        let now = self.clock.now();
        let caught_up = self.lacks(standing.lack);
        self.figures.known.set(number(standing.known));
        let skew = standing.skew.unwrap_or_default();
        self.figures.skew.set(seconds(skew));
        self.figures.refused.set(standing.refused.num_seconds());
        let left = caught_up.map(|at| at - now);
        for (level, text) in self.summary.lines(standing, left, self.steady_time()) {
            match level {
                Level::Debug | Level::Info => self.log.info(text),
                Level::Warning => self.log.warning(text),
                Level::Error | Level::Critical => self.log.error(text),
            }
        }
    }
}
