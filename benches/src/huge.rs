//! (h) A tenant of 10 million rows a day: the memory of the process, and its state on the disk; (g) a
//! restart with that state, which must not keep Microsoft waiting.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use collect::journal::{Inventory, JournalFiles};
use emulator::{Scope, Traffic};
use sekoia::{LocalBackend, Storage};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    Bench,
    contestant::{CONFIG, Contestant, DATA, Seat, Trigger, inside},
    process::Usage,
    report::{Figure, Outcome, median, mib, number, say, table},
    site::{Site, Wire},
    size::bytes_below,
    start::first_request,
};

/// Until the oldest known rows are forgotten again.
const LENGTH: TimeDelta = TimeDelta::hours(26);

/// Within this time a start has read all that it finds.
const SETTLED: Duration = Duration::from_secs(5);

pub(crate) async fn open(directory: &Path) -> anyhow::Result<()> {
    let store = Storage::new(LocalBackend::open(directory)?);
    let files = JournalFiles::find(&store, [7; 16], &Inventory::new(), None).await?;
    let remembered = files.read(&store).await?;
    ensure!(remembered.damage.is_empty(), "{:?}", remembered.damage);
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(h) 10 million rows a day ...");
    let start = Utc::now().trunc_subsecs(0) - LENGTH;
    let traffic = Traffic {
        rate: 1e7 / 86_400.0,
        daily_shape: true,
        changing: 0.1,
        ..Traffic::default()
    };
    let site = Site::living(None, Wire::Plain, traffic, start.timestamp_millis()).await?;
    // To compress pages would take longer than all else.
    site.emulator
        .configure(|settings| settings.transport.gzip = false);
    let seat = Seat::new(&site, &json!({"start_time": 1}))?;
    let usage = course(&seat, start).await?;
    // Each row counts with the status that it has for so long.
    let verdict = site.emulator.verdict(&Scope {
        visible_for: TimeDelta::minutes(10),
        ..Scope::default()
    });
    let is_clean = verdict.doubled.count == 0 && verdict.unasked.count == 0;
    let is_whole = verdict.accepted >= verdict.expected;
    ensure!(is_clean && is_whole, "{verdict}\nthe log:\n{}", seat.log());
    let (peak, state) = (mib(usage.peak), mib(bytes_below(&seat.path(DATA))?));
    let known_rows = mib(bytes_below(&seat.path(DATA).join("known-rows"))?);
    let (start, open) = restarts(bench, &site, &seat).await?;
    let cpu = usage.cpu.as_secs_f64();
    let accepted = verdict.accepted;
    let table = table(
        "26 hours of 10 million rows a day | ",
        [
            format!("rows and changes of status delivered | {accepted}"),
            format!("CPU s | {cpu:.0}"),
            format!("peak MiB | {peak:.1}"),
            format!("MiB on the disk | {state:.1}"),
            format!("of them known rows | {known_rows:.1}"),
            format!("ms of processor to open these | {open:.1}"),
            format!("ms from a restart to its first request, median | {start:.1}"),
        ],
    );
    Ok(Outcome {
        figures: vec![
            Figure {
                name: "(g) restart with 10 million known rows: start to first request; to open them",
                target: "at most 100 ms; 300 ms of processor",
                measured: format!("{start:.1} ms; {open:.1} ms of processor"),
                met: start <= 100.0 && open <= 300.0,
            },
            Figure {
                name: "(h) memory and state at 10 million rows a day, `settle_time` 24",
                target: "under 256 MiB; 200 MiB on disk",
                measured: format!("{peak:.1} MiB; {state:.1} MiB on disk"),
                met: peak < 256.0 && state < 200.0,
            },
        ],
        section: format!(
            "## (g), (h) 10 million rows a day\n\n`message_trace_graph`; a tenth of the rows \
             change their status. In accelerated time, by a process that holds more programs than \
             the module, which count in its peak. A run delivers {:.1} million rows, so there is \
             one only. Then the binary starts on what is there.\n\n{table}",
            number(accepted) / 1e6
        ),
        ..Outcome::default()
    })
}

/// Runs the module's library in a process of its own.
async fn course(seat: &Seat, start: DateTime<Utc>) -> anyhow::Result<Usage> {
    let mut command = inside()?;
    command.args(["accelerated", Trigger::Graph.command()]);
    command.arg(seat.path(CONFIG)).arg(seat.path(DATA));
    // A page takes a second.
    let numbers = [start.timestamp_millis(), LENGTH.num_seconds(), 1000];
    command.args(numbers.map(|number| number.to_string()));
    let usage = seat.start(&mut command)?.end().await;
    usage.with_context(|| format!("the log:\n{}", seat.log()))
}

/// Milliseconds from the start of the binary to its first request, and of processor to open what it
/// knows.
async fn restarts(bench: &Bench, site: &Site, seat: &Seat) -> anyhow::Result<(f64, f64)> {
    site.follow_the_machine();
    let module = Contestant::Module(Trigger::Graph);
    let (mut starts, mut opened) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut open = inside()?;
        open.arg("open").arg(seat.path(DATA));
        let usage = seat.start(&mut open)?.end().await?;
        opened.push(usage.cpu.as_secs_f64() * 1000.0);
        let (millis, process) = first_request(bench, module, site, seat).await?;
        starts.push(millis);
        sleep(SETTLED).await;
        let knows = process.memory("status", "VmRSS:") > 100 << 20;
        ensure!(knows, "the rows are not known; the log:\n{}", seat.log());
        process.stop().await?;
    }
    Ok((median(starts), median(opened)))
}
