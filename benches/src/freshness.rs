//! How long it takes from the moment when a row can be seen to its acceptance.

use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use emulator::Delays;
use tokio::time::sleep;

use crate::{
    chart::{Panel, draw},
    contestant::{Trigger, page_rows},
    report::{Figure, Outcome, most, say, table},
    side_by_side,
    stage::{Play, perform},
};

/// Rows a day.
const TENANTS: [u32; 5] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
/// The setting `frequency`, in seconds.
const FREQUENCIES: [u32; 2] = [60, 10];
const PICTURE: &str = "freshness.svg";

/// The start is not looked at.
const BEGINNING: Duration = Duration::from_secs(400);

/// So many rows are looked at where there are few, and so many seconds where there are many.
const ROWS: f64 = 400.0;
const LEAST: f64 = 1200.0;

/// What makes it slow, in figures with this name and target.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    name: &'static str,
    failing: f64,
    /// How long answers take, in milliseconds.
    latency: u64,
    /// What is added to half a `frequency` for the median that is wanted, and to a whole one for the
    /// 99th percentile; and for each page, in seconds.
    wanted: (f64, f64, f64),
    figure: &'static str,
    target: &'static str,
}

const TROUBLES: [Trouble; 3] = [
    Trouble {
        name: "answers of 0.2 s",
        failing: 0.0,
        latency: 200,
        wanted: (1.0, 3.0, 0.0),
        figure: "Freshness, median; 99th percentile, of the tenant with the latest rows",
        target: "half a `frequency` plus 1 s; one `frequency` plus 3 s",
    },
    Trouble {
        name: "the same, 20 % of requests fail",
        failing: 0.2,
        latency: 200,
        // Of the median with faults nothing is promised.
        wanted: (f64::INFINITY, 15.0, 0.0),
        figure: "Freshness while 20 % of requests fail",
        target: "99th percentile one `frequency` plus 15 s",
    },
    Trouble {
        name: "answers of 3 s",
        failing: 0.0,
        latency: 3000,
        wanted: (1.0, 3.0, 3.0),
        figure: "Freshness with answers of 3 s",
        target: "half a `frequency` plus 1 s; one plus 3 s; and 3 s for each page",
    },
];

#[derive(Clone, Copy, Debug)]
struct Case {
    trigger: Trigger,
    rows_per_day: u32,
    frequency: u32,
    trouble: Trouble,
}

/// A case, and how late its rows were, in seconds.
type Found = (Case, Delays);

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for trigger in [Trigger::Graph, Trigger::Account] {
            for rows_per_day in TENANTS {
                for trouble in TROUBLES {
                    all.extend(FREQUENCIES.map(|frequency| Self {
                        trigger,
                        rows_per_day,
                        frequency,
                        trouble,
                    }));
                }
            }
        }
        all
    }

    fn rate(&self) -> f64 {
        f64::from(self.rows_per_day) / 86_400.0
    }

    /// Whether median and 99th percentile are as wanted.
    fn is_met(&self, delays: &Delays) -> bool {
        let frequency = f64::from(self.frequency);
        let pages = self.rate() * frequency / page_rows(self.trigger.service()) as f64;
        let (median, p99, page) = self.trouble.wanted;
        let pages = page * (pages.floor() + 1.0);
        delays.median <= frequency / 2.0 + median + pages && delays.p99 <= frequency + p99 + pages
    }
}

pub(crate) async fn measure() -> anyhow::Result<Outcome> {
    say("Freshness ...");
    Ok(outcome(&side_by_side(&Case::all(), watch).await?))
}

fn watch(case: &Case) -> anyhow::Result<Found> {
    let play = Play {
        rate: case.rate(),
        latency: case.trouble.latency,
        page_rows: page_rows(case.trigger.service()),
        frequency: case.frequency,
        ..Play::default()
    };
    let delays = perform(case.trigger, play, async |stage| {
        if case.trouble.failing > 0.0 {
            stage.fails(case.trouble.failing);
        }
        sleep(BEGINNING).await;
        stage.emulator.forget_deliveries();
        sleep(Duration::from_secs_f64((ROWS / case.rate()).max(LEAST))).await;
        let period = TimeDelta::seconds(case.frequency.into());
        let mut bands = stage.emulator.freshness(None, period).rows;
        // All rows can be seen as soon as they are received.
        bands.pop().context("no row")
    })?;
    Ok((*case, delays))
}

/// How late the rows of the latest of these tenants were.
fn latest<'a>(of: impl Iterator<Item = &'a Found>, value: fn(&Delays) -> f64) -> f64 {
    most(of.map(|(_, delays)| value(delays)))
}

fn outcome(found: &[Found]) -> Outcome {
    let figures = TROUBLES.map(|trouble| {
        let is_of = move |(case, _): &&Found| case.trouble.name == trouble.name;
        let of = || found.iter().filter(is_of);
        let of_each = FREQUENCIES.map(|frequency| {
            let of = || of().filter(move |(case, _)| case.frequency == frequency);
            let median = latest(of(), |delays| delays.median);
            let p99 = latest(of(), |delays| delays.p99);
            format!("{median:.1} s; {p99:.1} s at {frequency} s")
        });
        Figure {
            name: trouble.figure,
            target: trouble.target,
            measured: of_each.join(", "),
            met: of().all(|(case, delays)| case.is_met(delays)),
        }
    });
    let rows = found.iter().map(|(case, delays)| {
        let missed = if case.is_met(delays) { "" } else { "missed" };
        format!(
            "`{}`, {} | {} | {} | {} | {:.1} | {:.1} | {missed}",
            case.trigger.command(),
            case.trouble.name,
            case.frequency,
            case.rows_per_day,
            delays.count,
            delays.median,
            delays.p99,
        )
    });
    let table = table(
        "Case | `frequency`, s | rows a day | rows | median, s | 99 of 100, s | ",
        rows,
    );
    Outcome {
        figures: figures.into(),
        section: format!(
            "## Freshness\n\nFrom the moment when a row can be seen to its acceptance by the intake, in \
             virtual time, with the services in memory. Rows can be seen as soon as they are received, and \
             the intake takes 0.15 s.\n\n![Lateness of rows by the size of the tenant]({PICTURE})\n\n\
             The latest of both triggers.\n\n{table}"
        ),
        picture: Some((PICTURE, picture(found))),
    }
}

/// A panel for each frequency, in which each trouble has a line for the median and one for the 99th
/// percentile, of the trigger whose rows are later.
fn picture(found: &[Found]) -> String {
    draw(FREQUENCIES.map(|frequency| {
        let line = |trouble: Trouble, name: &str, value: fn(&Delays) -> f64| {
            let points = TENANTS.map(|rows| {
                let of = found.iter().filter(|(case, _)| {
                    (case.rows_per_day, case.frequency, case.trouble.name)
                        == (rows, frequency, trouble.name)
                });
                (f64::from(rows), latest(of, value))
            });
            (format!("{name}, {}", trouble.name), points.to_vec())
        };
        let lines = TROUBLES.map(|trouble| {
            let median = line(trouble, "median", |delays| delays.median);
            [median, line(trouble, "99 of 100", |delays| delays.p99)]
        });
        Panel {
            title: format!("Every {frequency} s"),
            across: "rows a day",
            up: "s until accepted",
            lines: lines.concat(),
        }
    }))
}
