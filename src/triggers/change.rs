//! Whether a collection changes over from the Reporting Web Service to Microsoft Graph: pure, and told
//! the time.
//!
//! It does when the Reporting Web Service has said twice, minutes apart and without a whole page
//! between, that it has ended or takes no passwords any more, and Microsoft Graph then answers with a
//! page. One answer would prove nothing: an address may be wrong for a moment, or a proxy in the way.

use std::time::Duration;

use base::clock::Reading;
use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// Two refusals closer to one another are one.
const APART: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Change {
    first: Option<Reading>,
    last: Option<(Reading, String)>,
    /// When Microsoft Graph was asked last without an answer.
    tried: Option<Instant>,
}

/// What has proven that the Reporting Web Service has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EndEvidence {
    /// When it said so, by the local clock.
    pub(super) refusals: [DateTime<Utc>; 2],
    pub(super) said: String,
}

impl Change {
    /// The Reporting Web Service has answered with a whole page: it has not ended.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
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
        let apart = last.instant.saturating_duration_since(first.instant);
        (apart >= APART).then(|| EndEvidence {
            refusals: [first.wall, last.wall],
            said: said.clone(),
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
