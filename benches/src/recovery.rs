//! (i) How soon rows come after an outage, and how fast a backlog is read while requests fail.

use std::{ops::Range, time::Duration};

use emulator::{Endpoint, Fault};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::time::sleep;

use crate::{
    Bench,
    contestant::Trigger,
    report::{Figure, Outcome, median, most, number, say, table},
    side_by_side,
    stage::{Play, perform},
};

const ENDS: usize = 200;
const OUTAGE: Duration = Duration::from_secs(600);
/// When an outage begins, in milliseconds after the start: the backlog is delivered by then.
const BEGINS: Range<u64> = 100_000..400_000;

/// Rows of the backlog that is read while requests fail, in fewer requests than the quota of Graph
/// lets through at once, and of one that needs more requests than that without faults.
const ROWS: u64 = 15_000;
const MORE_ROWS: u64 = 100_000;
const FAILING: f64 = 0.4;

#[derive(Clone, Debug)]
struct Outage {
    trigger: Trigger,
    side: Endpoint,
    fault: Fault,
    begins: Duration,
}

/// Whether it was the intake's outage, and how many seconds after its end the first new row was accepted.
type Recovery = (bool, Trigger, f64);

/// How many seconds as many requests take, some of which fail in one case.
#[derive(Clone, Copy, Debug)]
struct Pace {
    trigger: Trigger,
    requests: usize,
    failing: f64,
    well: f64,
}

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let seed = bench.arguments.seed;
    say(format_args!("(i) Recovery, seed {seed} ..."));
    let recoveries = side_by_side(&outages(seed), recover).await?;
    let triggers = Trigger::ALL.repeat(bench.arguments.runs.into());
    let paces = side_by_side(&triggers, pace).await?;
    Ok(outcome(seed, &recoveries, &paces))
}

/// What is drawn from a seed: for each trigger as many as for the others.
fn outages(seed: u64) -> Vec<Outage> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults = vec![Fault::Reset];
    faults.extend([500, 502, 503, 504].map(Fault::status));
    let mut outages = Vec::new();
    for trigger in Trigger::ALL.into_iter().cycle().take(ENDS) {
        for side in [trigger.service(), Endpoint::Intake] {
            outages.push(Outage {
                trigger,
                side,
                fault: faults.choose(&mut random).unwrap_or(&Fault::Reset).clone(),
                begins: Duration::from_millis(random.random_range(BEGINS)),
            });
        }
    }
    outages
}

fn recover(outage: &Outage) -> anyhow::Result<Recovery> {
    // A few rows before, and a new one every two seconds.
    let quiet = Play {
        backlog: 100,
        rate: 0.5,
        ..Play::default()
    };
    let seconds = perform(outage.trigger, quiet, async |stage| {
        sleep(outage.begins).await;
        stage.emulator.fault(outage.side, outage.fault.clone());
        sleep(OUTAGE).await;
        let before = stage.accepted();
        stage.emulator.clear_all_faults();
        stage.until(|stage| stage.accepted() > before).await
    })?;
    Ok((outage.side == Endpoint::Intake, outage.trigger, seconds))
}

fn pace(trigger: &Trigger) -> anyhow::Result<Pace> {
    let mail = |backlog| Play {
        backlog,
        ..Play::default()
    };
    let (failing, requests) = perform(*trigger, mail(ROWS), async |stage| {
        stage.fails(FAILING);
        let taken = stage.until(|stage| stage.accepted() >= ROWS).await?;
        Ok((taken, stage.requests()))
    })?;
    let well = perform(*trigger, mail(MORE_ROWS), async |stage| {
        stage.until(|stage| stage.requests() >= requests).await
    })?;
    Ok(Pace {
        trigger: *trigger,
        requests,
        failing,
        well,
    })
}

fn outcome(seed: u64, recoveries: &[Recovery], paces: &[Pace]) -> Outcome {
    let ends = |intake: bool, triggers: &[Trigger]| {
        let of = recoveries.iter();
        let of = of.filter(|(which, whose, _)| *which == intake && triggers.contains(whose));
        let seconds: Vec<f64> = of.map(|(_, _, seconds)| *seconds).collect();
        (median(seconds.clone()), most(seconds))
    };
    let paces = |trigger: Trigger, value: fn(&Pace) -> f64| -> Vec<f64> {
        let of = paces.iter().filter(|pace| pace.trigger == trigger);
        of.map(value).collect()
    };
    let slower: fn(&Pace) -> f64 = |pace| pace.failing / pace.well;
    let rows = Trigger::ALL.map(|trigger| {
        let [microsoft, intake] = [false, true].map(|intake| {
            let (middle, slowest) = ends(intake, &[trigger]);
            format!("{middle:.1}; {slowest:.1}")
        });
        let pace = |value: fn(&Pace) -> f64| median(paces(trigger, value));
        format!(
            "`{}` | {microsoft} | {intake} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1}",
            trigger.command(),
            pace(|pace| number(pace.requests as u64)),
            pace(|pace| pace.failing),
            pace(|pace| pace.well),
            pace(slower),
            most(paces(trigger, slower)),
        )
    });
    let table = table(
        " | without Microsoft | without the intake | requests for the backlog | s while 40 % fail | \
         s without faults | times as long | the worst run",
        rows,
    );
    let names = [
        "(i) first new row after ten minutes without Microsoft",
        "(i) first new row after ten minutes without the intake",
    ];
    let figures = [false, true].into_iter().zip(names).map(|(intake, name)| {
        let (middle, slowest) = ends(intake, &Trigger::ALL);
        Figure {
            name,
            target: "within 15 s in the median; 30 s at most",
            measured: format!("{middle:.1} s; {slowest:.1} s"),
            met: middle <= 15.0 && slowest <= 30.0,
        }
    });
    let slowest = most(Trigger::ALL.map(|trigger| median(paces(trigger, slower))));
    let backlog = Figure {
        name: "(i) a backlog with 40 % of requests failing, against as many requests without faults",
        target: "at most 3.0x as long",
        measured: format!("{slowest:.1}x, the slowest trigger"),
        met: slowest <= 3.0,
    };
    Outcome {
        figures: figures.chain([backlog]).collect(),
        section: format!(
            "## (i) Recovery\n\nIn virtual time, with the services in memory, so that the machine \
             has no part in it; pages take 0.7 s and batches 0.15 s. A tenant with a row every two \
             seconds; the side answers nothing but 500, 502, 503 or 504, or cuts every connection, \
             for ten minutes, {ENDS} times: seconds until the first new row, in the median and at \
             most. What fails and when is drawn (seed {seed}). Not measured here: 429 and \
             `Retry-After`, which set the pause themselves, and requests that hang.\n\nThen a \
             backlog of {ROWS} rows in pages of 500 while requests fail (503, 500, cut), until its \
             last row is accepted. Beside it how long the first as many requests take of a larger \
             backlog without faults.\n\n{table}"
        ),
        ..Outcome::default()
    }
}
