//! What the program looks like: colors, widths, streams, completions, manual.

use std::{
    fs::File,
    io::Read as _,
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::json;
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
};

use crate::world::{self, PATIENCE, Said, World, until};

/// What a command shows in a terminal of this width.
pub(crate) async fn in_terminal(command: Command, columns: u16) -> String {
    let mut shown = Shown::begin(command, columns);
    tokio::time::timeout(PATIENCE, shown.child.wait())
        .await
        .unwrap()
        .unwrap();
    shown.reader.await.unwrap();
    let text = shown.text.lock().unwrap();
    String::from_utf8(text.clone())
        .unwrap()
        .replace("\r\n", "\n")
}

/// A command in a terminal.
struct Shown {
    child: Child,
    /// All that it has shown so far.
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Shown {
    fn begin(mut command: Command, columns: u16) -> Self {
        let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&theirs, size).unwrap();
        let text = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&text);
        let reader = tokio::task::spawn_blocking(move || {
            let (mut ours, mut part) = (File::from(ours), [0; 4096]);
            // When the other end is closed, reading fails.
            while let Ok(count @ 1..) = ours.read(&mut part) {
                kept.lock().unwrap().extend_from_slice(&part[..count]);
            }
        });
        command
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs)
            .kill_on_drop(true);
        let child = command.spawn().unwrap();
        Self {
            child,
            text,
            reader,
        }
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = world::program();
    command.args(arguments);
    colorful(&mut command);
    command
}

/// Nothing but the terminal decides on colors.
pub(crate) fn colorful(command: &mut Command) {
    command.env_remove("CI");
    command.env("TERM", "xterm-256color");
}

fn check(world: &World) -> Command {
    let mut command = program(&["check", "message_trace_graph", "--config-dir"]);
    command
        .arg(world.config())
        .arg("--data-dir")
        .arg(world.data());
    command
}

const ESCAPE: char = '\u{1b}';

#[tokio::test(flavor = "multi_thread")]
async fn colors_are_for_terminals_and_for_who_wants_them() {
    let world = World::graph(3).await;
    let text = in_terminal(check(&world), 80).await;
    assert!(text.contains("\u{1b}[32mpass\u{1b}[0m"), "{text:?}");
    let mut command = check(&world);
    command.env("NO_COLOR", "1");
    let text = in_terminal(command, 80).await;
    assert!(
        text.contains("pass     settings") && !text.contains(ESCAPE),
        "{text:?}"
    );
    let said = Said::of(check(&world)).await;
    assert!(!said.stdout.contains(ESCAPE), "{said}");
    let text = in_terminal(program(&["--help"]), 80).await;
    assert!(text.contains(ESCAPE), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_stay_within_the_terminal_and_are_whole_outside_of_one() {
    let world = World::graph(3).await;
    world.configure(json!({"intake_key": "another-key"}));
    for columns in [60, 80] {
        let mut command = check(&world);
        command.env("NO_COLOR", "1");
        let text = in_terminal(command, columns).await;
        for line in text.lines() {
            assert!(
                line.chars().count() <= columns.into(),
                "{line:?} of\n{text}"
            );
        }
        assert!(
            text.contains(&format!("\n{:28}", "")),
            "wrapped beside its head:\n{text}"
        );
    }
    let said = Said::of(check(&world)).await;
    assert!(
        said.stdout.lines().all(|line| !line.starts_with(' ')),
        "{said}"
    );
    for arguments in [&["--help"][..], &["check", "--help"], &["config", "-h"]] {
        let mut command = program(arguments);
        command.env("NO_COLOR", "1");
        let text = in_terminal(command, 80).await;
        let long: Vec<_> = text
            .lines()
            .filter(|line| line.chars().count() > 80)
            .collect();
        assert!(long.is_empty(), "{long:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_terminal_gets_texts_below_their_heads() {
    let world = World::graph(3).await;
    world.configure(json!({"intake_key": "another-key"}));
    for (name, below) in [
        (
            "check",
            "\nfail     intake\n    the intake 127.0.0.1 answers 422\n",
        ),
        (
            "config",
            "\n  details_quota  default  10\n  event_format  default  graph\n",
        ),
        ("status", "process    not running on\n           /"),
    ] {
        let mut command = world.command_named(name);
        command.env("NO_COLOR", "1");
        let text = in_terminal(command, 40).await;
        assert!(text.contains(below), "{text}");
        let long = text.lines().find(|line| line.chars().count() > 40);
        assert_eq!(long, None, "{text}");
    }
    // What goes wrong is wrapped as well.
    let mut command = world.command_named("check");
    command.arg("nosuch").env("NO_COLOR", "1");
    let text = in_terminal(command, 40).await;
    assert!(text.lines().count() > 3, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 40),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dumb_terminal_gets_no_colors() {
    let world = World::graph(0).await;
    for arguments in [
        &["status"][..],
        &["check"],
        &["config"],
        &["chek"],
        &["--help"],
    ] {
        let mut command = program(arguments);
        command.arg("--config-dir").arg(world.config());
        command.env("TERM", "dumb");
        let text = in_terminal(command, 80).await;
        assert!(!text.is_empty() && !text.contains(ESCAPE), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_and_readers_learn_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = Said::of(program(&["completions", shell])).await;
        assert_eq!(
            (said.code, said.stderr.as_str()),
            (Some(0), ""),
            "{shell}: {said}"
        );
        for text in ["check", "completions", "config", "message_trace_graph"] {
            assert!(said.stdout.contains(text), "{shell}: {text}");
        }
    }
    let said = Said::of(program(&["completions", "dos"])).await;
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
    assert!(said.stderr.contains("bash"), "{said}");

    let said = Said::of(program(&["man"])).await;
    assert!(said.stdout.contains(".TH message-trace 1"), "{said}");
    assert!(said.stdout.contains("message\\-trace\\-check(1)"), "{said}");
    let said = Said::of(program(&["man", "check"])).await;
    assert!(said.stdout.contains("Exit codes"), "{said}");
    let said = Said::of(program(&["man", "nothing"])).await;
    assert!(
        said.stderr.contains("there is no command \"nothing\""),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let binary = env!("CARGO_BIN_EXE_message-trace");
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("'{binary}' completions bash | head -c 1"));
    let said = Said::of(command).await;
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_is_drawn_anew_until_ctrl_c() {
    let world = World::graph(3).await;
    let mut process = world.start();
    world.tell_ports(&mut process).await;
    world.all_delivered().await;
    let mut command = world.command_named("status");
    command.arg("--watch");
    colorful(&mut command);
    let mut watching = Shown::begin(command, 80);
    let text = || String::from_utf8_lossy(&watching.text.lock().unwrap()).into_owned();
    // Each picture begins in the upper left corner, on nothing of the one before.
    let pictures = || text().matches("\u{1b}[H\u{1b}[J").count();
    until("it is drawn three times", || pictures() >= 3).await;
    let all = text();
    let second = all.split("\u{1b}[H\u{1b}[J").nth(2).unwrap();
    for seen in ["24 h", "█ final", "process", "running since", "delivered"] {
        assert!(second.contains(seen), "{seen}: {second:?}");
    }
    let blocks = second.lines().next().unwrap();
    assert!(blocks.contains('·') && blocks.contains('▓'), "{blocks:?}");
    let code = world.says(&["status"]).await.code;

    // As a terminal does it at Ctrl-C.
    let pid = Pid::from_raw(watching.child.id().unwrap().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = tokio::time::timeout(PATIENCE, watching.child.wait()).await;
    assert_eq!(ended.unwrap().unwrap().code(), code, "{:?}", text());
    process.stop().await;
}
