//! The door: command line to module, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    message_trace::cli::main(std::env::args_os())
}
