//! Rows that were not received in the window that was asked for.
//!
//! Services look a little beyond a window. But there are rows that are shown for any window:
//! without a date, or with one of long ago or of the far future; and a service that overlooks the
//! bounds of a query shows everything it has. Each of these rows is delivered once.

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use rows::{RowRef, Window};
use serde::{Deserialize, Serialize};

use crate::{
    CheckpointStore, Event, Sink, Source, Store,
    engine::{Collector, Flow, WindowRead, persist},
    known::{DedupDecision, KeyRef},
    order::FormatVersion,
    reader::MARGIN,
};

/// Rows received later than this after now are not waited for: their hours would be kept until then.
const FUTURE: TimeDelta = TimeDelta::days(1);

/// While rows are shown that were not asked for, delivered rows are remembered for so much longer:
/// a query without bounds shows this much of the past.
const UNBOUNDED: TimeDelta = TimeDelta::hours(48);

/// They are looked out for so long after one was seen.
const LOOKOUT: TimeDelta = TimeDelta::hours(24);

/// Until when, is kept here, so that a restart does not forget it: it is kept anew after an hour.
pub const OUTSIDE_FILE: &str = "outside.json";
const KEPT_ANEW: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: FormatVersion,
    until: DateTime<Utc>,
}

/// Rows outside of what was asked for.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// Until when more of them are looked out for, and how much of that is kept.
    until: Option<DateTime<Utc>>,
    kept: Option<DateTime<Utc>>,
    /// Whether that is what a start has found, which no clock has judged yet.
    is_hearsay: bool,
    /// On the page at hand.
    count: usize,
    /// What is to be remembered for longer.
    again: Vec<KeyRef>,
}

impl Strays {
    /// For how long before the floor of the timeline delivered rows are remembered. To forget them cannot be
    /// taken back: until both clocks say so, the lookout is not over.
    pub(super) fn memory(&self, certain: Option<DateTime<Utc>>) -> TimeDelta {
        if certain.is_none_or(|now| self.are_about(now)) {
            UNBOUNDED
        } else {
            persist::REMEMBER
        }
    }

    fn are_about(&self, now: DateTime<Utc>) -> bool {
        self.is_hearsay || self.until.is_some_and(|until| now < until)
    }

    /// The time is known for certain: a file that names a far instant holds for one lookout only.
    pub(super) fn judge(&mut self, now: DateTime<Utc>) {
        if std::mem::take(&mut self.is_hearsay) {
            self.until = self.until.map(|until| until.min(now + LOOKOUT));
            self.kept = self.kept.min(self.until);
        }
    }

    fn seen(&mut self, now: DateTime<Utc>) {
        self.count += 1;
        self.until = self.until.max(Some(now + LOOKOUT));
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Decides about a row that was not received in the window of its page. None when it is not looked
    /// at.
    ///
    /// A row of a time that is still to be read, or read again, is remembered with that time. Any
    /// other is filed as seen now, and its date says nothing: it belongs to no hour, and counts in no record.
    #[cold]
    pub(super) fn admit_outside(
        &mut self,
        row: &mut RowRef<'_>,
        read: &WindowRead<S, K>,
    ) -> Option<DedupDecision> {
        let coverage = self.schedule.coverage();
        let window = read.window;
        let near = Window::new(window.start() - MARGIN, window.end() + MARGIN);
        let batch = read.draft.id;
        if let Some(received) = row.received {
            let is_done = coverage.is_done_with(received);
            if near.is_some_and(|near| near.contains(received)) {
                // Another module has delivered it, nobody has asked for it, or it is delivered and
                // perhaps forgotten.
                let decision = || self.known.admit(row.key, row.received, received, batch);
                return (!is_done).then(decision);
            }
            self.strays.seen(read.began.time);
            let is_past = received < coverage.floor() || is_done;
            if !is_past && received < read.began.time + FUTURE {
                return Some(self.known.admit(row.key, row.received, received, batch));
            }
        } else {
            self.strays.seen(read.began.time);
        }
        row.received = None;
        let (decision, again) = self.known.admit_stray(row.key, read.began.time, batch);
        self.strays.again.extend(again);
        Some(decision)
    }

    /// Looks up until when such rows are looked out for, at a start. Where that cannot be read, they may
    /// have been seen just now: to forget rows too early makes them come twice.
    pub(super) async fn expect_strays(&mut self) {
        let text = match self.parts.store.read(OUTSIDE_FILE).await {
            Ok(None) => return,
            Ok(Some(text)) => text,
            Err(_) => Bytes::new(),
        };
        let kept = serde_json::from_slice::<Kept>(&text).ok();
        self.strays.kept = kept.map(|kept| kept.until);
        self.strays.until = self.strays.kept.or(Some(DateTime::<Utc>::MAX_UTC));
        self.strays.is_hearsay = true;
    }

    /// Before a page is taken in: where there are such rows, a row that seems to be new may have been
    /// delivered under another date.
    pub(super) fn look_for_strays(&mut self) {
        let now = self.time().now;
        self.known.look_everywhere(self.strays.are_about(now));
    }

    /// Remembers rows for longer that are shown again and again, and tells of all of a page.
    pub(super) async fn remember_strays(&mut self, window: Window) -> Flow {
        let mut again = std::mem::take(&mut self.strays.again);
        again.extend(self.known.take_adopted());
        self.remember(again).await?;
        let rows = std::mem::take(&mut self.strays.count);
        if rows > 0 {
            self.tell(Event::Outside { window, rows });
        }
        let now = self.time().now;
        let is_to_come = |until: &DateTime<Utc>| !self.strays.is_hearsay && now < *until;
        let Some(until) = self.strays.until.filter(is_to_come) else {
            return Ok(());
        };
        if self
            .strays
            .kept
            .is_none_or(|kept| until - kept >= KEPT_ANEW)
        {
            let version = FormatVersion;
            let text = serde_json::to_vec(&Kept { version, until }).unwrap_or_default();
            match self.parts.store.write(OUTSIDE_FILE, text.into()).await {
                Ok(()) => self.strays.kept = Some(until),
                // It is tried again with the next page.
                Err(error) => self.tell(Event::StoreFailed(&error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_remembered_for_longer_until_both_clocks_say_that_the_lookout_is_over() {
        let at = |hours: i64| DateTime::from_timestamp(1_800_000_000 + hours * 3600, 0).unwrap();
        let mut strays = Strays::default();
        assert_eq!(strays.memory(Some(at(0))), persist::REMEMBER);
        strays.seen(at(0));
        assert_eq!(strays.memory(Some(at(23))), UNBOUNDED);
        assert_eq!(strays.memory(None), UNBOUNDED, "nobody knows the time");
        assert_eq!(strays.memory(Some(at(24))), persist::REMEMBER);
    }
}
