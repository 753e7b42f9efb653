//! The emulator against what is known of both sides, from outside. One binary: each has to be linked with all
//! of the emulator.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test that meets something unexpected shall fail"
)]

mod faults;
mod graph;
mod identity;
mod report;
mod scenario;
mod sekoia;
mod support;
mod trouble;
mod users;
