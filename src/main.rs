//! The door: command line to module, nothing else.
fn main() {}
