//! One command that measures everything and writes it down; see `README.md` beside it.

mod accelerated;
mod backlog;
mod chart;
mod circumstances;
mod contestant;
mod freshness;
mod huge;
mod process;
mod recovery;
mod relay;
mod report;
mod settling;
mod site;
mod size;
mod stage;
mod start;
mod stock;
mod tenants;

use std::{num::NonZero, path::PathBuf, process::ExitCode, thread::available_parallelism};

use clap::{Parser, Subcommand, ValueEnum};
use futures_util::future::try_join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::runtime::Builder;

use crate::{
    circumstances::circumstances,
    contestant::Programs,
    report::{markdown, say, write},
};

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
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
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

/// The parts of the benchmark, in the order in which they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Part {
    /// (c) From the start to the first request. It comes first: a process that has held a backlog takes
    /// tens of milliseconds to start others.
    Start,
    /// (a) A backlog, as fast as it goes.
    Backlog,
    /// (h) A tenant of 10 million rows a day, in accelerated time, and (g) a restart with its state.
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
    /// What opens the memory of delivered rows.
    #[command(hide = true)]
    Open(huge::Arguments),
}

/// What all parts share.
#[derive(Debug)]
struct Bench {
    programs: Programs,
    rows: u64,
    runs: usize,
    no_graph: bool,
    seed: u64,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("The benchmark failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Arguments) -> anyhow::Result<()> {
    let inside = match arguments.inside.take() {
        Some(Inside::Accelerated(inside)) => return accelerated::run(inside),
        inside => inside,
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match inside {
            Some(Inside::Relay(inside)) => relay::run(&inside).await,
            Some(Inside::Open(inside)) => huge::open(&inside).await,
            _ => Box::pin(measure(&arguments)).await,
        }
    })
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let bench = Bench {
        programs: Programs::prepare(arguments.module.as_deref(), arguments.no_python)?,
        rows: arguments.rows,
        runs: arguments.runs.try_into()?,
        no_graph: arguments.no_graph,
        seed: arguments
            .seed
            .unwrap_or_else(|| StdRng::from_os_rng().random()),
    };
    let mut parts = match arguments.parts.as_slice() {
        [] => Part::value_variants().to_vec(),
        parts => parts.to_vec(),
    };
    parts.sort_unstable();
    let head = circumstances(arguments);
    let mut outcomes = Vec::new();
    for part in parts {
        outcomes.push(match part {
            Part::Start => start::measure(&bench).await?,
            Part::Backlog => backlog::measure(&bench).await?,
            Part::Huge => huge::measure(&bench).await?,
            Part::Freshness => freshness::measure().await?,
            Part::Recovery => recovery::measure(&bench).await?,
            Part::Tenants => tenants::measure(&bench).await?,
            Part::Settling => settling::measure().await?,
            Part::Size => size::measure(&bench)?,
        });
    }
    say(format_args!("\n{}", markdown(&head, &outcomes)));
    match &arguments.write {
        Some(folder) => write(folder, &head, &outcomes),
        None => Ok(()),
    }
}

/// Does work on all processors; each piece has a time of its own.
async fn side_by_side<T, R>(
    pieces: &[T],
    work: fn(&T) -> anyhow::Result<R>,
) -> anyhow::Result<Vec<R>>
where
    T: Clone + Send + 'static,
    R: Send + 'static,
{
    let hands = available_parallelism().map_or(1, NonZero::get);
    // Neighbours are alike: each hand gets as many of them.
    let shares = (0..hands).map(|hand| {
        let share: Vec<T> = pieces.iter().skip(hand).step_by(hands).cloned().collect();
        tokio::task::spawn_blocking(move || share.iter().map(work).collect())
    });
    let done: Vec<anyhow::Result<Vec<R>>> = try_join_all(shares).await?;
    let done: anyhow::Result<Vec<Vec<R>>> = done.into_iter().collect();
    Ok(done?.into_iter().flatten().collect())
}
