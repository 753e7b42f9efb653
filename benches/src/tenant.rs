//! (e) 90 days of backlog of a small tenant, in requests and in time under the quota.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use benchmark::{
    contestant::Trigger,
    site::{Shown, Site},
    statistics::median,
    stock::Mail,
    stream::Stream,
};
use chrono::TimeDelta;
use serde_json::json;

use crate::{
    bench::Bench,
    paced::{Course, june},
    quota::PERIOD,
    report::{Figure, Outcome, number, say},
};

const ROWS: u64 = 300_000;

/// The module's default.
const QUOTA: u64 = 90;

/// What 90 days of backlog cost.
#[derive(Clone, Copy, Debug)]
struct Tenant {
    requests: u64,
    /// Until the last row was there.
    took: TimeDelta,
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(e) 90 days of a small tenant ...");
    let mail = Mail {
        rows: ROWS,
        span: TimeDelta::days(90) - TimeDelta::hours(1),
        until: june(),
    };
    let stream = Arc::new(Stream::new(mail));
    let mut tenants = Vec::new();
    for _ in 0..bench.runs {
        tenants.push(run(bench, &stream).await?);
    }
    Ok(outcome(&tenants))
}

async fn run(bench: &Bench, stream: &Arc<Stream>) -> anyhow::Result<Tenant> {
    let shown = Shown::Supply(Arc::<Stream>::clone(stream));
    let site = Site::open_at(shown, june()).await?;
    let course = Course {
        trigger: Trigger::Graph,
        site: &site,
        settings: json!({"start_time": 2160}),
        start: june(),
        length: TimeDelta::minutes(30),
        page_takes: Duration::from_secs(2),
    };
    course.run(bench).await?;
    let seen = site.seen();
    let accepted = seen.accepted.load(Relaxed);
    ensure!(accepted == ROWS, "{accepted} of {ROWS} rows were delivered");
    let most = seen.requests.most_within(PERIOD);
    ensure!(
        most <= QUOTA,
        "{most} requests within the time of the quota"
    );
    let done = seen.acceptance.reached(ROWS).context("no last row")?;
    Ok(Tenant {
        requests: seen.requests.until(done),
        took: done - june(),
    })
}

fn outcome(tenants: &[Tenant]) -> Outcome {
    let most = tenants.iter().map(|tenant| tenant.requests).max();
    let minutes = |tenant: &Tenant| tenant.took.as_seconds_f64() / 60.0;
    let minutes = median(tenants.iter().map(minutes));
    let most = number(most.unwrap_or(0));
    Outcome {
        figures: vec![Figure {
            name: "(e) requests for 90 days, 300 000 rows",
            target: "at most 120",
            measured: format!(
                "{most} with those of the live edge, in {minutes:.1} minutes under the quota"
            ),
            met: most <= 120.0,
        }],
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_requests_count() {
        let tenant = |requests, seconds| Tenant {
            requests,
            took: TimeDelta::seconds(seconds),
        };
        let outcome = outcome(&[tenant(70, 180), tenant(121, 210), tenant(71, 240)]);
        let [figure] = outcome.figures.try_into().unwrap();
        let expected = "121 with those of the live edge, in 3.5 minutes under the quota";
        assert_eq!((figure.measured.as_str(), figure.met), (expected, false));
    }
}
