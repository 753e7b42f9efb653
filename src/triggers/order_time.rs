//! What time it is for the dates of an order: the clock of this machine may be wrong, and a collection has learnt
//! the service's.

use std::io;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use collect::{
    KeptTime,
    timeline::{Found, Timeline},
};
use sekoia::{OfflineSession, Storage};

use super::words::{moment, span};

/// Clocks that differ by no more agree.
const SAME: TimeDelta = TimeDelta::minutes(1);

/// By which clocks the dates of an order are reckoned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OrderTime {
    /// What this machine shows.
    local: DateTime<Utc>,
    /// What the service shows, as a collection has learnt it; none when none has.
    service: Option<KeptTime>,
}

impl OrderTime {
    pub(crate) async fn of(session: &OfflineSession<'_>) -> io::Result<Self> {
        let local = session.context.clock.now();
        Self::in_storage(&session.context.storage, local).await
    }

    async fn in_storage(storage: &Storage, local: DateTime<Utc>) -> io::Result<Self> {
        let kept = match Timeline::load(storage).await? {
            Found::Timeline(timeline) => timeline.leaps,
            Found::Nothing | Found::Damaged(_) => None,
        };
        Ok(Self {
            local,
            service: kept.map(|kept| kept.time(local)),
        })
    }

    /// Where it does not matter which clock is right.
    pub(crate) fn by(now: DateTime<Utc>) -> Self {
        let service = Some(KeptTime {
            at: now,
            is_sure: true,
        });
        Self {
            local: now,
            service,
        }
    }

    #[cfg(test)]
    pub(crate) fn beside(local: DateTime<Utc>, at: DateTime<Utc>, is_sure: bool) -> Self {
        let service = Some(KeptTime { at, is_sure });
        Self { local, service }
    }

    /// The service's, where it is another time than this machine shows.
    fn other(&self) -> Option<KeptTime> {
        let is_other = |kept: &KeptTime| (kept.at - self.local).abs() > SAME;
        self.service.filter(is_other)
    }

    /// Now, by the clock that is to be believed.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.other().map_or(self.local, |kept| kept.at)
    }

    /// Now, by the earlier of the clocks that may be right: what is older by it than rows are kept is gone.
    pub(crate) fn earliest(&self) -> DateTime<Utc> {
        self.both().0
    }

    /// Now, by the later of the clocks that may be right: what comes after it has not happened.
    pub(crate) fn latest(&self) -> DateTime<Utc> {
        self.both().1
    }

    fn both(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        match self.other() {
            Some(kept) if kept.is_sure => (kept.at, kept.at),
            Some(kept) => (kept.at.min(self.local), kept.at.max(self.local)),
            None => (self.local, self.local),
        }
    }

    /// What is said behind a refusal, where nobody knows whether the clock of this machine is right.
    pub(crate) fn doubt(&self) -> String {
        match self.service {
            Some(_) => String::new(),
            None => format!(
                ", if the clock of this machine is right, which shows {}: no collection has compared it with the \
                 service's yet",
                moment(self.local)
            ),
        }
    }

    /// What a person is to know of the dates, where the clocks differ.
    pub(crate) fn remark(&self) -> Option<String> {
        let KeptTime { at, is_sure } = self.other()?;
        let way = match at > self.local {
            true => "behind",
            false => "ahead of",
        };
        let off = span((at - self.local).abs());
        let service = moment(at.trunc_subsecs(0));
        Some(match is_sure {
            true => format!(
                "The clock of this machine is {off} {way} the service's: dates are reckoned by the service's, \
                 {service}."
            ),
            false => format!(
                "The clock of this machine is {off} {way} the service's, as far as the last run tells: dates are \
                 reckoned by the service's, {service}. If a clock was set since, write both dates in full, such \
                 as 2026-11-01T08:30Z."
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use collect::{coverage::Coverage, lateness::Lateness, timeline::TIMELINE_FILE};
    use sekoia::MemoryBackend;
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    /// The clock of this machine stands at 0, and a collection has kept so many seconds ago that the service's
    /// was ahead by so many.
    async fn kept(ahead: i64, ago: i64) -> OrderTime {
        let mut timeline = Timeline::new(at(0), Coverage::new(at(0)), Lateness::default());
        let leaps = json!({"ahead": [], "seen": at(ahead - ago), "seen_at": at(-ago)});
        timeline.leaps = Some(serde_json::from_value(leaps).unwrap());
        let storage = Storage::new(MemoryBackend::default());
        let text = serde_json::to_vec(&timeline).unwrap();
        storage.write(TIMELINE_FILE, text).await.unwrap();
        OrderTime::in_storage(&storage, at(0)).await.unwrap()
    }

    #[tokio::test]
    async fn the_service_s_clock_counts_where_it_is_known() {
        const DAYS: i64 = 2 * 86_400;
        for (ahead, way) in [(DAYS, "behind"), (-DAYS, "ahead of")] {
            let time = kept(ahead, 60).await;
            let all = [time.now(), time.earliest(), time.latest()];
            assert_eq!(all, [at(ahead); 3]);
            let text = time.remark().unwrap();
            let clock = format!("The clock of this machine is 2 days {way} the service's: dates");
            assert!(text.starts_with(&clock), "{text}");
            assert_eq!(time.doubt(), "");
            // Long ago: this clock may have been set since.
            let time = kept(ahead, 10_000).await;
            assert_eq!(time.now(), at(ahead));
            let both = [time.earliest(), time.latest()];
            assert_eq!(both, [at(ahead.min(0)), at(ahead.max(0))]);
            let text = time.remark().unwrap();
            assert!(text.contains("as far as the last run tells"), "{text}");
        }
    }

    #[tokio::test]
    async fn clocks_that_agree_are_one_and_one_that_nobody_has_compared_is_doubted() {
        for ahead in [-60, 0, 60] {
            let time = kept(ahead, 10_000).await;
            let all = [time.now(), time.earliest(), time.latest()];
            assert_eq!(all, [at(0); 3]);
            assert_eq!((time.remark(), time.doubt().as_str()), (None, ""));
        }
        let storage = Storage::new(MemoryBackend::default());
        let time = OrderTime::in_storage(&storage, at(0)).await.unwrap();
        let all = [time.now(), time.earliest(), time.latest()];
        assert_eq!((all, time.remark()), ([at(0); 3], None));
        assert!(time.doubt().contains("no collection has compared it"));
    }
}
