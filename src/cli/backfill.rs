//! `backfill`: delivers a past range once.

mod session;
mod summary;

use std::process::ExitCode;

use clap::{ArgGroup, Args};
use sekoia::Installation;

use super::order;

/// Delivers the rows of a past range, each once.
#[derive(Debug, Args)]
#[command(
    long_about = "Delivers the rows that were received in a past range, but those that are delivered \
                  already. A trigger that runs on the same data does it beside its own work, with what \
                  that leaves of the quota; else this command does it itself. It goes on where it was \
                  when it is given again after a stop. Without --from it goes on with what is not \
                  finished.\n\nA DATE is a day (2026-11-01, in UTC), a time (2026-11-01T08:30:00+01:00, \
                  without a zone in UTC), a month or a day in \
                  your time zone (2026-11, yesterday, today), or how long ago (-7d, -36h, -1d12h).",
    after_help = summary::exit_codes(),
    group(ArgGroup::new("range").args(["from", "skipped"]))
)]
pub(super) struct BackfillWish {
    /// The trigger; may be left out when the configuration fits one only.
    trigger: Option<String>,
    /// The beginning of the range.
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    from: Option<String>,
    /// The end of the range.
    #[arg(
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        default_value = "now",
        requires = "from"
    )]
    to: String,
    /// What was skipped as somebody moved the saved position on.
    #[arg(long, conflicts_with_all = ["to", "again"])]
    skipped: bool,
    /// Read and count, but deliver nothing and change nothing.
    #[arg(long, requires = "range")]
    dry_run: bool,
    /// Also read what was delivered before: rows that are forgotten are delivered again.
    #[arg(long, requires = "from")]
    again: bool,
    /// Give up the one that is not finished.
    #[arg(long, conflicts_with_all = ["from", "skipped", "dry_run", "again"])]
    cancel: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    installation: &Installation<'_>,
    wish: BackfillWish,
) -> anyhow::Result<ExitCode> {
    let (trigger, cancel, json) = (wish.trigger.clone(), wish.cancel, wish.json);
    order::run(installation, trigger, wish, cancel, json).await
}
