//! (h) A tenant of 10 million rows a day: the memory of the process, and its state on the disk.

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta};
use emulator::{Scope, Traffic};
use serde_json::json;

use crate::{
    Bench,
    contestant::{Seat, Trigger},
    report::{Figure, Outcome, facts, mib, number, say},
    site::Site,
    size::bytes_below,
};

const ROWS_A_DAY: f64 = 1e7;

/// When it begins: 2026-06-01T00:00:00Z.
const BEGIN: i64 = 1_780_272_000;

/// In seconds: until the oldest known rows are forgotten again.
const LENGTH: u64 = 26 * 3600;

/// How long a page takes, in milliseconds.
const PAGE_TAKES: u64 = 1000;

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(h) 10 million rows a day ...");
    let traffic = Traffic {
        rate: ROWS_A_DAY / 86_400.0,
        daily_shape: true,
        changing: 0.1,
        ..Traffic::default()
    };
    let start = DateTime::from_timestamp(BEGIN, 0).unwrap_or_default();
    let site = Site::living(traffic, start).await?;
    // To compress pages would take longer than all else.
    let emulator = site.emulator();
    emulator.configure(|settings| settings.transport.gzip = false);
    let seat = Seat::new(&site, &json!({"start_time": 1}))?;
    let mut command = bench.programs.inside();
    command.args(["accelerated", Trigger::Graph.command()]);
    command.arg(seat.config()).arg(seat.data());
    let numbers = [start.timestamp_millis().cast_unsigned(), LENGTH, PAGE_TAKES];
    command.args(numbers.map(|number| number.to_string()));
    let usage = seat.start(&mut command)?.end().await;
    let usage = usage.with_context(|| format!("the log:\n{}", seat.log()))?;
    // Each row counts with the status that it has for so long.
    let verdict = emulator.verdict(&Scope {
        visible_for: TimeDelta::minutes(10),
        ..Scope::default()
    });
    let is_clean = verdict.doubled.count == 0 && verdict.unasked.count == 0;
    ensure!(
        is_clean && verdict.accepted >= verdict.expected,
        "{verdict}\nthe log:\n{}",
        seat.log()
    );
    let (peak, state) = (mib(usage.peak), mib(bytes_below(&seat.data())?));
    let cpu = usage.cpu.as_secs_f64();
    let accepted = verdict.accepted;
    let table = facts(
        "26 hours of 10 million rows a day",
        &[
            ("rows and changes of status delivered", accepted.to_string()),
            ("CPU s", format!("{cpu:.0}")),
            ("peak MiB", format!("{peak:.1}")),
            ("MiB on the disk", format!("{state:.1}")),
        ],
    );
    Ok(Outcome {
        figures: vec![Figure {
            name: "(h) memory and state at 10 million rows a day, `settle_time` 24",
            target: "under 256 MiB; 200 MiB on disk",
            measured: format!("{peak:.1} MiB; {state:.1} MiB on disk"),
            met: peak < 256.0 && state < 200.0,
        }],
        section: format!(
            "## (h) 10 million rows a day\n\n`message_trace_graph`; a tenth of the rows change \
             their status. In accelerated time, by a process that holds more programs than the \
             module, which count in its peak. A run delivers {:.1} million rows, so there is one \
             only.\n\n{table}",
            number(accepted) / 1e6
        ),
        ..Outcome::default()
    })
}
