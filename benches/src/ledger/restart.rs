//! A start of the module that finds 10 million delivered rows.

use std::time::Duration;

use crate::{
    contestant::{Seat, Trigger},
    process::Process,
    site::{Shown, Site},
};
use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Step, in_a_process, steps::HOURS};
use crate::bench::Bench;

const STARTS: usize = 5;

/// How long Microsoft may be kept waiting at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// Within this time a start has read all that it finds, and written all that it writes.
const SETTLED: Duration = Duration::from_secs(5);

/// Milliseconds from the start of the process until Microsoft's first request is there.
pub(super) async fn measure(bench: &Bench) -> Result<Vec<f64>> {
    let site = Site::open(Shown::nothing()).await?;
    let settings = json!({"start_time": HOURS, "settle_time": HOURS});
    let seat = Seat::new(Trigger::Graph, &site, &settings)?;
    let start = || seat.module(&bench.programs.module, Trigger::Graph);
    // It makes the state that the rows belong to.
    let (_, process) = first_request(&site, start()?).await?;
    sleep(SETTLED).await;
    process.stop().await?;
    let own = &bench.programs.own;
    let _: Value = in_a_process(own, Step::Fill, &seat.data(), this_hour()? - HOURS)?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        site.forget_first_request();
        let (first, process) = first_request(&site, start()?).await?;
        starts.push((first - process.started).as_secs_f64() * 1000.0);
        sleep(SETTLED).await;
        ensure!(
            process.resident() > 100 << 20,
            "the rows are not known; the log:\n{}",
            seat.log()
        );
        process.stop().await?;
    }
    Ok(starts)
}

async fn first_request(site: &Site, process: Process) -> Result<(Instant, Process)> {
    let first = site.first_request(PATIENCE).await;
    Ok((first.context("no request")?, process))
}

/// Since 1970.
#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
fn this_hour() -> Result<u64> {
    Ok(u64::try_from(Utc::now().timestamp())? / 3600)
}
