//! (g) What it costs to remember delivered rows, in memory and in segment files.
//!
//! It gets the rows of one day, page by page and durably, and is opened in a new process.

mod segments;
mod steps;

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::de::DeserializeOwned;

use self::steps::{Filled, Taken, Used};
use crate::{
    bench::Bench,
    report::{Figure, Outcome, Table, mib, say},
};

const ROWS: u64 = 10_000_000;

/// What a step is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    step: Step,
    directory: PathBuf,
    rows: u64,
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
    } = arguments;
    let text = match step {
        Step::Fill => serde_json::to_string(&steps::fill(directory, *rows)?),
        Step::Use => serde_json::to_string(&steps::open_and_use(directory, *rows)?),
    };
    Ok(io::stdout().write_all(text?.as_bytes())?)
}

pub(crate) fn measure(bench: &Bench) -> Result<Outcome> {
    say("(g) 10 million delivered rows ...");
    let own = &bench.programs.own;
    let directory = tempfile::tempdir()?;
    let filled = in_a_process(own, Step::Fill, directory.path())?;
    let used = in_a_process(own, Step::Use, directory.path())?;
    Ok(outcome(&filled, &used))
}

fn in_a_process<T: DeserializeOwned>(own: &Path, step: Step, directory: &Path) -> Result<T> {
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map(|value| value.get_name().to_owned())
    };
    let output = Command::new(own)
        .arg("ledger-step")
        .args(name(step.to_possible_value()))
        .arg(directory)
        .arg(ROWS.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{step:?} failed");
    serde_json::from_slice(&output.stdout).context("no measurement")
}

fn outcome(filled: &Filled, used: &Used) -> Outcome {
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
    Outcome {
        figures: vec![figure],
        section: format!(
            "## (g) The memory of delivered rows\n\nOne process fills it page by page, each of \
             which is safe on the disk before the next; another one opens it. The processor's \
             time is told beside the time that passed.\n\n{table}"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn used(disk: u64, open: u64) -> Used {
        let open = Duration::from_millis(open);
        Used {
            disk: disk << 20,
            open: Taken {
                passed: open,
                processor: open / 2,
            },
            ..Used::default()
        }
    }

    #[test]
    fn the_figures_are_those_that_were_measured() {
        let outcome = |disk, open| super::outcome(&Filled::default(), &used(disk, open));
        let good = outcome(150, 900);
        assert!(good.figures.iter().all(|figure| figure.met));
        let row = "| to open | 900.0 ms (processor 450.0 ms) |";
        assert!(good.section.contains(row), "{}", good.section);
        for bad in [outcome(200, 900), outcome(150, 1000)] {
            assert!(bad.figures.iter().all(|figure| !figure.met));
        }
    }

    #[test]
    fn a_small_ledger_is_filled_and_used() {
        let directory = tempfile::tempdir().unwrap();
        steps::fill(directory.path(), 20_000).unwrap();
        let used = steps::open_and_use(directory.path(), 20_000).unwrap();
        assert!(used.disk > 20_000 * 12 && used.peak > 0, "{used:?}");
    }
}
