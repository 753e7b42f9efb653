//! The local run: an emulated Microsoft 365 and Sekoia.io, a mocked configuration, and the real
//! message-trace process between them.

mod arguments;
mod module;
mod run;
mod screen;
mod site;
mod status;

use std::process::ExitCode;

use clap::Parser;

use crate::{arguments::Arguments, screen::Screen};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::open();
    let result = run::run(&arguments, &screen).await;
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
