//! The order of things: programs, parts, report.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use benchmark::contestant::Programs;
use clap::ValueEnum as _;

use crate::{
    Arguments, Part, backlog, idle, paced,
    report::{Report, say},
    start,
};

/// What all parts share.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) programs: Programs,
    pub(crate) rows: u64,
    pub(crate) runs: usize,
}

/// The version of the vendor's SDK.
const SDK: &str = "sekoia-automation-sdk==1.27.0";

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let module = match &arguments.module {
        Some(file) => file.clone(),
        None => build()?,
    };
    let python = if arguments.no_python { None } else { python() };
    let bench = Bench {
        programs: Programs {
            module,
            own: env::current_exe()?,
            python,
        },
        rows: arguments.rows,
        runs: arguments.runs.max(1),
    };
    let parts = match arguments.parts.as_slice() {
        [] => Part::value_variants(),
        parts => parts,
    };
    let mut report = Report::new(&bench);
    for part in parts {
        match part {
            Part::Backlog => backlog::measure(&bench, &mut report).await?,
            Part::Day => paced::day(&bench, &mut report).await?,
            Part::Start => start::measure(&bench, &mut report).await?,
            Part::Idle => idle::measure(&bench, &mut report).await?,
            Part::Tenant => paced::tenant(&bench, &mut report).await?,
            Part::Quota => paced::quota(&bench, &mut report).await?,
            Part::Size => size(&bench, &mut report)?,
        }
    }
    say(format_args!("\n{}", report.markdown()));
    match &arguments.write {
        Some(folder) => report.write(folder),
        None => Ok(()),
    }
}

fn repository() -> PathBuf {
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

fn size(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let binary = std::fs::metadata(&bench.programs.module)?.len();
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("image");
    let laid = Command::new(repository().join(".ci/image-layout"))
        .arg(&bench.programs.module)
        .arg(&root)
        .status()?;
    ensure!(laid.success(), "the image cannot be laid out");
    let image = bytes_below(&root)?;
    report.size(binary, image);
    Ok(())
}

fn bytes_below(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            bytes_below(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
