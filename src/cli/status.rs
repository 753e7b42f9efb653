//! `status`: where the collection stands.

mod blocks;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use base::{Clock, http::chain};
use clap::Args;
use sekoia::{Installation, ProcessProbe, StartError, effective};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    screen::{BAD, FAINT, GOOD, Screen, print_document, say, styled},
    usage,
};
use crate::triggers::{self, Line, ProcessVerdict, SeenLetters, StatusReport};

/// The widest name of a line, with the blanks after it.
const NAME: usize = 11;

/// Tells up to when everything is delivered, and how the trigger is doing.
#[derive(Debug, Args)]
#[command(
    long_about = "Tells where the collection stands, from the files in the data directory (or the \
                  object store) and, where it runs on this machine, from the process itself, which is \
                  asked at its ports for liveness and metrics. Nothing is changed.",
    after_help = exit_codes()
)]
pub(super) struct StatusArguments {
    /// The trigger whose settings name the tenant; when it is left out, the tenant that was
    /// collected last.
    trigger: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw it anew every second, with the last 24 hours as a line; for a terminal.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

fn exit_codes() -> String {
    let mut codes = vec![
        (1, "the configuration cannot be read"),
        usage::NOT_UNDERSTOOD,
    ];
    codes.extend(ProcessVerdict::ALL.map(|verdict| {
        let (_, code, about) = verdict.told();
        (code, about)
    }));
    codes.sort_unstable();
    usage::exit_codes(&codes)
}

pub(super) async fn run(
    installation: &Installation<'_>,
    arguments: StatusArguments,
) -> anyhow::Result<ExitCode> {
    let as_json = arguments.json;
    let found = match arguments.trigger {
        None => Ok(None),
        Some(trigger) => effective(installation, &trigger)
            .map(|judged| triggers::Subject::of_settings(&trigger, &judged.values)),
    };
    let subject = match found {
        Err(error) if as_json => return unknown(&error),
        found => found?,
    };
    if arguments.watch {
        return watch(installation, subject.as_ref()).await;
    }
    let probe = match ProcessProbe::find(installation).await {
        Err(error) if as_json => return unknown(&error),
        found => found?,
    };
    let now = Clock::system().now();
    let mut seen = SeenLetters::default();
    let report = triggers::status(&probe, subject.as_ref(), now, &mut seen).await;
    let code = report.verdict.exit_code();
    if as_json {
        let mut document = report.facts();
        document.insert("exit_code".to_owned(), code.into());
        print_document(&document.into())?;
    } else {
        print(&report.lines)?;
    }
    Ok(ExitCode::from(code))
}

fn print(lines: &[Line]) -> anyhow::Result<()> {
    let screen = Screen::new();
    for line in lines.iter().filter(|line| !line.text.is_empty()) {
        let style = if line.bad { BAD } else { GOOD };
        screen.line(&styled(style, line.name, NAME), NAME, &line.text)?;
    }
    Ok(())
}

/// Draws it anew every second, until Ctrl-C. The exit code is that of what was drawn last.
async fn watch(
    installation: &Installation<'_>,
    subject: Option<&triggers::Subject>,
) -> anyhow::Result<ExitCode> {
    if !std::io::stdout().is_terminal() {
        say("message-trace: --watch draws on a terminal: use --json, or leave it out");
        return Ok(ExitCode::from(usage::EXIT_CODE));
    }
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut code = ProcessVerdict::NotRunning.exit_code();
    let drawing = async {
        let mut seen = SeenLetters::default();
        loop {
            code = draw(installation, subject, &mut seen).await?.exit_code();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let failed: anyhow::Result<()> = tokio::select! {
        failed = drawing => failed,
        _ = interrupted.recv() => Ok(()),
    };
    failed?;
    Ok(ExitCode::from(code))
}

/// Draws it once, from the upper left corner on, and nothing of before.
async fn draw(
    installation: &Installation<'_>,
    subject: Option<&triggers::Subject>,
    seen: &mut SeenLetters,
) -> anyhow::Result<ProcessVerdict> {
    let probe = ProcessProbe::find(installation).await?;
    let now = Clock::system().now();
    let report = triggers::status(&probe, subject, now, seen).await;
    let StatusReport {
        verdict,
        now,
        lines,
    } = report;
    let timeline = lines.iter().find(|line| line.name == "timeline");
    let timeline = timeline.map_or(&Value::Null, |line| &line.facts);
    write!(anstream::stdout(), "\u{1b}[H\u{1b}[J")?;
    let head = styled(FAINT, "24 h", NAME);
    let screen = Screen::new();
    let line = blocks::line(timeline, now, screen.room(NAME));
    screen.line(&head, NAME, &line)?;
    screen.line(&styled(FAINT, "", NAME), NAME, blocks::LEGEND)?;
    print(&lines)?;
    std::io::stdout().flush()?;
    Ok(verdict)
}

/// Tells machines why there is nothing to tell.
fn unknown(error: &StartError) -> anyhow::Result<ExitCode> {
    let document = json!({"verdict": "unknown", "exit_code": 1, "problem": chain(error)});
    print_document(&document)?;
    Ok(ExitCode::FAILURE)
}
