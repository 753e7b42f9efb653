//! Why a configuration value cannot be used, and where values stand.

use std::{fmt, io, path::PathBuf};

/// Why a configuration value cannot be used. Never shows the value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "cannot read the configuration directory {path}: give the user of this process the right to read it"
    )]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: give the user of this process the right to read it")]
    Unreadable { path: PathBuf, source: io::Error },
    /// Something else is in the place of a file, or it is far too long.
    #[error("cannot use {path}: put a file there that holds the value and nothing else")]
    NoFile { path: PathBuf, source: io::Error },
    #[error("{place} is not UTF-8 text: save it as UTF-8")]
    NotText { place: Place },
    /// A value that should be JSON is not; `source` names line and column.
    #[error("{place} is not valid JSON")]
    NotJson {
        place: Place,
        source: serde_json::Error,
    },
    #[error("{place} must hold a JSON object, found {found}")]
    NotAnObject { place: Place, found: &'static str },
    #[error(
        "{key} is missing: write {what} to the file {file} or the environment variable {variable}{folder}"
    )]
    Missing {
        key: String,
        what: &'static str,
        /// That the configuration directory is not there, as the end of the sentence; else empty.
        folder: String,
        file: PathBuf,
        variable: String,
    },
    /// A value does not have the form its key needs.
    #[error("{place}{found} is not {expected}")]
    Form {
        place: Place,
        /// The value, where it may be shown, after the word "with"; else empty.
        found: String,
        expected: &'static str,
    },
}

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file of the configuration directory.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}
