//! What is said of backfills and verifications.

use collect::{
    backfill::{BackfillCounts, BackfillProgress},
    nightly::Nights,
    order::OrderPhase,
    verify::{Finding, Verdict, VerifyCounts, VerifyProgress},
};
use rows::Window;

use super::{Report, figures::found};
use crate::triggers::words::{excluded_then, least, named};

/// So many rows are named in the log; all of them are in the answer of `verify`.
const NAMED: usize = 5;

impl Report {
    pub(super) fn begun(&self, what: &str, range: Window, resumed: bool) {
        let how = if resumed { "goes on" } else { "begins" };
        self.log.info(format!(
            "A {what} of the rows received from {range} {how}: it uses what the collection leaves of the quota."
        ));
    }

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
        let [rows, accepted, refused_rows] =
            [rows, accepted, refused].map(|count| least(*count, progress.at_least));
        let kept = match refused {
            0 => String::new(),
            _ => format!(", and {refused_rows} are kept as dead letters"),
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

    /// Says what a person should know of an hour.
    pub(super) fn verified(&self, verdict: &Verdict) {
        let hour = verdict.hour.format("%Y-%m-%d %H:%M UTC");
        let excluded = excluded_then(verdict);
        match verdict.finding {
            Finding::Delivered | Finding::Gone => {
                let rows = verdict.missing.len() + usize::try_from(verdict.vanished).unwrap_or(0);
                let names: Vec<String> = verdict.missing.iter().take(NAMED).map(named).collect();
                let names = match names.as_slice() {
                    [] => String::new(),
                    names => format!(" ({})", names.join(", ")),
                };
                let vanished = match verdict.vanished {
                    0 => String::new(),
                    count => format!(
                        "; of these Microsoft does not show {count} any more, or a rule leaves them \
                         out"
                    ),
                };
                let refused = match verdict.refused {
                    0 => String::new(),
                    count => format!("; {count} became dead letters instead"),
                };
                let delivered = verdict.delivered();
                self.log.warning(format!(
                    "Rows of the hour from {hour} were missing: {rows}. Delivered now: \
                     {delivered}{refused}{names}{vanished}{excluded}."
                ));
            }
            Finding::Many => self.log.warning(format!(
                "More than 40 rows of the hour from {hour} differ: {} were accepted, and Microsoft shows \
                 {}{excluded}. `message-trace verify --resend` sends that hour again.",
                verdict.accepted, verdict.shown
            )),
            Finding::Proven | Finding::Resent | Finding::Open | Finding::Unprovable => {}
        }
    }

    pub(super) fn verification_ended(&self, range: Window, progress: &VerifyProgress) {
        let VerifyCounts {
            hours,
            judged,
            delivered,
            ..
        } = &progress.counts;
        let ended = match progress.phase {
            OrderPhase::Cancelled => "is cancelled",
            OrderPhase::Running | OrderPhase::Done => "has ended",
        };
        self.log.info(format!(
            "The verification of the rows received from {range} {ended}: {judged} of {hours} hours were looked \
             at. Missing rows that are delivered now: {delivered}."
        ));
    }

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
