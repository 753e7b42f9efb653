//! When, where and with what was measured.

use std::{
    env,
    fmt::{self, Display},
    fs,
    path::Path,
    process::Command,
};

use chrono::{DateTime, Utc};

use crate::Arguments;

/// What else the figures depend on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circumstances {
    begun: DateTime<Utc>,
    commit: String,
    machine: String,
    runs: usize,
    /// In what this differs from what the figures are meant for.
    departures: Vec<String>,
}

impl Circumstances {
    #[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
    pub(crate) fn of(arguments: &Arguments) -> Self {
        let mut departures = departures(env::vars(), &profile());
        if arguments.module.is_some() {
            departures.push("the module's binary was not built here but given".to_owned());
        }
        Self {
            begun: Utc::now(),
            commit: commit(),
            machine: machine(&read("/proc/cpuinfo"), &read("/proc/sys/kernel/osrelease")),
            runs: arguments.runs,
            departures,
        }
    }
}

impl Display for Circumstances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            begun,
            commit,
            machine,
            runs,
            departures,
        } = self;
        let begun = begun.format("%Y-%m-%d %H:%M UTC");
        writeln!(f, "{begun}, commit {commit}, {machine}.\n")?;
        writeln!(
            f,
            "Medians of {runs} runs, contestants in turn; ratios are those of one run. `README.md` \
             beside this file says what is measured and how."
        )?;
        if !departures.is_empty() {
            writeln!(f, "\n**Not the release:** {}.", departures.join("; "))?;
        }
        Ok(())
    }
}

/// The profile of what is shipped.
const SHIPPED: &str = "dist";

/// The profile that this program was built with, which names the folder where it lies.
fn profile() -> String {
    let program = env::current_exe().unwrap_or_default();
    let folder = program.parent().and_then(Path::file_name);
    folder.unwrap_or_default().to_string_lossy().into_owned()
}

/// In what the programs differ from the release, as far as that can be told: cargo is told another
/// profile by variables, which whoever starts it passes on.
fn departures(variables: impl Iterator<Item = (String, String)>, profile: &str) -> Vec<String> {
    let mut departures: Vec<String> = variables
        .filter(|(name, _)| name.starts_with("CARGO_PROFILE_DIST_") || name == "RUSTFLAGS")
        .map(|(name, value)| format!("built with `{name}={value}`"))
        .collect();
    departures.sort();
    if profile != SHIPPED {
        departures.push(format!("the benchmark itself is a {profile} build"));
    }
    departures
}

fn commit() -> String {
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR")]);
    let output = git.args(["describe", "--always", "--dirty"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_default()
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn machine(processors: &str, kernel: &str) -> String {
    let names = || {
        processors
            .lines()
            .filter_map(|line| line.strip_prefix("model name"))
    };
    let name = names()
        .next()
        .unwrap_or_default()
        .trim_start_matches([' ', '\t', ':']);
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!("{} cores of {name}, Linux {kernel}", names().count())
}
