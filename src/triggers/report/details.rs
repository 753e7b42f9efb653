//! Rows of which details are wanted, told.

use std::time::Duration;

use collect::DetailsFate;

use super::Report;

impl Report {
    pub(super) fn details(&self, fate: DetailsFate, rows: usize) {
        let label = [("outcome", fate.word())];
        let figure = self.figures.details.get_or_create(&label);
        figure.inc_by(rows as u64);
        self.working.details(fate, rows as u64);
    }

    /// Without the pause, which changes: equal lines are shown once a minute.
    pub(super) fn details_refused(&self, sentence: Option<&str>, pause: Option<Duration>) {
        if pause.is_none() {
            return;
        }
        let said = sentence.unwrap_or("they do not come in time");
        self.log.warning(format!(
            "Microsoft does not tell what happened to messages ({said}): rows go without details, and they \
             are asked for again in a minute, or up to an hour when that goes on. No row is lost or held \
             up by that."
        ));
    }
}
