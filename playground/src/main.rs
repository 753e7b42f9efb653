//! The local run: an emulated Microsoft 365 and Sekoia.io, a mocked configuration, and the real
//! message-trace process between them.

use std::process::ExitCode;

fn main() -> ExitCode {
    playground::main()
}
