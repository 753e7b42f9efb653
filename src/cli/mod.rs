//! The command line, for the platform and for people.

use std::{ffi::OsString, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::{
    sdk::{self, Directories, Environment, Registry},
    triggers,
};

/// Runs the program with these arguments (the first is its name). The exit code is 0 for a clean
/// stop, else 1 (contract A-02, E-09).
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let registry = triggers::registry();
    let mut command_line = command_line(&registry);
    let matches = match command_line.try_get_matches_from_mut(arguments) {
        Ok(matches) => matches,
        // Help and version are "errors" that go to standard output and succeed.
        Err(error) if !error.use_stderr() => {
            return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => return fail(&error.to_string()),
    };
    let Some((command, arguments)) = matches.subcommand() else {
        return fail(&unknown("no command was given", &registry));
    };
    if !registry.has(command) {
        return fail(&unknown(&format!("{command:?} is not a command"), &registry));
    }
    match start(registry, command, directories(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}
