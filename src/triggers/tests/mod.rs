//! The whole module in memory, on virtual time, against the emulator: whatever happens, the ledger
//! shows every row once, and with its final status.

mod asking;
mod backfills;
mod clocks;
mod draw;
mod freshness;
mod living;
mod mass;
mod memory;
mod old_state;
mod pages;
mod property;
mod services;
mod site;
mod verifications;
mod waits;

/// The triggers by their commands.
const GRAPH: &str = "message_trace_graph";
const OAUTH: &str = "message_trace_oauth";
const ACCOUNT: &str = "message_trace";
