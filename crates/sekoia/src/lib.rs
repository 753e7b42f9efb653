//! The runtime contract of Sekoia.io automation modules: what surrounds a trigger's run.
//!
//! This layer knows the platform, not what a trigger is about. A [`Trigger`] brings its manifest,
//! its settings and its [`run`](Trigger::run); a [`Registry`] maps commands to triggers; [`run`]
//! is the whole life of a process: configuration from files and environment, validation against
//! the manifest, secrets, logs, intake, storage, liveness and metrics servers, Sentry,
//! stop on SIGTERM and SIGINT. A run gets all of it as a [`Context`].
//!
//! Marks like `J-05` in the documentation name rows of the contract that this layer follows.

mod changes;
mod check;
mod concealer;
mod config;
mod context;
mod deadline;
mod effective;
mod health;
mod intake;
mod log;
mod metrics;
mod offline_session;
mod platform;
mod process_probe;
mod redirect;
mod registry;
mod run_error;
mod run_loop;
mod runtime;
mod schema;
mod secrets;
mod sentry;
mod serve;
mod settings;
mod stop;
mod storage;
#[cfg(test)]
mod testing;

pub use self::{
    check::{CheckFinding, Findings, Outcome, Topic, check, only_fitting},
    concealer::Concealer,
    config::{Configuration, Environment, Place, SettingsMap},
    context::Context,
    effective::{Effective, Judged, Origin, effective},
    health::{Heartbeat, Side},
    intake::{Batch, InHand, Intake, Probed, Stopped},
    log::{Console, LAST_LINES_FILES, Level, Log},
    metrics::Metrics,
    offline_session::OfflineSession,
    process_probe::{Answers, Behind, Errors, LogLine, ProcessProbe},
    registry::{Command, Registry, Trigger},
    run_error::RunError,
    runtime::{Directories, Host, Installation, StartError, run, run_on},
    storage::{LocalBackend, MemoryBackend, Peek, StateFile, Storage, StorageError},
};
