//! The emulator for people: serves until Ctrl-C, then says what was delivered and what was not.

use std::io::{self, Write};

use anyhow::Context;
use chrono::TimeDelta;
use clap::Parser;
use emulator::{Backlog, Emulator, Options, Ports, Running, Scope, Settings, Traffic};

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
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let living = Traffic::living(arguments.rate);
    let still = Traffic {
        rate: arguments.rate,
        ..Traffic::default()
    };
    let emulator = Emulator::new(Options {
        traffic: Traffic {
            seed: arguments.seed,
            backlog: Backlog {
                span: TimeDelta::seconds((arguments.backlog * 3600.0) as i64),
                rows: arguments.events,
            },
            ..if arguments.still { still } else { living }
        },
        ..Options::default()
    });
    let running = emulator
        .serve_on(Ports {
            microsoft: arguments.port_microsoft,
            sekoia: arguments.port_sekoia,
        })
        .await
        .context("cannot listen; choose other ports with --port-microsoft and --port-sekoia")?;
    say(&introduction(&emulator.settings(), &running))?;
    tokio::signal::ctrl_c().await?;
    say(&format!("\n{}", emulator.verdict(&Scope::default())))
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
