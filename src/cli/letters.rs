//! `dead-letters`: what could not be delivered, and what is to be done with it.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use collect::{
    letters::{
        Content, Letter,
        order::{Act, LettersOrder, LettersOutcome},
    },
    order::OrderFile as _,
};
use sekoia::{Installation, OfflineSession, Topic};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    offline_session,
    order::{LOOK, PRESENCE, Presence, UNUSABLE, refuse},
    screen::{Screen, print_document, say},
    usage,
};
use crate::triggers;

/// The exit code when letters stay that were to go.
const STAY: u8 = 3;

/// A running trigger takes an order up within seconds; it is not waited for longer than this for
/// the next bit of it.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Lists what could not be delivered, sends it again, or throws it away.
#[derive(Debug, Args)]
#[command(
    long_about = "Lists what could not be delivered and is kept in the data directory (or the object \
                  store). A trigger that runs on the same data sends letters again or throws them away \
                  itself when it is told so; else this command does it.",
    after_help = usage::exit_codes(&[
        (0, "done"),
        (1, "it cannot be done"),
        (UNUSABLE, "another order is not finished, or the arguments cannot be used"),
        (
            STAY,
            "letters stay that were to go, a file of them cannot be read, or the trigger is not done with them yet"
        ),
        (Topic::SETTINGS.exit_code, "the settings do not fit the trigger"),
    ])
)]
pub(super) struct LettersArguments {
    /// The trigger; may be left out when the configuration fits one only.
    #[arg(long, global = true)]
    trigger: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    act: Option<LettersAct>,
}

#[derive(Debug, Subcommand)]
enum LettersAct {
    /// Sends letters to the intake again; those that it accepts go.
    Retry {
        /// The letters.
        #[arg(value_name = "ID", num_args = 0.., required_unless_present = "all")]
        id: Vec<String>,
        /// All letters.
        #[arg(long, conflicts_with = "id")]
        all: bool,
        /// Also those in whose place a copy with the subject cut goes.
        #[arg(long)]
        also_cut: bool,
    },
    /// Throws letters away for good.
    Drop {
        /// The letters.
        #[arg(value_name = "ID", num_args = 0.., required = true)]
        id: Vec<String>,
    },
}

pub(super) async fn run(
    installation: &Installation<'_>,
    arguments: LettersArguments,
) -> anyhow::Result<ExitCode> {
    let session = offline_session::prepare(installation, arguments.trigger, say).await?;
    let (act, ids, also_cut) = match arguments.act {
        Some(LettersAct::Retry { id, all, also_cut }) => {
            (Act::Retry, (!all).then_some(id), also_cut)
        }
        Some(LettersAct::Drop { id }) => (Act::Drop, Some(id), false),
        None => return list(&session, arguments.json).await,
    };
    let order = LettersOrder::new(Uuid::new_v4(), act, ids, also_cut);
    session.works_as_owner()?;
    let mut outcome = perform(&session, &order).await?;
    for left in &mut outcome.left {
        left.reason = session.context.log.masked(&left.reason);
    }
    let mut unreadable = Vec::new();
    if order.letters.is_none() && outcome.done {
        // Whether there were letters in them, nobody knows.
        unreadable = collect::letters::each(&session.context.storage, |_| {}).await?;
        say_unreadable(&unreadable);
    }
    tell(&outcome, &unreadable, arguments.json)
}

fn say_unreadable(names: &[String]) {
    for name in names {
        say(&format!(
            "{name} is no file of dead letters that can be read: what lies there is not listed."
        ));
    }
}

/// Prints all letters, without what is in them.
async fn list(session: &OfflineSession<'_>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut letters = Vec::new();
    let files = &session.context.storage;
    let look = |letter| letters.push(shown(letter, session));
    let unusable = collect::letters::each(files, look).await?;
    say_unreadable(&unusable);
    if as_json {
        print_document(&json!({"letters": letters, "unreadable_files": unusable}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if letters.is_empty() && unusable.is_empty() {
        say("There are no dead letters.");
    }
    let screen = Screen::new();
    for letter in &letters {
        let text = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default();
        let what = match (text("kind"), text("message_id")) {
            ("bytes", _) => "bytes of an answer".to_owned(),
            ("withheld", _) => "withheld, only its length and a hash were kept".to_owned(),
            (_, "") => "message id unknown".to_owned(),
            (_, id) => format!("message id {id}"),
        };
        let copy = match letter.get("copy_sent") {
            Some(Value::Bool(true)) => "; a copy with the subject cut goes in its place",
            _ => "",
        };
        let head = format!("{}  {}  ", text("id"), text("time"));
        let line = format!("{what}: {}{copy}", text("reason"));
        screen.line(&head, head.len(), &line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(letter: Letter, session: &OfflineSession<'_>) -> Value {
    let kind = match letter.content {
        Content::Event(_) => "event",
        Content::Bytes(_) => "bytes",
        Content::Withheld { .. } => "withheld",
    };
    json!({
        "id": letter.id,
        "time": letter.time.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "reason": session.context.log.masked(&letter.reason),
        "intake": letter.intake,
        "message_id": letter.message_id,
        "kind": kind,
        "copy_sent": letter.copy_sent,
    })
}

/// Has an order carried out, by a running trigger or else here.
async fn perform(
    session: &OfflineSession<'_>,
    order: &LettersOrder,
) -> anyhow::Result<LettersOutcome> {
    let here = offline_session::on_own_files(session, async |files| {
        anyhow::Ok(triggers::backfill::letters(session, files, order.clone()).await?)
    });
    if let Some(outcome) = here.await? {
        return Ok(outcome);
    }
    let files = &session.context.storage;
    let begun = Instant::now();
    loop {
        match triggers::letters::is_another_finished(files, order).await? {
            Some(false) => {
                return refuse(
                    "the trigger is not done yet with what it was asked for before: give the command again when it is",
                );
            }
            // The trigger is about to take it away, and would take away what lies in its place by then.
            Some(true) if begun.elapsed() < PRESENCE => tokio::time::sleep(LOOK).await,
            Some(true) | None => break,
        }
    }
    say("The running trigger does it. Ctrl-C leaves it at that.");
    session
        .leave(LettersOrder::NAME, order.to_json()?.into())
        .await?;
    let mut seen = LettersOutcome::new(order.id);
    let (mut since, mut presence) = (Instant::now(), Presence::new());
    loop {
        // First of both: once it is gone, what came of it is there.
        let is_left = triggers::letters::is_left(files, order).await?;
        let outcome = triggers::letters::outcome(files, order).await?;
        if let Some(outcome) = outcome.filter(|outcome| *outcome != seen) {
            seen = outcome;
            since = Instant::now();
        }
        if seen.done {
            return Ok(seen);
        }
        if !is_left {
            // Two were given at one moment.
            say(
                "Another order for dead letters has taken the place of this one, and what came of this one is not \
                 known: see `message-trace dead-letters`, and give the command again.",
            );
            return Ok(seen);
        }
        let stopped = tokio::time::timeout(LOOK, session.context.stop.cancelled()).await;
        if presence.is_lost(session, say).await {
            return Ok(seen);
        }
        if stopped.is_ok() || since.elapsed() >= TIMEOUT {
            say(
                "The trigger has not finished it yet, and goes on with it: `message-trace dead-letters` lists \
                 what is left.",
            );
            return Ok(seen);
        }
    }
}

/// `unreadable` are files that may have letters that were to go.
fn tell(
    outcome: &LettersOutcome,
    unreadable: &[String],
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if as_json {
        print_document(&json!(outcome))?;
    } else {
        let screen = Screen::new();
        let accepted = outcome
            .accepted
            .iter()
            .map(|id| (id, "accepted".to_owned()));
        let dropped = outcome.dropped.iter().map(|id| (id, "dropped".to_owned()));
        let left = outcome.left.iter();
        let left = left.map(|left| (&left.id, format!("stays: {}", left.reason)));
        let mut lines = accepted.chain(dropped).chain(left).peekable();
        if outcome.done && lines.peek().is_none() && unreadable.is_empty() {
            say("There are no dead letters.");
        }
        for (id, became) in lines {
            screen.line(&format!("{id}  "), 18, &became)?;
        }
    }
    let stays = !outcome.left.is_empty() || !outcome.done || !unreadable.is_empty();
    Ok(ExitCode::from(if stays { STAY } else { 0 }))
}
