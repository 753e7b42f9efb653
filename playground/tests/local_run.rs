//! The README's first command, without a terminal.

#![allow(
    clippy::expect_used,
    reason = "a test's helpers may panic, as the test itself may"
)]

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

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

/// Says something although the test passes.
fn skipped(why: &str) {
    // What `println!` prints is kept from who runs the tests. Nobody may listen.
    _ = writeln!(std::io::stdout().lock(), "SKIPPED: {why}");
}

/// The playground with a module beside it; none, said aloud, where there is none.
fn ready() -> Option<&'static Path> {
    let playground = Path::new(env!("CARGO_BIN_EXE_playground"));
    if !playground.with_file_name("message-trace").exists() {
        // Building it here would disturb other tests.
        skipped("no module beside the playground; `cargo test --workspace` builds it");
        return None;
    }
    Some(playground)
}

fn runs_clean(trigger: &str) {
    let Some(playground) = ready() else { return };
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
        "and none twice",
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
        { "seconds": 2, "away": 1, "damage": { "to": "quota", "harm": "removed" } },
        { "seconds": 30 }
    ]
}"#;

#[test]
fn a_scenario_leads_through_the_lives_of_the_module() {
    let Some(playground) = ready() else { return };
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
        "-- the state is damaged: Quota is Removed",
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

/// What the screen shows when this scenario is to be played, and nothing can be built for it.
fn played(scenario: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("scenario.json");
    std::fs::write(&file, scenario).expect("the scenario is written");
    let run = Command::new(env!("CARGO_BIN_EXE_playground"))
        .arg("--scenario")
        .arg(&file)
        // Where it is not refused, the module is built next, which cannot be.
        .env("CARGO", "/dev/null")
        .output()
        .expect("the playground starts");
    assert!(!run.status.success());
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[test]
fn a_scenario_that_sets_the_clock_of_the_module_is_refused() {
    for (ahead, refused) in [(-60, true), (0, false), (60, true)] {
        let clock = format!(r#"{{ "at": 1, "do": {{ "module_clock": {ahead} }} }}, {{ "at": 5,"#);
        let scenario = SCENARIO.replace(r#"{ "at": 5,"#, &clock);
        assert!(scenario.contains("module_clock"));
        let screen = played(&scenario);
        let is_said = screen.contains("sets the module's clock (`module_clock`)");
        assert_eq!(is_said, refused, "{screen}");
    }
}

#[test]
fn a_scenario_with_other_settings_for_later_lives_is_refused() {
    for (restarts, refused) in [("[]", false), (r#"[{ "frequency": 60 }]"#, true)] {
        let restarts = format!(r#""restarts": {restarts}, "lives": ["#);
        let scenario = SCENARIO.replace(r#""lives": ["#, &restarts);
        assert!(scenario.contains("restarts"));
        let screen = played(&scenario);
        let is_said = screen.contains("has other settings for later lives (`restarts`)");
        assert_eq!(is_said, refused, "{screen}");
    }
}

/// A playground that runs until it is asked to end, as by a terminal that is closed.
fn ends_with(arguments: &[&str], seen: &str, signal: Signal) -> Option<(Option<i32>, String)> {
    let mut run = Command::new(ready()?)
        .args(arguments)
        .env_remove("CARGO")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the playground starts");
    let out = run.stdout.take().expect("a pipe");
    let mut screen = String::new();
    for line in BufReader::new(out).lines() {
        let line = line.expect("a line");
        let is_it = line.contains(seen) && !screen.contains(seen);
        screen.push_str(&line);
        screen.push('\n');
        if is_it {
            let id = Pid::from_child(&run);
            kill_process(id, signal).expect("it runs");
        }
    }
    let status = run.wait().expect("it ends");
    Some((status.code(), screen))
}

/// The folder of the module that a screen names.
fn folder(screen: &str) -> &Path {
    let line = screen.lines().find(|line| line.contains("settings   "));
    let path = line.and_then(|line| line.split_whitespace().last());
    let file = Path::new(path.expect("the folder is named"));
    let folder = file.parent().and_then(Path::parent);
    folder.expect("a folder")
}

#[test]
fn a_closed_terminal_ends_the_module_and_leaves_no_folder() {
    ends_in_order(Signal::HUP);
}

#[test]
fn an_interruption_ends_the_module_and_leaves_no_folder() {
    ends_in_order(Signal::INT);
}

#[test]
fn a_termination_ends_the_module_and_leaves_no_folder() {
    ends_in_order(Signal::TERM);
}

fn ends_in_order(signal: Signal) {
    let seen = " s behind now";
    let Some((code, screen)) = ends_with(&["--no-page"], seen, signal) else {
        return;
    };
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("-- stopping the module"), "{screen}");
    assert!(screen.contains("verdict: clean"), "{screen}");
    assert!(!folder(&screen).exists(), "{screen}");
}

#[test]
fn a_kill_of_the_playground_ends_the_module() {
    if !Path::new("/usr/bin/setpriv").exists() {
        skipped("no setpriv here, with which the module ends");
        return;
    }
    let Some((code, screen)) = ends_with(&["--no-page"], " s behind now", Signal::KILL) else {
        return;
    };
    assert_eq!(code, None, "{screen}");
    let folder = folder(&screen);
    for process in std::fs::read_dir("/proc").expect("processes").flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if !String::from_utf8_lossy(&command).contains(&*folder.to_string_lossy()) {
            continue;
        }
        let id = process.file_name().to_string_lossy().parse().ok();
        let id = id.and_then(Pid::from_raw).expect("the module's id");
        // One that has ended meanwhile is no more to be found.
        if let Ok(module) = pidfd_open(id, PidfdFlags::empty()) {
            let patience = Timespec {
                tv_sec: 30,
                tv_nsec: 0,
            };
            let mut ends = [PollFd::new(&module, PollFlags::IN)];
            let ended = poll(&mut ends, Some(&patience)).expect("it can be waited for");
            assert_eq!(ended, 1, "the module goes on");
        }
    }
    // Who is killed tidies nothing up.
    std::fs::remove_dir_all(folder).expect("the folder is there");
}

#[test]
fn a_terminal_is_left_without_half_a_status_line() {
    let Some(playground) = ready() else { return };
    let mut master: File = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)
        .expect("a terminal")
        .into();
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it can be opened");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(OsStr::from_bytes(name.to_bytes()))
        .expect("its other side");
    let side = || Stdio::from(terminal.try_clone().expect("another handle"));
    let mut run = Command::new(playground)
        .arg("--no-page")
        .env_remove("CARGO")
        .stdin(side())
        .stdout(side())
        .stderr(side())
        .spawn()
        .expect("the playground starts");
    let (mut screen, mut buffer, mut asked) = (String::new(), [0; 4096], false);
    while !screen.contains("verdict: ") {
        let count = master.read(&mut buffer).expect("what it prints");
        screen.push_str(&String::from_utf8_lossy(
            buffer.get(..count).expect("a part"),
        ));
        if !asked && screen.contains(" s behind now") {
            asked = true;
            master.write_all(b"\x03").expect("the key");
            kill_process(Pid::from_child(&run), Signal::INT).expect("it runs");
        }
    }
    assert!(run.wait().expect("it ends").success(), "{screen}");
    assert!(!screen.contains("^C"), "{screen}");
    let last = screen.rfind("behind now").expect("a status");
    let rest = screen.get(last..).expect("what follows");
    assert!(rest.contains("\r\u{1b}[2K"), "{rest:?}");
    let modes = tcgetattr(&terminal).expect("a terminal").local_modes;
    assert!(modes.contains(LocalModes::ECHOCTL), "it is as it was");
}

#[test]
fn a_time_that_is_too_short_is_said() {
    let run = ["--events", "1000000", "--duration", "1"];
    let Some((code, screen)) = ends_with(&run, "\0", Signal::HUP) else {
        return;
    };
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("The time was too short:"), "{screen}");
    assert!(!folder(&screen).exists(), "{screen}");
}

#[test]
fn a_run_without_rows_is_not_called_clean() {
    let run = ["--rate", "0", "--backlog", "0.1", "--duration", "4"];
    let Some((code, screen)) = ends_with(&run, "\0", Signal::HUP) else {
        return;
    };
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("verdict: nothing to judge"), "{screen}");
    assert!(!screen.contains("clean"), "{screen}");
    assert!(!folder(&screen).exists(), "{screen}");
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
