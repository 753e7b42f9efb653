//! Verifications that a standing order asks for: one a day, in the hours in which the least mail comes.
//!
//! Like a [verification](crate::verify) that a person asks for they are files with one writer each. A
//! command leaves the [`StandingOrder`]; the collection follows it, and keeps in [`Nights`] when the next
//! verification is due, the order of the one under way, and what the last one has found. What is due, and
//! when the least mail comes, is decided here, without clock or I/O.

use std::{collections::BTreeMap, io};

use chrono::{DateTime, DurationRound as _, TimeDelta, Timelike as _, Utc};
use rows::Window;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Store,
    order::{FormatVersion, OrderFile},
    proof::MOST_HOURS,
    verify::{Finding, Verdict, VerifyOrder},
};

/// So many hours are quiet.
const QUIET: u32 = 3;

/// The first of them while nothing is known of the mail, in UTC.
const USUALLY: u32 = 2;

const DAY: usize = 24;

/// A verification that has not begun for so long after it was due begins at any hour.
const OVERDUE: TimeDelta = TimeDelta::hours(24);

/// Two verifications begin at least so long after each other, also when other hours are quiet now.
const APART: TimeDelta = TimeDelta::hours(6);

/// The next one is never named further ahead.
const FURTHEST_AHEAD: TimeDelta = TimeDelta::hours(48);

/// What a person wants done every day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingOrder {
    version: FormatVersion,
    /// Tells it from other orders.
    pub id: Uuid,
    /// So many hours back each verification reaches at least.
    pub hours_back: u32,
    /// Whether it was cancelled.
    pub off: bool,
}

impl StandingOrder {
    /// A new standing order.
    pub fn new(id: Uuid, hours_back: u32) -> Self {
        Self {
            version: FormatVersion,
            id,
            hours_back,
            off: false,
        }
    }

    /// The one that stands; none when there is none that this program understands, or it was taken back.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn in_force(store: &impl Store) -> io::Result<Option<Self>> {
        Ok(Self::load(store).await?.filter(Self::stands))
    }

    pub(crate) fn stands(&self) -> bool {
        !self.off
    }
}

impl OrderFile for StandingOrder {
    const NAME: &'static str = "verify-schedule.json";
}

/// The hours of the day in which the least mail comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// The first of the three, in UTC.
    pub first: u32,
    /// Whether that was counted; else it is what is usual.
    pub counted: bool,
}

impl QuietHours {
    /// The three hours in a row with the fewest rows, when those of each hour of the day are known: how many
    /// hours were counted, and how many rows they had.
    pub(crate) fn of(counts: &[(u64, u64); DAY]) -> Self {
        let usual = Self {
            first: USUALLY,
            counted: false,
        };
        if counts.iter().any(|(hours, _)| *hours == 0) {
            return usual;
        }
        // Not every hour was counted as often.
        let means = counts.map(|(hours, rows)| rows.saturating_mul(100) / hours.max(1));
        let of_three = |first: u32| -> u64 {
            let from = means.iter().cycle().skip(first as usize);
            from.take(QUIET as usize).sum()
        };
        // Of several the first after what is usual.
        let firsts = (USUALLY..USUALLY + 24).map(|first| first % 24);
        let first = firsts.min_by_key(|first| of_three(*first));
        Self {
            first: first.unwrap_or(USUALLY),
            counted: true,
        }
    }

    /// When they begin next, or have begun if it is them.
    fn begin(self, now: DateTime<Utc>) -> DateTime<Utc> {
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let day = TimeDelta::hours(24);
        let since = (hour.hour() + 24 - self.first) % 24;
        let begun = hour - TimeDelta::hours(since.into());
        match since < QUIET {
            true => begun,
            false => begun + day,
        }
    }
}

/// What the last verification has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Night {
    /// When it was begun.
    pub begun: DateTime<Utc>,
    /// When it had ended.
    pub ended: DateTime<Utc>,
    /// Of which hours.
    pub order: VerifyOrder,
    /// How many of them there are of each finding.
    pub hours: BTreeMap<Finding, u64>,
}

impl Night {
    /// Hours that were not proven although they are final.
    pub fn unproven(&self) -> u64 {
        let bad = [
            Finding::Delivered,
            Finding::Gone,
            Finding::Many,
            Finding::Unprovable,
        ];
        bad.iter()
            .filter_map(|finding| self.hours.get(finding))
            .sum()
    }
}

/// What has come of a standing order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nights {
    version: FormatVersion,
    /// The standing order.
    pub standing: Uuid,
    /// When the least mail comes.
    pub quiet: QuietHours,
    /// When the next one is due.
    pub next: DateTime<Utc>,
    /// All hours before it that this module has collected were verified.
    pub until: Option<DateTime<Utc>>,
    /// The one under way.
    pub order: Option<VerifyOrder>,
    /// What the last one has found.
    pub last: Option<Night>,
}

impl Nights {
    /// A standing order is followed from now on, after what was `kept` of another one.
    pub(crate) fn of(
        standing: &StandingOrder,
        kept: Option<Self>,
        quiet: QuietHours,
        now: DateTime<Utc>,
    ) -> Self {
        let (until, order, last) = kept.map_or((None, None, None), |kept| {
            (kept.until, kept.order, kept.last)
        });
        Self {
            version: FormatVersion,
            standing: standing.id,
            quiet,
            next: quiet.begin(now),
            until,
            order,
            last,
        }
    }

    /// Whether one is to be begun: in the quiet hours, or when that was not possible for a day.
    pub(crate) fn is_due(&self, now: DateTime<Utc>) -> bool {
        let waited = now - self.next;
        let is_quiet = waited < TimeDelta::hours(QUIET.into());
        waited >= TimeDelta::zero() && is_quiet || waited >= OVERDUE || self.is_far(now)
    }

    /// Whether the next one lies so far ahead that a clock which ran ahead has named it.
    fn is_far(&self, now: DateTime<Utc>) -> bool {
        self.next - now > FURTHEST_AHEAD
    }

    /// When one will be begun, if the collection runs then.
    pub fn begins(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let waited = now - self.next;
        match waited >= TimeDelta::hours(QUIET.into()) && waited < OVERDUE {
            true => self.next + OVERDUE,
            false if self.is_far(now) => now,
            false => self.next.max(now),
        }
    }

    /// What is to be verified: what lies `hours_back`, and all that has not been verified yet, from `oldest`
    /// up to where the hours are `closed`, which is a full hour. None when that is nothing.
    pub(crate) fn range(
        &self,
        hours_back: u32,
        oldest: DateTime<Utc>,
        closed: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Window> {
        let back = now - TimeDelta::hours(hours_back.min(MOST_HOURS).into());
        let start = self.until.map_or(back, |until| until.min(back)).max(oldest);
        Window::new(start.duration_trunc(TimeDelta::hours(1)).ok()?, closed)
    }

    /// The next one is not due before tomorrow.
    pub(crate) fn wait_a_day(&mut self, begun: DateTime<Utc>, now: DateTime<Utc>) {
        self.order = None;
        self.next = self.quiet.begin(now);
        if self.next < now.max(begun + APART) {
            self.next += TimeDelta::hours(24);
        }
    }

    /// One of so many hours has come to its end with these verdicts, oldest first.
    pub(crate) fn ended(
        &mut self,
        order: &VerifyOrder,
        [begun, now]: [DateTime<Utc>; 2],
        judged: u64,
        verdicts: &[Verdict],
    ) {
        let mut open = verdicts.iter();
        let open = open.find(|verdict| verdict.finding == Finding::Open);
        let lost = judged.saturating_sub(verdicts.len() as u64);
        self.until = Some(match open {
            // Nobody knows which hours they are of.
            _ if lost > 0 => order.range.start(),
            Some(verdict) => verdict.hour,
            None => order.range.end(),
        });
        let mut hours = BTreeMap::new();
        if lost > 0 {
            hours.insert(Finding::Unprovable, lost);
        }
        for verdict in verdicts {
            *hours.entry(verdict.finding).or_default() += 1;
        }
        self.last = Some(Night {
            begun,
            ended: now,
            order: order.clone(),
            hours,
        });
        self.wait_a_day(begun, now);
    }

    /// The order of a verification, under way or the last.
    pub fn order_of(&self, id: Uuid) -> Option<&VerifyOrder> {
        let last = self.last.as_ref().map(|last| &last.order);
        let mut orders = self.order.iter().chain(last);
        orders.find(|order| order.id == id)
    }
}

impl OrderFile for Nights {
    const NAME: &'static str = "verify-nights.json";
}

#[cfg(test)]
mod tests;
