//! (d) A minute without mail.

use std::time::Duration;

use anyhow::Context as _;
use benchmark::{
    contestant::{Contestant, Seat},
    site::{Shown, Site},
    statistics::median,
};
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    bench::Bench,
    report::{Figure, Outcome, Table, mib, say},
};

/// How long it takes until a contestant has nothing more to do.
const SETTLED: Duration = Duration::from_secs(10);

/// How long is measured.
const MINUTE: Duration = Duration::from_secs(60);

/// What an idle contestant costs.
#[derive(Clone, Copy, Debug)]
struct Sample {
    contestant: Contestant,
    /// The share of one core.
    share: f64,
    /// Bytes, and those of them that are not the program's file.
    resident: u64,
    allocated: u64,
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    say("(d) Idle for a minute ...");
    let contestants = bench.programs.collectors();
    // None of them does much, so they are idle together.
    let all = (0..bench.runs).flat_map(|_| contestants.iter());
    let samples = try_join_all(all.map(|contestant| run(bench, *contestant))).await?;
    Ok(outcome(&samples))
}

async fn run(bench: &Bench, contestant: Contestant) -> anyhow::Result<Sample> {
    let site = Site::open(Shown::nothing()).await?;
    let seat = Seat::new(contestant.trigger(), &site, &json!({"start_time": 1}))?;
    let process = seat.collector(&bench.programs, contestant)?;
    tokio::time::sleep(SETTLED).await;
    let used = process.cpu_over(MINUTE).await;
    let (resident, allocated) = (process.resident(), process.anonymous());
    let ended = process.stop().await;
    ended.with_context(|| format!("{}:\n{}", contestant.name(), seat.log()))?;
    Ok(Sample {
        contestant,
        share: used.as_secs_f64() / MINUTE.as_secs_f64(),
        resident,
        allocated,
    })
}

fn outcome(samples: &[Sample]) -> Outcome {
    let of = |contestant, value: fn(&Sample) -> f64| {
        let samples = samples.iter().filter(|one| one.contestant == contestant);
        median(samples.map(value))
    };
    let percent = |sample: &Sample| sample.share * 100.0;
    let resident = |sample: &Sample| mib(sample.resident);
    let mut table = Table::new(["", "% of a core", "MiB resident", "of it allocated"]);
    for contestant in Contestant::MODULES.into_iter().chain([Contestant::Python]) {
        let share = of(contestant, percent);
        let allocated = of(contestant, |sample| mib(sample.allocated));
        if share.is_finite() {
            let resident = of(contestant, resident);
            let numbers = [format!("{resident:.1}"), format!("{allocated:.1}")];
            let cells = [format!("{share:.4}")].into_iter().chain(numbers);
            table.row([contestant.name()].into_iter().chain(cells));
        }
    }
    let worst = |value| {
        let modules = Contestant::MODULES.into_iter();
        modules.map(|module| of(module, value)).reduce(f64::max)
    };
    let figure = worst(percent)
        .zip(worst(resident))
        .map(|(share, most)| Figure {
            name: "(d) idle for a minute, the costliest trigger",
            target: "at most 0.02 % of a core, 12 MiB resident",
            measured: format!("{share:.4} % of a core, {most:.1} MiB resident"),
            met: share <= 0.02 && most <= 12.0,
        });
    Outcome {
        figures: figure.into_iter().collect(),
        section: format!("## (d) Idle for a minute\n\n{table}"),
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costliest_trigger_counts() {
        let sample = |contestant, share, mib: u64| Sample {
            contestant,
            share,
            resident: mib << 20,
            allocated: mib << 19,
        };
        let [account, oauth, graph] = Contestant::MODULES;
        let samples = [
            sample(account, 0.000_01, 10),
            sample(oauth, 0.000_1, 11),
            sample(graph, 0.000_03, 9),
            sample(Contestant::Python, 0.1, 80),
        ];
        let outcome = outcome(&samples);
        let [figure] = outcome.figures.try_into().unwrap();
        assert_eq!(figure.measured, "0.0100 % of a core, 11.0 MiB resident");
        assert!(figure.met);
        assert!(
            outcome
                .section
                .contains("| Python SDK | 10.0000 | 80.0 | 40.0 |")
        );
    }
}
