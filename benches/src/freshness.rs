//! How long it takes from the moment when a row can be seen to its acceptance.

use std::time::Duration;

use crate::{
    contestant::Trigger,
    statistics::{median, quantile},
};
use emulator::AcceptedEvent;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    bench::side_by_side,
    chart::{Line, Panel, draw},
    report::{Figure, Outcome, Table, say},
    stage::{Play, perform},
};

/// Rows a day.
const TENANTS: [f64; 5] = [1e3, 1e4, 1e5, 1e6, 1e7];

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

    const fn latency(self) -> f64 {
        match self {
            Self::None | Self::Failing => 0.2,
            Self::Slow => 3.0,
        }
    }
}

/// A tenant that is watched.
#[derive(Clone, Copy, Debug)]
struct Case {
    trigger: Trigger,
    rows_per_day: f64,
    frequency: u32,
    trouble: Trouble,
}

/// How late its rows were, in seconds.
#[derive(Clone, Copy, Debug)]
struct Freshness {
    case: Case,
    rows: usize,
    median: f64,
    /// 99 of 100 rows are not later.
    most: f64,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for trouble in Trouble::ALL {
            for frequency in FREQUENCIES {
                for rows_per_day in TENANTS {
                    for trigger in [Trigger::Graph, Trigger::Account] {
                        all.push(Self {
                            trigger,
                            rows_per_day,
                            frequency,
                            trouble,
                        });
                    }
                }
            }
        }
        all
    }

    fn rate(&self) -> f64 {
        self.rows_per_day / 86_400.0
    }

    const fn rows_of_a_page(&self) -> u32 {
        match self.trigger {
            Trigger::Graph => 5000,
            Trigger::Account | Trigger::Oauth => 2000,
        }
    }

    /// The median and the 99th percentile that are wanted, in seconds.
    fn wanted(&self) -> (f64, f64) {
        let frequency = f64::from(self.frequency);
        match self.trouble {
            Trouble::None => (frequency / 2.0 + 1.0, frequency + 3.0),
            // Of the median with faults nothing is promised.
            Trouble::Failing => (f64::INFINITY, frequency + 15.0),
            Trouble::Slow => {
                let pages = self.rate() * frequency / f64::from(self.rows_of_a_page());
                let pages = self.trouble.latency() * (pages.floor() + 1.0);
                (frequency / 2.0 + 1.0 + pages, frequency + 3.0 + pages)
            }
        }
    }
}

impl Freshness {
    fn is_as_wanted(&self) -> bool {
        let (middle, most) = self.case.wanted();
        self.median <= middle && self.most <= most
    }
}

pub(crate) async fn measure() -> anyhow::Result<Outcome> {
    say("Freshness ...");
    let mut cases = Case::all();
    // Large ones take longer: each hand gets as many.
    cases.sort_by(|one, other| one.rows_per_day.total_cmp(&other.rows_per_day));
    let (even, odd): (Vec<_>, Vec<_>) = cases.iter().enumerate().partition(|(n, _)| n % 2 == 0);
    let cases: Vec<Case> = even.into_iter().chain(odd).map(|(_, case)| *case).collect();
    Ok(outcome(&side_by_side(&cases, watch).await?))
}

fn watch(case: &Case) -> anyhow::Result<Freshness> {
    let play = Play {
        rate: case.rate(),
        latency: (case.trouble.latency() * 1000.0) as u64,
        page_rows: case.rows_of_a_page() as usize,
        frequency: case.frequency,
        ..Play::default()
    };
    let late = perform(case.trigger, play, async |stage| {
        if case.trouble == Trouble::Failing {
            stage.fails(0.2);
        }
        sleep(BEGINNING).await;
        let mut late = Vec::new();
        let mut seen = stage.emulator.accepted_since(0, 0).number;
        let mut left = (ROWS / case.rate()).max(LEAST);
        while left > 0.0 {
            sleep(Duration::from_secs(5)).await;
            left -= 5.0;
            let since = stage.emulator.accepted_since(seen, usize::MAX);
            seen = since.number;
            late.extend(since.items.iter().filter_map(lateness));
        }
        Ok(late)
    })?;
    Ok(Freshness {
        case: *case,
        rows: late.len(),
        median: median(late.iter().copied()),
        most: quantile(late, 0.99),
    })
}

/// Seconds from the reception of a row, when it can be seen, to its acceptance.
fn lateness(event: &AcceptedEvent) -> Option<f64> {
    let row: Value = serde_json::from_str(&event.text).ok()?;
    let received = row.get("receivedDateTime").or_else(|| row.get("Received"));
    let received = rows::date::instant(received?.as_str()?.as_bytes())?;
    Some((event.at - received).as_seconds_f64())
}

fn outcome(found: &[Freshness]) -> Outcome {
    let figures = Trouble::ALL.map(|trouble| {
        let of: Vec<_> = found
            .iter()
            .filter(|one| one.case.trouble == trouble)
            .collect();
        let worst = |frequency: u32, value: fn(&Freshness) -> f64| {
            let of = of.iter().filter(|one| one.case.frequency == frequency);
            of.map(|one| value(one)).fold(0.0, f64::max)
        };
        let of_each = FREQUENCIES.map(|frequency| {
            format!(
                "{:.1} s; {:.1} s at {frequency} s",
                worst(frequency, |one| one.median),
                worst(frequency, |one| one.most)
            )
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
            met: !of.is_empty() && of.iter().all(|one| one.is_as_wanted()),
        }
    });
    let mut table = Table::new([
        "Case",
        "`frequency`, s",
        "rows a day",
        "rows",
        "median, s",
        "99 of 100, s",
        "",
    ]);
    for one in found {
        let Case {
            trigger,
            rows_per_day,
            frequency,
            trouble,
        } = one.case;
        table.row([
            format!("`{}`, {}", trigger.command(), trouble.name()),
            frequency.to_string(),
            format!("{rows_per_day:.0}"),
            one.rows.to_string(),
            format!("{:.1}", one.median),
            format!("{:.1}", one.most),
            (if one.is_as_wanted() { "" } else { "missed" }).to_owned(),
        ]);
    }
    Outcome {
        figures: figures.into(),
        section: format!(
            "## Freshness\n\nFrom the moment when a row can be seen to its acceptance by the intake, in \
             virtual time, with the services in memory. Rows can be seen as soon as they are received, and \
             the intake takes 0.15 s.\n\n![Lateness of rows by the size of the tenant]({PICTURE})\n\n\
             The latest of both triggers.\n\n{table}"
        ),
        pictures: vec![(PICTURE, picture(found))],
    }
}

/// What is drawn of a tenant.
type Seconds = fn(&Freshness) -> f64;

/// A panel for each frequency, in which each trouble has a line for the median and one for the 99th
/// percentile, of the trigger whose rows are later.
fn picture(found: &[Freshness]) -> String {
    let panels = FREQUENCIES.map(|frequency| {
        let mut lines = Vec::new();
        for trouble in Trouble::ALL {
            let values: [(&str, Seconds); 2] =
                [("median", |one| one.median), ("99 of 100", |one| one.most)];
            for (name, value) in values {
                let points = TENANTS.map(|rows| {
                    let of = found.iter().filter(|Freshness { case, .. }| {
                        let is_tenant = (case.rows_per_day / rows - 1.0).abs() < 0.01;
                        is_tenant && case.frequency == frequency && case.trouble == trouble
                    });
                    (rows, of.map(value).fold(0.0, f64::max))
                });
                lines.push(Line {
                    name: format!("{name}, {}", trouble.name()),
                    points: points.into(),
                });
            }
        }
        Panel {
            title: format!("Every {frequency} s"),
            across: "rows a day",
            up: "s until accepted",
            lines,
        }
    });
    draw(&panels)
}
