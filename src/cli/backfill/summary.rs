//! What became of a backfill.

use chrono::TimeDelta;
use collect::backfill::Progress;
use rows::Window;
use serde_json::{Value, json};

/// How a backfill came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Nothing was delivered, as asked.
    Counted,
    /// Given up, as asked.
    GivenUp,
    /// Somebody else has given it up.
    Cancelled,
    /// This command ended before it was done.
    Unfinished,
    /// A person must act.
    Refused,
}

impl Outcome {
    /// The exit code, from those that `--help` lists.
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Done | Self::Counted | Self::GivenUp => 0,
            Self::Unfinished => 3,
            Self::Refused => 4,
            Self::Cancelled => 5,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Counted => "counted",
            Self::GivenUp | Self::Cancelled => "cancelled",
            Self::Unfinished => "unfinished",
            Self::Refused => "refused",
        }
    }
}

/// The summary for people. In a dry run nothing has left.
pub(super) fn text(outcome: Outcome, progress: &Progress, dry_run: bool) -> String {
    let Progress {
        range,
        rows,
        new,
        known,
        accepted,
        refused,
        ..
    } = progress;
    let head = match outcome {
        Outcome::Counted => "Counted",
        Outcome::Done => "Done",
        Outcome::GivenUp | Outcome::Cancelled => "Cancelled",
        Outcome::Unfinished | Outcome::Refused => "Not finished",
    };
    let became = if dry_run {
        format!("{new} would be sent")
    } else {
        let mut became = format!("{accepted} accepted by the intake");
        if *refused > 0 {
            became.push_str(&format!(", {refused} refused and kept as dead letters"));
        }
        let open = new.saturating_sub(accepted + refused);
        if open > 0 {
            became.push_str(&format!(", {open} not accepted yet"));
        }
        became
    };
    let took = span(TimeDelta::seconds(progress.worked.cast_signed()));
    let mut text = format!(
        "{head}: of the rows received from {range}, {rows} were read in {took}: {became}, {known} \
         known already."
    );
    let covered = covered(progress);
    if covered > 0 {
        text.push_str(&format!(
            "\nOf that range, {} had been read and delivered before, and was not read again.",
            span(TimeDelta::seconds(covered))
        ));
    }
    if progress.lost > 0 {
        text.push_str(&format!(
            "\nOf that range, {} was gone before it could be read: Microsoft keeps it no longer.",
            span(TimeDelta::seconds(progress.lost))
        ));
    }
    text
}

/// The summary for machines.
pub(super) fn json(
    trigger: &str,
    outcome: Outcome,
    range: Window,
    progress: Option<&Progress>,
    dry_run: bool,
) -> Value {
    json!({
        "trigger": trigger,
        "outcome": outcome.word(),
        "exit_code": outcome.exit_code(),
        "from": range.start(),
        "to": range.end(),
        "dry_run": dry_run,
        "rows": progress.map(|one| one.rows),
        "new": progress.map(|one| one.new),
        "accepted": progress.map(|one| if dry_run { 0 } else { one.accepted }),
        "refused": progress.map(|one| if dry_run { 0 } else { one.refused }),
        "already_delivered": progress.map(|one| one.known),
        "windows": progress.map(|one| one.windows),
        "seconds_delivered_before": progress.map(covered),
        "seconds_left": progress.map(|one| one.left),
        "seconds_lost": progress.map(|one| one.lost),
        "duration_seconds": progress.map(|one| one.worked),
    })
}

/// Seconds of the range that had been delivered before.
fn covered(progress: &Progress) -> i64 {
    (progress.range.span().num_seconds() - progress.asked).max(0)
}

fn span(span: TimeDelta) -> String {
    let (days, hours, minutes, seconds) = (
        span.num_days(),
        span.num_hours() % 24,
        span.num_minutes() % 60,
        span.num_seconds() % 60,
    );
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// The exit codes, for `--help`.
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
        for outcome in [
            Outcome::Done,
            Outcome::Counted,
            Outcome::GivenUp,
            Outcome::Cancelled,
            Outcome::Unfinished,
            Outcome::Refused,
        ] {
            let line = format!("\n   {}  ", outcome.exit_code());
            assert!(exit_codes().contains(&line), "{outcome:?}");
        }
    }

    #[test]
    fn spans_have_two_units() {
        let told = [5, 65, 3700, 90_000].map(|seconds| span(TimeDelta::seconds(seconds)));
        assert_eq!(told, ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
