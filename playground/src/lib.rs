//! The local run: an emulated Microsoft 365 and Sekoia.io, a mocked configuration, and the real
//! message-trace process between them. A person sees it on a page, a script on its lines.

mod arguments;
mod disk;
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
use tokio::runtime::Runtime;

use crate::{arguments::Arguments, disk::Apart, screen::Screen};

/// Runs the playground as the command line says. The exit code is 0 for a clean verdict alone.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::open();
    let wants_page = arguments.wants_page(screen.is_terminal());
    // There is one thread still. Without mounts of its own, a full disk is played in another way.
    let apart = wants_page.then(Apart::begin).and_then(Result::ok);
    let result = Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            if wants_page {
                runtime.block_on(page::run(&arguments, &screen, apart))
            } else {
                runtime.block_on(run::run(&arguments, &screen))
            }
        });
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
