//! Tells in time that the certificate of the app ends.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use microsoft::TokenCache;
use prometheus_client::metrics::gauge::Gauge;
use sekoia::Context;
use tokio_util::task::AbortOnDropHandle;

use super::words::{counted, moment};

/// The metric with the end of the certificate.
pub(super) const METRIC: &str = "certificate_end_timestamp_seconds";

/// How many days before the end it is told.
const NOTICES: [i64; 3] = [30, 7, 1];

/// How often it is looked whether it is time.
const LOOK: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Notice {
    /// So many of the notices are due.
    Soon(usize),
    Over,
}

impl Notice {
    /// What is to be told of an end; none while it is far.
    pub(super) fn of(end: DateTime<Utc>, now: DateTime<Utc>) -> Option<Self> {
        if end <= now {
            return Some(Self::Over);
        }
        let due = NOTICES
            .iter()
            .filter(|days| end - now <= TimeDelta::days(**days));
        match due.count() {
            0 => None,
            count => Some(Self::Soon(count)),
        }
    }

    /// Whether somebody has to act today.
    pub(super) fn is_urgent(self) -> bool {
        self >= Self::Soon(NOTICES.len())
    }
}

/// The end in words, and what to do when it is near.
pub(super) fn sentence(end: DateTime<Utc>, now: DateTime<Utc>) -> String {
    const CURE: &str = "upload a new one to the app registration, and put it with its key into `certificate`: \
                        it is used without a restart";
    let left = end - now;
    let end = moment(end);
    match left.num_days() {
        _ if left <= TimeDelta::zero() => {
            format!("the certificate of the app has ended at {end}: {CURE}")
        }
        0 => format!("the certificate of the app ends at {end}, within a day: {CURE}"),
        days @ ..=30 => format!(
            "the certificate of the app ends at {end}, in {}: {CURE}",
            counted(days.cast_unsigned(), "day")
        ),
        days => format!("the certificate of the app ends at {end}, in {days} days"),
    }
}

/// When the first certificate ends with which one of these signs in; none without one.
pub(super) fn first_end<'a>(
    tokens: impl Iterator<Item = &'a Arc<TokenCache>>,
) -> Option<DateTime<Utc>> {
    tokens.filter_map(|one| one.certificate_end()).min()
}

/// Exposes the end of the certificate, and tells of it in the log as long as the handle lives: at each
/// notice, and at the start of each run that begins after one.
pub(super) fn watch(
    context: &Context,
    tokens: &[Arc<TokenCache>],
) -> Option<AbortOnDropHandle<()>> {
    let gauge: Gauge = context.metrics.figure(
        METRIC,
        "When the certificate of the app ends, in seconds since 1970; 0 without one",
    );
    let end = first_end(tokens.iter());
    gauge.set(end.map_or(0, |end| end.timestamp()));
    let watching = tokio::spawn(tell(context.clone(), end?));
    Some(AbortOnDropHandle::new(watching))
}

async fn tell(context: Context, end: DateTime<Utc>) {
    let mut told = None;
    loop {
        let now = context.clock.now();
        let notice = Notice::of(end, now);
        if let Some(notice) = notice.filter(|notice| Some(*notice) != told) {
            let mut sentence = sentence(end, now);
            sentence.replace_range(..1, "T");
            if notice.is_urgent() {
                context.log.error(sentence);
            } else {
                context.log.warning(sentence);
            }
        }
        told = notice;
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_thirty_seven_and_one_day_before() {
        let end = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = |hours: i64| Notice::of(end, end - TimeDelta::hours(hours));
        assert_eq!(at(30 * 24 + 1), None);
        assert_eq!(at(30 * 24), Some(Notice::Soon(1)));
        assert_eq!(at(7 * 24 + 1), Some(Notice::Soon(1)));
        assert_eq!(at(7 * 24), Some(Notice::Soon(2)));
        assert_eq!(at(25), Some(Notice::Soon(2)));
        assert_eq!(at(24), Some(Notice::Soon(3)));
        assert_eq!(at(0), Some(Notice::Over));
        assert!(at(24).unwrap().is_urgent() && at(-1).unwrap().is_urgent());
        assert!(!at(25).unwrap().is_urgent());
    }

    #[test]
    fn the_sentence_says_when_and_what_to_do() {
        let end = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let at = |hours: i64| sentence(end, end - TimeDelta::hours(hours));
        assert_eq!(
            at(40 * 24),
            "the certificate of the app ends at 2027-01-15 08:00:00 UTC, in 40 days"
        );
        assert!(at(8 * 24).contains("in 8 days: upload a new one"));
        assert!(at(30).contains("in 1 day: upload a new one"));
        assert!(at(3).contains("within a day: upload a new one"));
        assert!(at(-1).contains("has ended at 2027-01-15 08:00:00 UTC: upload"));
    }
}
