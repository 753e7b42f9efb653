//! The module runs from the image's file system alone, as an unprivileged user.
//!
//! `.ci/image-layout`, which the Dockerfile uses too, lays out a scratch root. What goes in is the
//! static binary that `IMAGE_BINARY` names (`.ci/image` builds one and runs this test), or else the
//! debug binary together with the libraries that it is linked to.

#![allow(
    clippy::expect_used,
    reason = "a test's helpers may panic and say why they skip, as the test itself may"
)]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use chrono::TimeDelta;
use emulator::{Backlog, Emulator, Options, Running, Traffic};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A scratch root with the image's layout.
fn image() -> TempDir {
    let root = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("scratch root");
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("permissions");
    let given = std::env::var_os("IMAGE_BINARY").map(PathBuf::from);
    let linked = given.is_none();
    let binary = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_message-trace")));
    let status = Command::new(repository().join(".ci/image-layout"))
        .args([&binary, root.path()])
        .status()
        .expect(".ci/image-layout starts");
    assert!(status.success(), ".ci/image-layout: {status}");
    if linked {
        add_libraries(&binary, root.path());
    }
    root
}

fn add_libraries(binary: &Path, root: &Path) {
    let output = Command::new("ldd")
        .arg(binary)
        .output()
        .expect("ldd starts");
    let listing = String::from_utf8(output.stdout).expect("ldd speaks UTF-8");
    let libraries = listing
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for library in libraries {
        let copy = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().expect("folder")).expect("folder");
        fs::copy(library, copy).expect("library");
    }
}

/// The image's entry point, as the image's user.
fn entry_point(root: &Path) -> Command {
    let mut unshare = Command::new("unshare");
    if is_superuser() {
        unshare.args(["--setuid", "1000", "--setgid", "1000"]);
    } else {
        unshare.args(["--user", "--map-current-user"]);
    }
    unshare
        .arg("--root")
        .arg(root)
        .args(["--wd", "/app", "--", "/message-trace"]);
    unshare.env_clear().env("PATH", "/usr/bin:/bin");
    unshare
}

/// Runs it to its end; `None`, saying why, where changing the root directory is forbidden.
fn run(root: &Path, arguments: &[&str]) -> Option<Output> {
    let output = match entry_point(root).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            skip(&format!("unshare: {error}"));
            return None;
        }
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.starts_with("unshare:") && complaint.contains("not permitted") {
        skip(complaint.trim_end());
        return None;
    }
    Some(output)
}

/// The platform's configuration files for a trigger that collects from the emulator.
fn configure(root: &Path, emulator: &Emulator, running: &Running) {
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
    for (name, content) in [
        ("module_configuration", "{}".to_owned()),
        ("trigger_configuration", trigger.to_string()),
        ("token", settings.platform.token.expose().to_owned()),
        ("url_callback", running.callback_url()),
        ("liveness_port", "0".to_owned()),
        ("metrics_port", "0".to_owned()),
    ] {
        fs::write(root.join("symphony").join(name), content).expect(name);
    }
}

/// Straight to stderr: the test harness keeps what `eprintln!` says in a test that passes.
fn skip(reason: &str) {
    writeln!(
        std::io::stderr(),
        "SKIPPED: cannot change the root directory here: {reason}"
    )
    .expect("stderr");
}

fn is_superuser() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id starts");
    output.stdout == b"0\n"
}

/// Cargo needs every crate of the workspace, whichever it builds.
#[test]
fn the_build_context_holds_the_workspace() {
    let read = |name: &str| fs::read_to_string(repository().join(name)).expect(name);
    let (workspace, context) = (read("Cargo.toml"), read(".dockerignore"));
    let (_, members) = workspace.split_once("members = [").expect("members");
    let (members, _) = members.split_once(']').expect("members");
    let members = members.split('"').skip(1).step_by(2);
    for needed in members
        .filter(|member| *member != ".")
        .map(|member| member.trim_end_matches("/*"))
        .chain(["src", "Cargo.lock"])
    {
        let kept = format!("!{needed}");
        assert!(
            context.lines().any(|line| line == kept),
            "{kept} is missing"
        );
    }
}

#[test]
fn the_image_holds_what_the_platform_looks_for() {
    let image = image();
    let held = |name: &str| fs::read(image.path().join("app").join(name)).expect(name);
    let manifests = fs::read_dir(repository())
        .expect("repository")
        .map(|entry| {
            let name = entry.expect("entry").file_name();
            name.into_string().expect("UTF-8")
        });
    let manifests = manifests.filter(|name| name.ends_with(".json"));
    for name in manifests.chain(["logo.svg".to_owned(), "logo.png".to_owned()]) {
        assert_eq!(
            held(&name),
            fs::read(repository().join(&name)).expect(&name),
            "{name}"
        );
    }
    let roots = fs::read(image.path().join("etc/ssl/certs/ca-certificates.crt")).expect("roots");
    assert!(roots.starts_with(b"-----BEGIN CERTIFICATE-----") || roots.starts_with(b"#"));
    for (folder, mode) in [("tmp", 0o1777), ("symphony_data", 0o777), ("app", 0o755)] {
        let metadata = fs::metadata(image.path().join(folder)).expect(folder);
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "/{folder}");
    }
}

/// The documentation says `docker exec CONTAINER message-trace check`.
#[test]
fn the_binary_is_found_by_its_name() {
    let image = image();
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).expect("Dockerfile");
    let path = dockerfile
        .lines()
        .find_map(|line| line.strip_prefix("ENV PATH="))
        .expect("a path");
    let folder = image.path().join(path.trim_start_matches('/'));
    assert!(folder.join("message-trace").is_file(), "{path}");
}

#[test]
fn the_binary_needs_nothing_but_the_image() {
    let image = image();
    let Some(version) = run(image.path(), &["--version"]) else {
        return;
    };
    let expected = format!("message-trace {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        expected,
        "{version:?}"
    );
    assert!(version.status.success());
}

#[test]
fn an_unknown_command_is_answered_with_the_known_ones() {
    let image = image();
    let Some(answer) = run(image.path(), &["no_such_command"]) else {
        return;
    };
    assert!(!answer.status.success());
    let stderr = String::from_utf8_lossy(&answer.stderr);
    assert!(
        stderr.contains("no_such_command") && stderr.contains("message_trace"),
        "{stderr}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trigger_runs_from_the_image() {
    const ROWS: u64 = 500;
    let image = image();
    if run(image.path(), &["--version"]).is_none() {
        return;
    }
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
    configure(image.path(), &emulator, &running);

    let mut entry_point = entry_point(image.path());
    entry_point.arg("message_trace").stderr(Stdio::piped());
    let module = entry_point.spawn().expect("unshare starts");
    // As long as the other tests wait, however loaded the machine is.
    let delivered = timeout(Duration::from_secs(100), async {
        while emulator.accepted_count(None) < ROWS {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let in_time = delivered.await.is_ok();
    let id = module.id().to_string();
    let signaled = Command::new("kill")
        .args(["-TERM", &id])
        .status()
        .expect("kill starts");
    assert!(signaled.success(), "the module ended too early");
    let output = module.wait_with_output().expect("the module ends");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        in_time && output.status.success(),
        "{}\n{log}",
        output.status
    );
    let verdict = emulator.verdict(&Default::default());
    assert!(verdict.is_clean(), "{verdict}\n{log}");
    assert!(image.path().join("symphony_data/context.json").exists());
}
