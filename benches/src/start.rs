//! (c) From the start to the first request.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::{
    Bench,
    contestant::{Contestant, Seat, Trigger},
    process::Process,
    report::{Figure, Outcome, median, say, table},
    site::{Site, Wire},
};

/// A start is short, so there are more of them than runs.
const STARTS_PER_RUN: usize = 4;

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(c) Start to first request ...");
    let python = bench.python.iter().map(|_| Contestant::Python);
    let modules = Trigger::ALL.into_iter().map(Contestant::Module);
    let contestants: Vec<_> = modules.chain(python).collect();
    let mut starts = vec![Vec::new(); contestants.len()];
    for _ in 0..usize::from(bench.arguments.runs) * STARTS_PER_RUN {
        for (contestant, starts) in contestants.iter().zip(&mut starts) {
            let site = Site::open(None, Wire::Plain).await?;
            let seat = Seat::new(&site, &json!({"start_time": 1}))?;
            let (millis, process) = first_request(bench, *contestant, &site, &seat).await?;
            starts.push(millis);
            process.stop().await?;
        }
    }
    let (mut slowest, mut python) = (0.0, String::new());
    let found = contestants.into_iter().zip(starts);
    let rows = found.map(|(contestant, starts)| {
        let millis = median(starts);
        match contestant {
            Contestant::Python => python = format!(" (Python SDK: {millis:.0} ms)"),
            _ => slowest = f64::max(slowest, millis),
        }
        format!("{} | {millis:.1}", contestant.name())
    });
    let table = table(" | ms", rows);
    Ok(Outcome {
        figures: vec![Figure {
            name: "(c) start to first request, the slowest trigger",
            target: "at most 30 ms",
            measured: format!("{slowest:.1} ms{python}"),
            met: slowest <= 30.0,
        }],
        section: format!("## (c) Start to first request\n\n{table}"),
        ..Outcome::default()
    })
}

/// Starts a contestant. Milliseconds from the start of the process until Microsoft's first request is
/// there.
pub(crate) async fn first_request(
    bench: &Bench,
    contestant: Contestant,
    site: &Site,
    seat: &Seat,
) -> anyhow::Result<(f64, Process)> {
    site.forget_first_request();
    let process = seat.collector(bench, contestant)?;
    let first = site.first_request(Duration::from_secs(60)).await;
    let first = first.with_context(|| format!("no request; the log:\n{}", seat.log()))?;
    Ok(((first - process.started).as_secs_f64() * 1000.0, process))
}
