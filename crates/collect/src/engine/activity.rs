//! What is being done at the moment, for people.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::{
    Activity, Busy, CheckpointLag, CheckpointStore, Event, Sink, Snapshot, Source, Store, WaitsFor,
    engine::{Collector, Reader, TURN},
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// How far the collection has come. Until the time is known, as far as what is kept tells: a start in
    /// an outage is behind, too.
    pub(super) fn checkpoint_lag(&self) -> Option<CheckpointLag> {
        let now = self.time().latest(self.parts.clock.now());
        match self.has_begun() {
            true => self.schedule.checkpoint_lag(now),
            false => self.schedule.lag_of(self.waiting.missing?, now),
        }
    }

    pub(super) fn tell_snapshot(&mut self) {
        self.told_snapshot = Some(Instant::now());
        let (coverage, time) = (self.schedule.coverage(), self.time());
        let missing = self.schedule.missing_time(time.now);
        let gap = coverage.missing().next().map(|window| window.start());
        // Where no gap is, what nobody could ask for yet begins at the live edge.
        let late = (missing.span > TimeDelta::zero()).then(|| coverage.edge());
        let held_back = time.held_back(self.parts.clock.now());
        self.tell(Event::Snapshot(Snapshot {
            oldest_missing: gap.or(late),
            missing,
            known: self.known.len(),
            coarseness: self.schedule.coarseness(),
            better_settle_time: self.schedule.better_settle_time(),
            skew: time.skew,
            untold: held_back.filter(|_| time.is_untold()),
            refused: self.schedule.refused().map(|window| window.span()).sum(),
        }));
    }

    /// Says once a minute where the collection stands, also while no window of the live edge begins: one
    /// may wait for minutes, for the quota or for the receiver.
    pub(super) fn tell_snapshot_when_due(&mut self) {
        let is_due = self.told_snapshot.is_none_or(|told| told.elapsed() >= TURN);
        if is_due && self.has_begun() && self.schedule.is_collecting() {
            self.tell_snapshot();
        }
    }

    /// What is being read, and what that waits for; `blocker` keeps a page from being taken in.
    pub(super) fn activity(&self, now: DateTime<Utc>, blocker: WaitsFor) -> Activity {
        let taken_in = self.taken_in.map(|(lane, window)| Busy {
            lane,
            window,
            waits_for: blocker,
        });
        let readers = self.readers.iter().enumerate();
        let others = readers.filter_map(|(number, reader)| self.busy(number, reader));
        let others = others.filter(|one| Some((one.lane, one.window)) != self.taken_in);
        let is_live_idle = self.readers.first().is_some_and(Reader::is_idle);
        let has_edge = self.has_begun() && self.schedule.is_collecting();
        let only_waits = self.pending.hold_all_of(self.schedule.coverage().missing());
        Activity {
            busy: taken_in.into_iter().chain(others).collect(),
            next: (is_live_idle && has_edge).then(|| self.schedule.due(now)),
            batches: self.outflow.batches(),
            completing: self.completing.len(),
            only_waits: only_waits.then(|| self.outflow.held()),
        }
    }

    fn busy(&self, number: usize, reader: &Reader<S, K>) -> Option<Busy> {
        let read = reader.read.as_ref()?;
        let held = || self.service.failure_holds(number, Instant::now());
        let waits_for = match reader.asked_by {
            Some(task) => WaitsFor::Source(task),
            None => held().map_or(WaitsFor::Turn, WaitsFor::Pause),
        };
        Some(Busy {
            lane: read.lane,
            window: read.window,
            waits_for,
        })
    }
}
