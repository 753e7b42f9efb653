//! `check`: can this trigger collect?

use std::{io::Write as _, process::ExitCode, time::Duration};

use base::http::chain;
use clap::{Args, Command, value_parser};
use sekoia::{CheckFinding, Installation, Outcome, Registry, StartError, Topic};
use serde_json::{Map, Value, json};

use super::{
    screen::{BAD, FAINT, GOOD, Screen, WARNED, say, styled},
    usage,
};

/// Columns of the outcome and of the topic's name, with the blanks after them.
const OUTCOME: usize = 9;
const NAME: usize = 19;

/// What stands in the way of any check.
const START: Topic = Topic {
    name: "start",
    exit_code: 1,
    about: "no check was possible",
};

/// Tries out whether a trigger can collect, and says what to do when it cannot.
#[derive(Debug, Args)]
#[command(
    long_about = "Reads the same configuration as the trigger and tries each step of a collection \
                  once: nothing is collected, delivered or changed, and the trigger may be running \
                  meanwhile. Prints one line for each step, as soon as it was tried: pass, warn, fail or \
                  skipped."
)]
pub(super) struct CheckArguments {
    /// The trigger; may be left out when the configuration fits one only.
    trigger: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print one line of JSON for each step as soon as it was tried, and one for the outcome.
    #[arg(long, conflicts_with = "json")]
    json_lines: bool,
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = value_parser!(u64).range(1..=86_400),
        help = "Repeat until everything passes, with a pause of this many seconds [60]"
    )]
    wait: Option<u64>,
}

pub(super) fn command(registry: &Registry) -> Command {
    super::command::<CheckArguments>("check").after_help(exit_codes(registry))
}

fn exit_codes(registry: &Registry) -> String {
    let mut topics = registry.topics();
    topics.retain(|topic| topic.exit_code > 0);
    topics.sort_by_key(|topic| topic.exit_code);
    let mut text = format!(
        "Exit codes:\n   0  everything passes\n   {}  {}\n   {}  {}\n\
         and, of the first line that fails:",
        START.exit_code,
        START.about,
        usage::EXIT_CODE,
        usage::NOT_UNDERSTOOD.1,
    );
    for topic in topics {
        text.push_str(&format!(
            "\n  {}  {}: {}",
            topic.exit_code, topic.name, topic.about
        ));
    }
    text
}

pub(super) async fn run(
    installation: &Installation<'_>,
    arguments: CheckArguments,
) -> anyhow::Result<ExitCode> {
    let pause = arguments.wait.map(Duration::from_secs);
    let mut output = Output {
        screen: Screen::new(),
        form: match (arguments.json, arguments.json_lines) {
            (true, _) => Form::Json,
            (_, true) => Form::JsonLines,
            _ => Form::Text,
        },
        before: Vec::new(),
        announced: false,
    };
    let trigger = match super::chosen(installation, arguments.trigger) {
        Ok(trigger) => trigger,
        Err(unclear) => return output.nothing(None, Topic::SETTINGS, unclear),
    };
    loop {
        let round = match Round::go(installation, &trigger, &output).await {
            Err(error) if error.is::<StartError>() => {
                return output.nothing(Some(&trigger), START, chain(error.as_ref()));
            }
            round => round?,
        };
        match (round.exit_code(), pause) {
            (0, _) | (_, None) => return Ok(ExitCode::from(round.exit_code())),
            (_, Some(pause)) => {
                output.announce(pause, round.rest);
                output.before = round.findings;
                tokio::time::sleep(pause.max(round.rest)).await;
            }
        }
    }
}

#[derive(Default)]
struct Round {
    findings: Vec<CheckFinding>,
    /// What is to pass before the next at least.
    rest: Duration,
}

impl Round {
    async fn go(
        installation: &Installation<'_>,
        trigger: &str,
        output: &Output,
    ) -> anyhow::Result<Self> {
        let mut round = Self::default();
        let mut printed = Ok(());
        let mut report = |finding: CheckFinding| {
            if printed.is_ok() {
                printed = output.finding(&finding, round.count(finding.topic));
            }
            round.findings.push(finding);
        };
        let rest = sekoia::check(installation, trigger, &mut report).await?;
        round.rest = rest;
        printed?;
        output.end(Some(trigger), &round)?;
        Ok(round)
    }

    fn count(&self, topic: Topic) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.topic == topic)
            .count()
    }

    fn exit_code(&self) -> u8 {
        let mut failed = self
            .findings
            .iter()
            .filter(|finding| finding.outcome == Outcome::Fail);
        // No failure is told as a success.
        failed
            .next()
            .map_or(0, |finding| finding.topic.exit_code.max(START.exit_code))
    }
}

fn as_json(finding: &CheckFinding) -> Value {
    json!({
        "check": finding.topic.name,
        "outcome": finding.outcome.word(),
        "text": finding.text,
        "facts": finding.facts,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Lines for people, each as soon as it is found.
    Text,
    /// One object for each round, at its end.
    Json,
    /// One line of JSON for each finding as soon as it is found, and one for the outcome of the round.
    JsonLines,
}

struct Output {
    screen: Screen,
    form: Form,
    /// What the round before has found, of which only changes are told.
    before: Vec<CheckFinding>,
    announced: bool,
}

impl Output {
    /// Prints a finding, the `number`th of its topic.
    fn finding(&self, finding: &CheckFinding, number: usize) -> anyhow::Result<()> {
        match self.form {
            Form::Json => return Ok(()),
            Form::JsonLines => return print_json(&as_json(finding)),
            Form::Text => {}
        }
        let before = self.before.iter();
        let mut before = before.filter(|one| one.topic == finding.topic);
        if before.nth(number).is_some_and(|one| is_same(one, finding)) {
            return Ok(());
        }
        let style = match finding.outcome {
            Outcome::Pass => GOOD,
            Outcome::Warn => WARNED,
            Outcome::Fail => BAD,
            Outcome::Skipped => FAINT,
        };
        let outcome = styled(style, finding.outcome.word(), OUTCOME);
        let head = format!("{outcome}{:NAME$}", finding.topic.name);
        self.screen.line(&head, OUTCOME + NAME, &finding.text)
    }

    /// Prints the outcome of a round, for machines.
    fn end(&self, trigger: Option<&str>, round: &Round) -> anyhow::Result<()> {
        let code = round.exit_code();
        let mut outcome = json!({"trigger": trigger, "passed": code == 0, "exit_code": code});
        if let (Form::Json, Some(outcome)) = (self.form, outcome.as_object_mut()) {
            let checks = round.findings.iter().map(as_json).collect();
            outcome.insert("checks".to_owned(), checks);
        }
        match self.form {
            Form::Text => Ok(()),
            Form::Json | Form::JsonLines => print_json(&outcome),
        }
    }

    /// Says why nothing was checked: a failure like any other for machines.
    fn nothing(
        &self,
        trigger: Option<&str>,
        topic: Topic,
        text: String,
    ) -> anyhow::Result<ExitCode> {
        if self.form == Form::Text {
            say(&format!("message-trace: {text}"));
        } else {
            let failure = CheckFinding {
                topic,
                outcome: Outcome::Fail,
                text,
                facts: Map::new(),
            };
            self.finding(&failure, 0)?;
            let round = Round {
                findings: vec![failure],
                rest: Duration::ZERO,
            };
            self.end(trigger, &round)?;
        }
        Ok(ExitCode::from(topic.exit_code))
    }

    /// Says, once, that it goes on; and each time that it waits longer than that.
    fn announce(&mut self, pause: Duration, rest: Duration) {
        if rest > pause {
            return say(&format!(
                "Checking again in {} min: to try a refused password often may lock the account.",
                rest.as_secs() / 60
            ));
        }
        if !std::mem::replace(&mut self.announced, true) {
            let pause = pause.as_secs();
            say(&format!(
                "Checking again every {pause} s until everything passes."
            ));
        }
    }
}

/// Whether a round has found the same as the one before. A failure may have another reason now: ids, times and
/// counts in its words are other ones each time, and all else tells.
fn is_same(before: &CheckFinding, now: &CheckFinding) -> bool {
    let words = |finding: &CheckFinding| -> Vec<String> {
        let words = finding.text.split_whitespace();
        let words = words.filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
        words.map(str::to_owned).collect()
    };
    before.outcome == now.outcome && (now.outcome != Outcome::Fail || words(before) == words(now))
}

/// Prints one line at once: who reads it may wait for it.
fn print_json(value: &Value) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{value}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::triggers;

    #[test]
    fn a_failure_with_another_reason_is_told_again() {
        let found = |outcome, text: &str| CheckFinding {
            topic: Topic::SETTINGS,
            outcome,
            text: text.to_owned(),
            facts: Map::new(),
        };
        let wrong = found(Outcome::Fail, "the secret is wrong (trace id 0d6c-1)");
        for (now, same) in [
            (
                found(Outcome::Fail, "the secret is wrong (trace id 7f2a-9)"),
                true,
            ),
            (
                found(Outcome::Fail, "the secret has expired (trace id 7f2a-9)"),
                false,
            ),
            (
                found(Outcome::Warn, "the secret is wrong (trace id 0d6c-1)"),
                false,
            ),
        ] {
            assert_eq!(is_same(&wrong, &now), same, "{now:?}");
        }
        let passes = |text| found(Outcome::Pass, text);
        assert!(
            is_same(&passes("no row"), &passes("a row")),
            "it is as it should be"
        );
    }

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let registry = triggers::registry();
        let topics = registry.topics();
        let (failing, others): (Vec<&Topic>, Vec<&Topic>) =
            topics.iter().partition(|topic| topic.exit_code > 0);
        let mut codes: Vec<u8> = failing.iter().map(|topic| topic.exit_code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), failing.len());
        let told = exit_codes(&registry);
        for topic in &topics {
            assert_eq!(told.contains(topic.about), topic.exit_code > 0, "{told}");
        }
        // It is only warned of.
        let others: Vec<&str> = others.iter().map(|topic| topic.name).collect();
        assert_eq!(others, ["clock"]);
        let free = usage::EXIT_CODE + 1..64;
        assert!(codes.iter().all(|code| free.contains(code)), "{codes:?}");
        let longest = topics.iter().map(|topic| topic.name.len()).max();
        assert!(longest.unwrap() < NAME);
    }
}
