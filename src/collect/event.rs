//! What the fetch loop tells the world: logs, metrics and health are made from these.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::Window;

/// Hears of everything that happens in the fetch loop.
pub trait Observer: Send + Sync + 'static {
    /// Called for every event, in order, from the loop itself: must not block.
    fn on(&self, event: Event<'_>);
}

/// Something happened in the fetch loop.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The loop turns; it speaks again within this time at the latest, unless it is stuck.
    Turning {
        /// The longest time until the next event.
        within: Duration,
    },
    /// A window is about to be read.
    Asking {
        /// The window.
        window: Window,
    },
    /// A page was read.
    PageRead {
        /// Rows on it.
        rows: usize,
        /// Rows that were not known.
        new: usize,
    },
    /// A window was read to its end; its rows may still be on their way.
    WindowRead {
        /// The window.
        window: Window,
        /// Pages it had.
        pages: u32,
        /// Rows it had.
        rows: u64,
        /// Rows that were not known.
        new: u64,
    },
    /// There was no page.
    PageFailed {
        /// What happened, what it means, what to do.
        sentence: &'a str,
        /// A word for metrics labels.
        label: &'static str,
        /// When it is asked for again.
        pause: Duration,
        /// Whether a person must act.
        person: bool,
    },
    /// A failure that a person must mend has lasted for a quarter of an hour.
    Persisting {
        /// What happened, what it means, what to do.
        sentence: &'a str,
    },
    /// A page came after failures.
    Recovered {
        /// How many there were in a row.
        failures: u32,
    },
    /// A window had too much for one query and is asked for again in narrower ones.
    Narrowed {
        /// The window.
        window: Window,
        /// Why.
        sentence: &'a str,
    },
    /// These rows are out of the source's reach for good.
    Lost {
        /// From when to when.
        window: Window,
    },
    /// The intake has accepted rows.
    Accepted {
        /// How many.
        rows: usize,
        /// The newest receipt among them.
        newest: Option<DateTime<Utc>>,
    },
    /// An event cannot be delivered and was dropped.
    Dropped {
        /// The event.
        event: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Everything before the mark has been delivered.
    Marked {
        /// The mark.
        mark: DateTime<Utc>,
    },
    /// The data directory could not be written; tried again after the pause.
    StoreFailed {
        /// What happened.
        error: &'a std::io::Error,
        /// When it is tried again.
        pause: Duration,
    },
}
