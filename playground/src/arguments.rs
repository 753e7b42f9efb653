//! What can be chosen on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Runs the real message-trace process against an emulated Microsoft 365 and Sekoia.io, and says
/// at the end whether any row was lost or doubled.
///
/// Exit code 0: nothing is missing, doubled or unasked, and the module stopped cleanly.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The trigger to run.
    #[arg(long, value_enum, default_value_t = Trigger::Graph)]
    pub(crate) trigger: Trigger,
    /// Exactly this many rows wait at the start and no mail arrives later; the run ends by itself
    /// when they are delivered.
    #[arg(long, value_name = "ROWS", conflicts_with = "rate")]
    pub(crate) events: Option<u64>,
    /// Rows of new mail per second.
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Hours of mail that wait at the start.
    #[arg(long, value_name = "HOURS", default_value_t = 1.0, value_parser = hours)]
    pub(crate) backlog: f64,
    /// End by itself after this time; without it, Ctrl-C ends the run.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) duration: Option<u64>,
    /// The same seed gives the same mail.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Leads the module through this scenario: the mail, what breaks when, and when the module is
    /// stopped or killed. The run ends with its last life.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["events", "rate", "backlog", "duration", "seed"]
    )]
    pub(crate) scenario: Option<PathBuf>,
}

/// The triggers of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trigger {
    /// An app that reads Microsoft Graph.
    #[value(name = "message_trace_graph")]
    Graph,
    /// An app that reads the Reporting Web Service.
    #[value(name = "message_trace_oauth")]
    Oauth,
    /// A service account that reads the Reporting Web Service.
    #[value(name = "message_trace")]
    Account,
}

impl Trigger {
    /// The module's command.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Graph => "message_trace_graph",
            Self::Oauth => "message_trace_oauth",
            Self::Account => "message_trace",
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.0, 10_000.0)
}

/// The setting `start_time` reaches back 720 hours, and the module starts a moment after the mail.
fn hours(text: &str) -> Result<f64, String> {
    within(text, 0.0, 719.0)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("not a number from {least} to {most}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for wrong in ["--rate=-1", "--rate=x", "--backlog=720", "--backlog=NaN"] {
            let error = Arguments::try_parse_from(["playground", wrong]).unwrap_err();
            assert!(
                error.to_string().contains("not a number from 0 to"),
                "{error}"
            );
        }
        for other in ["--rate=1", "--scenario=s.json"] {
            assert!(Arguments::try_parse_from(["playground", "--events=5", other]).is_err());
        }
    }
}
