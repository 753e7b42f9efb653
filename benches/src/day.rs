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
    paced::{Course, memory, now},
    report::{Figure, Outcome, Table, mib, number, say},
};

const ROWS: f64 = 100_000.0;

const DAY: TimeDelta = TimeDelta::hours(24);

/// What has been visible for so long must have been delivered. An age at which rows seldom surface is
/// read half as often: what was read 16 hours after it is read again, for the last time, after 24; an
/// hour is left for the readings before it.
const SEEN_WITHIN: TimeDelta = TimeDelta::hours(9);

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

impl Day {
    fn memory(&self) -> u64 {
        memory(self.usage, self.binary)
    }
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
        "peak MiB",
        "of it allocated",
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
            format!("{:.1}", of(|day| mib(day.memory()))),
            format!("{:.1}", of(|day| mib(day.usage.anonymous))),
            format!("{:.1}", of(|day| mib(day.binary.peak))),
        ]);
    }
    let most = days.iter().map(Day::memory).max().map_or(0.0, mib);
    let figure = Figure {
        name: "(b) peak resident memory at 100 000 rows a day, the worst of all runs",
        target: "under 24 MiB",
        measured: format!("{most:.1} MiB"),
        met: most < 24.0,
    };
    Outcome {
        figures: vec![figure],
        section: format!(
            "## (b) A day of 100 000 rows\n\nLate rows and changing statuses included, each of \
             which must be delivered once. In accelerated time, by a \
             process that holds more programs than the module: of its memory counts what is \
             allocated, and what the binary has of its own file, which goes on for half a minute \
             where the day has ended.\n\n{table}"
        ),
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_memory_of_all_counts() {
        // The program itself is as large as half of what is allocated at the end.
        let usage = |anonymous: u64| Usage {
            cpu: Duration::from_secs(3),
            peak: (anonymous << 20) * 3 / 2,
            anonymous: anonymous << 20,
        };
        let day = |trigger, anonymous, at_last| Day {
            trigger,
            usage: usage(anonymous),
            binary: usage(at_last),
            requests: 2000,
            batches: 1440,
            accepted: 110_000,
        };
        let days = [day(Trigger::Account, 15, 14), day(Trigger::Graph, 20, 10)];
        let outcome = outcome(&days);
        let [figure] = outcome.figures.try_into().unwrap();
        assert_eq!(figure.measured, "25.0 MiB");
        assert!(!figure.met);
        let row = "| `message_trace_graph` | 110000 | 2000 | 1440 | 3.00 | 25.0 | 20.0 | 15.0 |";
        assert!(outcome.section.contains(row), "{}", outcome.section);
    }
}
