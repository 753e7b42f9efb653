//! (d) A minute without mail.

use std::time::Duration;

use benchmark::{
    contestant::{Contestant, Seat, Trigger},
    site::Site,
};
use emulator::Traffic;
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    bench::Bench,
    report::{Report, say},
};

/// How long it takes until a contestant has nothing more to do.
const SETTLED: Duration = Duration::from_secs(10);

/// How long is measured.
const MINUTE: Duration = Duration::from_secs(60);

/// What an idle contestant costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) contestant: Contestant,
    /// The share of one core.
    pub(crate) share: f64,
    /// Bytes.
    pub(crate) resident: u64,
}

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    say("(d) Idle for a minute ...");
    let triggers = [Trigger::Account, Trigger::Oauth, Trigger::Graph];
    let mut contestants = triggers.map(Contestant::Module).to_vec();
    if bench.programs.python.is_some() {
        contestants.push(Contestant::Python);
    }
    // None of them does much, so they are idle together.
    let all = (0..bench.runs).flat_map(|_| contestants.iter());
    let samples = try_join_all(all.map(|contestant| run(bench, *contestant))).await?;
    for sample in samples {
        report.idle(sample);
    }
    Ok(())
}

async fn run(bench: &Bench, contestant: Contestant) -> anyhow::Result<Sample> {
    let site = Site::open(None, Traffic::default()).await?;
    let trigger = match contestant {
        Contestant::Module(trigger) => trigger,
        Contestant::Relay(_) | Contestant::Python => Trigger::Account,
    };
    let seat = Seat::new(trigger, &site, &json!({"start_time": 1}))?;
    let process = match (contestant, &bench.programs.python) {
        (Contestant::Python, Some(python)) => seat.python(python)?,
        _ => seat.module(&bench.programs.module, trigger)?,
    };
    tokio::time::sleep(SETTLED).await;
    let before = process.cpu();
    tokio::time::sleep(MINUTE).await;
    let used = process.cpu().saturating_sub(before);
    let resident = process.resident();
    process.stop().await?;
    Ok(Sample {
        contestant,
        share: used.as_secs_f64() / MINUTE.as_secs_f64(),
        resident,
    })
}
