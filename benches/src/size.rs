//! The size of the binary and of the image.

use std::{fs, io, path::Path, process::Command};

use anyhow::ensure;

use crate::{
    Bench,
    contestant::repository,
    report::{Figure, Outcome, mib},
};

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Outcome> {
    let binary = fs::metadata(&bench.module)?.len();
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("image");
    let laid = Command::new(repository().join(".ci/image-layout"))
        .arg(&bench.module)
        .arg(&root)
        .status()?;
    ensure!(laid.success(), "the image cannot be laid out");
    let (binary, image) = (mib(binary), mib(bytes_below(&root)?));
    Ok(Outcome {
        figures: vec![Figure {
            name: "release binary, static, stripped; image layout",
            target: "at most 14 MiB each",
            measured: format!("{binary:.2} MiB; {image:.2} MiB"),
            met: binary <= 14.0 && image <= 14.0,
        }],
        ..Outcome::default()
    })
}

/// Bytes of all files in a folder and below.
pub(crate) fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
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
