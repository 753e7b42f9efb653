//! The tenant's quota of message trace queries, and our share of it.
//!
//! Microsoft allows 100 requests in any 5 minutes and tenant
//! (<https://techcommunity.microsoft.com/blog/exchange/message-trace-support-using-graph-api-is-now-in-public-preview/4488587>),
//! whoever sends them. [`Quota`] decides, without waiting or asking the time itself.

use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

/// The stretch of time in which requests are counted.
const PERIOD: TimeDelta = TimeDelta::minutes(5);

/// What the tenant may send in a period.
const TENANT: u32 = 100;

/// Into how many parts the period is cut, each of which gets its part of the share, so that
/// requests are spread.
const PARTS: u32 = 9;

/// One in so many requests is kept for what cannot wait, even when it has not needed any lately.
const RESERVE: u32 = 20;

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

/// Keeps to a share of the tenant's quota: in any period no more than the share, in any ninth of
/// it no more than a ninth, and less for a while after the service has refused a request, as then
/// others use the quota too.
///
/// In memory are at most one period's requests.
#[derive(Clone, Debug)]
pub struct Quota {
    share: u32,
    /// What is allowed at present, from a ninth of the share to all of it.
    allowed: u32,
    /// When `allowed` changed last.
    changed: DateTime<Utc>,
    /// The requests of the last period, oldest first.
    sent: VecDeque<Sent>,
    /// The most that could not wait in a period, and when that was found last.
    needed: (u32, DateTime<Utc>),
    /// Something that cannot wait had to wait: the next free request is kept for it.
    pressing: bool,
    not_before: DateTime<Utc>,
}

/// A request that counts.
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
    pub fn allowed(&self) -> u32 {
        self.allowed
    }

    /// Takes leave for one request now. None when it may be sent, and counts; else how long to
    /// wait before asking again, never zero.
    ///
    /// Requests that can wait are spread, and leave to those that cannot what these used in the last
    /// period, at least a twentieth.
    pub fn take(&mut self, urgency: Urgency, now: DateTime<Utc>) -> Option<Duration> {
        self.forget(now);
        self.recover(now);
        let free = match urgency {
            Urgency::Now => self.free_at(self.allowed, PERIOD),
            Urgency::Later => {
                let most = self.allowed - self.kept(now);
                let part = self.allowed.div_ceil(PARTS);
                self.free_at(most, PERIOD)
                    .max(self.free_at(part, PERIOD / PARTS as i32))
            }
        };
        let at = self.not_before.max(free);
        if at <= now {
            self.sent.push_back(Sent { at: now, urgency });
            self.pressing &= urgency == Urgency::Later;
            return None;
        }
        self.pressing |= urgency == Urgency::Now;
        let wait = (at - now).to_std().unwrap_or_default();
        Some(wait.max(Duration::from_millis(1)))
    }

    /// Notes that the service has refused a request for the quota's sake. When we have kept to
    /// our share, others use the quota too, and we do with less, down to a ninth of the share.
    pub fn refused(&mut self, now: DateTime<Utc>, retry_after: Option<Duration>) {
        self.forget(now);
        let pause = retry_after
            .and_then(|asked| TimeDelta::from_std(asked).ok())
            .unwrap_or(REFUSAL_PAUSE)
            .clamp(TimeDelta::seconds(1), PERIOD);
        self.not_before = self.not_before.max(now + pause);
        let used = u32::try_from(self.sent.len()).unwrap_or(TENANT);
        let floor = self.share.div_ceil(PARTS);
        self.allowed = (used.min(self.allowed) * 3 / 4).max(floor);
        self.changed = now;
    }

    /// Allows a tenth of the share more for every fifth of a period without a refusal.
    fn recover(&mut self, now: DateTime<Utc>) {
        while self.allowed < self.share && now - self.changed >= PERIOD / 5 {
            self.allowed = (self.allowed + self.share.div_ceil(10)).min(self.share);
            self.changed += PERIOD / 5;
        }
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
        while self.sent.pop_front_if(old).is_some() {}
        self.not_before = self.not_before.min(now + PERIOD);
        self.changed = self.changed.min(now);
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
        let newest = (0..20).filter(|_| quota.take(Urgency::Now, at(3_000_000)).is_none());
        assert!(newest.count() >= 5, "what is kept for them is not spread");
        assert_eq!(most_within(&sent, 33_333), 10);
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
            assert_eq!(steady, share as usize * 7, "nothing is left unused");
        }
    }

    #[test]
    fn what_cannot_wait_is_next_when_it_has_to_wait_nevertheless() {
        let mut quota = Quota::new(Share::default());
        let sent = rush(&mut quota, 0, 300);
        let many = (0..20).filter(|_| quota.take(Urgency::Now, at(299_000)).is_none());
        assert_eq!(sent.len() + many.count(), 90);
        let free = sent[0] + 300_000;
        assert!(quota.take(Urgency::Later, at(free)).is_some());
        assert_eq!(quota.take(Urgency::Now, at(free)), None);
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
        rush(&mut quota, 0, 100);
        quota.refused(at(100_000), Some(Duration::from_secs(60)));
        assert_eq!(quota.allowed(), 22, "less than the 30 that were too many");
        assert_eq!(
            quota.take(Urgency::Later, at(100_000)),
            Some(Duration::from_millis(233_334)),
            "until the first 11 are a period back"
        );
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
        assert_eq!(quota.allowed(), 90);
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
