//! `verify`: shows that nothing of a past range is missing, and delivers what is.

mod known;
mod outcome;
mod page;
mod report;
mod schedule;
mod session;
mod summary;

use std::{path::PathBuf, process::ExitCode};

use clap::{Arg, ArgGroup, ArgMatches, Command, value_parser};
use sekoia::{Directories, Registry};

use self::report::Report;
use super::order::{self, date, flag};

/// The command's place on the command line.
pub(super) fn command() -> Command {
    Command::new("verify")
        .about("Shows that nothing of a past range is missing, and delivers what is")
        .long_about(
            "Reads a past range once more, hour by hour of reception, and compares it with what was \
             accepted. Up to 40 rows that differ are named, and those that are missing are delivered. A \
             trigger that runs on the same data does it beside its own work, with what that leaves of the \
             quota; else this command does it itself. It goes on where it was when it is given again after \
             a stop. Without --from it goes on with what is not finished.\n\nA DATE is written as for \
             `backfill`. Hours that the collection still reads again are not verified.",
        )
        .after_help(outcome::exit_codes())
        .arg(super::trigger())
        .arg(date("from").help("The beginning of the range, from its full hour"))
        .arg(
            date("to")
                .default_value("now")
                .requires("from")
                .help("The end of the range, to its full hour"),
        )
        .arg(
            date("resend")
                .value_name("HOUR")
                .help("Send all rows of an hour again, also those that were accepted"),
        )
        .arg(
            Arg::new("schedule")
                .long("schedule")
                .value_name("off")
                .value_parser(["on", "off"])
                .num_args(0..=1)
                .default_missing_value("on")
                .conflicts_with_all(["to", "resend", "cancel", "last", "report", "csv"])
                .help(
                    "Have the trigger verify every day, in the quiet hours, what has become final: at least as \
                     far back as --from says, -3d when it is left out; `off` takes it back",
                ),
        )
        .arg(flag("cancel").help("Give up the one that is not finished"))
        .arg(flag("last").help("Print what the last one has found, and ask nothing"))
        .group(ArgGroup::new("wish").args(["from", "resend", "cancel", "last"]))
        .arg(
            Arg::new("report")
                .long("report")
                .value_name("FILE.html")
                .value_parser(value_parser!(PathBuf))
                .help("Write a page with a picture of all hours, which can be handed on"),
        )
        .arg(
            flag("csv")
                .conflicts_with("json")
                .help("Print a line of values for each hour"),
        )
        .arg(super::json())
}

/// What a person wants.
#[derive(Debug)]
struct VerifyWish {
    /// The range in the person's words; none to go on with what is not finished.
    words: Option<(String, String)>,
    /// The hour that is to be sent again.
    resend: Option<String>,
    last: bool,
    /// Whether it is to be done every day; none when that stays as it is.
    schedule: Option<bool>,
    report: Option<Report>,
    csv: bool,
}

impl VerifyWish {
    fn read(arguments: &ArgMatches) -> anyhow::Result<Self> {
        let report = arguments.get_one::<PathBuf>("report");
        let text = |name| arguments.get_one::<String>(name).cloned();
        Ok(Self {
            words: text("from").zip(text("to")),
            resend: text("resend"),
            last: arguments.get_flag("last"),
            schedule: text("schedule").map(|word| word == "on"),
            report: report.map(|path| Report::open(path)).transpose()?,
            csv: arguments.get_flag("csv"),
        })
    }
}

/// Verifies a range, or has it verified.
pub(super) async fn run(
    registry: &Registry,
    directories: Directories,
    arguments: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let wish = VerifyWish::read(arguments)?;
    order::run(registry, directories, arguments, wish).await
}
