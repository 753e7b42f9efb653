//! The file of `--report`.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::cli::order::refuse;

/// A file that can be written. It is opened before hours of work, and as the user who gave the command.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    file: File,
    /// Whether it was not there before.
    is_new: bool,
}

impl Report {
    /// Opens it. What it holds stays until the new report is there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let found = path.metadata();
        let is_new = found.is_err();
        let name = path.display();
        // Nobody may ever read from a pipe, and to open it would wait for that.
        if found.is_ok_and(|found| found.file_type().is_fifo()) {
            return refuse(&format!("cannot write the report {name}: it is a pipe"));
        }
        let mut options = File::options();
        let opened = options.create(true).truncate(false).write(true).open(path);
        match opened {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
                is_new,
            }),
            Err(error) => refuse(&format!("cannot write the report {name}: {error}")),
        }
    }

    /// Writes it. Returns where it is.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<String> {
        let path = self.path.display();
        let emptied = self.file.set_len(0);
        let written = emptied.and_then(|()| (&self.file).write_all(text.as_bytes()));
        written.with_context(|| format!("cannot write the report {path}"))?;
        Ok(path.to_string())
    }
}

/// Nothing is left behind of a report that was not written.
impl Drop for Report {
    fn drop(&mut self) {
        let is_empty = self.file.metadata().is_ok_and(|file| file.len() == 0);
        if self.is_new && is_empty {
            _ = fs::remove_file(&self.path);
        }
    }
}
