//! The vendor's command line tool, in a scratch environment.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const PACKAGE: &str = "sekoia-automation-sdk==1.27.0";

/// The vendor's command line tool; `None`, saying why, where it cannot be had.
pub(crate) fn tool() -> Option<&'static Path> {
    static TOOL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || install().inspect_err(|reason| skip(reason)).ok();
    TOOL.get_or_init(install).as_deref()
}

/// Straight to stderr: the test harness keeps what `eprintln!` says in a test that passes.
fn skip(reason: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {reason}").expect("stderr");
}

fn install() -> Result<PathBuf, String> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(PACKAGE);
    let tool = environment.join("bin/sekoia-automation");
    let complete = environment.join("complete");
    if complete.exists() {
        return Ok(tool);
    }
    let python = [
        "python3",
        "python3.14",
        "python3.13",
        "python3.12",
        "python3.11",
    ]
    .into_iter()
    .find(|python| is_recent(python))
    .ok_or("no Python 3.11 or later")?;
    succeed(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    succeed(pip.arg(PACKAGE))?;
    fs::write(complete, "").map_err(|error| error.to_string())?;
    Ok(tool)
}

fn is_recent(python: &str) -> bool {
    let check = "import sys; sys.exit(sys.version_info < (3, 11))";
    Command::new(python)
        .args(["-c", check])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Runs the tool, which must succeed, and returns what it prints.
pub(crate) fn run(command: &mut Command) -> String {
    for variable in ["REGISTRY", "NAMESPACE", "REGISTRY_PAT"] {
        command.env_remove(variable);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .expect("the tool starts");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}
