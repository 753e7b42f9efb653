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
