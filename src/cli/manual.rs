//! `completions` and `man`: what shells and readers know of the command line, made from it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, Command};
use clap_complete::Shell;

const NAME: &str = "message-trace";

/// Prints completions for a shell.
#[derive(Debug, Args)]
#[command(
    long_about = "Prints a script that completes commands and options in a shell; load it with the \
                  shell, e.g. for bash with `source <(message-trace completions bash)`."
)]
pub(super) struct CompletionsArguments {
    shell: Shell,
}

/// Prints the manual page of the program or of a command.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    command: Option<String>,
}

pub(super) fn completions(
    mut line: Command,
    arguments: CompletionsArguments,
) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut line, NAME, &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(mut line: Command, arguments: ManArguments) -> anyhow::Result<ExitCode> {
    line.build();
    let page = match arguments.command {
        None => line,
        Some(name) => {
            let found = line.find_subcommand(&name).cloned();
            let found = found.ok_or_else(|| anyhow::anyhow!("there is no command {name:?}"))?;
            let title = format!("{NAME}-{}", found.get_name());
            found.name(title)
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    io::stdout().write_all(&text)?;
    Ok(ExitCode::SUCCESS)
}
