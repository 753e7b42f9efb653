//! The whole module in memory, on virtual time, against the emulator: the ledger always
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
mod troubles;
mod verifications;
mod waits;

use emulator::Endpoint;

/// The triggers by their commands.
const GRAPH: &str = "message_trace_graph";
const OAUTH: &str = "message_trace_oauth";
const ACCOUNT: &str = "message_trace";
const ALL: [&str; 3] = [GRAPH, OAUTH, ACCOUNT];

/// Where a trigger asks for rows.
fn endpoint(trigger: &str) -> Endpoint {
    match trigger {
        GRAPH => Endpoint::Graph,
        _ => Endpoint::Report,
    }
}
