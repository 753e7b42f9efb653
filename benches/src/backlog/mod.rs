//! (a) A backlog, as fast as it goes.

mod account;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use chrono::{TimeDelta, Utc};
use emulator::Endpoint;
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use self::account::outcome;
use crate::{
    Bench,
    contestant::{Contestant, Seat, Trigger, inside, page_rows},
    report::{Outcome, mib, number, say},
    site::{Site, Wire},
    stock::Stock,
};

/// So many turns of those without a quota for each run: neighbours on the machine move single turns.
const TURNS: usize = 2;

/// Graph's quota, in pages in five minutes.
const QUOTA: u64 = 100;
/// Under the quota, requests for about a tenth of it come in a burst, as often as this.
const BURST: Duration = Duration::from_secs(33);

/// The setting `start_time`, a day more than the mail reaches back.
const HOURS: u32 = 24 * 29;
const TIMEOUT: Duration = Duration::from_secs(1800);

/// How the services are talked to; all of a turn is compared over the same one.
const WIRES: [Wire; 2] = [Wire::Plain, Wire::Production];

#[derive(Clone, Copy, Debug)]
struct Sample {
    contestant: Contestant,
    wire: Wire,
    rows: u64,
    /// Seconds of the processor for a million rows, user and system.
    cpu: f64,
    /// MiB.
    peak: f64,
    /// Seconds from the start to the last row.
    wall: f64,
    bytes: [u64; 2],
    requests: [u64; 2],
}

#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let (rows, runs) = (bench.arguments.rows, usize::from(bench.arguments.runs));
    say(format_args!("(a) {rows} rows ..."));
    let until = Utc::now() - TimeDelta::hours(2);
    let stock = |service| Arc::new(Stock::new(service, rows, TimeDelta::days(28), until));
    let (reporting, graph) = (stock(Endpoint::Report), stock(Endpoint::Graph));
    let paced = if bench.arguments.no_graph {
        Vec::new()
    } else {
        paced(bench, runs, &graph).await?
    };
    let mut contestants = vec![(Contestant::Relay(Endpoint::Report), Wire::Tls)];
    for wire in WIRES {
        let mut both = vec![
            Contestant::Relay(Endpoint::Report),
            Contestant::Module(Trigger::Account),
            Contestant::Module(Trigger::Oauth),
        ];
        both.extend(bench.python.iter().map(|_| Contestant::Python));
        contestants.extend(both.into_iter().map(|contestant| (contestant, wire)));
    }
    contestants.push((Contestant::Hiding, Wire::Production));
    let mut samples = Vec::new();
    for _ in 0..runs * TURNS {
        for (contestant, wire) in &contestants {
            samples.push(run(bench, *contestant, *wire, &reporting).await?);
        }
    }
    samples.extend(paced);
    Ok(outcome(&samples, [&reporting, &graph]))
}

/// The runs with Graph's rows: the quota makes the module wait most of the time, and the relay, so that
/// all of these runs share that time.
async fn paced(bench: &Bench, runs: usize, stock: &Arc<Stock>) -> anyhow::Result<Vec<Sample>> {
    let module = Contestant::Module(Trigger::Graph);
    let both = [module, Contestant::Relay(Endpoint::Graph)];
    let turn = WIRES.map(|wire| both.map(|contestant| (contestant, wire)));
    let runs = turn.concat().repeat(runs);
    // All of them have their place between two bursts, so that none disturbs another.
    let seat = BURST / u32::try_from(runs.len())?;
    let runs = (0..).zip(runs);
    let runs = runs.map(|(place, (contestant, wire))| async move {
        sleep(seat * place).await;
        run(bench, contestant, wire, stock).await
    });
    try_join_all(runs).await
}

fn settings(contestant: Contestant) -> Value {
    match contestant {
        Contestant::Module(Trigger::Graph) => {
            json!({"start_time": HOURS, "frequency": 600, "quota": QUOTA})
        }
        Contestant::Hiding => json!({
            "start_time": HOURS, "frequency": 600,
            "subject": "hash", "addresses": "hash", "hash_key": "a key that nobody else knows",
        }),
        _ => json!({"start_time": HOURS, "frequency": 600}),
    }
}

async fn run(
    bench: &Bench,
    contestant: Contestant,
    wire: Wire,
    stock: &Arc<Stock>,
) -> anyhow::Result<Sample> {
    let site = Site::open(Some(Arc::clone(stock)), wire).await?;
    let rows = stock.len() as u64;
    let seat = Seat::new(&site, &settings(contestant))?;
    let process = match contestant {
        Contestant::Relay(service) => {
            let mut command = inside()?;
            let intake = format!("{}/intake/batch", site.sekoia);
            command.args(["relay", &site.microsoft, &intake]);
            command.args([rows.to_string(), page_rows(service).to_string()]);
            if service == Endpoint::Graph {
                command.args(["--quota", &QUOTA.to_string()]);
            }
            seat.start(&mut command)?
        }
        collector => seat.collector(bench, collector)?,
    };
    let done = site.has_accepted(rows, TIMEOUT).await;
    let wall = done.map(|done| (done - process.started).as_secs_f64());
    // What is left to do after the last row is done, and nothing comes twice.
    sleep(Duration::from_millis(500)).await;
    let usage = process.stop().await;
    let accepted = site.accepted();
    let name = contestant.name();
    let log = seat.log();
    ensure!(
        accepted == rows,
        "{name} delivered {accepted} of {rows} rows:\n{log}"
    );
    let usage = usage.with_context(|| format!("{name}:\n{log}"))?;
    let seen = site.seen();
    let sample = Sample {
        contestant,
        wire,
        rows,
        cpu: usage.cpu.as_secs_f64() / number(rows) * 1e6,
        peak: mib(usage.peak),
        wall: wall.unwrap_or(f64::NAN),
        bytes: [&seen.bytes_out, &seen.bytes_in].map(|count| count.load(Relaxed)),
        requests: [&seen.pages, &seen.batches].map(|count| count.load(Relaxed)),
    };
    let Sample {
        cpu, peak, wall, ..
    } = sample;
    let wire = wire.name();
    say(format_args!(
        "  {name:<29} {wire:<12} {cpu:6.2} s CPU per million rows, {peak:5.1} MiB, {wall:6.1} s"
    ));
    Ok(sample)
}
