//! What settling costs, and whether it may use what nobody else needs of the quota.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Lane, Schedule};

/// The newest rows are fresh as long as they come at most so much later than one `frequency`.
const FRESH: TimeDelta = TimeDelta::seconds(5);

/// After the source has wished for fewer requests, or has failed, settling keeps to its quarter for as
/// long: in this time the quota counts.
const RESTRAINT: TimeDelta = TimeDelta::minutes(5);

impl Schedule {
    /// Whether settling has requests left at `now`.
    pub fn may_settle(&mut self, now: DateTime<Utc>) -> bool {
        self.budget.refill(now);
        self.is_spare = self.has_spare_requests(now);
        !self.budget.is_exhausted(self.is_spare)
    }

    /// Whether what was never read waits: windows of it that were read are not done yet.
    pub fn hold_past(&mut self, holds: bool) {
        self.holds_past = holds;
    }

    /// A page was read.
    pub fn paged(&mut self, lane: Lane) {
        if lane == Lane::Settle {
            self.budget.spend(self.is_spare);
        }
    }

    /// The source wishes for fewer requests, or fails: settling keeps to its quarter of the quota.
    pub fn restrain(&mut self, now: DateTime<Utc>) {
        self.restrained = Some(now);
    }

    /// Whether nobody needs what is left of the quota: the newest rows are fresh, nothing waits that was
    /// never read or that a person has asked for, and the source has not wished for fewer requests.
    pub(super) fn has_spare_requests(&self, now: DateTime<Utc>) -> bool {
        let fresh = self.settings.frequency + FRESH;
        // A clock that was ahead then, and was set back, must not restrain for as long.
        let lately = TimeDelta::zero()..RESTRAINT;
        let is_restrained = self
            .restrained
            .is_some_and(|at| lately.contains(&(now - at)));
        self.is_collecting()
            && !is_restrained
            && self.audits.is_empty()
            && self.suspects.is_empty()
            && self.coverage.wanted().next().is_none()
            && now - self.coverage.checkpoint() <= fresh + self.settings.delay
    }
}
