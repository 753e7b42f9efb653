//! The local run: an emulated Microsoft 365 and Sekoia.io, a mocked configuration, and the real
//! message-trace process between them. A person sees it on a page, a script on its lines.

mod arguments;
mod module;
mod page;
mod run;
mod screen;
mod signals;
mod site;
mod status;
mod world;

use std::process::ExitCode;

use clap::Parser;

use crate::{arguments::Arguments, screen::Screen};

/// Runs the playground as the command line says. The exit code is 0 for a clean verdict alone.
pub async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::open();
    let result = if arguments.wants_page(screen.is_terminal()) {
        page::run(&arguments, &screen).await
    } else {
        run::run(&arguments, &screen).await
    };
    screen.close();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen.line(format_args!("The playground failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
