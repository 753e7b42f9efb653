//! (c) From the start to the first request.

use std::time::Duration;

use anyhow::Context as _;
use benchmark::{
    contestant::{Contestant, Seat, Trigger},
    site::Site,
};
use emulator::Traffic;
use serde_json::json;

use crate::{
    bench::Bench,
    report::{Report, say},
};

/// A start is short, so there are more of them than runs.
const STARTS_PER_RUN: usize = 4;

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    say("(c) Start to first request ...");
    let mut contestants = [Trigger::Account, Trigger::Oauth, Trigger::Graph]
        .map(Contestant::Module)
        .to_vec();
    if bench.programs.python.is_some() {
        contestants.push(Contestant::Python);
    }
    for _ in 0..bench.runs * STARTS_PER_RUN {
        for contestant in &contestants {
            report.start(*contestant, run(bench, *contestant).await?);
        }
    }
    Ok(())
}

/// Seconds from the start of the process until Microsoft's first request is there.
async fn run(bench: &Bench, contestant: Contestant) -> anyhow::Result<f64> {
    let site = Site::open(None, Traffic::default()).await?;
    let trigger = match contestant {
        Contestant::Module(trigger) => trigger,
        Contestant::Relay(_) | Contestant::Python => Trigger::Account,
    };
    let seat = Seat::new(trigger, &site, &json!({"start_time": 1}))?;
    let process = match contestant {
        Contestant::Python => seat.python(bench.programs.python.as_ref().context("no Python")?)?,
        _ => seat.module(&bench.programs.module, trigger)?,
    };
    let first = site.first_request(Duration::from_secs(60)).await;
    let first = first.with_context(|| format!("no request; the log:\n{}", seat.log()))?;
    let taken = first - process.started;
    process.stop().await?;
    Ok(taken.as_secs_f64())
}
