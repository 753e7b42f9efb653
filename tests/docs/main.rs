//! The documentation says what the code says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test's helpers may panic, as the test itself may"
)]

#[path = "../source/mod.rs"]
mod source;

mod errors;
mod links;
mod migrate;
mod runbook;
mod sizing;
