//! One command that measures everything and writes it down; see `README.md` beside it.

mod accelerated;
mod backlog;
mod bench;
mod chart;
mod circumstances;
mod contestant;
mod freshness;
mod huge;
mod ledger;
mod process;
mod recovery;
mod relay;
mod report;
mod settling;
mod site;
mod size;
mod stage;
mod start;
mod statistics;
mod stock;
mod stream;
mod tenants;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};

/// Measures the message trace module as whole processes: CPU, memory, time and requests, against a
/// relay that looks at nothing and against a loop on the vendor's SDK for Python.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to measure; everything, unless named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rows of the backlog.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Runs of each contestant, of which the median counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The module's binary; without it, the static release binary is built.
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Leave the Python SDK out.
    #[arg(long)]
    no_python: bool,
    /// Leave Graph out of the backlog, as its quota takes minutes.
    #[arg(long)]
    no_graph: bool,
    /// Write `RESULTS.md` into this folder.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Draws the same outages again (`recovery`); another one each time, unless given.
    #[arg(long)]
    seed: Option<u64>,
    #[command(subcommand)]
    inside: Option<Inside>,
}

/// The parts of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// (a) A backlog, as fast as it goes.
    Backlog,
    /// (c) From the start to the first request.
    Start,
    /// (g) The memory of 10 million delivered rows.
    Ledger,
    /// (h) A tenant of 10 million rows a day, in accelerated time.
    Huge,
    /// From the moment when a row can be seen to its acceptance, in virtual time.
    Freshness,
    /// (i) Outages, and a backlog while requests fail, in virtual time.
    Recovery,
    /// (j) Many small tenants on one machine.
    Tenants,
    /// The schedule that reads the past again.
    Settling,
    /// The size of the binary and of the image.
    Size,
}

/// What the benchmark starts itself as.
#[derive(Debug, Subcommand)]
enum Inside {
    /// The relay.
    #[command(hide = true)]
    Relay(relay::Arguments),
    /// The module on a time of its own.
    #[command(hide = true)]
    Accelerated(accelerated::Arguments),
    /// One step of filling and using a memory of delivered rows.
    #[command(hide = true)]
    LedgerStep(ledger::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.inside {
        Some(Inside::Relay(inside)) => relay::run(&inside),
        Some(Inside::Accelerated(inside)) => accelerated::run(inside),
        Some(Inside::LedgerStep(inside)) => ledger::step(&inside),
        None => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::say(format_args!("The benchmark failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
