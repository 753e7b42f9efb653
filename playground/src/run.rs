//! One run, from the first line to the verdict.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Action, Backlog, Damage, Ending, ModuleLife, Scenario, Scope, Traffic};
use indicatif::HumanCount;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    arguments::Arguments,
    module::{self, Module},
    page::{
        excuse::{Excuse, Past},
        verdict::{Claim, judge, stretches},
        view::ledger,
    },
    screen::Screen,
    signals::Signals,
    site::form,
    status::Meter,
    world::World,
};

/// No run is longer, if nobody says how long it shall be, in seconds.
const FOREVER: u64 = 10 * 365 * 24 * 3600;

/// Runs the module through its lives; true when the verdict is clean and the module stopped as it
/// should.
pub(crate) async fn run(arguments: &Arguments, screen: &Screen) -> anyhow::Result<bool> {
    let mut signals = Signals::catch()?;
    let scenario = scenario(arguments)?;
    let binary = tokio::select! {
        binary = module::build() => binary?,
        () = signals.any() => bail!("asked to end before the module was built"),
    };
    let world = World::begin(scenario, None).await?;
    let form = form(
        arguments.trigger(),
        &world.scenario,
        &world.emulator,
        &world.running,
    )?;
    world.site.configure(&world.site.configuration(), &form)?;
    screen.line(introduction(arguments, &world, &binary));
    let goal = arguments.events.map(|_| world.started);
    let mut watch = Watch {
        world: &world,
        screen,
        signals,
    };
    let start = || Module::start(&binary, arguments.trigger().command(), &world.site);
    let lived = watch.lives(&world.scenario.lives, start, goal).await?;

    let claim = Claim {
        checkpoint: goal.or_else(|| world.site.checkpoint()),
        reaches: None,
        timeline: world
            .site
            .state("coverage.json")
            .map_or_else(Vec::new, |coverage| stretches(&coverage)),
    };
    let found = judge(&world.emulator, &claim, &lived.excuse);
    let verdict = &found.verdict;
    screen.close();
    // The word of the first line goes by the ledger alone, which knows of no kill.
    let numbers = verdict.to_string();
    let (_, numbers) = numbers.split_once('\n').unwrap_or_default();
    screen.line(format_args!("\n{}\n{numbers}", ledger::sentence(&found)));
    if arguments.scenario.is_some() {
        let frequency = world.site.frequency()?;
        screen.line(world.emulator.freshness(None, frequency));
    }
    let too_short = arguments.events.filter(|_| lived.end == Some(End::Time));
    if let Some(rows) = too_short {
        screen.line(format_args!(
            "The time was too short: {} of {} rows were delivered in it. Give more with --duration, \
             or leave it out.",
            HumanCount(verdict.delivered),
            HumanCount(rows)
        ));
    }
    if let Some(complaint) = &lived.complaint {
        screen.line(format_args!(
            "The module did not end as it should: {complaint}."
        ));
    }
    // Where time or rows were wanting, the folder explains nothing.
    let explains = verdict.expected > 0 && too_short.is_none();
    if explains && !(lived.complaint.is_none() && found.is_clean()) {
        screen.line(format_args!(
            "Its configuration and state are kept in {}.",
            world.site.keep().display()
        ));
    }
    Ok(lived.complaint.is_none() && found.passes())
}

/// The scenario of the file, or the one that the command line describes.
fn scenario(arguments: &Arguments) -> anyhow::Result<Scenario> {
    let mut scenario = match &arguments.scenario {
        Some(file) => {
            let text = fs::read_to_string(file);
            let text = text.with_context(|| format!("cannot read {file:?}"))?;
            let scenario = text.parse::<Scenario>();
            let scenario = scenario.with_context(|| format!("{file:?} is no scenario"))?;
            let mut events = scenario.timeline.iter();
            ensure!(
                !events.any(|event| matches!(event.action, Action::ModuleClock(1.. | ..=-1))),
                "{file:?} sets the module's clock (`module_clock`), but the module is a process here and \
                 goes by the clock of this machine"
            );
            ensure!(
                scenario.restarts.is_empty(),
                "{file:?} has other settings for later lives (`restarts`), which are not heeded here"
            );
            scenario
        }
        None => Scenario::new(traffic(arguments)),
    };
    if scenario.lives.is_empty() {
        scenario.lives.push(ModuleLife {
            seconds: arguments.duration.unwrap_or(FOREVER),
            end: Ending::Stop,
            away: 0,
            damage: None,
        });
    }
    Ok(scenario)
}

/// Rows that are visible at once and never change, so that each must arrive exactly once.
pub(crate) fn traffic(arguments: &Arguments) -> Traffic {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the command line allows 0 to 719 hours"
    )]
    let span = TimeDelta::seconds((arguments.backlog * 3600.0) as i64);
    Traffic {
        seed: arguments.seed,
        rate: if arguments.events.is_some() {
            0.0
        } else {
            arguments.rate
        },
        backlog: Backlog {
            span,
            rows: arguments.events,
        },
        ..Traffic::default()
    }
}

fn introduction(arguments: &Arguments, world: &World, binary: &Path) -> String {
    let World {
        scenario,
        running,
        site,
        ..
    } = world;
    let minutes = scenario.traffic.backlog.span.num_minutes() as f64;
    let hours = (minutes / 6.0).round() / 10.0;
    let mail = match scenario.traffic.backlog.rows {
        Some(rows) => format!(
            "has {} rows of mail from the last {hours} h",
            HumanCount(rows)
        ),
        None => format!(
            "has mail from the last {hours} h and gets {} rows/s more",
            scenario.traffic.rate
        ),
    };
    let end = match (arguments.duration, arguments.events) {
        _ if arguments.scenario.is_some() => {
            format!("goes through this scenario:\n\n{scenario}\n  At its end")
        }
        (Some(seconds), _) => format!("ends after {seconds} s; then"),
        (None, Some(_)) => "ends when all rows are delivered; then".to_owned(),
        (None, None) => "goes on until Ctrl-C; then".to_owned(),
    };
    let folder = site.path().display();
    format!(
        "message-trace playground

  An emulated Microsoft 365 organization {mail}.
  The real module collects the message trace and delivers it to an emulated Sekoia.io intake.
  The run {end} a ledger tells whether any row was lost or sent twice.

  module     {binary} {command}
  settings   {folder}/symphony/trigger_configuration
  state      {folder}/symphony_data/context.json
  health     curl http://127.0.0.1:{health}/health
  metrics    curl http://127.0.0.1:{metrics}/metrics
  faults     curl {microsoft}_emulator

  What follows is the module's own log.
",
        binary = binary.display(),
        command = arguments.trigger().command(),
        health = site.health,
        metrics = site.metrics,
        microsoft = running.microsoft(),
    )
}

/// Why a run comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    Time,
    Delivered,
    Alone,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Asked => "stopping the module",
            Self::Time => "the time is over: stopping the module",
            Self::Delivered => "all rows are delivered, says the module: stopping it",
            Self::Alone => "the module has ended by itself",
        })
    }
}

/// What is watched during a run.
struct Watch<'a> {
    world: &'a World,
    screen: &'a Screen,
    signals: Signals,
}

/// How the lives of the module went.
#[derive(Debug, Default)]
struct Lived {
    /// What its kills explain.
    excuse: Excuse,
    /// Why the last life ended.
    end: Option<End>,
    /// How it ended, where that was not as it should.
    complaint: Option<String>,
}

impl Watch<'_> {
    /// Leads the module through its lives, up to the last or to the first that ends unlike the
    /// others.
    async fn lives(
        &mut self,
        lives: &[ModuleLife],
        start: impl Fn() -> anyhow::Result<Module>,
        goal: Option<DateTime<Utc>>,
    ) -> anyhow::Result<Lived> {
        let mut lived = Lived::default();
        let screen = self.screen;
        let show = |line: &str| screen.line(line);
        for (index, life) in lives.iter().enumerate() {
            let mut module = start()?;
            let end = self.until_end(&mut module, goal, life.seconds).await?;
            lived.end = Some(end);
            let killed = (end, life.end) == (End::Time, Ending::Kill);
            if killed {
                self.screen.line("-- the time is over: killing the module");
                module.kill(show).await?;
            } else {
                self.screen.line(format_args!("-- {end}"));
                lived.complaint = match module.stop(show).await {
                    Ok(status) if status.success() && end != End::Alone => None,
                    Ok(status) => Some(format!("it ended with {status}")),
                    Err(error) => Some(format!("{error:#}")),
                };
            }
            lived.excuse.end_of_life(self.past(killed));
            let last = index + 1 == lives.len();
            if last || end != End::Time || lived.complaint.is_some() {
                break;
            }
            if let Some(damage) = life.damage {
                let Damage { to, harm } = damage;
                self.screen
                    .line(format_args!("-- the state is damaged: {to:?} is {harm:?}"));
                self.world.site.damage(damage)?;
            }
            if self.stay_away(life.away).await == End::Asked {
                lived.end = Some(End::Asked);
                break;
            }
        }
        Ok(lived)
    }

    /// How the life that ends now went.
    fn past(&self, killed: bool) -> Past {
        let World { emulator, site, .. } = self.world;
        Past {
            at: self.world.now(),
            checkpoint: site.checkpoint(),
            doubled: emulator.verdict(&Scope::default()).doubled.count,
            in_flight: killed.then(|| site.in_flight()),
        }
    }

    /// Waits until the module is to start again.
    async fn stay_away(&mut self, seconds: u64) -> End {
        self.screen
            .line(format_args!("-- the module starts again in {seconds} s"));
        tokio::select! {
            () = self.signals.any() => End::Asked,
            () = sleep(Duration::from_secs(seconds)) => End::Time,
        }
    }

    /// Shows the module's log and status until it is to end: on a signal, after so many seconds, or
    /// when the module says that everything before `goal` is delivered.
    async fn until_end(
        &mut self,
        module: &mut Module,
        goal: Option<DateTime<Utc>>,
        seconds: u64,
    ) -> anyhow::Result<End> {
        let mut look = interval(Duration::from_millis(100));
        let mut show = interval(self.screen.interval());
        show.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut meter = Meter::start(self.world.emulator.accepted_count(None));
        let time = sleep(Duration::from_secs(seconds));
        tokio::pin!(time);
        loop {
            tokio::select! {
                line = module.log_line() => match line? {
                    Some(line) => self.screen.line(line),
                    None => return Ok(End::Alone),
                },
                _ = show.tick() => self.screen.status(self.world.status(&mut meter)),
                _ = look.tick(), if goal.is_some() => {
                    if self.world.site.checkpoint() >= goal {
                        // It may all have happened since the last one.
                        self.screen.status(self.world.status(&mut meter));
                        return Ok(End::Delivered);
                    }
                }
                () = self.signals.any() => return Ok(End::Asked),
                () = &mut time => return Ok(End::Time),
            }
        }
    }
}
