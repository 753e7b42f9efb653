//! (c) From the start to the first request.

use std::time::Duration;

use crate::{
    contestant::{Contestant, Seat},
    site::{Shown, Site},
    statistics::median,
};
use anyhow::Context as _;
use serde_json::json;

use crate::{
    bench::Bench,
    report::{Figure, Outcome, Table, say},
};

/// A start is short, so there are more of them than runs.
const STARTS_PER_RUN: usize = 4;

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(c) Start to first request ...");
    let mut starts = Vec::new();
    for _ in 0..bench.runs * STARTS_PER_RUN {
        for contestant in bench.programs.collectors() {
            starts.push((contestant, run(bench, contestant).await?));
        }
    }
    Ok(outcome(&starts))
}

/// Milliseconds from the start of the process until Microsoft's first request is there.
async fn run(bench: &Bench, contestant: Contestant) -> anyhow::Result<f64> {
    let site = Site::open(Shown::nothing()).await?;
    let seat = Seat::new(contestant.trigger(), &site, &json!({"start_time": 1}))?;
    let process = seat.collector(&bench.programs, contestant)?;
    let first = site.first_request(Duration::from_secs(60)).await;
    let first = first.with_context(|| format!("no request; the log:\n{}", seat.log()))?;
    let taken = first - process.started;
    process.stop().await?;
    Ok(taken.as_secs_f64() * 1000.0)
}

fn outcome(starts: &[(Contestant, f64)]) -> Outcome {
    let of = |contestant| {
        let starts = starts.iter().filter(|(who, _)| *who == contestant);
        Some(median(starts.map(|(_, millis)| *millis))).filter(|millis| millis.is_finite())
    };
    let mut table = Table::new(["", "ms"]);
    for contestant in Contestant::MODULES.into_iter().chain([Contestant::Python]) {
        if let Some(millis) = of(contestant) {
            table.row([contestant.name(), format!("{millis:.1}")]);
        }
    }
    let modules = Contestant::MODULES.into_iter().filter_map(of);
    let figure = modules.reduce(f64::max).map(|slowest| {
        let python = of(Contestant::Python);
        let beside = python.map_or_else(String::new, |millis| {
            format!(" (Python SDK: {millis:.0} ms)")
        });
        Figure {
            name: "(c) start to first request, the slowest trigger",
            target: "at most 30 ms",
            measured: format!("{slowest:.1} ms{beside}"),
            met: slowest <= 30.0,
        }
    });
    Outcome {
        figures: figure.into_iter().collect(),
        section: format!("## (c) Start to first request\n\n{table}"),
        ..Outcome::default()
    }
}
