//! (h) A tenant of 10 million rows a day: the memory of the process, and its state on the disk.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use crate::{
    contestant::Trigger,
    process::Usage,
    site::{Shown, Site},
    stock::Mail,
    stream::Stream,
};
use anyhow::ensure;
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    bench::Bench,
    paced::{Course, memory, now},
    report::{Figure, Outcome, Table, mib, number, say},
    size::bytes_below,
};

const ROWS_A_DAY: u64 = 10_000_000;

/// Until the oldest known rows are forgotten again.
const LENGTH: TimeDelta = TimeDelta::hours(26);

/// For the binary that goes on, and for the time that the course takes.
const BEYOND: TimeDelta = TimeDelta::hours(1);

/// What that costs.
#[derive(Clone, Copy, Debug)]
struct Huge {
    usage: Usage,
    /// Of the binary that went on.
    binary: Usage,
    /// Bytes.
    state: u64,
    requests: u64,
    accepted: u64,
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(h) 10 million rows a day ...");
    let start = now() - LENGTH;
    let span = LENGTH + BEYOND;
    let mail = Mail {
        rows: ROWS_A_DAY / 24 * span.num_hours().unsigned_abs(),
        span,
        until: start + span,
    };
    let stream = Arc::new(Stream::new(mail).changing());
    let shown = Shown::Supply(Arc::<Stream>::clone(&stream));
    let site = Site::open_at(shown, start).await?;
    let course = Course {
        trigger: Trigger::Graph,
        site: &site,
        settings: json!({"start_time": 1}),
        start,
        length: LENGTH,
        page_takes: Duration::from_secs(1),
    };
    let (seat, usage) = course.run(bench).await?;
    let seen = site.seen();
    let (requests, accepted) = (seen.pages.load(Relaxed), seen.accepted.load(Relaxed));
    let rows = stream.rows_before(start + LENGTH - TimeDelta::minutes(2));
    ensure!(
        accepted >= rows,
        "{accepted} of {rows} rows were delivered:\n{}",
        seat.log()
    );
    let binary = course.go_on(bench, &seat).await?;
    Ok(outcome(Huge {
        usage,
        binary,
        state: bytes_below(&seat.data())?,
        requests,
        accepted,
    }))
}

fn outcome(huge: Huge) -> Outcome {
    let Huge {
        usage,
        binary,
        state,
        requests,
        accepted,
    } = huge;
    let mut table = Table::new(["26 hours of 10 million rows a day", ""]);
    table.row([
        "rows and changes of status delivered",
        &accepted.to_string(),
    ]);
    table.row(["requests for pages", &requests.to_string()]);
    table.row(["CPU s", &format!("{:.0}", usage.cpu.as_secs_f64())]);
    let peak = mib(memory(usage, binary));
    table.row(["peak MiB", &format!("{peak:.1}")]);
    table.row(["of it allocated", &format!("{:.1}", mib(usage.anonymous))]);
    table.row([
        "peak MiB, the binary that goes on",
        &format!("{:.1}", mib(binary.peak)),
    ]);
    table.row(["MiB on the disk", &format!("{:.1}", mib(state))]);
    Outcome {
        figures: vec![Figure {
            name: "(h) memory and state at 10 million rows a day, `settle_time` 24",
            target: "under 256 MiB; 200 MiB on disk",
            measured: format!("{peak:.1} MiB; {:.1} MiB on disk", mib(state)),
            met: peak < 256.0 && mib(state) < 200.0,
        }],
        section: format!(
            "## (h) 10 million rows a day\n\n`message_trace_graph`; a tenth of the rows change \
             their status. In accelerated time, by a process that holds more programs than the module: of \
             its memory counts what is allocated, and what the binary has of its own file, which goes \
             on for half a minute where the course has ended, and opens the memory of a day's rows. A \
             run delivers {:.1} million rows, so there is one only.\n\n{table}",
            number(accepted) / 1e6
        ),
        ..Outcome::default()
    }
}
