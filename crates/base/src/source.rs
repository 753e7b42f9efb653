//! The words in which a source speaks: between who asks it and the loop that has it asked.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// Clocks that differ by more disagree.
const DISAGREEING: TimeDelta = TimeDelta::minutes(5);

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

/// A request that is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRequest {
    /// Since when, without its wait for the quota.
    pub since: Instant,
    /// The longest that it may take.
    pub limit: Duration,
}

/// What is known of the source's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceTime {
    /// The source's time, rather too early than too late: nothing later is asked for.
    pub now: DateTime<Utc>,
    /// What acts go by that cannot be taken back: the earlier of the source's and the local time. None
    /// while it is not known for certain which of them is right.
    pub certain: Option<DateTime<Utc>>,
    /// How far the source's clock is ahead of the local one; negative when it is behind. None when
    /// the source does not tell.
    pub skew: Option<TimeDelta>,
}

impl SourceTime {
    /// Now, by the later of both clocks where they are too far apart for one of them to be right by
    /// chance: of what lies between them nothing is asked for, also where windows are held back.
    pub fn latest(&self, local: DateTime<Utc>) -> DateTime<Utc> {
        let is_known = self.skew.is_some() || self.certain.is_some();
        match is_known && local - self.now > DISAGREEING {
            true => local,
            false => self.now,
        }
    }

    /// The same, and nothing is asked for before it has come by both clocks, where they are so near to one
    /// another that either may be right.
    pub fn by_both(self) -> Self {
        let ahead = self.skew.filter(|skew| *skew > TimeDelta::zero());
        let is_near = ahead.is_some_and(|ahead| ahead <= DISAGREEING);
        let both = self.certain.filter(|_| is_near);
        Self {
            now: both.map_or(self.now, |both| both.min(self.now)),
            ..self
        }
    }

    /// How far the source's time is ahead of what is certain; zero while nothing is.
    pub fn ahead(&self) -> TimeDelta {
        let ahead = self.certain.map(|certain| self.now - certain);
        ahead.unwrap_or_default().max(TimeDelta::zero())
    }

    /// The same, where that is too far for both clocks to be right by chance.
    pub fn far_ahead(&self) -> Option<TimeDelta> {
        Some(self.ahead()).filter(|by| *by > DISAGREEING)
    }

    /// Whether nothing but the local clock tells the source's time.
    pub fn is_untold(&self) -> bool {
        self.certain.is_some() && self.skew.is_none()
    }

    /// How far windows end before the source's time as it is told, or else before the `local` clock; none while
    /// the time is not known for certain.
    pub fn held_back(&self, local: DateTime<Utc>) -> Option<TimeDelta> {
        self.certain?;
        let told = local.checked_add_signed(self.skew.unwrap_or_default())?;
        Some((told - self.now).max(TimeDelta::zero()))
    }

    /// What both clocks say is older than `retention`, up to this instant; none when one of them is
    /// not known.
    pub fn kept_since(&self, retention: TimeDelta) -> Option<DateTime<Utc>> {
        self.skew?;
        self.certain?.checked_sub_signed(retention)
    }
}
