//! (j) Many small tenants on one machine.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{TimeDelta, Utc};
use emulator::Endpoint;
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    Bench,
    chart::{Panel, draw},
    contestant::{Contestant, Seat, Trigger},
    process::Process,
    report::{Figure, Outcome, mib, say, table},
    site::{Site, Wire},
    stock::Stock,
};

/// How many processes there are when memory is looked at.
const STEPS: [usize; 5] = [1, 10, 50, 100, 200];

const ROWS: u64 = 1000;

/// How long it takes until new processes have read their day and nothing more is to be done.
const SETTLED: Duration = Duration::from_secs(20);

const SPAN: Duration = Duration::from_secs(120);
const PICTURE: &str = "tenants.svg";

#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(j) Many tenants ...");
    let until = Utc::now() - TimeDelta::minutes(10);
    let stock = Stock::new(Endpoint::Graph, ROWS, TimeDelta::days(1), until);
    let site = Site::open(Some(Arc::new(stock)), Wire::Tls).await?;
    let settings = json!({"start_time": 25});
    let module = Contestant::Module(Trigger::Graph);
    let mut running: Vec<(Seat, Process)> = Vec::new();
    let mut samples = Vec::new();
    for tenants in STEPS {
        while running.len() < tenants {
            let seat = Seat::new(&site, &settings)?;
            let process = seat.collector(bench, module)?;
            running.push((seat, process));
        }
        tokio::time::sleep(SETTLED).await;
        let processes = running.iter().map(|(_, process)| process);
        let memory = processes.map(|process| process.memory("smaps_rollup", "Pss:"));
        samples.push((u32::try_from(tenants)?, mib(memory.sum())));
    }
    let used = running.iter().map(|(_, process)| process.cpu_over(SPAN));
    let used: Duration = join_all(used).await.into_iter().sum();
    for (seat, process) in running {
        let ended = process.stop().await;
        ended.with_context(|| format!("a tenant's log:\n{}", seat.log()))?;
    }
    Ok(outcome(&samples, used.as_secs_f64() / SPAN.as_secs_f64()))
}

/// What was found, as tenants and MiB of all, with the share of a core that the most tenants take while
/// nothing comes.
fn outcome(samples: &[(u32, f64)], share: f64) -> Outcome {
    let table = table(
        "tenants | MiB of all | MiB of each",
        samples.iter().map(|(tenants, all)| {
            format!("{tenants} | {all:.0} | {:.2}", all / f64::from(*tenants))
        }),
    );
    let figure = samples.last().map(|(_, all)| Figure {
        name: "(j) 200 tenants of 1000 rows a day: proportional set size of all; processor while nothing comes",
        target: "at most 800 MiB; 2 % of a core",
        measured: format!("{all:.0} MiB; {:.2} % of a core", share * 100.0),
        met: *all <= 800.0 && share <= 0.02,
    });
    let points = samples.iter();
    let points = points.map(|(tenants, all)| (f64::from(*tenants), *all));
    let panel = Panel {
        title: "Many tenants".to_owned(),
        across: "tenants",
        up: "MiB of all",
        lines: vec![("proportional set size".to_owned(), points.collect())],
    };
    Outcome {
        figures: figure.into_iter().collect(),
        section: format!(
            "## (j) Many tenants\n\nProcesses of `message_trace_graph` over TLS, each with the \
             {ROWS} rows of its day delivered. What they share, which is the program's file, counts \
             once.\n\n![Memory by the number of tenants]({PICTURE})\n\n{table}"
        ),
        picture: Some((PICTURE, draw([panel]))),
    }
}
