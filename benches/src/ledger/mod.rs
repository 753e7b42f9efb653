//! (g) Where to keep the keys of delivered rows: segment files and memory, or an embedded store?
//!
//! Each gets as many rows of one day, page by page and durably, and is opened in a new process.

mod redb;
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

use self::{
    redb::Redb,
    segments::Segments,
    steps::{Filled, Taken, Used},
};
use crate::{
    bench::Bench,
    report::{Figure, Outcome, Table, mib, say},
};

const ROWS: u64 = 10_000_000;

/// What a step is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    step: Step,
    kind: Kind,
    directory: PathBuf,
    rows: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Step {
    Fill,
    Use,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Segments,
    Redb,
}

/// Does one step and prints what it has cost.
pub(crate) fn step(arguments: &Arguments) -> Result<()> {
    let Arguments {
        step,
        kind,
        directory,
        rows,
    } = arguments;
    let text = match (step, kind) {
        (Step::Fill, Kind::Segments) => {
            serde_json::to_string(&steps::fill::<Segments>(directory, *rows)?)
        }
        (Step::Fill, Kind::Redb) => serde_json::to_string(&steps::fill::<Redb>(directory, *rows)?),
        (Step::Use, Kind::Segments) => {
            serde_json::to_string(&steps::open_and_use::<Segments>(directory, *rows)?)
        }
        (Step::Use, Kind::Redb) => {
            serde_json::to_string(&steps::open_and_use::<Redb>(directory, *rows)?)
        }
    };
    Ok(io::stdout().write_all(text?.as_bytes())?)
}

pub(crate) fn measure(bench: &Bench) -> Result<Outcome> {
    say("(g) 10 million delivered rows ...");
    let segments = both_steps(&bench.programs.own, Kind::Segments)?;
    let redb = both_steps(&bench.programs.own, Kind::Redb)?;
    Ok(outcome(&segments, &redb))
}

fn both_steps(own: &Path, kind: Kind) -> Result<(Filled, Used)> {
    let directory = tempfile::tempdir()?;
    let filled = in_a_process(own, Step::Fill, kind, directory.path())?;
    let used = in_a_process(own, Step::Use, kind, directory.path())?;
    Ok((filled, used))
}

fn in_a_process<T: DeserializeOwned>(
    own: &Path,
    step: Step,
    kind: Kind,
    directory: &Path,
) -> Result<T> {
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map(|value| value.get_name().to_owned())
    };
    let output = Command::new(own)
        .arg("ledger-step")
        .args(name(step.to_possible_value()))
        .args(name(kind.to_possible_value()))
        .arg(directory)
        .arg(ROWS.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{step:?} {kind:?} failed");
    serde_json::from_slice(&output.stdout).context("no measurement")
}

fn outcome(segments: &(Filled, Used), redb: &(Filled, Used)) -> Outcome {
    let (filled, used) = segments;
    let mut table = Table::new(["10 000 000 rows of 24 hours", "segment files", "redb"]);
    let mut row = |label: &str, value: fn(&(Filled, Used)) -> String| {
        table.row([label, &value(segments), &value(redb)]);
    };
    row("a page of 5000 new rows, mean", |(filled, _)| {
        time(filled.page)
    });
    row("the same, 99 of 100 within", |(filled, _)| {
        time(filled.slow_page)
    });
    row("resident when filled", |(filled, _)| bytes(filled.resident));
    row("on disk", |(_, used)| bytes(used.disk));
    row("to open", |(_, used)| time(used.open));
    row("resident when opened", |(_, used)| bytes(used.resident));
    row("at most resident while opening", |(_, used)| {
        bytes(used.peak)
    });
    row("a page of 5000 known rows, mean", |(_, used)| {
        time(used.known)
    });
    row("a page of 5000 new rows when full, mean", |(_, used)| {
        time(used.new)
    });
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
        chart: None,
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

    fn ledger(disk: u64, open: u64) -> (Filled, Used) {
        let open = Duration::from_millis(open);
        let used = Used {
            disk: disk << 20,
            open: Taken {
                passed: open,
                processor: open / 2,
            },
            ..Used::default()
        };
        (Filled::default(), used)
    }

    #[test]
    fn the_figures_are_those_of_the_segment_files() {
        let outcome = outcome(&ledger(150, 900), &ledger(272, 1));
        assert!(outcome.figures.iter().all(|figure| figure.met));
        let row = "| to open | 900.0 ms (processor 450.0 ms) | 1.0 ms (processor 0.5 ms) |";
        assert!(outcome.section.contains(row), "{}", outcome.section);
        for bad in [ledger(200, 900), ledger(150, 1000)] {
            let outcome = super::outcome(&bad, &ledger(1, 1));
            assert!(outcome.figures.iter().all(|figure| !figure.met));
        }
    }

    #[test]
    fn a_small_ledger_is_filled_and_used() {
        let directory = tempfile::tempdir().unwrap();
        steps::fill::<Segments>(directory.path(), 20_000).unwrap();
        let used = steps::open_and_use::<Segments>(directory.path(), 20_000).unwrap();
        assert!(used.disk > 20_000 * 12 && used.peak > 0, "{used:?}");
    }
}
