//! Drives the real binary against the emulator, on real sockets, files and signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers may panic, as the test itself may"
)]

mod backfill;
mod check;
mod config;
mod dashboard;
mod delivery;
mod details;
mod documentation;
mod errors;
mod events;
mod exclusions;
mod graph;
mod input;
mod letters;
mod lifecycle;
mod links;
mod mass_mail;
mod network;
mod nightly;
mod oauth;
mod object_storage;
mod odd_answers;
mod owner;
mod platform;
mod privacy;
mod quota;
mod refusals;
mod rotation;
mod secrets;
mod services;
mod sign_in;
mod state;
mod status;
mod support;
mod terminal;
mod together;
mod truth;
mod usage;
mod verify;
mod walkthrough;
mod world;

#[path = "../source/mod.rs"]
mod source;
