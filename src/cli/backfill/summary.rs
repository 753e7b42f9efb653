//! What became of a backfill.

use chrono::TimeDelta;
use collect::backfill::{BackfillCounts, BackfillProgress};
use rows::Window;
use serde_json::{Value, json};

use crate::{
    cli::order::OrderOutcome,
    triggers::words::{in_two_units, least},
};

/// The summary for people. In a dry run nothing has left.
pub(super) fn text(outcome: OrderOutcome, progress: &BackfillProgress, dry_run: bool) -> String {
    let BackfillCounts {
        range,
        rows,
        new,
        known,
        excluded,
        accepted,
        refused,
        lost,
        ..
    } = &progress.counts;
    let head = match outcome {
        OrderOutcome::Done if dry_run => "Counted",
        outcome => outcome.head(),
    };
    let at_least = progress.at_least;
    let became = if dry_run {
        format!("{new} would be sent")
    } else {
        let accepted_so_far = least(*accepted, at_least);
        let mut became = format!("{accepted_so_far} accepted by the intake");
        if *refused > 0 {
            let refused = least(*refused, at_least);
            became.push_str(&format!(", {refused} refused and kept as dead letters"));
        }
        // After a kill, what was on its way is read and counted once more; once all is done, nothing is open.
        let most = if at_least { "up to " } else { "" };
        let is_under_way = matches!(outcome, OrderOutcome::Unfinished | OrderOutcome::Refused);
        let open = new.saturating_sub(accepted + refused);
        if is_under_way && open > 0 {
            let open = format!("{most}{open}");
            became.push_str(&format!(", {open} not accepted yet"));
        }
        became
    };
    let took = span(TimeDelta::seconds(progress.worked.cast_signed()));
    let rows = least(*rows, at_least);
    let mut text = format!(
        "{head}: of the rows received from {range}, {rows} were read in {took}: {became}, {known} \
         known already"
    );
    if *excluded > 0 {
        text.push_str(&format!(", {excluded} excluded by rules"));
    }
    text.push('.');
    let covered = covered(&progress.counts);
    if covered > 0 {
        text.push_str(&format!(
            "\nOf that range, {} had been read and delivered before, and was not read again.",
            span(TimeDelta::seconds(covered))
        ));
    }
    if *lost > 0 {
        text.push_str(&format!(
            "\nOf that range, {} was gone before it could be read: Microsoft keeps it no longer.",
            span(TimeDelta::seconds(*lost))
        ));
    }
    text
}

pub(super) fn json(
    trigger: &str,
    outcome: OrderOutcome,
    range: Window,
    progress: Option<&BackfillProgress>,
    dry_run: bool,
) -> Value {
    let counts = progress.map(|progress| &progress.counts);
    let word = match outcome {
        OrderOutcome::Done if dry_run => "counted",
        outcome => outcome.word(),
    };
    json!({
        "trigger": trigger,
        "outcome": word,
        "exit_code": outcome.exit_code(),
        "from": range.start(),
        "to": range.end(),
        "dry_run": dry_run,
        "at_least": progress.map(|one| one.at_least),
        "rows": counts.map(|one| one.rows),
        "new": counts.map(|one| one.new),
        "accepted": counts.map(|one| if dry_run { 0 } else { one.accepted }),
        "refused": counts.map(|one| if dry_run { 0 } else { one.refused }),
        "already_delivered": counts.map(|one| one.known),
        "excluded": counts.map(|one| one.excluded),
        "windows": counts.map(|one| one.windows),
        "seconds_delivered_before": counts.map(covered),
        "seconds_left": counts.map(|one| one.left),
        "seconds_lost": counts.map(|one| one.lost),
        "duration_seconds": progress.map(|one| one.worked),
    })
}

/// Seconds of the range that had been delivered before.
fn covered(counts: &BackfillCounts) -> i64 {
    (counts.range.span().num_seconds() - counts.asked).max(0)
}

fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds() % 60;
    match span.num_minutes() {
        0 => format!("{seconds} s"),
        minutes @ ..60 => format!("{minutes} min {seconds} s"),
        _ => in_two_units(span),
    }
}

pub(super) fn exit_codes() -> &'static str {
    "Exit codes:\n   0  the range is delivered (or counted, or given up, as asked)\n   1  it could \
     not begin, or it failed\n   2  the dates cannot be used, or another backfill is not finished\n   \
     3  it is not finished: the same command goes on with it, and so does the trigger\n   4  \
     Microsoft refuses, and a person must act: what to do is said\n   5  somebody else has given it \
     up\n  10  the settings do not fit \
     the trigger"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exit_code_is_explained() {
        for outcome in OrderOutcome::ALL {
            let line = format!("\n   {}  ", outcome.exit_code());
            assert!(exit_codes().contains(&line), "{outcome:?}");
        }
    }

    /// What was on its way at a kill is read once more, and counts twice as new.
    #[test]
    fn nothing_is_open_once_all_is_done() {
        let at = |hour: i64| chrono::DateTime::from_timestamp(hour * 3600, 0).unwrap();
        let range = Window::new(at(0), at(1)).unwrap();
        let counts = BackfillCounts {
            rows: 9,
            new: 9,
            accepted: 7,
            ..BackfillCounts::new(range)
        };
        let progress = BackfillProgress::new(uuid::Uuid::nil(), counts, at(2));
        let told = |outcome| text(outcome, &progress, false);
        assert!(told(OrderOutcome::Unfinished).contains("2 not accepted yet"));
        assert!(!told(OrderOutcome::Done).contains("not accepted"));
    }

    /// What was counted last before a kill is lost.
    #[test]
    fn counts_after_a_kill_are_not_called_exact() {
        let at = |hour: i64| chrono::DateTime::from_timestamp(hour * 3600, 0).unwrap();
        let range = Window::new(at(0), at(1)).unwrap();
        let counts = BackfillCounts {
            rows: 9,
            new: 9,
            accepted: 6,
            refused: 1,
            ..BackfillCounts::new(range)
        };
        let mut progress = BackfillProgress::new(uuid::Uuid::nil(), counts, at(2));
        let told = |progress: &BackfillProgress, outcome| {
            let document = json("t", outcome, range, Some(progress), false);
            (text(outcome, progress, false), document["at_least"].clone())
        };
        let (exact, at_least) = told(&progress, OrderOutcome::Done);
        assert!(!exact.contains("at least"), "{exact}");
        assert_eq!(at_least, Value::Bool(false));
        progress.at_least = true;
        let (done, at_least) = told(&progress, OrderOutcome::Done);
        let counts =
            ", at least 9 were read in 0 s: at least 6 accepted by the intake, at least 1 refused";
        assert!(done.contains(counts), "{done}");
        assert_eq!(at_least, Value::Bool(true));
        let (stopped, _) = told(&progress, OrderOutcome::Unfinished);
        assert!(stopped.contains(", up to 2 not accepted yet"), "{stopped}");
    }

    #[test]
    fn spans_have_two_units() {
        let told = [5, 65, 3700, 90_000].map(|seconds| span(TimeDelta::seconds(seconds)));
        assert_eq!(told, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
