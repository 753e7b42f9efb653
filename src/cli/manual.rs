//! `completions` and `man`: what shells and readers know of the command line, made from it.

use std::io::{self, Write as _};

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

/// The program's name.
const NAME: &str = "message-trace";

/// The place of `completions` on the command line.
pub(super) fn completions_command() -> Command {
    Command::new("completions")
        .about("Prints completions for a shell")
        .long_about(
            "Prints a script that completes commands and options in a shell; load it with the \
             shell, e.g. for bash with `source <(message-trace completions bash)`.",
        )
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(value_parser!(Shell)),
        )
}

/// The place of `man` on the command line.
pub(super) fn man_command() -> Command {
    Command::new("man")
        .about("Prints the manual page of the program or of a command")
        .arg(Arg::new("command").value_name("COMMAND"))
}

/// Prints completions of this command line.
pub(super) fn completions(mut line: Command, arguments: &ArgMatches) -> anyhow::Result<()> {
    let mut script = Vec::new();
    if let Some(shell) = arguments.get_one::<Shell>("shell") {
        clap_complete::generate(*shell, &mut line, NAME, &mut script);
    }
    Ok(io::stdout().write_all(&script)?)
}

/// Prints the manual page of this command line, or of one of its commands.
pub(super) fn man(mut line: Command, arguments: &ArgMatches) -> anyhow::Result<()> {
    line.build();
    let page = match arguments.get_one::<String>("command") {
        None => line,
        Some(name) => {
            let found = line.find_subcommand(name).cloned();
            let found = found.ok_or_else(|| anyhow::anyhow!("there is no command {name:?}"))?;
            let title = format!("{NAME}-{}", found.get_name());
            found.name(title)
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    Ok(io::stdout().write_all(&text)?)
}
