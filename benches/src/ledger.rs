//! (g) A restart with 10 million delivered rows, which must not keep Microsoft waiting.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use chrono::Utc;
use clap::ValueEnum;
use collect::{
    journal::{Inventory, Journal},
    known::KeyRef,
};
use rows::RowKey;
use sekoia::{LocalBackend, Storage};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    Bench,
    contestant::{Contestant, Programs, Seat, Trigger},
    process::Process,
    report::{Figure, Outcome, facts, median, mib, say},
    site::{Site, Wire},
    size::bytes_below,
    start::first_request,
};

const ROWS: u64 = 10_000_000;
const PAGE: u64 = 5000;
const HOURS: u64 = 24;

/// Starts, of which the median counts.
const STARTS: usize = 5;

/// Within this time a start has read all that it finds, and written all that it writes.
const SETTLED: Duration = Duration::from_secs(5);

/// What a process of its own is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    step: Step,
    directory: PathBuf,
    /// The first hour of the rows, since 1970.
    first_hour: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Step {
    Fill,
    Open,
}

/// Fills a journal with the rows of 24 hours, page by page, or opens it.
pub(crate) async fn step(arguments: &Arguments) -> Result<()> {
    let store = Storage::new(LocalBackend::open(&arguments.directory)?);
    let mut remembered = Journal::open(&store, [7; 16], &Inventory::new()).await?;
    ensure!(remembered.damage.is_empty(), "{:?}", remembered.damage);
    if matches!(arguments.step, Step::Open) {
        return Ok(());
    }
    for first in (0..ROWS).step_by(PAGE.try_into()?) {
        let row = |n: u64| -> Result<KeyRef> {
            let hour = arguments.first_hour + n * HOURS / ROWS;
            Ok(KeyRef {
                hour: hour.try_into()?,
                key: key(n),
            })
        };
        let mut page = (first..first + PAGE).map(row).collect::<Result<Vec<_>>>()?;
        remembered.journal.append(&store, &mut page).await?;
        remembered.journal.sync(&store).await?;
    }
    Ok(())
}

/// As evenly spread as a hash: the finalizer of SplitMix64.
const fn spread(number: u64) -> u64 {
    let n = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The status is the same for all.
fn key(n: u64) -> RowKey {
    let [a, b, c, d, e, f, g, h] = spread(n).to_le_bytes();
    let [i, ..] = spread(!n).to_le_bytes();
    RowKey::from_bytes([a, b, c, d, e, f, g, h, i, 1, 2, 3])
}

fn in_a_process(
    programs: &Programs,
    step: &str,
    directory: &Path,
    first_hour: u64,
) -> Result<Process> {
    let mut command = programs.inside();
    command.args(["ledger-step", step]).arg(directory);
    Ok(Process::start(command.arg(first_hour.to_string()))?)
}

#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
pub(crate) async fn measure(bench: &Bench) -> Result<Outcome> {
    say("(g) 10 million delivered rows ...");
    let programs = &bench.programs;
    let site = Site::open(None, Wire::Plain).await?;
    let settings = json!({"start_time": HOURS, "settle_time": HOURS});
    let seat = Seat::new(&site, &settings)?;
    let graph = Contestant::Module(Trigger::Graph);
    // The first start makes the state that the rows belong to.
    let (_, process) = first_request(bench, graph, &site, &seat).await?;
    sleep(SETTLED).await;
    process.stop().await?;
    let first_hour = u64::try_from(Utc::now().timestamp())? / 3600 - HOURS;
    let before = bytes_below(&seat.data())?;
    in_a_process(programs, "fill", &seat.data(), first_hour)?
        .end()
        .await?;
    let disk = mib(bytes_below(&seat.data())? - before);
    let (mut opened, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let usage = in_a_process(programs, "open", &seat.data(), first_hour)?;
        opened.push(usage.end().await?.cpu.as_secs_f64() * 1000.0);
        let (millis, process) = first_request(bench, graph, &site, &seat).await?;
        starts.push(millis);
        sleep(SETTLED).await;
        ensure!(
            process.resident() > 100 << 20,
            "the rows are not known; the log:\n{}",
            seat.log()
        );
        process.stop().await?;
    }
    let (open, start) = (median(opened), median(starts));
    let table = facts(
        "10 000 000 rows of 24 hours",
        &[
            ("on disk", format!("{disk:.0} MiB")),
            ("to open, of the processor", format!("{open:.1} ms")),
            (
                "the module's start to its first request, median",
                format!("{start:.1} ms"),
            ),
        ],
    );
    Ok(Outcome {
        figures: vec![
            Figure {
                name: "(g) ledger of 10 million keys",
                target: "on disk under 200 MiB",
                measured: format!("{disk:.0} MiB on disk"),
                met: disk < 200.0,
            },
            Figure {
                name: "(g) restart with it: start to first request; to open it",
                target: "at most 100 ms; 300 ms of processor",
                measured: format!("{start:.1} ms; {open:.1} ms of processor"),
                met: start <= 100.0 && open <= 300.0,
            },
        ],
        section: format!(
            "## (g) The memory of delivered rows\n\nOne process fills it page by page, each of \
             which is safe on the disk before the next; another one opens it, and the module with \
             `settle_time` 24.\n\n{table}"
        ),
        ..Outcome::default()
    })
}
