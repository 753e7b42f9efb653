//! `status`: where the collection stands.

use std::{io::Write as _, process::ExitCode};

use clap::{ArgMatches, Command};
use serde_json::{Map, Value};

use super::screen::{BAD, GOOD, Screen, styled};
use crate::{
    Clock,
    sdk::{Directories, Environment, Running},
    triggers,
};

/// The widest name of a line, with the blanks behind it.
const NAME: usize = 11;

/// The command's place on the command line.
pub(super) fn command() -> Command {
    Command::new("status")
        .about("Tells up to when everything is delivered, and how the trigger is doing")
        .long_about(
            "Tells where the collection stands, from the files in the data directory (or the \
             object store) and, where it runs on this machine, from the process itself, which is \
             asked at its ports for liveness and metrics. Nothing is changed.",
        )
        .arg(super::json())
}

/// Prints the status.
pub(super) async fn run(
    directories: &Directories,
    arguments: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    let running = Running::find(directories, Environment::process()).await?;
    let lines = triggers::status(&running, Clock::system().now()).await;
    if arguments.get_flag("json") {
        let lines = lines.into_iter().filter(|line| !line.facts.is_null());
        let document: Map<String, Value> = lines
            .map(|line| (line.name.to_owned(), line.facts))
            .collect();
        writeln!(anstream::stdout(), "{:#}", Value::Object(document))?;
        return Ok(ExitCode::SUCCESS);
    }
    let screen = Screen::new();
    for line in lines {
        let style = if line.bad { BAD } else { GOOD };
        screen.line(&styled(style, line.name, NAME), NAME, &line.text)?;
    }
    Ok(ExitCode::SUCCESS)
}
