//! `support`: one archive for a bug report.

use std::{
    fs::OpenOptions,
    io::{IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use sekoia::Installation;

use super::{screen::say, usage};
use crate::support;

/// Writes an archive for a bug report, without secrets and addresses.
#[derive(Debug, Args)]
#[command(
    long_about = "Writes one archive (tar.gz) for a bug report: the settings that count, the status, the \
                  metrics, the last lines of the log, the files of the state with the evidence of lost \
                  times, and the version. Secrets, mail addresses, subjects, and the names of tenant and \
                  account are taken out; a list in it says what each file is, and what was left out. \
                  Nothing is changed, the trigger may be running meanwhile, and neither Microsoft nor the \
                  intake is asked.",
    after_help = usage::exit_codes(&[
        (0, "it is written"),
        (1, "it cannot be written"),
        usage::NOT_UNDERSTOOD,
    ])
)]
pub(super) struct SupportArguments {
    /// The trigger; may be left out when the configuration fits one only.
    trigger: Option<String>,
    #[arg(
        long,
        value_name = "FILE",
        help = "The archive, which must not be there yet; - for standard output \
                [a file in the working directory, named by the time]"
    )]
    output: Option<PathBuf>,
}

pub(super) async fn run(
    installation: &Installation<'_>,
    SupportArguments { trigger, output }: SupportArguments,
) -> anyhow::Result<ExitCode> {
    let to_stdout = output
        .as_ref()
        .is_some_and(|output| output.as_os_str() == "-");
    if to_stdout && std::io::stdout().is_terminal() {
        say("message-trace: an archive is nothing for a terminal: lead standard output to a file");
        return Ok(ExitCode::from(usage::EXIT_CODE));
    }
    let named = trigger.is_some();
    let trigger = super::chosen(installation, trigger);
    let made = support::support(installation, trigger, named).await?;
    if to_stdout {
        let mut out = std::io::stdout().lock();
        out.write_all(&made.content)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = output.unwrap_or_else(|| PathBuf::from(format!("{}.tar.gz", made.name)));
    write(&path, &made.content)?;
    write!(anstream::stdout(), "{}", made.manifest)?;
    writeln!(
        anstream::stdout(),
        "\nWritten to {}. Look into it before you give it away: tar -xzf {}",
        path.display(),
        path.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A new file, for this user alone.
fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.with_context(|| {
        format!(
            "cannot write the archive {}: name another file with --output, or lead standard output to \
             one with --output -",
            path.display()
        )
    })
}
