//! The order of things: programs, parts, report.

use std::{num::NonZero, thread::available_parallelism};

use crate::contestant::Programs;
use clap::ValueEnum as _;
use futures_util::future::try_join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    Arguments, Part, backlog,
    circumstances::Circumstances,
    freshness, huge, ledger, recovery,
    report::{Report, say},
    settling, size, start, tenants,
};

/// What all parts share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) programs: Programs,
    pub(crate) rows: u64,
    pub(crate) runs: usize,
    pub(crate) no_graph: bool,
    pub(crate) seed: u64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let bench = Bench {
        programs: Programs::prepare(arguments.module.as_deref(), arguments.no_python)?,
        rows: arguments.rows,
        runs: arguments.runs.max(1),
        no_graph: arguments.no_graph,
        seed: arguments
            .seed
            .unwrap_or_else(|| StdRng::from_os_rng().random()),
    };
    let parts = match arguments.parts.as_slice() {
        [] => Part::value_variants(),
        parts => parts,
    };
    let mut report = Report::new(Circumstances::of(arguments));
    // Starts come first: a process that has held a backlog takes tens of milliseconds to start others.
    let mut order: Vec<_> = parts.iter().enumerate().collect();
    order.sort_by_key(|(_, part)| **part != Part::Start);
    let mut outcomes = Vec::new();
    for (place, part) in order {
        let outcome = match part {
            Part::Backlog => backlog::measure(&bench).await?,
            Part::Start => start::measure(&bench).await?,
            Part::Ledger => ledger::measure(&bench).await?,
            Part::Huge => huge::measure(&bench).await?,
            Part::Freshness => freshness::measure().await?,
            Part::Recovery => recovery::measure(&bench).await?,
            Part::Tenants => tenants::measure(&bench).await?,
            Part::Settling => settling::measure(),
            Part::Size => size::measure(&bench)?,
        };
        outcomes.push((place, outcome));
    }
    outcomes.sort_by_key(|(place, _)| *place);
    for (_, outcome) in outcomes {
        report.add(outcome);
    }
    say(format_args!("\n{}", report.markdown(None)));
    match &arguments.write {
        Some(folder) => report.write(folder),
        None => Ok(()),
    }
}

/// Does work on all processors; each piece has a time of its own.
pub(crate) async fn side_by_side<T, R>(
    pieces: &[T],
    work: fn(&T) -> anyhow::Result<R>,
) -> anyhow::Result<Vec<R>>
where
    T: Clone + Send + 'static,
    R: Send + 'static,
{
    let hands = available_parallelism().map_or(1, NonZero::get);
    let shares = pieces.chunks(pieces.len().div_ceil(hands).max(1));
    let shares = shares.map(|share| {
        let share = share.to_vec();
        tokio::task::spawn_blocking(move || share.iter().map(work).collect())
    });
    let done: Vec<anyhow::Result<Vec<R>>> = try_join_all(shares).await?;
    let done: anyhow::Result<Vec<Vec<R>>> = done.into_iter().collect();
    Ok(done?.into_iter().flatten().collect())
}
