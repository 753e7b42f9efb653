//! Harm that is done to the module's state between two of its lives.

use std::{
    fs::{self, DirEntry},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Harm done to the module's state while it does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Damage {
    /// To what.
    pub to: StatePart,
    /// What is done.
    pub harm: Harm,
}

/// A part of the module's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatePart {
    /// How far the collection has come.
    Position,
    /// The copy of it that the module keeps for itself.
    PositionCopy,
    /// Both.
    Positions,
    /// Which times were read.
    Timeline,
    /// The newest file of the rows that were delivered.
    KnownRows,
    /// The use of the quota.
    Quota,
    /// Which of two services is read.
    Service,
}

impl StatePart {
    /// Its files in the module's data directory, whether they are there or not; of the known rows only one
    /// that is.
    pub fn files(self, data: &Path) -> Vec<PathBuf> {
        let names: &[&str] = match self {
            Self::Position => &["context.json"],
            Self::PositionCopy => &["context.json.previous"],
            Self::Positions => &["context.json", "context.json.previous"],
            Self::Timeline => &["coverage.json"],
            Self::KnownRows => return newest(&data.join("known-rows")).into_iter().collect(),
            Self::Quota => &["quota.json"],
            Self::Service => &["service.json"],
        };
        names.iter().map(|name| data.join(name)).collect()
    }
}

/// The file of a folder that was written last.
fn newest(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let written = |file: &DirEntry| file.metadata().and_then(|found| found.modified()).ok();
    files.max_by_key(written).map(|file| file.path())
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// It is deleted.
    Removed,
    /// It has no content any more.
    Emptied,
    /// Its second half is gone.
    Halved,
    /// It is zeros, as long as it was.
    Zeroed,
    /// The highest bit of the byte in its middle is flipped.
    Flipped,
    /// The lowest bit of the first digit behind its middle is flipped: it says another number, or date.
    Redated,
    /// It is an empty JSON object.
    Replaced,
}

impl Harm {
    /// Does it to this file, if there is one.
    ///
    /// # Errors
    ///
    /// When the file cannot be changed.
    pub fn apply_to(self, file: &Path) -> io::Result<()> {
        let mut content = match fs::read(file) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let middle = content.len() / 2;
        match self {
            Self::Removed => return fs::remove_file(file),
            Self::Emptied => content.clear(),
            Self::Halved => content.truncate(middle),
            Self::Zeroed => content.fill(0),
            Self::Flipped => {
                let mut rest = content.iter_mut().skip(middle);
                rest.next().into_iter().for_each(|byte| *byte ^= 0x80);
            }
            Self::Redated => {
                let mut rest = content.iter_mut().skip(middle);
                let digit = rest.find(|byte| byte.is_ascii_digit());
                digit.into_iter().for_each(|byte| *byte ^= 1);
            }
            Self::Replaced => content = b"{}".to_vec(),
        }
        fs::write(file, content)
    }
}
