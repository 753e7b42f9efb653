//! A SEKOIA.IO playbook trigger module that collects Microsoft 365 message traces.
//!
//! `docs/architecture.md` describes the house; the modules below are its rooms, from the top down.

pub mod cli;
pub mod collect;
pub mod http;
pub mod microsoft;
pub mod sdk;
mod triggers;

mod buffers;
mod clock;
mod files;
mod secret;

pub use clock::Clock;
pub use rows::{Page, RowKey, RowKeyer, RowRef, Window};
pub use secret::Secret;
pub use triggers::registry;
