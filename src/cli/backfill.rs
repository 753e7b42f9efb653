//! `backfill`: delivers a past range once.

mod session;
mod summary;

use std::process::ExitCode;

use clap::{ArgGroup, ArgMatches, Command};
use sekoia::{Directories, Registry};

use super::order::{self, date, flag};

/// The command's place on the command line.
pub(super) fn command() -> Command {
    Command::new("backfill")
        .about("Delivers the rows of a past range, each once")
        .long_about(
            "Delivers the rows that were received in a past range, but those that are delivered \
             already. A trigger that runs on the same data does it beside its own work, with what \
             that leaves of the quota; else this command does it itself. It goes on where it was \
             when it is given again after a stop. Without --from it goes on with what is not \
             finished.\n\nA DATE is a day (2026-11-01, in UTC), a time (2026-11-01T08:30:00+01:00, \
             without a zone in UTC), a month or a day in \
             your time zone (2026-11, yesterday, today), or how long ago (-7d, -36h, -1d12h).",
        )
        .after_help(summary::exit_codes())
        .arg(super::trigger())
        .arg(date("from").help("The beginning of the range"))
        .arg(
            date("to")
                .default_value("now")
                .requires("from")
                .help("The end of the range"),
        )
        .arg(
            flag("skipped")
                .conflicts_with_all(["to", "again"])
                .help("What was skipped as somebody moved the saved position on"),
        )
        .group(ArgGroup::new("range").args(["from", "skipped"]))
        .arg(
            flag("dry-run")
                .requires("range")
                .help("Read and count, but deliver nothing and change nothing"),
        )
        .arg(flag("again").requires("from").help(
            "Also read what was delivered before: rows that are forgotten are delivered again",
        ))
        .arg(
            flag("cancel")
                .conflicts_with_all(["from", "skipped", "dry-run", "again"])
                .help("Give up the one that is not finished"),
        )
        .arg(super::json())
}

/// What a person wants.
#[derive(Debug)]
struct BackfillWish {
    /// The range in the person's words; none to go on with what is not finished.
    words: Option<(String, String)>,
    /// The range is what the position was moved over.
    skipped: bool,
    again: bool,
    dry_run: bool,
}

impl BackfillWish {
    fn read(arguments: &ArgMatches) -> Self {
        let text = |name| arguments.get_one::<String>(name).cloned();
        Self {
            words: text("from").zip(text("to")),
            skipped: arguments.get_flag("skipped"),
            again: arguments.get_flag("again"),
            dry_run: arguments.get_flag("dry-run"),
        }
    }
}

/// Delivers a range, or has it delivered.
pub(super) async fn run(
    registry: &Registry,
    directories: Directories,
    arguments: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let wish = BackfillWish::read(arguments);
    order::run(registry, directories, arguments, wish).await
}
