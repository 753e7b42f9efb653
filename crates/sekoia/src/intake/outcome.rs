//! How a request with events ended.

use std::time::Duration;

use super::answer::{Cause, Fates};

/// What is known of its events then.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// What became of each event is said: some are accepted.
    Told(Fates),
    /// So many are accepted, more than none and not all, and nothing says which.
    Short(usize),
    /// Nothing says that any is.
    Failed(Unaccepted),
}

/// How a request ended of which nothing says that an event is accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unaccepted {
    pub(super) cause: Cause,
    /// What happened, and what to do.
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

    /// A success has proven nothing; what it was.
    pub(super) fn uncertain(sentence: String) -> Self {
        Self::failed(Cause::Uncertain, sentence, true)
    }

    /// Whether it says of some of so many events that they are accepted.
    pub(super) fn accepts_some(&self, count: usize) -> bool {
        matches!(self, Self::Told(fates) if fates.accepted(count) > 0)
    }

    /// Whether the next request is better made over a new connection: behind one name stand many machines, and an
    /// ill one answers as it does for as long as it is asked over the same. Who has too many requests is not to
    /// get new connections besides.
    pub(super) fn may_be_of_an_ill_machine(&self) -> bool {
        matches!(self, Self::Failed(unaccepted) if unaccepted.cause != Cause::Busy)
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
