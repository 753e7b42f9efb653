//! The local clock where no answer tells the time.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::time::Instant;

use super::{FURTHER, HOPELESS, MOST_FURTHER, SILENT, ServiceClock, Trust, since};

/// Where no answer tells the time, a local clock that is earlier than what has passed counts after so long
/// nevertheless: what is kept may be of a clock that ran ahead.
const PATIENCE: TimeDelta = TimeDelta::days(1);

/// Where the service says that its time is earlier, it is taken to be earlier by so much, and by four times as
/// much with each further time.
const EARLIER: TimeDelta = TimeDelta::seconds(2);

impl ServiceClock {
    /// How early it may be, where the local clock alone tells the time, and the service says that it is earlier.
    pub(super) fn earlier_alone(&self, local: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let further = self.early.checked_sub(1)?.min(MOST_FURTHER);
        local.checked_sub_signed(EARLIER * FURTHER.saturating_pow(further))
    }

    /// Hardly any answer tells the time: the local clock counts, but for one that cannot be right. What has
    /// passed by it would be taken back, and come twice.
    pub(super) fn goes_by_local_alone(&mut self, local: DateTime<Utc>, at: Instant) {
        if self.trust != Trust::None {
            return;
        }
        // Dates that may be right have their time to agree.
        let enough = match self.sightings.is_empty() {
            true => SILENT,
            false => HOPELESS,
        };
        let is_behind = self.undecided < enough && self.contradicts_rows(local, at);
        self.behind = is_behind.then(|| self.behind.unwrap_or(at));
        if self.behind.is_none_or(|then| since(at, then) >= PATIENCE) {
            self.behind = None;
            self.trust = Trust::Local;
        }
    }

    /// What has surely passed, where only a local clock that is earlier tells the time.
    pub(crate) fn contradiction(&self, now: Instant) -> Option<DateTime<Utc>> {
        // After a step it is judged anew, which does not wait.
        let is_judged = self.untold.saturating_add(self.undecided) >= SILENT;
        let is_waiting = self.behind.is_some() && self.trust == Trust::None && is_judged;
        let passed = self.shown.filter(|_| is_waiting)?;
        let passed = passed.checked_add_signed(since(now, self.origin))?;
        Some(passed.trunc_subsecs(0))
    }
}
