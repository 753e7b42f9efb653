//! When, where and with what was measured.

use std::{env, fs, path::Path, process::Command};

use chrono::Utc;

use crate::Arguments;

/// What else the figures depend on, for the head of the report.
#[allow(clippy::disallowed_methods, reason = "the machine's time is meant")]
pub(crate) fn circumstances(arguments: &Arguments) -> String {
    let begun = Utc::now().format("%Y-%m-%d %H:%M UTC");
    let mut git = Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR")]);
    let commit = git.args(["describe", "--always", "--dirty"]).output();
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let names = processors.lines();
    let mut names = names.filter_map(|line| line.strip_prefix("model name"));
    let cores = names.clone().count();
    let name = names.next_back().unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let mut text = format!(
        "{begun}, commit {}, {cores} cores of {}, Linux {}.\n\nMedians of {} runs, contestants in turn; \
         ratios are those of one run. `README.md` beside this file says what is measured and how.\n",
        commit.unwrap_or_default(),
        name.trim_start_matches([' ', '\t', ':']),
        kernel.split('-').next().unwrap_or_default().trim(),
        arguments.runs,
    );
    let departures = departures(arguments);
    if !departures.is_empty() {
        text += &format!("\n**Not the release:** {}.\n", departures.join("; "));
    }
    text
}

/// In what the programs differ from the release, as far as that can be told: variables tell cargo of
/// another profile, and the folder where this program lies has the name of its own.
fn departures(arguments: &Arguments) -> Vec<String> {
    let mut departures: Vec<String> = env::vars()
        .filter(|(name, _)| name.starts_with("CARGO_PROFILE_DIST_") || name == "RUSTFLAGS")
        .map(|(name, value)| format!("built with `{name}={value}`"))
        .collect();
    departures.sort();
    let program = env::current_exe().unwrap_or_default();
    let profile = program.parent().and_then(Path::file_name);
    let profile = profile.unwrap_or_default();
    if profile != "dist" {
        let profile = profile.display();
        departures.push(format!("the benchmark itself is a {profile} build"));
    }
    if arguments.module.is_some() {
        departures.push("the module's binary was not built here but given".to_owned());
    }
    departures
}
