//! `verify`: shows that nothing of a past range is missing, and delivers what is.

mod known;
mod outcome;
mod page;
mod report;
mod schedule;
mod session;
mod summary;

use std::{path::PathBuf, process::ExitCode};

use clap::{ArgGroup, Args};
use sekoia::Installation;

use self::report::Report;
use super::order;

/// Shows that nothing of a past range is missing, and delivers what is.
#[derive(Debug, Args)]
#[command(
    long_about = "Reads a past range once more, hour by hour of reception, and compares it with what was \
                  accepted. Up to 40 rows that differ are named, and those that are missing are delivered. A \
                  trigger that runs on the same data does it beside its own work, with what that leaves of the \
                  quota; else this command does it itself. It goes on where it was when it is given again after \
                  a stop. Without --from it goes on with what is not finished.\n\nA DATE is written as for \
                  `backfill`. Hours that the collection still reads again are not verified.",
    after_help = outcome::exit_codes(),
    group(ArgGroup::new("wish").args(["from", "resend", "cancel", "last"]))
)]
pub(super) struct VerifyWish {
    /// The trigger; may be left out when the configuration fits one only.
    trigger: Option<String>,
    /// The beginning of the range, from its full hour.
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    from: Option<String>,
    /// The end of the range, to its full hour.
    #[arg(
        long,
        value_name = "DATE",
        allow_hyphen_values = true,
        default_value = "now",
        requires = "from"
    )]
    to: String,
    /// Send all rows of an hour again, also those that were accepted.
    #[arg(long, value_name = "HOUR", allow_hyphen_values = true)]
    resend: Option<String>,
    /// Have the trigger verify every day, in the quiet hours, what has become final: at least as
    /// far back as --from says, -3d when it is left out; `off` takes it back.
    #[arg(
        long,
        value_name = "off",
        value_parser = ["on", "off"],
        num_args = 0..=1,
        default_missing_value = "on",
        conflicts_with_all = ["to", "resend", "cancel", "last", "report", "csv"]
    )]
    schedule: Option<String>,
    /// Give up the one that is not finished.
    #[arg(long)]
    cancel: bool,
    /// Print what the last one has found, and ask nothing.
    #[arg(long)]
    last: bool,
    /// Write a page with a picture of all hours, which can be handed on.
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    // The same, opened before hours of work.
    #[arg(skip)]
    opened: Option<Report>,
    /// Print a line of values for each hour.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(
    installation: &Installation<'_>,
    mut wish: VerifyWish,
) -> anyhow::Result<ExitCode> {
    wish.opened = wish.report.as_deref().map(Report::open).transpose()?;
    let (trigger, cancel, json) = (wish.trigger.clone(), wish.cancel, wish.json);
    order::run(installation, trigger, wish, cancel, json).await
}
