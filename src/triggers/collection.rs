//! What all triggers have in common: the settings of a collection, and how source, fetch loop and
//! intake are put together.

use std::sync::Arc;

use chrono::TimeDelta;
use serde::Deserialize;

use super::{
    report::Report,
    state::{self, Kept, Position, STATE_FILE},
};
use crate::{
    Page, RowKeyer, Secret, Window,
    collect::{
        Batch, Collector, Parts, Pushed, Receipt, Rejected, Remedy, Sink, Source, SourceError,
        SourceLimits, journal::Journal, plan::{Plan, PlanSettings},
    },
    http::chain,
    microsoft::{self, Class, Link, ReportingService},
    sdk::{Context, Intake, RunError, StateFile},
};

/// The settings that every trigger has.
#[derive(Debug, Deserialize)]
pub(super) struct Collection {
    intake_key: Secret,
    intake_server: Option<String>,
    /// Seconds.
    frequency: u32,
    /// Minutes.
    timedelta: u32,
    /// Hours.
    start_time: u32,
    chunk_size: usize,
}

/// Collects from the source that `source` makes, until stopped.
pub(super) async fn run<S: Source>(
    settings: Collection,
    context: Context,
    source: impl FnOnce(RowKeyer) -> S,
) -> Result<(), RunError> {
    todo!()
}
