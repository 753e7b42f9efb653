//! The file of `--report`.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::cli::order::refuse;

/// A file that can be written. It is opened before hours of work, and as the user who gave the command.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    file: File,
}

impl Report {
    /// Opens it. What it holds stays until the new report is there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut options = File::options();
        let opened = options.create(true).truncate(false).write(true).open(path);
        match opened {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(error) => refuse(&format!(
                "cannot write the report {}: {error}",
                path.display()
            )),
        }
    }

    /// Writes it. Returns where it is.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<String> {
        let path = self.path.display();
        let written = || -> io::Result<()> {
            self.file.set_len(0)?;
            (&self.file).write_all(text.as_bytes())
        };
        written().with_context(|| format!("cannot write the report {path}"))?;
        Ok(path.to_string())
    }
}
