//! The folder that `deploy/sekoia/layout` writes is what the platform imports: it keeps the rules
//! of the vendor's compliance tool (contract S) and of the import (W-08), and its `main.py` hands
//! over to the binary. Rules S-01 to S-19 and S-24 to S-26 are those of `tests/manifests`, since
//! the files are the same.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test's helpers may panic, as the test itself may"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chrono::TimeDelta;
use emulator::{Backlog, Emulator, Options, Traffic};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The written folder, with the binary of this build.
fn layout(arguments: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    layout_in(folder.path(), arguments);
    folder
}

fn layout_in(folder: &Path, arguments: &[&str]) {
    let output = Command::new(repository().join("deploy/sekoia/layout"))
        .args(["--binary", env!("CARGO_BIN_EXE_message-trace")])
        .args(arguments)
        .arg(folder)
        .output()
        .expect("layout starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect(name)
}

/// The manifests of a folder by their files' names.
fn manifests(folder: &Path) -> BTreeMap<String, Value> {
    let entries = fs::read_dir(folder).expect("folder");
    let names = entries.map(|entry| entry.expect("entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    names
        .filter(|name| name.ends_with(".json"))
        .map(|name| {
            let text = read(folder, &name);
            (name.clone(), serde_json::from_str(&text).expect(&name))
        })
        .collect()
}

/// The commands of the items, or their identifiers.
fn values(manifests: &BTreeMap<String, Value>, prefix: &str, key: &str) -> Vec<String> {
    let items = manifests
        .iter()
        .filter(|(name, _)| name.starts_with(prefix));
    let values = items.map(|(name, manifest)| manifest[key].as_str().expect(name).to_owned());
    values.collect()
}

/// S-01 to S-19, S-24 to S-26, and W-08.
#[test]
fn manifests_changelog_and_logo_are_the_repository_s() {
    let folder = layout(&[]);
    assert_eq!(manifests(folder.path()), manifests(repository()));
    for name in ["CHANGELOG.md", "LICENSE", "logo.svg", "logo.png"] {
        let bytes = |folder: &Path| fs::read(folder.join(name)).expect(name);
        assert_eq!(bytes(folder.path()), bytes(repository()), "{name}");
    }
}

/// S-20 to S-23, S-27.
#[test]
fn the_files_of_a_python_module_are_there() {
    let folder = layout(&[]);
    for name in ["pyproject.toml", "poetry.lock", "Dockerfile", "main.py"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
    let tests = fs::read_dir(folder.path().join("tests")).expect("tests");
    let mut names = tests.map(|entry| entry.expect("entry").file_name());
    let is_test = |name: &str| name.starts_with("test_") && name.ends_with(".py");
    assert!(names.any(|name| name.to_str().is_some_and(is_test)));

    let project = read(folder.path(), "pyproject.toml");
    let version = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"\n");
    assert!(project.contains(version), "{project}");
    let python = "requires-python = \">=3.11\"\n";
    let locked = "python-versions = \">=3.11\"\n";
    assert!(project.contains(python) && read(folder.path(), "poetry.lock").contains(locked));
}

/// S-28 to S-30. The tool scans the text for `module.register` and takes the second argument.
#[test]
fn main_registers_each_command_once() {
    let folder = layout(&[]);
    let main = read(folder.path(), "main.py");
    let calls: Vec<_> = main.split("\nmodule.register(").skip(1).collect();
    let registered: BTreeSet<_> = calls
        .iter()
        .map(|call| call.split('"').nth(1).expect("a command").to_owned())
        .collect();
    assert_eq!(
        registered.len(),
        calls.len(),
        "a command is registered twice"
    );
    let manifests = manifests(folder.path());
    for kind in ["trigger_", "connector_"] {
        let commands = values(&manifests, kind, "docker_parameters");
        assert_eq!(registered, commands.into_iter().collect(), "{kind}");
    }
}

/// S-31 to S-33, R-07.
#[test]
fn an_owner_has_identifiers_of_their_own() {
    let (ours, acme) = (layout(&[]), layout(&["--owner", "acme"]));
    let other = layout(&["--owner", "other"]);
    let folders = [&ours, &acme, &other].map(|folder| manifests(folder.path()));
    let mut seen = BTreeSet::new();
    for manifests in &folders {
        for kind in ["manifest", "trigger_", "connector_"] {
            let uuids = values(manifests, kind, "uuid");
            for uuid in &uuids {
                assert!(uuid.parse::<uuid::Uuid>().is_ok(), "{uuid}");
            }
            let unique: BTreeSet<_> = uuids.iter().cloned().collect();
            assert_eq!(unique.len(), uuids.len(), "{kind}: {uuids:?}");
        }
        let uuids: BTreeSet<_> = values(manifests, "", "uuid").into_iter().collect();
        assert!(seen.is_disjoint(&uuids), "{uuids:?}");
        seen.extend(uuids);
        for (name, trigger) in manifests
            .iter()
            .filter(|(name, _)| name.starts_with("trigger_"))
        {
            let twin = &manifests[&name.replace("trigger_", "connector_")];
            assert_eq!(trigger["uuid"], twin["uuid"], "{name}");
        }
    }
    let slugs = folders
        .each_ref()
        .map(|folder| folder["manifest.json"]["slug"].clone());
    let names = ["message-trace", "message-trace-acme", "message-trace-other"];
    assert_eq!(slugs, names, "S-31: two owners may import side by side");
    for owner in ["Acme & Söhne", "acme/ü \"x\""] {
        let folder = layout(&["--owner", owner]);
        let slug = manifests(folder.path())["manifest.json"]["slug"].clone();
        let slug = slug.as_str().unwrap();
        let rest = slug.strip_prefix("message-trace-").unwrap();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(rest.len() == 10 && rest.chars().all(plain), "{slug}");
    }
    let mut changed = folders[1].clone();
    changed.get_mut("manifest.json").unwrap()["slug"] = slugs[0].clone();
    for (name, manifest) in &mut changed {
        manifest["uuid"] = folders[0][name]["uuid"].clone();
    }
    assert_eq!(changed, folders[0], "nothing else differs");
    layout_in(acme.path(), &["--owner", "acme"]);
    assert_eq!(manifests(acme.path()), folders[1], "an update keeps them");
}

#[test]
fn a_wrong_command_line_is_answered_with_the_right_one() {
    for arguments in [&[][..], &["--owner"], &["--color", "red", "folder"]] {
        let output = Command::new(repository().join("deploy/sekoia/layout"))
            .args(arguments)
            .output()
            .expect("layout starts");
        assert_eq!(output.status.code(), Some(2));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.starts_with("usage: "), "{complaint}");
    }
}

/// What the written Dockerfile runs.
#[test]
fn the_image_is_laid_out_from_the_folder_alone() {
    let (folder, image) = (layout(&[]), tempfile::tempdir().expect("image"));
    let status = Command::new(folder.path().join(".ci/image-layout"))
        .args([&folder.path().join("message-trace"), image.path()])
        .status()
        .expect("image-layout starts");
    assert!(status.success());
    assert_eq!(
        manifests(&image.path().join("app")),
        manifests(repository())
    );
    let size = |path| fs::metadata(path).expect("binary").len();
    let binary = env!("CARGO_BIN_EXE_message-trace");
    assert_eq!(
        size(image.path().join("message-trace")),
        size(binary.into())
    );

    let own = read(folder.path(), "Dockerfile");
    let last = own.split("\nFROM ").last().expect("stage");
    let stage: Vec<_> = last.lines().collect();
    let main = read(repository(), "Dockerfile");
    for line in stage {
        assert!(
            main.lines()
                .any(|known| known.trim_start_matches("FROM ") == line),
            "{line}"
        );
    }
}

/// A Python that runs things; `None`, saying so, where there is none.
fn python() -> Option<Command> {
    let found = Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        // Straight to stderr: the test harness keeps what `eprintln!` says in a test that passes.
        writeln!(std::io::stderr(), "SKIPPED: no python3").expect("stderr");
        return None;
    }
    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    Some(python)
}

/// That arguments, environment, working directory, process and signals stay as they were.
#[test]
fn the_folder_s_own_tests_pass() {
    let Some(mut python) = python() else { return };
    let folder = layout(&[]);
    let output = python
        .args(["-m", "unittest", "discover", "tests"])
        .current_dir(folder.path())
        .output()
        .expect("python starts");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && report.contains("\nOK"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn main_becomes_the_trigger() {
    const ROWS: u64 = 200;
    let Some(mut python) = python() else { return };
    let backlog = Backlog::rows(TimeDelta::hours(1), ROWS);
    let traffic = Traffic {
        backlog,
        ..Traffic::default()
    };
    let emulator = Emulator::new(Options {
        traffic,
        ..Options::default()
    });
    let running = emulator.serve().await.expect("free ports");
    let settings = emulator.settings();
    let account = settings.report.accounts.first().expect("an account");
    let trigger = json!({
        "account_name": account.name,
        "account_password": account.password.expose(),
        "intake_key": settings.intake.keys.first().expect("an intake key").expose(),
        "intake_server": running.intake_url(),
        "reporting_url": running.reporting_url(),
        "start_time": 2,
        "timedelta": 0,
    });
    let (folder, data) = (layout(&[]), tempfile::tempdir().expect("data"));
    let mut module = python
        .arg(folder.path().join("main.py"))
        .args([
            "message_trace",
            "--config-dir",
            "/no/such/folder",
            "--data-dir",
        ])
        .arg(data.path())
        .current_dir(folder.path())
        .env("MODULE_CONFIGURATION", "{}")
        .env("TRIGGER_CONFIGURATION", trigger.to_string())
        .env("TOKEN", settings.platform.token.expose())
        .env("URL_CALLBACK", running.callback_url())
        .env("LIVENESS_PORT", "0")
        .env("METRICS_PORT", "0")
        .env("no_proxy", "127.0.0.1")
        .stderr(Stdio::null())
        .spawn()
        .expect("python starts");
    let delivered = timeout(Duration::from_secs(100), async {
        while emulator.accepted_count(None) < ROWS {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let in_time = delivered.await.is_ok();
    let signaled = Command::new("kill")
        .args(["-TERM", &module.id().to_string()])
        .status()
        .expect("kill starts");
    let status = module.wait().expect("the module ends");
    assert!(
        in_time && signaled.success() && status.success(),
        "{status}"
    );
}
