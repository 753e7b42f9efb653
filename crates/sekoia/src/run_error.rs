//! How a run may end badly (E-03).

use std::io;

use super::{intake::Stopped, storage::StorageError};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a trigger's run ended. After each of them but `Hopeless` the run is started again, later.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot be worked with: told in these sentences, then critical; it is read
    /// again before the next run. Sentences name settings and never show secrets.
    #[error("{}", .0.join("\n"))]
    Configuration(Vec<String>),
    /// Something the trigger depends on is out of reach; not counted as an error of the trigger.
    #[error(transparent)]
    Unavailable(Cause),
    /// Nothing that another run could do better: the process ends with this error.
    #[error(transparent)]
    Hopeless(Cause),
    /// Anything else; counted.
    #[error(transparent)]
    Failed(Cause),
}

impl RunError {
    /// A configuration that cannot be worked with, in one sentence.
    pub fn configuration(sentence: impl Into<String>) -> Self {
        Self::Configuration(vec![sentence.into()])
    }

    /// Nothing that another run could do better.
    pub fn hopeless(cause: impl Into<Cause>) -> Self {
        Self::Hopeless(cause.into())
    }

    /// Anything else.
    pub fn failed(cause: impl Into<Cause>) -> Self {
        Self::Failed(cause.into())
    }
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<StorageError> for RunError {
    fn from(error: StorageError) -> Self {
        Self::failed(error)
    }
}

impl From<Stopped> for RunError {
    fn from(error: Stopped) -> Self {
        Self::Unavailable(error.into())
    }
}
