//! What came of asking for single messages: for details of their rows, and for all rows of those with more
//! recipients than a window shows.

use collect::DetailsFate;
use rows::Window;

use super::Report;

impl Report {
    pub(super) fn details(&self, fate: DetailsFate, rows: usize) {
        let label = [("outcome", fate.word())];
        let figure = self.figures.details.get_or_create(&label);
        figure.inc_by(rows as u64);
        self.working.details(fate, rows as u64);
    }

    /// Without the pause, which changes: equal lines are shown once a minute.
    pub(super) fn details_refused(&self, sentence: Option<&str>) {
        let said = sentence.unwrap_or("they do not come in time");
        self.log.warning(format!(
            "Microsoft does not tell what happened to messages ({said}): rows go without details, and they \
             are asked for again in a minute, or up to an hour when that goes on. No row is lost or held \
             up by that."
        ));
    }

    /// A message was asked for by its id, which has shown so many rows that were not known.
    pub(super) fn completed(&self, window: Window, message: &str, new: u64) {
        let outcome = match new {
            0 => "shown",
            _ => "hidden",
        };
        self.count(outcome);
        self.working.completes(new);
        if new > 0 {
            self.log.info(format!(
                "Of the message {message}, received from {window}, Microsoft shows {new} more rows when \
                 it is asked for by its id: they are delivered."
            ));
        }
    }

    /// The same was no use.
    pub(super) fn doubted(&self, window: Window, message: &str, sentence: &str, gives_up: bool) {
        if !gives_up {
            self.log.warning(format!(
                "The message {message}, received from {window}, may have more recipients than Microsoft \
                 shows, and asking for it by its id is no use: {sentence}. It is asked for again, and its \
                 window is not done before that is certain."
            ));
            return;
        }
        self.count("given_up");
        self.working.gives_up();
        self.log.error(format!(
            "The message {message}, received from {window}, may have more recipients than Microsoft shows: \
             it was asked for by its id twice, and that was no use: {sentence}. All that Microsoft shows is \
             delivered, what it hides cannot be known, and its window counts as read; it is asked for once \
             more before `settle_time` is over (docs/mass-mail.md)."
        ));
    }

    /// Nothing is lost: its recipients were delivered when it was collected.
    pub(super) fn compares_without(&self, window: Window, message: &str, sentence: &str) {
        self.log.warning(format!(
            "The message {message}, received from {window}, was asked for by its id twice for a verification, \
             and that was no use: {sentence}. Its hour is not called proven, as nobody knows whether the \
             window shows all recipients (docs/mass-mail.md)."
        ));
    }

    fn count(&self, outcome: &'static str) {
        let figure = &self.figures.mass_messages;
        figure.get_or_create(&[("outcome", outcome)]).inc();
    }
}
