//! The tenant's quota of message trace queries, and our share of it.
//!
//! Microsoft allows 100 requests in any 5 minutes and tenant
//! (<https://techcommunity.microsoft.com/blog/exchange/message-trace-support-using-graph-api-is-now-in-public-preview/4488587>),
//! those of other programs included. [`Quota`] decides, without waiting or asking the time itself.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

/// The stretch of time in which requests are counted.
pub(super) const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// What the tenant may send in a period.
const TENANT: u32 = 100;

/// Into how many parts the period is cut, each of which gets its part of the share, so that
/// requests are spread.
const PARTS: u32 = 9;

/// So much of what is free may be used at once after a quiet spell: one half.
const AT_ONCE: u32 = 2;

/// A part of so much of what we have sent is too much when the service refuses more.
const CUT: u32 = 4;

/// When it is the turn of what can wait, what cannot wait leaves it as much time to ask.
const YIELD: TimeDelta = TimeDelta::seconds(5);

/// One in so many requests is kept for what cannot wait, even when it has not needed any lately.
const RESERVE: u32 = 20;

/// How long no request must be refused before more are allowed.
const RECOVERY: TimeDelta = TimeDelta::minutes(1);

/// The pause after a refusal that does not say how long to wait.
const REFUSAL_PAUSE: TimeDelta = TimeDelta::seconds(30);

/// Whether a request can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// It is for the newest rows.
    Now,
    /// It is for rows of the past.
    Later,
}

/// How many requests in a period are our share of the tenant's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// A share of 1 to 100 requests; none outside of that.
    pub fn new(requests: u32) -> Option<Self> {
        (1..=TENANT).contains(&requests).then_some(Self(requests))
    }
}

impl Default for Share {
    /// 90 of 100, which leaves some to administrators and other tools.
    fn default() -> Self {
        Self(90)
    }
}

/// Keeps to a share of the tenant's quota: in any period no more than the share. When half of it is
/// used, no more than a ninth in a ninth of the period; and less for a while after the service has
/// refused a request, as then others use the quota too.
///
/// In memory are at most one period's requests.
#[derive(Clone, Debug)]
pub struct Quota {
    share: u32,
    /// What is allowed at present, from a ninth of the share to all of it.
    allowed: u32,
    changed: DateTime<Utc>,
    /// The requests of the last period, oldest first.
    sent: VecDeque<Sent>,
    /// The most that could not wait in a period, and when that was found last.
    needed: (u32, DateTime<Utc>),
    /// Something that cannot wait had to wait: the next free request is kept for it.
    pressing: bool,
    /// Since when something that can wait has waited, while other requests were sent.
    waiting: Option<DateTime<Utc>>,
    /// When a request became a period old last.
    freed: DateTime<Utc>,
    /// Whether the last request could not wait.
    last: Urgency,
    not_before: DateTime<Utc>,
}

/// Less than our share is allowed for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in five minutes that are allowed at present.
    pub allowed: u32,
    /// Our share.
    pub share: u32,
    /// When all of it is allowed again, unless the service refuses more.
    pub until: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: DateTime<Utc>,
    urgency: Urgency,
}

impl Quota {
    /// A quota of which nothing is used.
    pub fn new(share: Share) -> Self {
        Self::restored(share, [])
    }

    /// A quota as it was when these instants were exported ([`Quota::stamps`]).
    pub fn restored(share: Share, stamps: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        let mut stamps: Vec<_> = stamps.into_iter().collect();
        stamps.sort_unstable();
        let excess = stamps.len().saturating_sub(TENANT as usize);
        let sent = stamps.into_iter().skip(excess).map(|at| Sent {
            at,
            urgency: Urgency::Later,
        });
        Self {
            share: share.0,
            allowed: share.0,
            changed: DateTime::UNIX_EPOCH,
            sent: sent.collect(),
            needed: (0, DateTime::UNIX_EPOCH),
            pressing: false,
            waiting: None,
            freed: DateTime::UNIX_EPOCH,
            last: Urgency::Later,
            not_before: DateTime::UNIX_EPOCH,
        }
    }

    /// The instants of the requests that count, to be kept over a restart.
    pub fn stamps(&self) -> impl ExactSizeIterator<Item = DateTime<Utc>> {
        self.sent.iter().map(|sent| sent.at)
    }

    /// How many requests in a period are our share.
    pub fn share(&self) -> u32 {
        self.share
    }

    /// How many requests in a period are allowed at present.
    pub(super) fn allowed(&self) -> u32 {
        self.allowed
    }

    /// What is allowed when that is less than our share.
    pub(super) fn allowance(&mut self, now: DateTime<Utc>) -> Option<Allowance> {
        self.recover(now);
        let lacking = self.share - self.allowed;
        (lacking > 0).then(|| Allowance {
            allowed: self.allowed,
            share: self.share,
            until: self.changed + RECOVERY * lacking.div_ceil(self.step()).cast_signed(),
        })
    }

    /// Takes leave for one request now. None when it may be sent, and counts; else how long to
    /// wait before asking again, never zero.
    ///
    /// Requests that can wait are spread once half of what they may use is used, and leave to those
    /// that cannot what these used in the last period, at least a twentieth. What has waited for a
    /// whole period is next: a share that is used up by what cannot wait serves both in turn.
    pub fn take(&mut self, urgency: Urgency, now: DateTime<Utc>) -> Option<Duration> {
        self.forget(now);
        self.recover(now);
        let free = match urgency {
            Urgency::Now => self.free_for_now(now),
            Urgency::Later => self.free_for_later(now),
        };
        let at = self.not_before.max(free);
        if at <= now {
            self.sent.push_back(Sent { at: now, urgency });
            self.last = urgency;
            match urgency {
                Urgency::Now => {
                    self.pressing = false;
                    // Nobody has taken a turn that was left to it.
                    if self.is_turn_of_later(now) {
                        self.waiting = None;
                    }
                }
                Urgency::Later => self.waiting = None,
            }
            return None;
        }
        match urgency {
            Urgency::Now => self.pressing = true,
            Urgency::Later => {
                self.waiting.get_or_insert(now);
            }
        }
        let wait = (at - now).to_std().unwrap_or_default();
        Some(wait.max(Duration::from_millis(1)))
    }

    /// The request that leave was taken for last was not sent.
    pub(super) fn unsent(&mut self) {
        self.sent.pop_back();
    }

    fn free_for_now(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let free = self.free_at(self.allowed, PERIOD);
        match self.turn_of_later() {
            Some(turn) if turn <= free.max(now) => {
                let is_last_free = self.used() + 1 >= self.allowed;
                let since = if is_last_free { self.freed } else { free };
                free.max(turn).max(since).max(self.not_before) + YIELD
            }
            _ => free,
        }
    }

    fn free_for_later(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let most = self.allowed - self.kept(now);
        let part = self.allowed.div_ceil(PARTS);
        let spread = if self.used() < most / AT_ONCE {
            DateTime::UNIX_EPOCH
        } else {
            self.free_at(part, PERIOD / PARTS.cast_signed())
        };
        let free = self.free_at(most, PERIOD).max(spread);
        let waiting = self.waiting.unwrap_or(now);
        let turn = self.free_at(self.allowed, PERIOD).max(waiting + PERIOD);
        if self.is_turn_of_later(now) || turn > now {
            free.min(turn)
        } else {
            free
        }
    }

    /// From when on it is the turn of what can wait; none when it had the last one, or nothing waits.
    fn turn_of_later(&self) -> Option<DateTime<Utc>> {
        let since = self.waiting.filter(|_| self.last == Urgency::Now)?;
        Some(since + PERIOD)
    }

    fn is_turn_of_later(&self, now: DateTime<Utc>) -> bool {
        self.turn_of_later().is_some_and(|turn| turn <= now)
    }

    /// Until when all that is allowed is used up; none when it is not.
    pub fn used_up_until(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.forget(now);
        Some(self.free_at(self.allowed, PERIOD)).filter(|free| *free > now)
    }

    /// Requests in the period up to now.
    pub fn used_at(&mut self, now: DateTime<Utc>) -> u32 {
        self.forget(now);
        self.used()
    }

    /// Requests in the last period.
    fn used(&self) -> u32 {
        u32::try_from(self.sent.len()).unwrap_or(TENANT)
    }

    /// Notes that the service has refused a request for the quota's sake. When we have kept to
    /// our share, others use the quota too, and we do with less by a quarter of what we have really
    /// sent, down to a ninth of the share.
    pub(super) fn refused(&mut self, now: DateTime<Utc>, retry_after: Option<Duration>) {
        self.forget(now);
        let pause = retry_after
            .and_then(|asked| TimeDelta::from_std(asked).ok())
            .unwrap_or(REFUSAL_PAUSE)
            .clamp(TimeDelta::seconds(1), PERIOD);
        self.not_before = self.not_before.max(now + pause);
        let floor = self.share.div_ceil(PARTS);
        let cut = self.used().div_ceil(CUT);
        self.allowed = self.allowed.saturating_sub(cut).max(floor);
        self.changed = now;
    }

    /// Allows a tenth of the share more for every fifth of a period without a refusal.
    fn recover(&mut self, now: DateTime<Utc>) {
        while self.allowed < self.share && now - self.changed >= RECOVERY {
            self.allowed = (self.allowed + self.step()).min(self.share);
            self.changed += RECOVERY;
        }
    }

    /// How many requests more are allowed at once.
    fn step(&self) -> u32 {
        self.share.div_ceil(10)
    }

    /// Drops what lies a period back. Instants in the future, as after the clock has been set
    /// back, count as now.
    fn forget(&mut self, now: DateTime<Utc>) {
        for sent in self.sent.iter_mut().rev() {
            if sent.at <= now {
                break;
            }
            sent.at = now;
        }
        let old = |sent: &mut Sent| now - sent.at >= PERIOD;
        while let Some(sent) = self.sent.pop_front_if(old) {
            self.freed = sent.at + PERIOD;
        }
        self.not_before = self.not_before.min(now + PERIOD);
        self.changed = self.changed.min(now);
        self.waiting = self.waiting.map(|since| since.min(now));
    }

    /// Requests that are kept free for what cannot wait.
    fn kept(&mut self, now: DateTime<Utc>) -> u32 {
        let urgent = self.sent.iter().filter(|one| one.urgency == Urgency::Now);
        let used = u32::try_from(urgent.count()).unwrap_or(TENANT);
        let (needed, found) = self.needed;
        if used >= needed || now - found >= PERIOD {
            self.needed = (used, now);
        }
        let reserve = self.needed.0.max(self.allowed.div_ceil(RESERVE));
        let kept = (reserve - used.min(reserve)).max(u32::from(self.pressing));
        kept.min(self.allowed - 1)
    }

    /// When fewer than `limit` requests, of which there is at least one, lie within `span`.
    fn free_at(&self, limit: u32, span: TimeDelta) -> DateTime<Utc> {
        self.sent
            .len()
            .checked_sub(limit as usize)
            .and_then(|index| self.sent.get(index))
            .map_or(DateTime::UNIX_EPOCH, |sent| sent.at + span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + millis).unwrap()
    }

    /// Sends as fast as allowed for some seconds from `start`; the instants of the requests.
    fn rush(quota: &mut Quota, start: i64, seconds: i64) -> Vec<i64> {
        let (mut now, mut sent) = (start, Vec::new());
        while now < start + seconds * 1000 {
            match quota.take(Urgency::Later, at(now)) {
                None => sent.push(now),
                Some(wait) => now += i64::try_from(wait.as_millis()).unwrap(),
            }
        }
        sent
    }

    fn most_within(sent: &[i64], millis: i64) -> usize {
        let within = |start: i64| {
            sent.iter()
                .filter(|at| (start..start + millis).contains(at))
                .count()
        };
        sent.iter().map(|start| within(*start)).max().unwrap()
    }

    #[test]
    fn keeps_to_its_share_and_spreads() {
        let mut quota = Quota::new(Share::default());
        let sent = rush(&mut quota, 0, 3000);
        assert_eq!(sent.len(), 850, "all but what is kept for the newest rows");
        assert_eq!(most_within(&sent, 300_000), 85);
        let at_once = sent.iter().filter(|at| **at < 33_000).count();
        assert_eq!(at_once, 42, "half of it at once after a quiet spell");
        let later: Vec<_> = sent.into_iter().filter(|at| *at >= 33_000).collect();
        let newest = (0..20).filter(|_| quota.take(Urgency::Now, at(3_000_000)).is_none());
        assert!(newest.count() >= 5, "what is kept for them is not spread");
        assert!(most_within(&later, 33_333) <= 42);
        let spread: Vec<_> = later.into_iter().filter(|at| *at < 300_000).collect();
        assert_eq!(most_within(&spread, 33_333), 10);
    }

    #[test]
    fn what_cannot_wait_has_what_it_needs_and_the_others_all_the_rest() {
        for (share, urgent) in [(100, 1), (90, 1), (90, 2), (50, 1)] {
            let mut quota = Quota::new(Share::new(share).unwrap());
            let (mut waiting, mut sent) = (0, Vec::new());
            for now in (0..3_000_000).step_by(500) {
                // What can wait asks first.
                while quota.take(Urgency::Later, at(now)).is_none() {
                    sent.push(now);
                }
                waiting += if now % 60_000 == 0 { urgent } else { 0 };
                while waiting > 0 && quota.take(Urgency::Now, at(now)).is_none() {
                    sent.push(now);
                    waiting -= 1;
                }
                // What is needed is found out at first.
                assert!(waiting == 0 || now < 900_000, "{share}, {urgent}: {now}");
            }
            assert_eq!(most_within(&sent, 300_000), share as usize);
            let steady = sent.iter().filter(|at| **at >= 900_000).count();
            assert!(
                steady + 3 > share as usize * 7,
                "{steady}: nearly all is used"
            );
        }
    }

    #[test]
    fn what_cannot_wait_is_next_when_it_has_to_wait_nevertheless() {
        let mut quota = Quota::new(Share::new(20).unwrap());
        for now in (0..20_000).step_by(1000) {
            assert_eq!(quota.take(Urgency::Now, at(now)), None);
        }
        let many = (0..20).filter(|_| quota.take(Urgency::Now, at(299_000)).is_none());
        assert_eq!(many.count(), 0);
        let free = 300_000;
        assert!(quota.take(Urgency::Later, at(free)).is_some());
        assert_eq!(quota.take(Urgency::Now, at(free)), None);
    }

    #[test]
    fn a_share_that_was_made_smaller_may_be_used_up_at_the_start() {
        let stamps = || (0..51).map(|second| at(second * 1000));
        let mut quota = Quota::restored(Share::new(30).unwrap(), stamps());
        let free = at(21_000 + 300_000);
        assert_eq!(quota.used_up_until(at(60_000)), Some(free));
        assert!(quota.take(Urgency::Now, at(60_000)).is_some());
        assert_eq!(quota.used_up_until(free), None);
        let mut quota = Quota::restored(Share::new(90).unwrap(), stamps());
        assert_eq!(quota.used_up_until(at(60_000)), None);
    }

    #[test]
    fn a_small_share_works_as_well() {
        let mut quota = Quota::new(Share::new(1).unwrap());
        assert_eq!(rush(&mut quota, 0, 900), [0, 300_000, 600_000]);
        assert_eq!((Share::new(0), Share::new(101)), (None, None));
    }

    #[test]
    fn survives_a_restart() {
        let mut quota = Quota::new(Share::default());
        let before = rush(&mut quota, 0, 300);
        let mut quota = Quota::restored(Share::default(), quota.stamps());
        let after = rush(&mut quota, 301_000, 300);
        let sent: Vec<_> = before.into_iter().chain(after).collect();
        assert_eq!(most_within(&sent, 300_000), 85);
        let many = Quota::restored(Share::default(), (0..5000).map(at));
        assert_eq!(many.stamps().len(), 100, "bounded");
    }

    #[test]
    fn steps_back_when_others_use_the_quota_and_recovers() {
        let mut quota = Quota::new(Share::default());
        quota.refused(at(0), None);
        assert_eq!(quota.allowed(), 90, "nothing was sent");
        assert_eq!(quota.take(Urgency::Now, at(30_000)), None);
        quota.refused(at(30_000), Some(Duration::from_secs(60)));
        assert_eq!(quota.allowed(), 89, "one request was not too much");
        let expected = Allowance {
            allowed: 89,
            share: 90,
            until: at(90_000),
        };
        assert_eq!(quota.allowance(at(31_000)), Some(expected));
        assert_eq!(quota.allowance(at(90_000)), None);

        let mut quota = Quota::new(Share::default());
        let sent = rush(&mut quota, 0, 100).len();
        assert!(sent > 50);
        quota.refused(at(100_000), Some(Duration::from_secs(60)));
        let left = 90 - u32::try_from(sent).unwrap().div_ceil(4);
        assert_eq!(quota.allowed(), left, "less by a quarter of what was sent");
        let allowance = quota.allowance(at(100_000)).unwrap();
        assert_eq!(allowance.until, at(100_000) + RECOVERY * 2);
        for _ in 0..9 {
            quota.refused(at(160_000), None);
        }
        assert_eq!(quota.allowed(), 10, "never nothing");
        let sent = rush(&mut quota, 160_000, 2000);
        assert!(
            sent[0] >= 190_000,
            "a pause without Retry-After: {}",
            sent[0]
        );
        assert!(sent.iter().filter(|at| **at < 360_000).count() < 30);
        assert_eq!(
            (quota.allowed(), quota.allowance(at(2_160_000))),
            (90, None)
        );
    }

    #[test]
    fn a_share_that_the_newest_rows_use_up_serves_both_in_turn() {
        for (share, live) in [
            (1, 60_000),
            (2, 60_000),
            (5, 60_000),
            (20, 10_000),
            (90, 60_000),
        ] {
            let mut quota = Quota::new(Share::new(share).unwrap());
            let (mut now_sent, mut later_sent) = (Vec::new(), Vec::new());
            let mut waits = false;
            for now in (0..6_000_000).step_by(500) {
                waits |= now % live == 0;
                if waits && quota.take(Urgency::Now, at(now)).is_none() {
                    now_sent.push(now);
                    waits = false;
                }
                if quota.take(Urgency::Later, at(now)).is_none() {
                    later_sent.push(now);
                }
            }
            let all: Vec<_> = now_sent.iter().chain(&later_sent).copied().collect();
            assert!(most_within(&all, 300_000) <= share as usize, "{share}");
            assert!(
                later_sent.len() >= 9,
                "{share}: {later_sent:?} {now_sent:?}"
            );
            assert!(now_sent.len() >= 9, "{share}: {now_sent:?}");
            if share == 1 {
                assert!(
                    now_sent.len().abs_diff(later_sent.len()) <= 1,
                    "{now_sent:?}"
                );
            }
        }
        // A turn that nobody takes is lost.
        let mut quota = Quota::new(Share::new(1).unwrap());
        assert_eq!(quota.take(Urgency::Now, at(0)), None);
        quota.take(Urgency::Later, at(0)).unwrap();
        assert_eq!(
            quota.take(Urgency::Now, at(300_000)),
            Some(Duration::from_secs(5))
        );
        assert_eq!(quota.take(Urgency::Now, at(305_000)), None);
        assert_eq!(quota.take(Urgency::Now, at(605_000)), None);
    }

    #[test]
    fn what_was_not_sent_does_not_count() {
        let mut quota = Quota::new(Share::new(1).unwrap());
        assert_eq!(quota.take(Urgency::Now, at(0)), None);
        quota.unsent();
        assert_eq!(quota.take(Urgency::Now, at(0)), None);
    }

    #[test]
    fn a_clock_set_back_does_not_stall() {
        let mut quota = Quota::new(Share::new(9).unwrap());
        rush(&mut quota, 86_400_000, 300);
        quota.refused(at(86_700_000), None);
        let sent = rush(&mut quota, 0, 1000);
        assert!(sent[0] <= 300_000 && sent.len() > 10, "{sent:?}");
    }

    #[test]
    fn never_asks_for_a_hot_loop() {
        let mut quota = Quota::new(Share::new(1).unwrap());
        let now = at(0);
        assert_eq!(quota.take(Urgency::Later, now), None);
        let almost = now + TimeDelta::minutes(5) - TimeDelta::nanoseconds(1);
        assert_eq!(
            quota.take(Urgency::Later, almost),
            Some(Duration::from_millis(1))
        );
        quota.refused(at(900_000), Some(Duration::ZERO));
        assert_eq!(
            quota.take(Urgency::Later, at(900_000)),
            Some(Duration::from_secs(1))
        );
    }
}
