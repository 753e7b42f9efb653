//! What people see of a verification that has ended.

use collect::verify::{Verdict, VerifyOrder, VerifyProgress};

use super::outcome;
use crate::{
    cli::{order::OrderOutcome, screen::Screen},
    triggers::words::{counted, named},
};

/// So many hours are listed for people; all of them are in the answers for machines and in the page.
const LISTED: usize = 50;

/// Prints the summary for people: what is not as it should be, hour by hour, then the figures.
pub(super) fn tell(
    order: &VerifyOrder,
    outcome: OrderOutcome,
    progress: Option<&VerifyProgress>,
    verdicts: &[Verdict],
) -> anyhow::Result<()> {
    let screen = Screen::new();
    let told = verdicts
        .iter()
        .filter(|verdict| !outcome::is_plain(verdict));
    for verdict in told.clone().take(LISTED) {
        let hour = verdict.hour.format("%Y-%m-%d %H:00 UTC");
        screen.line("", 0, &format!("{hour}  {}", outcome::hour(verdict)))?;
        for row in &verdict.missing {
            screen.line("", 0, &format!("    was missing: {}", named(row)))?;
        }
    }
    let others = told.count().saturating_sub(LISTED);
    if others > 0 {
        screen.line(
            "",
            0,
            &format!("{others} more are listed with --json and --csv."),
        )?;
    }
    let mut counts: Vec<String> = outcome::counts(verdicts)
        .into_iter()
        .map(|(finding, count)| format!("{count} {}", outcome::title(finding)))
        .collect();
    let lost = outcome::lost(order.range, progress, verdicts);
    if outcome == OrderOutcome::Done && lost > 0 {
        counts.push(format!("{lost} whose verdict is lost"));
    }
    let rows = progress.map(|progress| progress.counts.rows);
    let rows = rows.map_or_else(String::new, |rows| format!(" {rows} rows were read."));
    let text = format!(
        "{}: of the {} from {}, {}.{rows}",
        outcome.head(),
        counted(outcome::hours(order.range, progress), "hour"),
        order.range,
        match counts.as_slice() {
            [] => "none has a verdict".to_owned(),
            counts => counts.join(", "),
        }
    );
    screen.line("", 0, &text)
}
