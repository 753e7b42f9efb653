//! How long it takes from the moment when a row can be seen to its acceptance.

use std::time::Duration;

use anyhow::Context as _;
use chrono::TimeDelta;
use emulator::Delays;
use tokio::time::sleep;

use crate::{
    chart::{Panel, draw},
    contestant::Trigger,
    report::{Figure, Outcome, say, table},
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

/// What makes it slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// One request in five fails.
    Failing,
    /// Answers take 3 s instead of 0.2 s.
    Slow,
}

impl Trouble {
    const ALL: [Self; 3] = [Self::None, Self::Failing, Self::Slow];

    const fn name(self) -> &'static str {
        match self {
            Self::None => "answers of 0.2 s",
            Self::Failing => "the same, 20 % of requests fail",
            Self::Slow => "answers of 3 s",
        }
    }
}

/// A tenant that is watched.
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
        for rows_per_day in TENANTS {
            for trouble in Trouble::ALL {
                for frequency in FREQUENCIES {
                    all.extend([Trigger::Graph, Trigger::Account].map(|trigger| Self {
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

    /// New rows per second.
    fn rate(&self) -> f64 {
        f64::from(self.rows_per_day) / 86_400.0
    }

    /// The median and the 99th percentile that are wanted, in seconds.
    fn wanted(&self) -> (f64, f64) {
        let frequency = f64::from(self.frequency);
        match self.trouble {
            Trouble::None => (frequency / 2.0 + 1.0, frequency + 3.0),
            // Of the median with faults nothing is promised.
            Trouble::Failing => (f64::INFINITY, frequency + 15.0),
            Trouble::Slow => {
                let pages = self.rate() * frequency / self.trigger.dialect().page_rows() as f64;
                let pages = 3.0 * (pages.floor() + 1.0);
                (frequency / 2.0 + 1.0 + pages, frequency + 3.0 + pages)
            }
        }
    }
}

fn is_as_wanted((case, delays): &Found) -> bool {
    let (middle, most) = case.wanted();
    delays.median <= middle && delays.p99 <= most
}

pub(crate) async fn measure() -> anyhow::Result<Outcome> {
    say("Freshness ...");
    let mut found = side_by_side(&Case::all(), watch).await?;
    found.sort_by_key(|(case, _)| (case.trigger == Trigger::Account, case.rows_per_day));
    Ok(outcome(&found))
}

fn watch(case: &Case) -> anyhow::Result<Found> {
    let play = Play {
        rate: case.rate(),
        latency: match case.trouble {
            Trouble::None | Trouble::Failing => 200,
            Trouble::Slow => 3000,
        },
        page_rows: case.trigger.dialect().page_rows(),
        frequency: case.frequency,
        ..Play::default()
    };
    let delays = perform(case.trigger, play, async |stage| {
        if case.trouble == Trouble::Failing {
            stage.fails(0.2);
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

fn outcome(found: &[Found]) -> Outcome {
    let figures = Trouble::ALL.map(|trouble| {
        let of = || {
            found
                .iter()
                .filter(move |(case, _)| case.trouble == trouble)
        };
        let of_each = FREQUENCIES.map(|frequency| {
            let of = || of().filter(move |(case, _)| case.frequency == frequency);
            let median = of().map(|(_, delays)| delays.median).fold(0.0, f64::max);
            let most = of().map(|(_, delays)| delays.p99).fold(0.0, f64::max);
            format!("{median:.1} s; {most:.1} s at {frequency} s")
        });
        let (name, target) = match trouble {
            Trouble::None => (
                "Freshness, median; 99th percentile, of the tenant with the latest rows",
                "half a `frequency` plus 1 s; one `frequency` plus 3 s",
            ),
            Trouble::Failing => (
                "Freshness while 20 % of requests fail",
                "99th percentile one `frequency` plus 15 s",
            ),
            Trouble::Slow => (
                "Freshness with answers of 3 s",
                "half a `frequency` plus 1 s; one plus 3 s; and 3 s for each page",
            ),
        };
        Figure {
            name,
            target,
            measured: of_each.join(", "),
            met: of().all(is_as_wanted),
        }
    });
    let table = table(
        found,
        &[
            ("Case", &|(case, _)| {
                format!("`{}`, {}", case.trigger.command(), case.trouble.name())
            }),
            ("`frequency`, s", &|(case, _)| case.frequency.to_string()),
            ("rows a day", &|(case, _)| case.rows_per_day.to_string()),
            ("rows", &|(_, delays)| delays.count.to_string()),
            ("median, s", &|(_, delays)| format!("{:.1}", delays.median)),
            ("99 of 100, s", &|(_, delays)| format!("{:.1}", delays.p99)),
            ("", &|found| {
                (if is_as_wanted(found) { "" } else { "missed" }).to_owned()
            }),
        ],
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
                    (case.rows_per_day, case.frequency, case.trouble) == (rows, frequency, trouble)
                });
                let latest = of.map(|(_, delays)| value(delays)).fold(0.0, f64::max);
                (f64::from(rows), latest)
            });
            (format!("{name}, {}", trouble.name()), points.to_vec())
        };
        let lines = Trouble::ALL.map(|trouble| {
            let median = line(trouble, "median", |delays| delays.median);
            [median, line(trouble, "99 of 100", |delays| delays.p99)]
        });
        Panel {
            title: format!("Every {frequency} s"),
            across: "rows a day",
            up: "s until accepted",
            lines: lines.into_iter().flatten().collect(),
        }
    }))
}
