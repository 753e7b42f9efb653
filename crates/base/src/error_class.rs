//! What follows from an error of a source, in words that the loop and the source share.

use std::time::Duration;

/// What to do when there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The source does not answer, or only that it fails (408, 5xx) and not when to come back: find out
    /// with single requests when it is back.
    Outage,
    /// The source has too much to do, and says so with a 429, or with a `Retry-After` of any value: ask as
    /// seldom as it wishes, and more seldom each time, since every request may prolong it.
    Throttled {
        /// The pause that the source asked for.
        after: Option<Duration>,
    },
    /// It passes by itself: ask for the same page again, with growing pauses.
    Transient {
        /// The pause that the source asked for.
        after: Option<Duration>,
    },
    /// The answer cannot be read: ask for the same page again, for two minutes, while others are read, and
    /// if that does not help, for narrower windows.
    Unreadable,
    /// The source refuses this account or app until a person acts: ask again at a slow pace.
    Refused {
        /// Whether that heals by itself in the end, such as what takes a day to be ready.
        heals: bool,
    },
    /// A person must act for this page: ask for it again at a slow pace.
    Person,
    /// This window, or this link, cannot be read like this: ask for narrower windows.
    Narrow,
    /// The window lies, at least partly, before what the source keeps, as the source says.
    OutOfReach {
        /// How many days back the source reaches, when it says so. A hint, and no more.
        days: Option<u32>,
    },
}

impl ErrorClass {
    /// Whether a person must act.
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Person)
    }
}
