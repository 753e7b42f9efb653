//! The words in which events are handed over: between the loop that has them and the receiver that is
//! to take them.

use std::{fmt, ops::Range};

/// A batch that is being filled with events, for one request.
pub trait EventBatch: Send + 'static {
    /// Adds an event: JSON text in UTF-8.
    fn push(&mut self, event: &[u8]) -> Pushed;
}

/// What became of an event that was to be added to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It is in the batch.
    Added,
    /// It does not fit any more: deliver the batch and add the event to the next.
    Full,
    /// The receiver takes no event as long as this.
    TooLong,
}

/// Events that the receiver does not accept while it accepts others.
pub trait HeldEvents: Send + 'static {
    /// How many bytes they take.
    fn bytes(&self) -> usize;

    /// Why the one event will not be accepted; none as long as that is open, or there are several.
    fn given_up(&self) -> Option<GivenUp>;
}

/// An event that the receiver will not take.
#[derive(Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// Its text.
    pub event: String,
    /// What the receiver said.
    pub reason: String,
    /// The reason is its length: one of so many bytes might be taken.
    pub fits: Option<usize>,
}

impl fmt::Debug for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GivenUp({})", self.reason)
    }
}

/// What became of events: they are accepted, or stay in hand.
#[derive(Debug)]
pub struct Receipt<H> {
    /// How many the receiver accepted.
    pub accepted: usize,
    /// Those that stay in hand, by index.
    pub kept: Vec<(Range<usize>, H)>,
}

impl<H> Default for Receipt<H> {
    fn default() -> Self {
        Self {
            accepted: 0,
            kept: Vec::new(),
        }
    }
}
