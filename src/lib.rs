//! A SEKOIA.IO playbook trigger module that collects Microsoft 365 message traces.
//!
//! `docs/architecture.md` describes the house. Its rooms are crates; here they are put together: the
//! triggers, and the command line.

pub mod cli;
mod support;
mod triggers;

pub use triggers::registry;
