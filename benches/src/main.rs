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

use std::{mem, num::NonZero, path::PathBuf, process::ExitCode, thread::available_parallelism};

use clap::{Parser, Subcommand, ValueEnum};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::{runtime::Builder, task::spawn_blocking};

use crate::{
    circumstances::circumstances,
    contestant::Bench,
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
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
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
    #[arg(long, default_value_t = StdRng::from_os_rng().random(), hide_default_value = true)]
    seed: u64,
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
    #[command(hide = true)]
    Relay(relay::Arguments),
    #[command(hide = true)]
    Accelerated(accelerated::Arguments),
    #[command(hide = true)]
    Open { directory: PathBuf },
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    let done = match arguments.inside.take() {
        Some(Inside::Accelerated(inside)) => accelerated::run(inside),
        Some(Inside::Relay(inside)) => block_on(relay::run(&inside)),
        Some(Inside::Open { directory }) => block_on(huge::open(&directory)),
        None => block_on(Box::pin(measure(arguments))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("The benchmark failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build()?;
    runtime.block_on(work)
}

async fn measure(mut arguments: Arguments) -> anyhow::Result<()> {
    let mut parts = mem::take(&mut arguments.parts);
    if parts.is_empty() {
        parts = Part::value_variants().to_vec();
    }
    parts.sort_unstable();
    let bench = Bench::prepare(arguments)?;
    let head = circumstances(&bench.arguments);
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
    match &bench.arguments.write {
        Some(folder) => write(folder, &head, &outcomes),
        None => Ok(()),
    }
}

/// Does work on all processors; each piece has a time of its own.
async fn side_by_side<T: Clone + Send + 'static, R: Send + 'static>(
    pieces: &[T],
    work: fn(&T) -> anyhow::Result<R>,
) -> anyhow::Result<Vec<R>> {
    let hands = available_parallelism().map_or(1, NonZero::get);
    let pieces = pieces.iter().cloned();
    let begun = stream::iter(pieces.map(|piece| spawn_blocking(move || work(&piece))));
    let done = begun.buffered(hands);
    let done = done.map(|done| -> anyhow::Result<R> { done? });
    done.try_collect().await
}
