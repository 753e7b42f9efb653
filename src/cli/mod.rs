//! The command line, for the platform and for people.

use std::{ffi::OsString, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, value_parser};

use crate::{
    http::chain,
    sdk::{Directories, Environment, Registry},
    triggers,
};

/// Runs the program with these arguments, of which the first is its name. The exit code is 0 after
/// a stop, else 1 (contract A-02, E-09).
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let registry = triggers::registry();
    let matches = match command_line(&registry).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        // Help and version are "errors" that go to standard output and succeed.
        Err(error) if !error.use_stderr() => {
            return if error.print().is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Err(error) => return fail(error.to_string().trim_end()),
    };
    let started = match matches.subcommand() {
        None => Err(anyhow::anyhow!(
            "a command is missing; {}",
            known(&registry)
        )),
        Some((command, arguments)) => start(&registry, command, directories(arguments)),
    };
    match started {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("message-trace: {}", chain(error.as_ref()))),
    }
}

fn command_line(registry: &Registry) -> Command {
    let defaults = Directories::default();
    let directory = |name: &'static str, default: PathBuf, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("DIR")
            .global(true)
            .default_value(default.into_os_string())
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    let triggers = registry.commands().map(|trigger| {
        Command::new(trigger.name.to_owned())
            .about(trigger.title.to_owned())
            .long_about(format!("{}\n\n{}", trigger.title, trigger.description))
            .visible_aliases(trigger.aliases.iter().copied().map(str::to_owned))
            // The platform's runtime ignores what follows the command (contract A-01).
            .arg(Arg::new("ignored").num_args(0..).hide(true))
    });
    Command::new("message-trace")
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .override_usage("message-trace COMMAND [--config-dir DIR] [--data-dir DIR]")
        .subcommand_help_heading("Commands")
        .disable_help_subcommand(true)
        // An unknown command is not clap's business: it gets the list of commands.
        .allow_external_subcommands(true)
        .arg(directory(
            "config-dir",
            defaults.config,
            "Files of the configuration, one for each key, as the platform's runtime lays them",
        ))
        .arg(directory(
            "data-dir",
            defaults.data,
            "What must survive a restart",
        ))
        .subcommands(triggers)
}

fn directories(arguments: &ArgMatches) -> Directories {
    let defaults = Directories::default();
    let given = |name| {
        arguments
            .try_get_one::<PathBuf>(name)
            .ok()
            .flatten()
            .cloned()
    };
    Directories {
        config: given("config-dir").unwrap_or(defaults.config),
        data: given("data-dir").unwrap_or(defaults.data),
    }
}

fn start(registry: &Registry, command: &str, directories: Directories) -> anyhow::Result<()> {
    // One thread: a page is read in milliseconds, so that `/health` never waits long, and handing
    // work between threads would cost more than it gains.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(crate::sdk::run(
        registry,
        command,
        directories,
        Environment::process(),
    ))?;
    Ok(())
}

fn known(registry: &Registry) -> String {
    let commands = registry
        .commands()
        .flat_map(|command| std::iter::once(command.name).chain(command.aliases.iter().copied()));
    format!(
        "the commands are: {}",
        commands.collect::<Vec<_>>().join(", ")
    )
}

fn fail(text: &str) -> ExitCode {
    // When even standard error is gone, the exit code must do.
    _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command_line(&triggers::registry()).debug_assert();
    }

    #[test]
    fn directories_may_stand_before_or_behind_the_command() {
        let registry = triggers::registry();
        for line in [
            ["message-trace", "--config-dir", "/a", "message_trace"],
            ["message-trace", "message_trace", "--config-dir", "/a"],
        ] {
            let matches = command_line(&registry).try_get_matches_from(line).unwrap();
            let (_, arguments) = matches.subcommand().unwrap();
            let Directories { config, data } = directories(arguments);
            assert_eq!(config, PathBuf::from("/a"));
            assert_eq!(data, PathBuf::from("/symphony_data"));
        }
    }

    #[test]
    fn what_follows_the_command_is_ignored() {
        let registry = triggers::registry();
        let line = ["message-trace", "office365_messagetrace_trigger", "x", "y"];
        let matches = command_line(&registry).try_get_matches_from(line).unwrap();
        assert_eq!(matches.subcommand_name(), Some("message_trace"));
    }
}
