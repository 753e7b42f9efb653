//! What is said of an hour that was verified.

use collect::verify::{Finding, Verdict, VerifyCounts};
use rows::Window;
use sekoia::Log;

use crate::triggers::words::{excluded_then, named};

/// So many rows are named in the log; all of them are in the answer of `verify`.
const NAMED: usize = 5;

/// Says what a person should know of an hour.
pub(super) fn verified(log: &Log, verdict: &Verdict) {
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
                count => format!("; of these Microsoft does not show {count} any more"),
            };
            let refused = match verdict.refused {
                0 => String::new(),
                count => format!("; {count} became dead letters instead"),
            };
            let delivered = verdict.delivered();
            log.warning(format!(
                "Rows of the hour from {hour} were missing: {rows}. Delivered now: \
                 {delivered}{refused}{names}{vanished}{excluded}."
            ));
        }
        Finding::Many => log.warning(format!(
            "More than 40 rows of the hour from {hour} differ: {} were accepted, and Microsoft shows \
             {}{excluded}. `message-trace verify --resend` sends that hour again.",
            verdict.accepted, verdict.shown
        )),
        Finding::Proven | Finding::Resent | Finding::Open | Finding::Unprovable => {}
    }
}

pub(super) fn verification_ended(log: &Log, range: Window, counts: &VerifyCounts) {
    let VerifyCounts {
        hours,
        judged,
        delivered,
        ..
    } = counts;
    log.info(format!(
        "The verification of the rows received from {range} has ended: {judged} of {hours} hours were looked \
         at, and {delivered} rows were missing and are delivered now."
    ));
}
