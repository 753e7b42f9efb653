//! What is said of verifications that a standing order asks for.

use collect::{nightly::Nights, verify::Finding};

use super::{Report, figures::found};

impl Report {
    /// A standing order is followed, or none any more.
    pub(super) fn standing_order(&self, nights: Option<&Nights>) {
        self.found_at_night(nights);
        let Some(Nights { quiet, .. }) = nights else {
            return self.log.info("Nothing is verified every day any more.");
        };
        let why = match quiet.counted {
            true => "when the least mail comes",
            false => "as long as it is not known when the least mail comes",
        };
        self.log.info(format!(
            "What has become final is verified every day from {:02}:00 UTC on, {why}, beside the \
             collection.",
            quiet.first
        ));
    }

    pub(super) fn night_ended(&self, nights: &Nights) {
        self.found_at_night(Some(nights));
        let last = nights.last.as_ref();
        if let Some(last) = last.filter(|last| last.unproven() > 0) {
            self.log.warning(format!(
                "The daily verification has found hours that were not proven: {} of those from {}. \
                 `message-trace verify --last` lists them.",
                last.unproven(),
                last.order.range
            ));
        }
    }

    fn found_at_night(&self, nights: Option<&Nights>) {
        let last = nights.and_then(|nights| nights.last.as_ref());
        for finding in Finding::ALL {
            let hours = last.and_then(|last| last.hours.get(&finding));
            let figure = self.figures.verified.get_or_create(&found(finding));
            figure.set(hours.map_or(0, |hours| hours.cast_signed()));
        }
    }
}
