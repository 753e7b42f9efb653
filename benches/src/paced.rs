//! What goes by the clock, in accelerated time: (b) a day, (e) 90 days of backlog, (f) the quota.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use benchmark::{
    contestant::{Seat, Trigger},
    process::Usage,
    site::Site,
    stock::{Dialect, Mail, Stock},
};
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Scope, Traffic};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    report::{Report, say},
};

/// Every run begins at this instant of its own time: 2026-06-01T00:00:00Z.
const START: i64 = 1_780_272_000;

/// Rows of a day of (b).
const DAY_ROWS: f64 = 100_000.0;

/// Rows in the 90 days of (e).
const TENANT_ROWS: u64 = 300_000;

/// Rows in the backlog of (f), more than the quota lets through while it is measured.
const DENSE_ROWS: u64 = 2_200_000;

/// What the quota lets through in 5 minutes.
pub(crate) const CEILING: f64 = 500_000.0;

/// What a day costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) trigger: Trigger,
    pub(crate) usage: Usage,
    pub(crate) pages: u64,
    /// Rows and changes of status that were delivered.
    pub(crate) accepted: u64,
    pub(crate) missing: u64,
    pub(crate) doubled: u64,
}

/// What 90 days of backlog cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tenant {
    pub(crate) pages: u64,
    /// Until the last row was there, under the quota.
    pub(crate) took: TimeDelta,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(START, 0).unwrap_or_default()
}

struct Course<'a> {
    trigger: Trigger,
    site: &'a Site,
    settings: Value,
    length: TimeDelta,
    page_takes: Duration,
}

/// Runs the module for a while of its own time.
async fn run(bench: &Bench, course: Course<'_>) -> anyhow::Result<Usage> {
    let seat = Seat::new(course.trigger, course.site, &course.settings)?;
    let numbers = [
        start().timestamp_millis().to_string(),
        course.length.num_seconds().to_string(),
        course.page_takes.as_millis().to_string(),
    ];
    let process = seat.accelerated(&bench.programs.own, course.trigger, &numbers)?;
    let ended = process.end().await;
    ended.with_context(|| format!("{}:\n{}", course.trigger.command(), seat.log()))
}

pub(crate) async fn day(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    say("(b) A day ...");
    for _ in 0..bench.runs {
        for trigger in [Trigger::Account, Trigger::Graph] {
            let traffic = Traffic::living(DAY_ROWS / 86_400.0);
            let site = Site::open_at(None, traffic, start()).await?;
            let length = TimeDelta::hours(24);
            let course = Course {
                trigger,
                site: &site,
                settings: json!({"start_time": 1}),
                length,
                page_takes: Duration::from_millis(200),
            };
            let usage = run(bench, course).await?;
            let verdict = site.emulator().verdict(&Scope {
                received_before: Some(start() + length - TimeDelta::hours(1)),
                ..Scope::default()
            });
            report.day(Day {
                trigger,
                usage,
                pages: site.seen().pages.load(Relaxed),
                accepted: site.seen().accepted.load(Relaxed),
                missing: verdict.missing.count,
                doubled: verdict.doubled.count,
            });
        }
    }
    Ok(())
}

pub(crate) async fn tenant(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    say("(e) 90 days of a small tenant ...");
    let mail = Mail {
        rows: TENANT_ROWS,
        span: TimeDelta::days(90) - TimeDelta::hours(1),
        until: start(),
    };
    let stock = Arc::new(Stock::new(mail, Dialect::Graph)?);
    for _ in 0..bench.runs {
        let site = Site::open_at(Some(Arc::clone(&stock)), Traffic::default(), start()).await?;
        let course = Course {
            trigger: Trigger::Graph,
            site: &site,
            // The live edge is asked for later than the backlog takes.
            settings: json!({"start_time": 2160, "frequency": 86_400}),
            length: TimeDelta::hours(2),
            page_takes: Duration::from_secs(2),
        };
        run(bench, course).await?;
        let accepted = site.seen().accepted.load(Relaxed);
        ensure!(
            accepted == TENANT_ROWS,
            "{accepted} of {TENANT_ROWS} rows were delivered"
        );
        report.tenant(Tenant {
            pages: site.seen().pages.load(Relaxed),
            took: site.reached(TENANT_ROWS) - start(),
        });
    }
    Ok(())
}

pub(crate) async fn quota(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    say("(f) The full quota ...");
    let mail = Mail {
        rows: DENSE_ROWS,
        span: TimeDelta::days(3),
        until: start(),
    };
    let stock = Arc::new(Stock::new(mail, Dialect::Graph)?);
    for _ in 0..bench.runs {
        let site = Site::open_at(Some(Arc::clone(&stock)), Traffic::default(), start()).await?;
        let course = Course {
            trigger: Trigger::Graph,
            site: &site,
            settings: json!({"start_time": 72, "quota": 100}),
            length: TimeDelta::minutes(21),
            page_takes: Duration::from_secs(2),
        };
        run(bench, course).await?;
        // The first five minutes find out how dense the mail is.
        let until = |minutes| site.accepted_until(start() + TimeDelta::minutes(minutes));
        #[allow(clippy::cast_precision_loss, reason = "small enough")]
        report.quota((until(20) - until(5)) as f64 / 3.0, until(5) as f64);
    }
    Ok(())
}
