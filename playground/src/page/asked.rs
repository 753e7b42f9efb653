//! What the page asks the module's own commands: `config`, `check` and `status`, each as JSON.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use tokio::{process::Command, time::timeout};

/// A command for people ends sooner; `check` waits for servers that do not answer.
const PATIENCE: Duration = Duration::from_secs(90);

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
    pub(crate) binary: std::path::PathBuf,
    pub(crate) trigger: &'static str,
    pub(crate) configuration: std::path::PathBuf,
    pub(crate) data: std::path::PathBuf,
}

impl Asked {
    async fn ask(&self, command: &str, trigger: Option<&str>) -> anyhow::Result<Value> {
        let directories = [
            (Path::new("--config-dir"), self.configuration.as_path()),
            (Path::new("--data-dir"), self.data.as_path()),
        ];
        let mut process = Command::new(&self.binary);
        process.arg(command).args(trigger).arg("--json");
        for (option, directory) in directories {
            process.arg(option).arg(directory);
        }
        let output = process
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, output).await;
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

    /// Tries each step of a collection once.
    pub(crate) async fn check(&self) -> anyhow::Result<Vec<Finding>> {
        let answer = self.ask("check", Some(self.trigger)).await?;
        let checks = answer.get("checks").cloned().unwrap_or_default();
        serde_json::from_value(checks).context("the answer of `check` is not understood")
    }

    /// Where the collection stands.
    pub(crate) async fn status(&self) -> anyhow::Result<Value> {
        self.ask("status", None).await
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
