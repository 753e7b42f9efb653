//! The door: command line to module, nothing else.

use std::process::ExitCode;

/// Pages and batches come and go by the megabyte: it gives their memory back, which the C library's
/// keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    message_trace::cli::main(std::env::args_os())
}
