//! What is said of a command line that cannot be understood.

use std::{
    io::{IsTerminal as _, stderr},
    process::ExitCode,
};

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use sekoia::{Configuration, Directories, Environment, Registry};

use super::screen::say;

/// The exit code for a person.
pub(super) const EXIT_CODE: u8 = 2;

/// The same with what it means, for lists of exit codes.
pub(super) const NOT_UNDERSTOOD: (u8, &str) = (EXIT_CODE, "the command line is not understood");

/// The end of a command's help.
pub(super) fn exit_codes(codes: &[(u8, &str)]) -> String {
    let lines = codes.iter();
    let lines = lines.map(|(code, about)| format!("\n{code:>4}  {about}"));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// What a person can give, and what it does.
fn list(line: Command) -> String {
    let header = *line.get_styles().get_header();
    let template =
        format!("{{usage-heading}} {{usage}}\n\n{header}Commands:{header:#}\n{{subcommands}}");
    let list = line.help_template(template).render_help();
    list.ansi().to_string().trim_end().to_owned()
}

/// Says what is wrong with the command line, and what could be given. The platform gets one line
/// for its log, and exit code 1 (contract A-02).
pub(super) fn refuse(registry: &Registry, line: Command, mut error: Error) -> ExitCode {
    let unknown = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand
    );
    if unknown {
        let list = ContextValue::StyledStr(list(line).into());
        error.insert(ContextKind::Usage, list);
        // Without the same names once more.
        error.remove(ContextKind::ValidSubcommand);
    }
    if !by_platform(&Environment::process()) {
        // When even standard error is gone, the exit code must do.
        _ = error.print();
        return ExitCode::from(EXIT_CODE);
    }
    let known = known(registry);
    let sentence = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(command)) if error.kind() == ErrorKind::InvalidSubcommand => {
            format!("message-trace: there is no command {command:?}; {known}")
        }
        _ if unknown => format!("message-trace: a command is missing; {known}"),
        _ => error.render().ansi().to_string(),
    };
    say(sentence.trim_end());
    ExitCode::FAILURE
}

/// Whether the platform has started this process: it sets the address that a module calls back,
/// and gives no options. Nobody watches then.
fn by_platform(environment: &Environment) -> bool {
    let directory = Directories::default().config;
    let configuration = Configuration::open(directory, environment.clone());
    let place = configuration.and_then(|configuration| configuration.place("url_callback"));
    !stderr().is_terminal() && matches!(place, Ok(Some(_)))
}

/// What the platform can start.
fn known(registry: &Registry) -> String {
    let commands = registry
        .commands()
        .flat_map(|command| std::iter::once(command.name).chain(command.aliases.iter().copied()));
    format!(
        "the commands are: {}",
        commands.collect::<Vec<_>>().join(", ")
    )
}
