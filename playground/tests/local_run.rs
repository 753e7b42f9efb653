//! The README's first command, without a terminal.

use std::path::Path;
use std::process::Command;

#[test]
fn a_run_on_graph_ends_with_a_clean_verdict() {
    runs_clean("message_trace_graph");
}

#[test]
fn a_run_as_an_app_ends_with_a_clean_verdict() {
    runs_clean("message_trace_oauth");
}

#[test]
fn a_run_with_an_account_ends_with_a_clean_verdict() {
    runs_clean("message_trace");
}

#[allow(
    clippy::expect_used,
    reason = "a test's helper may panic, as the test itself may"
)]
fn runs_clean(trigger: &str) {
    let playground = Path::new(env!("CARGO_BIN_EXE_playground"));
    if !playground.with_file_name("message-trace").exists() {
        // Only `cargo test --workspace` builds it; building it here would disturb other tests.
        return;
    }
    let run = Command::new(playground)
        .args([
            "--trigger",
            trigger,
            "--events",
            "2000",
            "--backlog",
            "0.5",
            "--duration",
            "60",
        ])
        .env_remove("CARGO")
        .output()
        .expect("the playground starts");
    let screen = String::from_utf8_lossy(&run.stdout);
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}\n{screen}\n{stderr}", run.status);
    for text in [
        "An emulated Microsoft 365 organization has 2,000 rows of mail from the last 0.5 h",
        "-- 2,000 rows delivered",
        "all rows are delivered, says the module",
        "verdict: clean",
        "none of them twice",
    ] {
        assert!(
            screen.contains(text),
            "no {text:?} on the screen:\n{screen}"
        );
    }
}

/// Kills and stops, an outage, and mail that is not late; the last life sees the end of it.
const SCENARIO: &str = r#"{
    "version": 1,
    "traffic": { "rate": 20.0, "backlog": { "span": 600 } },
    "trigger": { "frequency": 10 },
    "timeline": [
        { "at": 1, "do": { "fault": { "endpoint": "intake", "seconds": 2,
                                      "rule": { "kind": "answer", "status": 503 } } } },
        { "at": 5, "do": "stop_traffic" }
    ],
    "lives": [
        { "seconds": 2, "end": "kill", "away": 1 },
        { "seconds": 2, "away": 1 },
        { "seconds": 13 }
    ]
}"#;

#[test]
fn a_scenario_leads_through_the_lives_of_the_module() {
    let playground = Path::new(env!("CARGO_BIN_EXE_playground"));
    if !playground.with_file_name("message-trace").exists() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("scenario.json");
    std::fs::write(&file, SCENARIO).expect("the scenario is written");
    let run = Command::new(playground)
        .arg("--scenario")
        .arg(file)
        .env_remove("CARGO")
        .output()
        .expect("the playground starts");
    let screen = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{}\n{screen}", run.status);
    for text in [
        "0:00:02  the module is killed",
        "killing the module",
        "the module starts again in 1 s",
        "Every row received before",
        "rows by lateness",
    ] {
        assert!(
            screen.contains(text),
            "no {text:?} on the screen:\n{screen}"
        );
    }
}

#[test]
fn a_scenario_that_is_none_is_answered_with_a_sentence() {
    let run = Command::new(env!("CARGO_BIN_EXE_playground"))
        .args(["--scenario", "/dev/null"])
        .output()
        .expect("the playground starts");
    assert!(!run.status.success());
    let screen = String::from_utf8_lossy(&run.stdout);
    assert!(screen.contains("\"/dev/null\" is no scenario"), "{screen}");
}

#[test]
fn nonsense_is_answered_with_a_sentence() {
    let run = Command::new(env!("CARGO_BIN_EXE_playground"))
        .args(["--backlog", "long"])
        .output()
        .expect("the playground starts");
    assert!(!run.status.success());
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(stderr.contains("not a number from 0 to 719"), "{stderr}");
}
