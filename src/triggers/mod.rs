//! The triggers of this module, one small file each, and what they have in common.

mod app_settings;
pub(crate) mod backfill;
mod beginning;
mod check;
mod collection;
mod details;
mod exclusions;
mod expiry;
mod first_start;
mod formats;
mod gaps;
mod graph_settings;
pub(crate) mod letters;
mod message_trace;
mod message_trace_graph;
mod message_trace_oauth;
pub(crate) mod order_time;
mod privacy;
mod report;
mod row_text;
mod service_change;
mod service_choice;
mod services;
mod sink;
mod source;
mod state;
mod status;
mod summary;
mod tenant;
pub(crate) mod words;
mod working;

#[cfg(test)]
mod tests;

use sekoia::Registry;

pub(crate) use self::{
    status::{Line, ProcessVerdict, SeenLetters, StatusReport, status},
    tenant::Subject,
};

/// The manifest of the module, compiled in.
const MODULE_MANIFEST: &str = include_str!("../../manifest.json");

/// All triggers of this module.
pub fn registry() -> Registry {
    Registry::new(MODULE_MANIFEST)
        .register::<message_trace_graph::MessageTraceGraph>()
        .register::<message_trace_oauth::MessageTraceOauth>()
        .register::<message_trace::MessageTrace>()
}
