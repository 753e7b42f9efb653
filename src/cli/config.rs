//! `config`: which settings count, and where they come from.

use std::process::ExitCode;

use clap::Args;
use sekoia::{Effective, Installation, Judged, Origin, Place, Topic};
use serde_json::{Value, json};

use super::{
    screen::{FAINT, Screen, print_document, say, styled},
    usage,
};

/// Columns of an origin, with the blanks after it.
const ORIGIN: usize = 14;

/// Prints the settings that count, and where each comes from.
#[derive(Debug, Args)]
#[command(
    long_about = "Prints the settings that count for a trigger, and where each comes from: a file, an \
                  environment variable, a default, or another key. Secrets are not shown, and neither \
                  is the value of a setting that the trigger does not have, nor one that may be a secret in \
                  the wrong place.",
    after_help = usage::exit_codes(&[
        (0, "the settings fit the trigger"),
        (1, "they cannot be read"),
        usage::NOT_UNDERSTOOD,
        (Topic::SETTINGS.exit_code, "they do not fit it"),
    ])
)]
pub(super) struct ConfigArguments {
    /// The trigger; may be left out when the configuration fits one only.
    trigger: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    installation: &Installation<'_>,
    arguments: ConfigArguments,
) -> anyhow::Result<ExitCode> {
    let trigger = super::chosen(installation, arguments.trigger);
    let judged = match &trigger {
        Ok(trigger) => sekoia::effective(installation, trigger)?,
        Err(unclear) => Judged {
            problems: vec![unclear.clone()],
            ..Judged::default()
        },
    };
    let Judged {
        values,
        problems,
        suspicions,
    } = judged;
    if arguments.json {
        let settings: Vec<Value> = values.iter().map(facts).collect();
        let document = json!({
            "trigger": trigger.ok(), "settings": settings, "problems": problems, "warnings": suspicions,
        });
        print_document(&document)?;
    } else {
        print(&values)?;
        for problem in problems.iter().chain(&suspicions) {
            say(&format!("message-trace: {problem}"));
        }
    }
    let code = if problems.is_empty() {
        0
    } else {
        Topic::SETTINGS.exit_code
    };
    Ok(ExitCode::from(code))
}

fn print(values: &[Effective]) -> anyhow::Result<()> {
    let screen = Screen::new();
    let widest = values.iter().map(|value| value.name.len()).max();
    let widest = widest.unwrap_or(0);
    // Where there is no room for columns, there are none.
    let columns = screen.has_room(4 + widest + ORIGIN);
    let width = if columns { widest } else { 0 };
    let mut heading = None;
    for value in values {
        if heading != Some(value.object) {
            heading = Some(value.object);
            let title = value.object.unwrap_or("keys of the platform");
            screen.line(&styled(FAINT, title, 0), 0, "")?;
        }
        let origin = styled(FAINT, value.origin.word(), ORIGIN);
        let head = format!("  {:width$}  {origin}", value.name);
        screen.line(&head, 4 + widest + ORIGIN, &text(value))?;
    }
    Ok(())
}

/// The value, unless it is a secret or may be one.
fn shown(value: &Effective) -> Option<&Value> {
    value.value.as_ref().filter(|_| !value.doubtful)
}

fn text(value: &Effective) -> String {
    match shown(value) {
        _ if !value.known => "(not a setting of this trigger)".to_owned(),
        None => "***".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn facts(value: &Effective) -> Value {
    let place = match &value.origin {
        Origin::Given(Place::File(path)) => Some(path.display().to_string()),
        Origin::Given(Place::Variable(name)) => Some(name.clone()),
        _ => None,
    };
    let shown = shown(value);
    json!({
        "object": value.object,
        "name": value.name,
        "value": shown,
        "hidden": shown.is_none(),
        "known": value.known,
        "origin": value.origin.word(),
        "place": place,
    })
}
