//! (a) A backlog, as fast as it goes.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use benchmark::{
    contestant::{Contestant, Seat, Trigger},
    site::Site,
    stock::{Dialect, Mail, Stock},
};
use chrono::{TimeDelta, Utc};
use emulator::Traffic;
use serde_json::json;

use crate::{
    bench::Bench,
    report::{Report, say},
};

/// Graph lets 500 000 rows through in 5 minutes; so its backlog is shorter.
const GRAPH_SHARE: u64 = 5;

/// More time than any contestant needs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What one run has cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) contestant: Contestant,
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

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    say(format_args!("(a) {} rows ...", bench.rows));
    let reporting = Arc::new(Stock::new(mail(bench.rows), Dialect::Reporting)?);
    let graph = Arc::new(Stock::new(mail(bench.rows / GRAPH_SHARE), Dialect::Graph)?);
    report.stocks(&reporting, &graph);
    let mut contestants = vec![
        Contestant::Relay(Dialect::Reporting),
        Contestant::Module(Trigger::Account),
        Contestant::Module(Trigger::Oauth),
        Contestant::Relay(Dialect::Graph),
    ];
    if bench.programs.python.is_some() {
        contestants.push(Contestant::Python);
    }
    // The quota makes it wait most of the time, so that its runs share the time of the others.
    let runs = (0..bench.runs).map(|_| {
        let (programs, graph) = (bench.programs.clone(), Arc::clone(&graph));
        async move { run(&programs, Contestant::Module(Trigger::Graph), &graph).await }
    });
    let waiting = futures_util::future::try_join_all(runs);
    for number in 1..=bench.runs {
        for contestant in &contestants {
            let stock = match contestant {
                Contestant::Relay(Dialect::Graph) => &graph,
                _ => &reporting,
            };
            let sample = run(&bench.programs, *contestant, stock).await?;
            say(format_args!("  run {number}: {}", line(&sample)));
            report.backlog(sample);
        }
    }
    for sample in waiting.await? {
        say(format_args!("  {}", line(&sample)));
        report.backlog(sample);
    }
    Ok(())
}

fn line(sample: &Sample) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let million = sample.rows as f64 / 1e6;
    format!(
        "{:<24} {:6.2} s CPU per million rows, {:5.1} MiB, {:6.1} s",
        sample.contestant.name(),
        sample.cpu / million,
        sample.peak as f64 / f64::from(1 << 20),
        sample.wall
    )
}

async fn run(
    programs: &benchmark::contestant::Programs,
    contestant: Contestant,
    stock: &Arc<Stock>,
) -> anyhow::Result<Sample> {
    let site = Site::open(Some(Arc::clone(stock)), Traffic::default()).await?;
    let rows = stock.len() as u64;
    let trigger = match contestant {
        Contestant::Module(trigger) => trigger,
        Contestant::Relay(_) | Contestant::Python => Trigger::Account,
    };
    let mut settings = json!({"start_time": 24 * 29, "frequency": 600});
    if trigger == Trigger::Graph {
        settings = json!({"start_time": 24 * 29, "frequency": 600, "quota": 100});
    }
    let seat = Seat::new(trigger, &site, &settings)?;
    let process = match contestant {
        Contestant::Module(trigger) => seat.module(&programs.module, trigger)?,
        Contestant::Relay(dialect) => {
            seat.relay(&programs.own, &site, rows, dialect.page_rows())?
        }
        Contestant::Python => seat.python(programs.python.as_ref().context("no Python")?)?,
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
    Ok(Sample {
        contestant,
        rows,
        cpu: usage.cpu.as_secs_f64(),
        peak: usage.peak,
        wall: wall.unwrap_or(f64::NAN),
        bytes: (seen.bytes_out.load(Relaxed), seen.bytes_in.load(Relaxed)),
        requests: (seen.pages.load(Relaxed), seen.batches.load(Relaxed)),
    })
}
