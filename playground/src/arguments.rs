//! What can be chosen on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Runs the real message-trace process against an emulated Microsoft 365 and Sekoia.io, and says
/// at the end whether any row was lost or doubled.
///
/// On a terminal it opens a page, on which one adds, starts, watches, breaks and stops the trigger.
/// With --events, --duration, --scenario or --no-page, or without a terminal, it starts the trigger
/// by itself and prints lines.
///
/// Exit code 0: rows were delivered, nothing is missing, doubled or unasked, and the module stopped
/// cleanly.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The trigger to run [default: message_trace_graph]; on the page, the one that is chosen already.
    #[arg(long, value_enum)]
    pub(crate) trigger: Option<Trigger>,
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
    /// Starts the trigger at once and prints lines, as without a terminal.
    #[arg(long)]
    pub(crate) no_page: bool,
    /// The port of the page on the loopback address, 0 for any; asks for the page also without a
    /// terminal.
    #[arg(
        long,
        value_name = "PORT",
        conflicts_with_all = ["events", "duration", "scenario", "no_page"]
    )]
    pub(crate) port: Option<u16>,
}

impl Arguments {
    /// The trigger to run by itself.
    pub(crate) fn trigger(&self) -> Trigger {
        self.trigger.unwrap_or(Trigger::Graph)
    }

    /// Whether the run is to be shown on a page.
    pub(crate) fn wants_page(&self, terminal: bool) -> bool {
        let scripted = self.events.is_some()
            || self.duration.is_some()
            || self.scenario.is_some()
            || self.no_page;
        self.port.is_some() || (terminal && !scripted)
    }
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
    /// All of them, the usual one first.
    pub(crate) const ALL: [Self; 3] = [Self::Graph, Self::Oauth, Self::Account];

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
    fn a_person_gets_a_page_and_a_script_does_not() {
        let parse = |words: &[&str]| {
            Arguments::try_parse_from([["playground"].as_slice(), words].concat()).unwrap()
        };
        assert!(parse(&[]).wants_page(true) && !parse(&[]).wants_page(false));
        assert!(parse(&["--port=0"]).wants_page(false));
        assert!(parse(&["--trigger=message_trace", "--rate=2"]).wants_page(true));
        for script in [
            "--no-page",
            "--events=5",
            "--duration=5",
            "--scenario=s.json",
        ] {
            assert!(!parse(&[script]).wants_page(true), "{script}");
            assert!(Arguments::try_parse_from(["playground", "--port=0", script]).is_err());
        }
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
