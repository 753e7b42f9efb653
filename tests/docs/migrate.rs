//! `docs/migrate.md` compares with what there is.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

use crate::source::{entries, page, spans};

/// The settings of all triggers.
fn settings() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifests = [
        "message_trace",
        "message_trace_oauth",
        "message_trace_graph",
    ];
    let names = manifests.map(|name| {
        let file = root.join(format!("trigger_{name}.json"));
        let manifest: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let settings = manifest["arguments"]["properties"].as_object().unwrap();
        settings.keys().cloned().collect::<Vec<_>>()
    });
    names.into_iter().flatten().collect()
}

/// A section of the page.
fn section(heading: &str) -> String {
    let page = page("migrate.md");
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

#[test]
fn every_setting_is_compared() {
    let section = section("Settings");
    let new = section.lines().find(|line| line.contains("| new, all"));
    let compared = entries(&section).into_iter().chain(spans(new.unwrap()));
    assert_eq!(compared.collect::<BTreeSet<_>>(), settings());
}

#[test]
fn every_command_is_understood() {
    let taken_over = entries(&section("What is taken over"));
    let commands = taken_over
        .iter()
        .filter(|name| name.starts_with("office365_"));
    let mut count = 0;
    for command in commands {
        let mut help = Command::new(env!("CARGO_BIN_EXE_message-trace"));
        let help = help.args([command, "--help"]).output().unwrap();
        let said = String::from_utf8(help.stdout).unwrap();
        assert!(
            help.status.success() && said.contains("Message Trace"),
            "{command}: {said}"
        );
        count += 1;
    }
    assert_eq!(count, 3);
}
