//! The time of a source, as it tells the loop.

use chrono::{DateTime, TimeDelta, Utc};

/// Clocks that differ by more disagree.
const DISAGREEING: TimeDelta = TimeDelta::minutes(5);

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
    /// A local clock that nobody doubts.
    pub fn local(now: DateTime<Utc>) -> Self {
        Self {
            now,
            certain: Some(now),
            skew: None,
        }
    }

    /// Now, by the later of both clocks where they are too far apart for one of them to be right by
    /// chance: of what lies between them nothing is asked for.
    pub fn latest(&self) -> DateTime<Utc> {
        let behind = self.skew.map(|skew| -skew).filter(|by| *by > DISAGREEING);
        behind
            .and_then(|by| self.now.checked_add_signed(by))
            .unwrap_or(self.now)
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

    /// What both clocks say is older than `retention`, up to this instant; none when one of them is
    /// not known.
    pub fn kept_since(&self, retention: TimeDelta) -> Option<DateTime<Utc>> {
        self.skew?;
        self.certain?.checked_sub_signed(retention)
    }
}
