//! What the page asks the module's own commands: `config`, `check` and `status`, each as JSON.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{Instant, timeout, timeout_at},
};

/// A command for people ends sooner; `check` waits for servers that do not answer.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Bytes of a complaint that are shown.
const LONGEST_COMPLAINT: u64 = 16 << 10;

/// Something that is wrong with the settings, in the module's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The setting that it is about; none for all of them together.
    pub(crate) field: Option<String>,
    /// The sentence.
    pub(crate) text: String,
}

/// A line of `check`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Finding {
    /// What was tried.
    pub(crate) check: String,
    /// `pass`, `warn`, `fail` or `skipped`.
    pub(crate) outcome: String,
    /// What was found.
    pub(crate) text: String,
    /// The same for machines.
    #[serde(default)]
    pub(crate) facts: Value,
}

/// The module with a configuration and data.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) binary: PathBuf,
    pub(crate) trigger: &'static str,
    pub(crate) configuration: PathBuf,
    pub(crate) data: PathBuf,
}

impl Asked {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut process = Command::new(&self.binary);
        process.args(arguments);
        process.arg("--config-dir").arg(&self.configuration);
        process.arg("--data-dir").arg(&self.data);
        process.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        process
    }

    async fn ask(&self, command: &str, trigger: Option<&str>) -> anyhow::Result<Value> {
        let arguments: Vec<&str> = [command].into_iter().chain(trigger).collect();
        let output = self.command(&arguments).arg("--json").output();
        let output = timeout(TIMEOUT, output).await;
        let output = output.with_context(|| format!("`{command}` does not end"))??;
        match serde_json::from_slice(&output.stdout) {
            Ok(answer) => Ok(answer),
            Err(_) => bail!(
                "`{command}` says: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        }
    }

    /// What is wrong with the settings.
    pub(crate) async fn problems(&self) -> anyhow::Result<Vec<Problem>> {
        let answer = self.ask("config", Some(self.trigger)).await?;
        let problems = answer.get("problems").and_then(Value::as_array);
        let texts = problems.into_iter().flatten().filter_map(Value::as_str);
        Ok(texts.map(problem).collect())
    }

    /// Begins to try each step of a collection once.
    pub(crate) fn check(&self) -> anyhow::Result<Checking> {
        let mut process = self.command(&["check", self.trigger, "--json-lines"]);
        let process = process.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = process.spawn().context("cannot start `check`")?;
        let out = process.stdout.take().context("`check` has no output")?;
        Ok(Checking {
            process,
            lines: BufReader::new(out).lines(),
            deadline: Instant::now() + TIMEOUT,
        })
    }

    /// Where the collection stands.
    pub(crate) async fn status(&self) -> anyhow::Result<Value> {
        self.ask("status", None).await
    }
}

/// A `check` at work; it is killed on drop.
#[derive(Debug)]
pub(crate) struct Checking {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    deadline: Instant,
}

impl Checking {
    /// The next line, as soon as it is found; none once `check` has told the outcome.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Finding>> {
        let line = timeout_at(self.deadline, self.lines.next_line()).await;
        let Some(line) = line.context("`check` does not end")?? else {
            bail!("`check` says: {}", self.complaint().await);
        };
        let line: Value =
            serde_json::from_str(&line).context("a line of `check` is not understood")?;
        if line.get("exit_code").is_some() {
            return Ok(None);
        }
        let finding = serde_json::from_value(line);
        finding.context("a line of `check` is not understood")
    }

    /// Why there is no outcome, in its own words.
    async fn complaint(&mut self) -> String {
        let mut text = Vec::new();
        if let Some(err) = self.process.stderr.take() {
            let mut err = err.take(LONGEST_COMPLAINT);
            // What could be read must do.
            _ = timeout_at(self.deadline, err.read_to_end(&mut text)).await;
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

/// `trigger_configuration: frequency is 5, allowed is ...` is about `frequency`.
fn problem(text: &str) -> Problem {
    let (_, sentence) = text.split_once("configuration: ").unwrap_or(("", text));
    let word = sentence.split([' ', ',', ':']).next().unwrap_or_default();
    let is_setting = word.contains('_') || sentence.starts_with(&format!("{word} is "));
    Problem {
        field: (is_setting && word != "the").then(|| word.to_owned()),
        text: sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_names_its_field() {
        let about = |text: &str| problem(text).field;
        let of = |text: &str| Some(text.to_owned());
        assert_eq!(
            about("trigger_configuration: frequency is 5, allowed is a whole number"),
            of("frequency")
        );
        assert_eq!(
            about("trigger_configuration: tenant_id is missing, allowed is a text"),
            of("tenant_id")
        );
        let together = "trigger_configuration: the settings do not fit together: the credential";
        assert_eq!(about(together), None);
        assert!(problem(together).text.starts_with("the settings do not"));
    }
}
