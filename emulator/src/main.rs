//! The emulator for people: serves until Ctrl-C, then says what was delivered and what was not.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::TimeDelta;
use clap::Parser;
use emulator::{Backlog, Clock, Ports, Running, Scenario, Scope, Settings, Traffic};

/// Emulates the Microsoft 365 message trace and the SEKOIA.IO platform on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port of Microsoft's services on the loopback interface; 0 for any that is free.
    #[arg(long, default_value_t = 8365)]
    port_microsoft: u16,
    /// Port of Sekoia.io's services; 0 for any that is free.
    #[arg(long, default_value_t = 8366)]
    port_sekoia: u16,
    /// Rows of mail per second, on average.
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
    /// Hours of mail from before the start.
    #[arg(long, default_value_t = 1.0)]
    backlog: f64,
    /// Exactly how many rows the backlog has; without it, as many as the rate gives.
    #[arg(long)]
    events: Option<u64>,
    /// The same seed gives the same mail.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every row is visible at once and never changes.
    #[arg(long)]
    still: bool,
    /// Replays this scenario, from now on.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["rate", "backlog", "events", "seed", "still"]
    )]
    scenario: Option<PathBuf>,
    /// How many seconds pass here in one second: for collectors whose clock is as fast.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Seconds between two queries of the collector, by which its freshness is judged.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    frequency: u32,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.001..=100_000.0).contains(&speed) => Ok(speed),
        _ => Err(String::from("not a number from 0.001 to 100000")),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let scenario = match &arguments.scenario {
        Some(file) => read(file)?,
        None => Scenario::new(traffic(&arguments)),
    };
    let emulator = scenario.begin(clock(&arguments, &scenario));
    let running = emulator
        .serve_on(Ports {
            microsoft: arguments.port_microsoft,
            sekoia: arguments.port_sekoia,
        })
        .await
        .context("cannot listen; choose other ports with --port-microsoft and --port-sekoia")?;
    say(&introduction(&emulator.settings(), &running))?;
    if arguments.scenario.is_some() {
        say(&format!(
            "What happens, and when after the start:\n\n{scenario}"
        ))?;
    }
    tokio::signal::ctrl_c().await?;
    let frequency = TimeDelta::seconds(i64::from(arguments.frequency));
    let verdict = emulator.verdict(&Scope::default());
    say(&format!(
        "\n{verdict}{}",
        emulator.freshness(None, frequency)
    ))
}

fn read(file: &Path) -> anyhow::Result<Scenario> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file:?}"))?;
    text.parse()
        .with_context(|| format!("{file:?} is no scenario"))
}

fn traffic(arguments: &Arguments) -> Traffic {
    let living = Traffic::living(arguments.rate);
    let still = Traffic {
        rate: arguments.rate,
        ..Traffic::default()
    };
    Traffic {
        seed: arguments.seed,
        backlog: Backlog {
            span: TimeDelta::seconds((arguments.backlog * 3600.0) as i64),
            rows: arguments.events,
        },
        ..if arguments.still { still } else { living }
    }
}

/// The machine's clock, unless another is asked for: then it is the time at which the scenario
/// starts.
fn clock(arguments: &Arguments, scenario: &Scenario) -> Clock {
    let machine = Clock::system();
    if arguments.speed == 1.0 {
        return machine;
    }
    let start = scenario.start.unwrap_or_else(|| machine.now());
    Clock::accelerated(start, arguments.speed)
}

fn introduction(settings: &Settings, running: &Running) -> String {
    let account = settings.report.accounts.first();
    let app = settings.identity.apps.first();
    let secret = app.and_then(|app| app.secrets.first());
    let key = settings.intake.keys.first();
    let groups = [
        vec![
            ("reporting_url", running.reporting_url()),
            ("account_name", of(account, |account| &account.name)),
            (
                "account_password",
                of(account, |account| account.password.expose()),
            ),
        ],
        vec![
            ("graph_url", running.graph_url()),
            ("login_url", running.login_url()),
            ("tenant_id", settings.identity.tenant_id.clone()),
            ("client_id", of(app, |app| &app.client_id)),
            ("client_secret", of(secret, |secret| secret.value.expose())),
        ],
        vec![
            ("intake_server", running.intake_url()),
            ("intake_key", of(key, |key| key.expose())),
            ("url_callback", running.callback_url()),
            ("url_logs", running.logs_url()),
            ("url_secrets", running.secrets_url()),
            ("token", settings.platform.token.expose().to_owned()),
            ("sentry_dsn", running.sentry_dsn()),
        ],
        vec![("control", format!("{}_emulator", running.sekoia()))],
    ];
    let mut text = String::from("The emulator is ready; Ctrl-C ends it with a verdict.\n");
    for group in groups {
        text.push('\n');
        for (name, value) in group {
            text.push_str(&format!("  {name:<17} {value}\n"));
        }
    }
    text
}

fn of<T>(item: Option<&T>, value: impl Fn(&T) -> &str) -> String {
    item.map_or_else(String::new, |item| value(item).to_owned())
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}
