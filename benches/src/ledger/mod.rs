//! (g) What it costs to remember delivered rows, in memory and in segment files.
//!
//! It gets the rows of one day, page by page and durably, and is opened in a new process; then by the
//! module, which must not keep Microsoft waiting for it.

mod restart;
mod segments;
mod steps;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::statistics::median;
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::de::DeserializeOwned;

use self::steps::{Filled, Taken, Used};
use crate::{
    bench::Bench,
    report::{Figure, Outcome, Table, mib, say},
};

const ROWS: u64 = 10_000_000;

/// Hours since 1970: in the year 2026.
const FIRST_HOUR: u64 = 498_000;

/// What a step is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    step: Step,
    directory: PathBuf,
    rows: u64,
    first_hour: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Step {
    Fill,
    Use,
}

/// Does one step and prints what it has cost.
pub(crate) fn step(arguments: &Arguments) -> Result<()> {
    let Arguments {
        step,
        directory,
        rows,
        first_hour,
    } = arguments;
    let text = match step {
        Step::Fill => serde_json::to_string(&steps::fill(directory, *rows, *first_hour)?),
        Step::Use => serde_json::to_string(&steps::open_and_use(directory, *rows, *first_hour)?),
    };
    Ok(io::stdout().write_all(text?.as_bytes())?)
}

pub(crate) async fn measure(bench: &Bench) -> Result<Outcome> {
    say("(g) 10 million delivered rows ...");
    let own = &bench.programs.own;
    let directory = tempfile::tempdir()?;
    let filled = in_a_process(own, Step::Fill, directory.path(), FIRST_HOUR)?;
    let used = in_a_process(own, Step::Use, directory.path(), FIRST_HOUR)?;
    let starts = restart::measure(bench).await?;
    Ok(outcome(&filled, &used, &starts))
}

fn in_a_process<T: DeserializeOwned>(
    own: &Path,
    step: Step,
    directory: &Path,
    first_hour: u64,
) -> Result<T> {
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map(|value| value.get_name().to_owned())
    };
    let output = Command::new(own)
        .arg("ledger-step")
        .args(name(step.to_possible_value()))
        .arg(directory)
        .args([ROWS.to_string(), first_hour.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{step:?} failed");
    serde_json::from_slice(&output.stdout).context("no measurement")
}

fn outcome(filled: &Filled, used: &Used, starts: &[f64]) -> Outcome {
    let mut table = Table::new(["10 000 000 rows of 24 hours", ""]);
    for (label, value) in [
        ("a page of 5000 new rows, mean", time(filled.page)),
        ("the same, 99 of 100 within", time(filled.slow_page)),
        ("resident when filled", bytes(filled.resident)),
        ("on disk", bytes(used.disk)),
        ("to open", time(used.open)),
        ("resident when opened", bytes(used.resident)),
        ("at most resident while opening", bytes(used.peak)),
        ("a page of 5000 known rows, mean", time(used.known)),
        ("a page of 5000 new rows when full, mean", time(used.new)),
        (
            "the module's start to its first request, median",
            format!("{:.1} ms", median(starts.iter().copied())),
        ),
    ] {
        table.row([label, &value]);
    }
    let peak = filled.resident.max(used.peak);
    let figure = Figure {
        name: "(g) ledger of 10 million keys",
        target: "on disk under 200 MiB; open within 1 s",
        measured: format!(
            "{} on disk; open in {} ms; {} resident; a page of known rows {} ms, of new rows {} ms \
             of processor",
            bytes(used.disk),
            millis(used.open.passed),
            bytes(peak),
            millis(used.known.processor),
            millis(used.new.processor),
        ),
        met: mib(used.disk) < 200.0 && used.open.passed < Duration::from_secs(1),
    };
    let start = median(starts.iter().copied());
    let restart = Figure {
        name: "(g) restart with it: start to first request; to open it",
        target: "at most 100 ms; 300 ms of processor",
        measured: format!(
            "{start:.1} ms; {} ms of processor",
            millis(used.open.processor)
        ),
        met: start <= 100.0 && used.open.processor <= Duration::from_millis(300),
    };
    Outcome {
        figures: vec![figure, restart],
        section: format!(
            "## (g) The memory of delivered rows\n\nOne process fills it page by page, each of \
             which is safe on the disk before the next; another one opens it, and the module with \
             `settle_time` 24. The processor's time is told beside the time that passed.\n\n{table}"
        ),
        ..Outcome::default()
    }
}

fn bytes(count: u64) -> String {
    format!("{:.0} MiB", mib(count))
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

fn time(taken: Taken) -> String {
    let (passed, processor) = (millis(taken.passed), millis(taken.processor));
    format!("{passed} ms (processor {processor} ms)")
}
