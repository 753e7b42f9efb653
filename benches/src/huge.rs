//! (h) A tenant of 10 million rows a day: the memory of the process, and its state on the disk.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, TimeDelta};
use serde_json::json;

use crate::{
    bench::Bench,
    contestant::{Seat, Trigger},
    report::{Figure, Outcome, Table, mib, number, say},
    site::{Site, Wire},
    size::bytes_below,
    stock::{Mail, Supply},
    stream::Stream,
};

const ROWS_A_DAY: u64 = 10_000_000;

/// When it begins: 2026-06-01T00:00:00Z.
const BEGIN: i64 = 1_780_272_000;

/// Until the oldest known rows are forgotten again.
const LENGTH: TimeDelta = TimeDelta::hours(26);

/// How long a page takes, in milliseconds.
const PAGE_TAKES: u64 = 1000;

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(h) 10 million rows a day ...");
    let start = DateTime::from_timestamp(BEGIN, 0).unwrap_or_default();
    let stream = Arc::new(Stream::new(Mail {
        rows: ROWS_A_DAY / 24 * LENGTH.num_hours().unsigned_abs(),
        span: LENGTH,
        until: start + LENGTH,
    }));
    let supply = Some(Arc::<Stream>::clone(&stream) as Arc<dyn Supply>);
    let site = Site::open_at(supply, Wire::Plain, start.timestamp_millis()).await?;
    let seat = Seat::new(&site, &json!({"start_time": 1}))?;
    let numbers = [
        start.timestamp_millis().to_string(),
        LENGTH.num_seconds().to_string(),
        PAGE_TAKES.to_string(),
    ];
    let mut command = bench.programs.inside();
    command.args(["accelerated", Trigger::Graph.command()]);
    command.arg(seat.config()).arg(seat.data()).args(numbers);
    let usage = seat.start(&mut command)?.end().await;
    let usage = usage.with_context(|| format!("the log:\n{}", seat.log()))?;
    let accepted = site.accepted();
    let rows = stream.rows_before(start + LENGTH - TimeDelta::minutes(2));
    ensure!(
        accepted >= rows,
        "{accepted} of {rows} rows were delivered:\n{}",
        seat.log()
    );
    let (peak, state) = (mib(usage.peak), mib(bytes_below(&seat.data())?));
    let requests = site.seen().pages.load(Relaxed);
    let mut table = Table::new(["26 hours of 10 million rows a day", ""]);
    for (label, value) in [
        ("rows and changes of status delivered", accepted.to_string()),
        ("requests for pages", requests.to_string()),
        ("CPU s", format!("{:.0}", usage.cpu.as_secs_f64())),
        ("peak MiB", format!("{peak:.1}")),
        ("MiB on the disk", format!("{state:.1}")),
    ] {
        table.row([label, &value]);
    }
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
             module, which count in its peak. A run delivers {:.1} \
             million rows, so there is one only.\n\n{table}",
            number(accepted) / 1e6
        ),
        ..Outcome::default()
    })
}
