//! One run, from the first line to the verdict.

use std::{path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use emulator::{Backlog, Emulator, Endpoint, Options, Running, Scope, Traffic};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    arguments::Arguments,
    module::{self, Module},
    screen::Screen,
    site::Site,
    status::{Meter, Status, thousands},
};

/// No run is longer, if nobody says how long it shall be.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs the module until it is to end; true when the verdict is clean and the module stopped as it
/// should.
pub(crate) async fn run(arguments: &Arguments, screen: &Screen) -> anyhow::Result<bool> {
    let binary = module::build().await?;
    let emulator = Emulator::new(Options {
        traffic: traffic(arguments),
        ..Options::default()
    });
    let started = emulator.clock().now();
    let running = emulator.serve().await?;
    let site = Site::create(arguments, &emulator, &running)?;
    screen.line(introduction(arguments, &binary, &running, &site));

    let mut module = Module::start(&binary, arguments.trigger.command(), &site)?;
    let watch = Watch {
        emulator: &emulator,
        site: &site,
        screen,
    };
    let goal = arguments.events.map(|_| started);
    let end = watch
        .until_end(&mut module, goal, arguments.duration)
        .await?;
    screen.line(format_args!("-- {end}"));
    let stopped = module.stop(|line| screen.line(line)).await;

    let scope = Scope {
        received_before: goal.or_else(|| site.mark()),
        ..Scope::default()
    };
    let verdict = emulator.verdict(&scope);
    screen.close();
    screen.line(format_args!(
        "\n{verdict}{}",
        meaning(verdict.is_clean(), scope.received_before)
    ));
    let complaint = match stopped {
        Ok(status) if status.success() && end != End::Alone => None,
        Ok(status) => Some(format!("it ended with {status}")),
        Err(error) => Some(format!("{error:#}")),
    };
    if let Some(complaint) = &complaint {
        screen.line(format_args!(
            "The module did not end as it should: {complaint}."
        ));
    }
    let clean = complaint.is_none() && verdict.is_clean();
    if !clean {
        screen.line(format_args!(
            "Its configuration and state are kept in {}.",
            site.keep().display()
        ));
    }
    Ok(clean)
}

/// Rows that are visible at once and never change, so that each must arrive exactly once.
fn traffic(arguments: &Arguments) -> Traffic {
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

fn introduction(arguments: &Arguments, binary: &Path, running: &Running, site: &Site) -> String {
    let hours = arguments.backlog;
    let mail = match arguments.events {
        Some(rows) => format!(
            "has {} rows of mail from the last {hours} h",
            thousands(rows)
        ),
        None => format!(
            "has mail from the last {hours} h and gets {} rows/s more",
            arguments.rate
        ),
    };
    let end = match (arguments.duration, arguments.events) {
        (Some(seconds), _) => format!("ends after {seconds} s"),
        (None, Some(_)) => "ends when all rows are delivered".to_owned(),
        (None, None) => "goes on until Ctrl-C".to_owned(),
    };
    let folder = site.path().display();
    format!(
        "message-trace playground

  An emulated Microsoft 365 organization {mail}.
  The real module collects the message trace and delivers it to an emulated Sekoia.io intake.
  The run {end}; then a ledger tells whether any row was lost or sent twice.

  module     {binary} {command}
  settings   {folder}/symphony/trigger_configuration
  state      {folder}/symphony_data/context.json
  health     curl http://127.0.0.1:{health}/health
  metrics    curl http://127.0.0.1:{metrics}/metrics
  faults     curl {microsoft}_emulator

  What follows is the module's own log.
",
        binary = binary.display(),
        command = arguments.trigger.command(),
        health = site.health,
        metrics = site.metrics,
        microsoft = running.microsoft(),
    )
}

/// What the verdict says, in a sentence.
fn meaning(clean: bool, mark: Option<DateTime<Utc>>) -> String {
    let Some(mark) = mark else {
        return "The module has not read a single window of time to its end.".to_owned();
    };
    let mark = mark.format("%F %T");
    if clean {
        format!("Every row received before {mark} UTC was delivered, and none of them twice.")
    } else {
        format!(
            "The module says that every row received before {mark} UTC is delivered; the ledger \
             of the emulator has found otherwise."
        )
    }
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
    emulator: &'a Emulator,
    site: &'a Site,
    screen: &'a Screen,
}

impl Watch<'_> {
    /// Shows the module's log and status until the run is to end: on a signal, after `duration`
    /// seconds, or when the module says that everything before `goal` is delivered.
    async fn until_end(
        &self,
        module: &mut Module,
        goal: Option<DateTime<Utc>>,
        duration: Option<u64>,
    ) -> anyhow::Result<End> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut look = interval(Duration::from_millis(100));
        let mut show = interval(self.screen.interval());
        show.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut meter = Meter::start();
        let time = sleep(duration.map_or(FOREVER, Duration::from_secs));
        tokio::pin!(time);
        loop {
            tokio::select! {
                line = module.log_line() => match line? {
                    Some(line) => self.screen.line(line),
                    None => return Ok(End::Alone),
                },
                _ = show.tick() => self.screen.status(self.status(&mut meter)),
                _ = look.tick(), if goal.is_some() => {
                    if self.site.mark() >= goal {
                        return Ok(End::Delivered);
                    }
                }
                _ = interrupt.recv() => return Ok(End::Asked),
                _ = terminate.recv() => return Ok(End::Asked),
                () = &mut time => return Ok(End::Time),
            }
        }
    }

    fn status(&self, meter: &mut Meter) -> Status {
        let delivered = self.emulator.accepted_count(None);
        Status {
            delivered,
            rate: meter.rate(delivered),
            lag: self
                .site
                .mark()
                .map(|mark| self.emulator.clock().now() - mark),
            window: self.window(),
        }
    }

    /// The window of the last query that has reached the emulator.
    fn window(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let services = [Endpoint::Graph, Endpoint::Report];
        let request = services
            .iter()
            .find_map(|service| self.emulator.latest_request(*service))?;
        let filter = request.query("$filter")?;
        // Either service takes two dates, the start first; one of them in quotes.
        let mut dates = filter
            .split([' ', '\''])
            .filter_map(|word| DateTime::parse_from_rfc3339(word).ok())
            .map(|date| date.to_utc());
        Some((dates.next()?, dates.next()?))
    }
}
