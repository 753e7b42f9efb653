//! How a request with events ended.

use std::time::Duration;

use super::answer::{Cause, Fates};

/// What is known of its events then.
pub(super) enum Outcome {
    /// What became of each event is said: some are accepted.
    Told(Fates),
    /// So many are accepted, and nothing says which.
    Short(usize),
    /// Nothing says that any is.
    Failed(Unaccepted),
}

/// How a request ended of which nothing says that an event is accepted.
pub(super) struct Unaccepted {
    pub(super) cause: Cause,
    pub(super) sentence: String,
    /// The pause that the intake asks for.
    pub(super) asked: Option<Duration>,
    /// Events may have been accepted nevertheless, e.g. as the answer was lost.
    pub(super) unsure: bool,
}

impl Outcome {
    pub(super) fn failed(cause: Cause, sentence: String, unsure: bool) -> Self {
        Self::Failed(Unaccepted {
            cause,
            sentence,
            asked: None,
            unsure,
        })
    }

    /// How many of so many events the intake may have accepted.
    pub(super) fn at_most_accepted(&self, count: usize) -> usize {
        match self {
            Self::Told(fates) => count.saturating_sub(fates.refused.len()),
            Self::Failed(Unaccepted { unsure: false, .. }) => 0,
            Self::Short(_) | Self::Failed(_) => count,
        }
    }
}
