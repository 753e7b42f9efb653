//! The command line, for the platform and for people.

mod backfill;
mod check;
mod config;
mod letters;
mod manual;
mod offline_session;
mod order;
mod screen;
mod status;
mod support;
mod usage;
mod verify;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use base::http::chain;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use sekoia::{Directories, Environment, Installation, Registry};

use self::screen::say;
use crate::triggers;

/// Runs the program with these arguments, of which the first is its name. The exit code of a trigger
/// is 0 after a stop, else 1 (contract A-02, E-09).
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
        Err(error) => return usage::refuse(&registry, command_line(&registry), error),
    };
    let Some((command, arguments)) = matches.subcommand() else {
        // The definition requires a command.
        return ExitCode::FAILURE;
    };
    match run(&registry, command, arguments) {
        Ok(code) => code,
        // Who reads the answer has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("message-trace: {}", chain(error.as_ref())));
            ExitCode::from(offline_session::code(&error))
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(registry: &Registry, command: &str, arguments: &ArgMatches) -> anyhow::Result<ExitCode> {
    let installation = &Installation {
        registry,
        directories: directories(arguments)?,
        environment: Environment::process(),
    };
    let told = |done| offline_session::told(done, arguments.get_flag("json"));
    match command {
        "check" => wait_for(check::run(installation, parsed(arguments)?)),
        "backfill" => told(wait_for(backfill::run(installation, parsed(arguments)?))),
        "verify" => told(wait_for(verify::run(installation, parsed(arguments)?))),
        "dead-letters" => told(wait_for(letters::run(installation, parsed(arguments)?))),
        "status" => wait_for(status::run(installation, parsed(arguments)?)),
        "support" => wait_for(support::run(installation, parsed(arguments)?)),
        "config" => config::run(installation, parsed(arguments)?),
        "completions" => manual::completions(command_line(registry), parsed(arguments)?),
        "man" => manual::man(command_line(registry), parsed(arguments)?),
        trigger => wait_for(async {
            sekoia::run(installation, trigger).await?;
            Ok(ExitCode::SUCCESS)
        }),
    }
}

fn parsed<A: FromArgMatches>(arguments: &ArgMatches) -> anyhow::Result<A> {
    Ok(A::from_arg_matches(arguments)?)
}

/// Does some work, and leaves behind what a disk that hangs keeps from ending.
fn wait_for(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    // One thread: a page is read in milliseconds, so that `/health` never waits long, and handing
    // work between threads would cost more than it gains.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // The thread for files has work each minute at least.
        .thread_keep_alive(Duration::from_secs(150))
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(250));
    done
}

fn command_line(registry: &Registry) -> Command {
    let triggers = registry.commands().map(|trigger| {
        Command::new(trigger.name.to_owned())
            .about(trigger.title.to_owned())
            .long_about(format!("{}\n\n{}", trigger.title, trigger.description))
            .visible_aliases(trigger.aliases.iter().copied().map(str::to_owned))
            // The platform's runtime ignores what follows the command (contract A-01).
            .arg(Arg::new("ignored").num_args(0..).hide(true))
    });
    DirectoryArguments::augment_args(Command::new("message-trace"))
        .version(env!("CARGO_PKG_VERSION"))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .override_usage("message-trace COMMAND [--config-dir DIR] [--data-dir DIR]")
        .after_help("A trigger is started by its name. `message-trace COMMAND --help` tells more.")
        .subcommand_help_heading("Commands")
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .subcommands(triggers)
        .subcommand(check::command(registry))
        .subcommand(command::<backfill::BackfillWish>("backfill"))
        .subcommand(command::<verify::VerifyWish>("verify"))
        .subcommand(command::<letters::LettersArguments>("dead-letters"))
        .subcommand(command::<status::StatusArguments>("status"))
        .subcommand(command::<config::ConfigArguments>("config"))
        .subcommand(command::<support::SupportArguments>("support"))
        .subcommand(command::<manual::CompletionsArguments>("completions"))
        .subcommand(command::<manual::ManArguments>("man"))
}

// Where the files are.
#[derive(Debug, Args)]
struct DirectoryArguments {
    /// Files of the configuration, one for each key, as the platform's runtime lays them.
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        display_order = 100,
        default_value_os_t = Directories::default().config
    )]
    config_dir: PathBuf,
    /// What must survive a restart.
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        display_order = 100,
        default_value_os_t = Directories::default().data
    )]
    data_dir: PathBuf,
}

fn directories(arguments: &ArgMatches) -> anyhow::Result<Directories> {
    let given: DirectoryArguments = parsed(arguments)?;
    Ok(Directories {
        config: given.config_dir,
        data: given.data_dir,
    })
}

fn command<A: Args>(name: &'static str) -> Command {
    A::augment_args(Command::new(name))
}

/// The command of the trigger that a person has named, or of the only one that the configuration fits; else a
/// sentence on why that is unclear.
fn chosen(installation: &Installation<'_>, trigger: Option<String>) -> Result<String, String> {
    trigger.map_or_else(|| sekoia::only_fitting(installation).map(str::to_owned), Ok)
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
            let Directories { config, data } = directories(arguments).unwrap();
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
