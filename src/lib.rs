//! A SEKOIA.IO playbook trigger module that collects Microsoft 365 message traces.
//!
//! `docs/architecture.md` describes the house; the modules below are its rooms, from the top down.

pub mod cli;
pub mod collect;
pub mod http;
pub mod microsoft;
pub mod sdk;
mod triggers;

mod clock;
mod json;
mod row;
mod secret;
mod window;

pub use clock::Clock;
pub use row::{Page, RowKey, RowKeyer, RowRef};
pub use secret::Secret;
pub use triggers::registry;
pub use window::Window;
