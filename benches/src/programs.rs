//! The programs that are measured.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::contestant::Programs;
use anyhow::{Context as _, ensure};

use crate::{Arguments, report::say};

/// The version of the vendor's SDK.
const SDK: &str = "sekoia-automation-sdk==1.27.0";

/// Builds what is not given.
pub(crate) fn prepare(arguments: &Arguments) -> anyhow::Result<Programs> {
    Ok(Programs {
        module: match &arguments.module {
            Some(file) => file.canonicalize().context("cannot find the binary")?,
            None => build()?,
        },
        own: env::current_exe()?,
        python: if arguments.no_python { None } else { python() },
    })
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Builds the binary that the image holds.
fn build() -> anyhow::Result<PathBuf> {
    say("Building the static release binary of the module ...");
    let built = Command::new(repository().join(".ci/build-static"))
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start .ci/build-static")?;
    ensure!(
        built.status.success(),
        "the module could not be built; --module names a binary instead"
    );
    let path = String::from_utf8(built.stdout)?;
    Ok(repository().join(path.trim()))
}

/// A Python with the vendor's SDK, in an environment of its own.
fn python() -> Option<PathBuf> {
    let folder = repository().join("target/benchmark-python");
    let python = folder.join("bin/python");
    let succeeds = |command: &mut Command| {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let mut venv = Command::new("python3");
    if !python.exists() && !succeeds(venv.args(["-m", "venv"]).arg(&folder)) {
        say("Python is missing: its contestant is skipped.");
        return None;
    }
    let mut install = Command::new(&python);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        SDK,
    ]);
    if !succeeds(&mut install) {
        say(format_args!(
            "{SDK} cannot be installed: its contestant is skipped."
        ));
        return None;
    }
    python.canonicalize().ok().map(|_| python)
}
