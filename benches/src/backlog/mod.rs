//! (a) A backlog, as fast as it goes.

mod account;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use crate::{
    contestant::{Contestant, Programs, Seat, Trigger},
    site::{Shown, Site, Wire},
    stock::{Dialect, Mail, Stock},
};
use anyhow::{Context as _, ensure};
use chrono::{TimeDelta, Utc};
use serde_json::json;

use self::account::Account;
use crate::{
    bench::Bench,
    report::{Outcome, mib, number, say},
};

/// So many turns of those without a quota for each run: neighbours on the machine move single turns.
const TURNS: usize = 2;

/// Graph's quota, in pages in five minutes.
const QUOTA: u64 = 100;

/// Under the quota, requests for about a tenth of it come in a burst, as often as this.
const BURST: Duration = Duration::from_secs(33);

/// More time than any contestant needs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What one run has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) contestant: Contestant,
    pub(crate) wire: Wire,
    pub(crate) rows: u64,
    /// Seconds, user and system.
    pub(crate) cpu: f64,
    /// Bytes.
    pub(crate) peak: u64,
    /// Seconds from the start to the last row.
    pub(crate) wall: f64,
    /// Bytes of the pages and of the batches.
    pub(crate) bytes: (u64, u64),
    /// Requests for pages and to the intake.
    pub(crate) requests: (u64, u64),
}

#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
fn mail(rows: u64) -> Mail {
    Mail {
        rows,
        span: TimeDelta::days(28),
        until: Utc::now() - TimeDelta::hours(2),
    }
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say(format_args!("(a) {} rows ...", bench.rows));
    let reporting = Arc::new(Stock::new(mail(bench.rows), Dialect::Reporting)?);
    let graph = Arc::new(Stock::new(mail(bench.rows), Dialect::Graph)?);
    let paced = if bench.no_graph {
        Vec::new()
    } else {
        paced(bench, &graph).await?
    };
    let mut samples = Vec::new();
    let mut contestants = vec![(Contestant::Relay(Dialect::Reporting), Wire::Tls)];
    for wire in Account::WIRES {
        let mut both = vec![
            Contestant::Relay(Dialect::Reporting),
            Contestant::Module(Trigger::Account),
            Contestant::Module(Trigger::Oauth),
        ];
        both.extend(bench.programs.python.iter().map(|_| Contestant::Python));
        contestants.extend(both.into_iter().map(|contestant| (contestant, wire)));
    }
    contestants.push((Contestant::Hiding, Wire::Production));
    for _ in 0..bench.runs * TURNS {
        for (contestant, wire) in &contestants {
            samples.push(run(&bench.programs, *contestant, *wire, &reporting).await?);
        }
    }
    samples.extend(paced);
    Ok(Account::new(samples, [&reporting, &graph]).outcome())
}

/// The runs with Graph's rows: the quota makes the module wait most of the time, and the relay that
/// keeps to it, so that all of these runs share that time. Those of the relay without a quota are
/// spread over it.
async fn paced(bench: &Bench, stock: &Arc<Stock>) -> anyhow::Result<Vec<Sample>> {
    const CONTESTANTS: [Contestant; 3] = [
        Contestant::Module(Trigger::Graph),
        Contestant::PacedRelay,
        Contestant::Relay(Dialect::Graph),
    ];
    let page_rows = Dialect::Graph.page_rows() as u64;
    let bursts = (stock.len() as u64).div_ceil(page_rows * QUOTA / 10);
    let count = u32::try_from(bench.runs)?;
    let bursts_per_run = u32::try_from(bursts)? / count;
    // All of them have their place between two bursts, so that none disturbs another.
    let seat = BURST / (2 * CONTESTANTS.len() as u32 * count);
    let runs = (0..count).flat_map(|run| {
        let all = Account::WIRES
            .into_iter()
            .flat_map(|wire| CONTESTANTS.map(|one| (one, wire)));
        all.map(move |(contestant, wire)| (run, contestant, wire))
    });
    let runs = (0..)
        .zip(runs)
        .map(|(place, (run, contestant, wire))| async move {
            let turn = match contestant {
                Contestant::Relay(_) => run * bursts_per_run,
                _ => 0,
            };
            tokio::time::sleep(seat * place + BURST * turn).await;
            self::run(&bench.programs, contestant, wire, stock).await
        });
    futures_util::future::try_join_all(runs).await
}

fn line(sample: &Sample) -> String {
    format!(
        "{:<29} {:<10} {:6.2} s CPU per million rows, {:5.1} MiB, {:6.1} s",
        sample.contestant.name(),
        format!("{:?}", sample.wire),
        sample.cpu / number(sample.rows) * 1e6,
        mib(sample.peak),
        sample.wall
    )
}

async fn run(
    programs: &Programs,
    contestant: Contestant,
    wire: Wire,
    stock: &Arc<Stock>,
) -> anyhow::Result<Sample> {
    let site = Site::open_over(Shown::Supply(Arc::<Stock>::clone(stock)), wire).await?;
    let rows = stock.len() as u64;
    let trigger = contestant.trigger();
    let mut settings = json!({"start_time": 24 * 29, "frequency": 600});
    if trigger == Trigger::Graph {
        settings = json!({"start_time": 24 * 29, "frequency": 600, "quota": QUOTA});
    }
    if contestant == Contestant::Hiding {
        settings = json!({
            "start_time": 24 * 29,
            "frequency": 600,
            "subject": "hash",
            "addresses": "hash",
            "hash_key": "a key that nobody else knows",
        });
    }
    let seat = Seat::new(trigger, &site, &settings)?;
    let process = match contestant {
        Contestant::Relay(dialect) => {
            seat.relay(&programs.own, &site, rows, dialect.page_rows(), None)?
        }
        Contestant::PacedRelay => {
            let page_rows = Dialect::Graph.page_rows();
            seat.relay(&programs.own, &site, rows, page_rows, Some(QUOTA))?
        }
        collector => seat.collector(programs, collector)?,
    };
    let done = site.accepted(rows, PATIENCE).await;
    let wall = done.map(|done| (done - process.started).as_secs_f64());
    // What is left to do after the last row is done, and nothing comes twice.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let usage = process.stop().await;
    let accepted = site.seen().accepted.load(Relaxed);
    let name = contestant.name();
    ensure!(
        accepted == rows,
        "{name} delivered {accepted} of {rows} rows; its log:\n{}",
        seat.log()
    );
    let usage = usage.with_context(|| format!("{name}:\n{}", seat.log()))?;
    let seen = site.seen();
    let sample = Sample {
        contestant,
        wire,
        rows,
        cpu: usage.cpu.as_secs_f64(),
        peak: usage.peak,
        wall: wall.unwrap_or(f64::NAN),
        bytes: (seen.bytes_out.load(Relaxed), seen.bytes_in.load(Relaxed)),
        requests: (seen.pages.load(Relaxed), seen.batches.load(Relaxed)),
    };
    say(format_args!("  {}", line(&sample)));
    Ok(sample)
}
