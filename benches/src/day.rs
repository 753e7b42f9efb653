//! (b) A day of a tenant, late rows and changing statuses included.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use anyhow::{Context as _, ensure};
use benchmark::{
    contestant::Trigger,
    process::Usage,
    site::{Shown, Site},
    statistics::median,
};
use chrono::TimeDelta;
use emulator::{Scope, Traffic};
use serde_json::json;

use crate::{
    bench::Bench,
    paced::{Course, now},
    report::{Figure, Outcome, Table, mib, number, say},
};

const ROWS: f64 = 100_000.0;

const DAY: TimeDelta = TimeDelta::hours(24);

/// What has been visible for so long must have been delivered: between two readings of an instant
/// lies at most a quarter of its age.
const SEEN_WITHIN: TimeDelta = TimeDelta::hours(6);

const TRIGGERS: [Trigger; 2] = [Trigger::Account, Trigger::Graph];

/// What a day costs.
#[derive(Clone, Copy, Debug)]
struct Day {
    trigger: Trigger,
    usage: Usage,
    /// Of the binary that went on.
    binary: Usage,
    requests: u64,
    batches: u64,
    /// Rows and changes of status that were delivered.
    accepted: u64,
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(b) A day ...");
    let mut days = Vec::new();
    for _ in 0..bench.runs {
        for trigger in TRIGGERS {
            days.push(run(bench, trigger).await?);
        }
    }
    Ok(outcome(&days))
}

async fn run(bench: &Bench, trigger: Trigger) -> anyhow::Result<Day> {
    let start = now() - DAY;
    let traffic = Traffic::living(ROWS / DAY.as_seconds_f64());
    let site = Site::open_at(Shown::Traffic(Box::new(traffic)), start).await?;
    let course = Course {
        trigger,
        site: &site,
        settings: json!({"start_time": 1}),
        start,
        length: DAY,
        page_takes: Duration::from_millis(200),
    };
    let (seat, usage) = course.run(bench).await?;
    let verdict = site.emulator().verdict(&Scope {
        visible_for: SEEN_WITHIN,
        ..Scope::default()
    });
    ensure!(verdict.is_clean(), "{}: {verdict}", trigger.command());
    let seen = site.seen();
    let [requests, batches, accepted] =
        [&seen.pages, &seen.batches, &seen.accepted].map(|count| count.load(Relaxed));
    let binary = course.go_on(bench, &seat).await;
    Ok(Day {
        trigger,
        usage,
        binary: binary.context("the binary did not go on")?,
        requests,
        batches,
        accepted,
    })
}

fn outcome(days: &[Day]) -> Outcome {
    let mut table = Table::new([
        "",
        "delivered",
        "requests for pages",
        "requests to the intake",
        "CPU s",
        "peak MiB, accelerated",
        "peak MiB, the binary that goes on",
    ]);
    for trigger in TRIGGERS {
        let of = |value: fn(&Day) -> f64| {
            let days = days.iter().filter(|day| day.trigger == trigger);
            median(days.map(value))
        };
        table.row([
            format!("`{}`", trigger.command()),
            format!("{:.0}", of(|day| number(day.accepted))),
            format!("{:.0}", of(|day| number(day.requests))),
            format!("{:.0}", of(|day| number(day.batches))),
            format!("{:.2}", of(|day| day.usage.cpu.as_secs_f64())),
            format!("{:.1}", of(|day| mib(day.usage.peak))),
            format!("{:.1}", of(|day| mib(day.binary.peak))),
        ]);
    }
    let most = |value: fn(&Day) -> u64| days.iter().map(value).max().map_or(0.0, mib);
    let (accelerated, binary) = (most(|day| day.usage.peak), most(|day| day.binary.peak));
    let figure = Figure {
        name: "(b) peak resident memory at 100 000 rows a day, the worst of all runs",
        target: "under 24 MiB",
        measured: format!("{accelerated:.1} MiB over the day, {binary:.1} MiB of the binary"),
        met: accelerated.max(binary) < 24.0,
    };
    Outcome {
        figures: vec![figure],
        section: format!(
            "## (b) A day of 100 000 rows\n\nLate rows and changing statuses included, each of \
             which must be delivered once. In accelerated time; then the binary goes on for half \
             a minute where the day has ended.\n\n{table}"
        ),
        chart: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_memory_of_all_counts() {
        let usage = |mib: u64| Usage {
            cpu: Duration::from_secs(3),
            peak: mib << 20,
        };
        let day = |trigger, first, second| Day {
            trigger,
            usage: usage(first),
            binary: usage(second),
            requests: 2000,
            batches: 1440,
            accepted: 110_000,
        };
        let days = [day(Trigger::Account, 20, 21), day(Trigger::Graph, 19, 25)];
        let outcome = outcome(&days);
        let [figure] = outcome.figures.try_into().unwrap();
        assert_eq!(
            figure.measured,
            "20.0 MiB over the day, 25.0 MiB of the binary"
        );
        assert!(!figure.met);
        let row = "| `message_trace_graph` | 110000 | 2000 | 1440 | 3.00 | 19.0 | 25.0 |";
        assert!(outcome.section.contains(row), "{}", outcome.section);
    }
}
