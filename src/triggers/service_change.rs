//! Whether a collection changes over from the Reporting Web Service to Microsoft Graph: pure, and told
//! the time.
//!
//! It does when the Reporting Web Service has said twice, minutes apart and without a whole page
//! between, that it has ended or takes no passwords any more, and Microsoft Graph then answers with a
//! page. One answer would prove nothing: an address may be wrong for a moment, or a proxy in the way.

use std::time::Duration;

use base::clock::Reading;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::words::moment;

/// Two refusals closer to one another are one.
const APART: Duration = Duration::from_secs(120);

/// When there has been no whole page for so long, a person is to know what else can be read.
const LONG: Duration = Duration::from_secs(60 * 60);

/// What an earlier process was told counts for so long.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Default)]
pub(super) struct Change {
    first: Option<Reading>,
    last: Option<(Reading, String)>,
    /// Whether an earlier process was refused twice, minutes apart.
    were_apart: bool,
    /// When Microsoft Graph was asked last without an answer.
    tried: Option<Instant>,
    /// Since when there has been no whole page, for any reason.
    failing: Option<Reading>,
}

/// So long without a row is told, once in this time.
const SILENT: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether pages have rows. A service that has ended may answer with empty ones for ever, which look like those of a
/// tenant without mail: that changes nothing, and a person is to know.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// The first page without rows since the last row.
    since: Option<Reading>,
    told: Option<Instant>,
}

impl Silence {
    /// A page came. Since when there was no row, by the local clock, when a person is to be told now.
    pub(super) fn page(&mut self, has_rows: bool, at: Reading) -> Option<DateTime<Utc>> {
        if has_rows {
            *self = Self::default();
            return None;
        }
        let first = *self.since.get_or_insert(at);
        let last = self.told.unwrap_or(first.instant);
        let is_due = at.instant.saturating_duration_since(last) >= SILENT;
        is_due.then(|| {
            self.told = Some(at.instant);
            first.wall
        })
    }
}

/// What a person is told of it.
pub(super) fn silent(since: DateTime<Utc>) -> String {
    format!(
        "The Reporting Web Service has shown no row since {}. That is right if no mail was received since. Else it \
         does not say that it has ended: set `service` to `graph`, and read what is older than `settle_time` again \
         with a backfill",
        moment(since)
    )
}

/// That the Reporting Web Service has said that it has ended, without a whole page since: what the next
/// process goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptRefusal {
    /// When it said so first, by the local clock.
    first: DateTime<Utc>,
    /// Whether it has said so again minutes later.
    are_apart: bool,
}

/// What has proven that the Reporting Web Service has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndEvidence {
    /// When it said so, by the local clock.
    pub(super) refusals: [DateTime<Utc>; 2],
    pub(super) said: String,
}

impl Change {
    /// Goes on where an earlier process was. Nobody knows for certain how long that is ago: what it was told
    /// counts as told just now, and proves nothing before the service says it again.
    pub(super) fn restored(before: KeptRefusal, now: Reading) -> Self {
        let age = (now.wall - before.first).to_std();
        if !age.is_ok_and(|age| age <= KEPT) {
            return Self::default();
        }
        let first = Reading {
            wall: before.first,
            instant: now.instant,
        };
        Self {
            first: Some(first),
            were_apart: before.are_apart,
            ..Self::default()
        }
    }

    /// What the next process is to know.
    pub(super) fn kept(&self) -> Option<KeptRefusal> {
        Some(KeptRefusal {
            first: self.first?.wall,
            are_apart: self.are_apart(),
        })
    }

    /// The Reporting Web Service has answered with a whole page: it has not ended.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// It has failed, for any reason. Since when it does, by the local clock, once that is long.
    pub(super) fn failed(&mut self, at: Reading) -> Option<DateTime<Utc>> {
        let first = *self.failing.get_or_insert(at);
        let lasts = at.instant.saturating_duration_since(first.instant) >= LONG;
        lasts.then_some(first.wall)
    }

    /// It has said, in these words, that it has ended.
    pub(super) fn refused(&mut self, at: Reading, said: &str) {
        self.first.get_or_insert(at);
        self.last = Some((at, said.to_owned()));
    }

    /// Whether Microsoft Graph is to be asked now, instead of the Reporting Web Service: that is asked
    /// again after each try without an answer.
    pub(super) fn wants_graph(&self) -> bool {
        let last = self.last.as_ref().map(|(last, _)| last.instant);
        self.evidence().is_some() && self.tried.is_none_or(|tried| last > Some(tried))
    }

    /// Microsoft Graph was asked at this instant, and did not answer.
    pub(super) fn tried(&mut self, at: Instant) {
        self.tried = Some(at);
    }

    /// What there is of evidence; none while it is not enough.
    pub(super) fn evidence(&self) -> Option<EndEvidence> {
        let (first, (last, said)) = (self.first?, self.last.as_ref()?);
        self.are_apart().then(|| EndEvidence {
            refusals: [first.wall, last.wall],
            said: said.clone(),
        })
    }

    fn are_apart(&self) -> bool {
        let both = self.first.zip(self.last.as_ref());
        self.were_apart
            || both.is_some_and(|(first, (last, _))| {
                last.instant.saturating_duration_since(first.instant) >= APART
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_refusals_minutes_apart_without_a_page_between_count() {
        let start = Instant::now();
        let at = |second: u64| Reading {
            wall: DateTime::from_timestamp(1_795_000_000 + second.cast_signed(), 0).unwrap(),
            instant: start + Duration::from_secs(second),
        };
        let mut change = Change::default();
        assert!(!change.wants_graph());
        for second in [0, 30, 119] {
            change.refused(at(second), "gone");
            assert!(!change.wants_graph(), "{second}");
        }
        change.answered();
        change.refused(at(125), "gone");
        assert!(!change.wants_graph(), "what came before the answer is void");
        change.refused(at(244), "gone");
        assert!(!change.wants_graph());
        change.refused(at(245), "gone for good");
        assert!(change.wants_graph());
        let evidence = change.evidence().unwrap();
        assert_eq!(evidence.refusals, [at(125).wall, at(245).wall]);
        assert_eq!(evidence.said, "gone for good");
        change.tried(at(246).instant);
        assert!(!change.wants_graph(), "the other is asked again");
        assert!(change.evidence().is_some());
        change.refused(at(300), "gone");
        assert!(change.wants_graph());
        change.answered();
        assert!(!change.wants_graph() && change.evidence().is_none());
    }

    #[test]
    fn a_restart_goes_on_with_what_was_refused_and_believes_nothing_sooner() {
        let start = Instant::now();
        let wall = |second| DateTime::from_timestamp(1_795_000_000 + second, 0).unwrap();
        // The processes begin at these seconds, and the monotonic clock with each of them.
        let at = |began: i64, second: i64| Reading {
            wall: wall(second),
            instant: start + Duration::from_secs((second - began).unsigned_abs()),
        };
        let mut change = Change::default();
        assert_eq!(change.kept(), None);
        change.refused(at(0, 0), "gone");
        change.refused(at(0, 60), "gone");
        let mut change = Change::restored(change.kept().unwrap(), at(600, 600));
        assert!(!change.wants_graph(), "nothing was said since");
        change.refused(at(600, 719), "gone");
        assert!(!change.wants_graph(), "the wall clock alone tells more");
        change.refused(at(600, 720), "gone");
        assert!(change.wants_graph());
        let kept = change.kept().unwrap();
        let mut change = Change::restored(kept, at(2000, 2000));
        assert_eq!(change.kept(), Some(kept));
        assert!(!change.wants_graph(), "nothing was said since");
        change.refused(at(2000, 2001), "gone for good");
        assert!(change.wants_graph());
        let evidence = change.evidence().unwrap();
        assert_eq!(evidence.refusals, [wall(0), wall(2001)]);
        assert_eq!(evidence.said, "gone for good");
        change.answered();
        assert_eq!((change.kept(), change.evidence()), (None, None));
        // It is too long ago, or lies in the future by a clock that was set.
        for second in [-1, 24 * 3600 + 1] {
            let change = Change::restored(kept, at(second, second));
            assert_eq!(change.kept(), None, "{second}");
        }
    }

    #[test]
    fn failures_are_long_when_no_page_has_come_for_an_hour() {
        let start = Instant::now();
        let wall = |second| DateTime::from_timestamp(second, 0).unwrap();
        let at = |second: u64| Reading {
            wall: wall(second.cast_signed()),
            instant: start + Duration::from_secs(second),
        };
        let mut change = Change::default();
        assert_eq!(change.failed(at(5)), None);
        assert_eq!(change.failed(at(3604)), None);
        assert_eq!(change.failed(at(3605)), Some(wall(5)));
        assert!(change.evidence().is_none() && !change.wants_graph());
        change.answered();
        assert_eq!(change.failed(at(3606)), None);
    }

    #[test]
    fn a_day_without_a_row_is_told_once_a_day_until_one_comes() {
        let start = Instant::now();
        let wall = |hour: u64| DateTime::from_timestamp(hour.cast_signed() * 3600, 0).unwrap();
        let at = |hour: u64| Reading {
            wall: wall(hour),
            instant: start + Duration::from_secs(hour * 3600),
        };
        let mut silence = Silence::default();
        let mut page = |hour, has_rows| silence.page(has_rows, at(hour));
        assert_eq!(page(0, true), None);
        for (hour, told) in [(1, false), (24, false), (25, true), (48, false), (49, true)] {
            assert_eq!(page(hour, false), told.then(|| wall(1)), "{hour}");
        }
        assert_eq!(page(50, true), None);
        assert_eq!((page(51, false), page(74, false)), (None, None));
        assert_eq!(page(75, false), Some(wall(51)));
    }

    #[test]
    fn a_clock_that_is_set_proves_nothing() {
        let start = Instant::now();
        let wall = |second| DateTime::from_timestamp(second, 0).unwrap();
        let mut change = Change::default();
        for (second, instant) in [(0, 0), (90_000, 1)] {
            let instant = start + Duration::from_secs(instant);
            let wall = wall(second);
            change.refused(Reading { wall, instant }, "gone");
        }
        assert!(!change.wants_graph());
    }
}
