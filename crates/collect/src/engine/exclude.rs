//! Rows that are not wanted: they count as read, and go nowhere.

use chrono::{DateTime, Utc};
use rows::{RowKey, RowRef};

use crate::{
    CheckpointStore, Event, Sink, Source, Store,
    engine::{Collector, WindowRead},
    event::{Novelty, PageCount},
    excluded::RuleCount,
    known::hour,
    proof::Notes,
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Whether a rule takes a row out; it is counted then.
    pub(super) fn excludes(
        &mut self,
        row: &RowRef<'_>,
        read: &WindowRead<S, K>,
        count: &mut PageCount,
    ) -> bool {
        let Some(rule) = self.parts.excluded.rule(row.json) else {
            return false;
        };
        if self.parts.excluded.has_seen(row.key) {
            count.excluded += 1;
        } else if self.known.knows(row.key) {
            // It was delivered before there was the rule.
            count.known += 1;
        } else {
            count.excluded += 1;
            // Under an hour that is forgotten some day, also when its date is of the far future.
            let received = row.received.unwrap_or(read.began.time);
            let received = received.min(read.began.time);
            let last_read = self.schedule.coverage().read_at(received);
            let again = self.parts.excluded.was_counted(last_read);
            if !again {
                let note = |notes: &mut Notes| notes.excluded += 1;
                self.ledger.proof.note(hour(received), note);
            }
            self.parts.excluded.take_out(row.key, received, rule, again);
        }
        true
    }

    /// What a row is that is not known, when that is due to a rule.
    pub(super) fn explained(&mut self, key: RowKey, received: DateTime<Utc>) -> Option<Novelty> {
        if !self.parts.excluded.is_in_play() {
            return None;
        }
        let read = self.schedule.coverage().read_at(received);
        self.parts.excluded.explains(key, received, read)
    }

    /// Tells how many rows of a page each rule took out, and keeps since when the rules are in force.
    pub(super) async fn tell_excluded(&mut self) {
        for (rule, RuleCount { rows, again }) in self.parts.excluded.end_page() {
            self.tell(Event::Excluded { rule, rows, again });
        }
        let kept = self.parts.excluded.keep(self.parts.store.as_ref()).await;
        if let Err(error) = kept {
            // It is tried again with the next page.
            self.tell(Event::StoreFailed(&error));
        }
    }
}
