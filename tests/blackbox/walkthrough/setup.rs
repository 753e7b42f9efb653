//! `docs/setup.md`: the commands alone lead from an empty directory to events at the intake.

use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    source::{blocks, page},
    world::{Said, Trigger, World, clean, free_ports, shape},
};

/// The emulator's binary. `cargo test --workspace` has built it.
async fn emulator() -> PathBuf {
    let module = Path::new(env!("CARGO_BIN_EXE_message-trace"));
    let binary = module.with_file_name("emulator");
    if !binary.exists() {
        let mut build = Command::new(std::env::var("CARGO").unwrap());
        build.args(["build", "--package", "emulator", "--bin", "emulator"]);
        let built = build.status().await.unwrap();
        assert!(built.success() && binary.exists());
    }
    binary
}

/// What the page's commands say, in a directory of their own.
async fn followed(folder: &Path, page: &str) -> Said {
    let [microsoft, sekoia, health, metrics] = free_ports();
    // What a reader types is the binary's name; the ports that the page shows may be taken here.
    // Nothing goes on behind the end, however it comes.
    let mut script = format!(
        "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n\
         emulator() {{ exec {} --port-microsoft {microsoft} --port-sekoia {sekoia} \"$@\"; }}\n",
        emulator().await.display()
    );
    script.push_str(&blocks(page, "sh run").concat());
    let script = script
        .replace("127.0.0.1:8365", &format!("127.0.0.1:{microsoft}"))
        .replace("127.0.0.1:8366", &format!("127.0.0.1:{sekoia}"));
    let module = Path::new(env!("CARGO_BIN_EXE_message-trace"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", module.parent().unwrap().display());
    let mut shell = Command::new("timeout");
    shell
        .args(["90", "bash", "-c", &script])
        .current_dir(folder);
    clean(&mut shell);
    shell.env("PATH", path);
    shell.env("LIVENESS_PORT", health.to_string());
    shell.env("METRICS_PORT", metrics.to_string());
    Said::of(shell).await
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_empty_directory_to_events_at_the_intake() {
    let page = page("setup.md");
    let folder = TempDir::new().unwrap();
    let said = followed(folder.path(), &page).await;
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let log = read("trigger.log");
    assert_eq!(said.code, Some(0), "{said}\n{log}");
    assert!(said.stdout.contains("verdict: clean"), "{said}");
    assert!(
        said.stdout.contains("1000 events since its start"),
        "{said}"
    );
    for trigger in [
        "message_trace_graph",
        "message_trace_oauth",
        "message_trace",
    ] {
        let fits = format!("fit {trigger}\n");
        assert!(said.stdout.contains(&fits), "{trigger}: {said}");
    }
    assert!(read("emulator.log").contains("verdict: clean"));

    let printed = shape(&format!("{}\n{log}", said.stdout));
    for line in blocks(&page, "text").iter().flat_map(|block| block.lines()) {
        // The page shows the platform's intake in a line of the log.
        let line = shape(&line.replace("intake.sekoia.io.", "127.0.0.1."));
        assert!(
            printed.contains(&line),
            "nothing says {line:?}:\n{said}\n{log}"
        );
    }

    let world = World::of(Trigger::Graph, 1, 0).await;
    let certificate = read("app.pem");
    world.configure(json!({
        "credential": "certificate", "certificate": certificate, "client_secret": null,
    }));
    let said = world.says(&["check"]).await;
    assert!(
        said.stdout.contains("AADSTS700027"),
        "it is readable: {said}"
    );
}
