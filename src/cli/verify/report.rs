//! The file of `--report`.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use anyhow::Context as _;

use crate::cli::order::refuse;

/// A file that can be written. It is opened before hours of work, and as the user who gave the command.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    file: File,
    /// Whether nothing is in it that anybody wants to keep.
    is_empty: AtomicBool,
}

impl Report {
    /// Opens it. What it holds stays until the new report is there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let found = path.metadata();
        // Nobody may ever read from a pipe, and to open it would wait for that.
        if found
            .as_ref()
            .is_ok_and(|found| found.file_type().is_fifo())
        {
            let path = path.display();
            return refuse(&format!("cannot write the report {path}: it is a pipe"));
        }
        let mut options = File::options();
        let opened = options.create(true).truncate(false).write(true).open(path);
        match opened {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
                is_empty: AtomicBool::new(found.is_err()),
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
        self.is_empty.store(false, Relaxed);
        written().with_context(|| format!("cannot write the report {path}"))?;
        Ok(path.to_string())
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if self.is_empty.load(Relaxed) {
            _ = fs::remove_file(&self.path);
        }
    }
}
