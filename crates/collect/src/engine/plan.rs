//! Gives every reader something to do that may ask.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use rows::{Question, Window};
use tokio::time::Instant;

use crate::{
    CheckpointStore, Event, Lane, Sink, Source, Store,
    decide::service::Asking,
    engine::{Answer, BESIDE, Collector, Flow, without_latency},
    reader::{Reader, WindowRead},
};

/// What a probe asks for, and what it asks for when that was too much several times.
const PROBE: (TimeDelta, TimeDelta) = (TimeDelta::seconds(60), TimeDelta::seconds(4));

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    pub(super) async fn plan(&mut self) -> Flow {
        self.look_for_orders();
        let is_certain = self.look_at_clocks().await?;
        if !is_certain {
            self.ask_time().await?;
            self.go_on_reading();
            return Ok(());
        }
        let now = self.time().now;
        self.schedule.wake(Instant::now());
        if self.is_restrained() {
            self.schedule.restrain(now);
        }
        match self.service.asking(Instant::now()) {
            Asking::All => {
                for reader in 0..self.readers.len() {
                    self.turn_to(reader, now);
                }
            }
            Asking::One => self.ask_one(now),
            Asking::Probe { small } => self.probe(now, small).await?,
        }
        Ok(())
    }

    /// Has the readers go on with the windows that they are reading, and begin no others.
    fn go_on_reading(&mut self) {
        for reader in 0..self.readers.len() {
            let may = self.service.asking(Instant::now()) == Asking::All && self.may_ask(reader);
            if may && self.readers.get(reader).is_some_and(Reader::waits) {
                self.ask(reader);
            }
        }
    }

    /// Has a reader ask for a page, when it may and there is something to ask for.
    pub(super) fn turn_to(&mut self, reader: usize, now: DateTime<Utc>) {
        if !self.may_ask(reader) {
            return;
        }
        let waits = self.readers.get(reader).is_some_and(Reader::waits);
        if waits || self.take_up(reader) {
            self.ask(reader);
        } else if self.readers.get(reader).is_some_and(Reader::is_idle)
            && let Some((lane, window)) = self.next_window(reader, now)
        {
            self.begin(reader, lane, window);
        }
    }

    /// Gives a reader without a window one that has waited long enough: because of its damaged page, or for a
    /// message. Whether there is one.
    fn take_up(&mut self, reader: usize) -> bool {
        let may_read = match reader {
            0 => !self.schedule.is_collecting(),
            _ => self.may_read_beside(),
        };
        if !may_read || !self.readers.get(reader).is_some_and(Reader::is_idle) {
            return false;
        }
        let damaged = self.damaged.take_due();
        let Some(mut read) = damaged.or_else(|| self.take_completing(reader)) else {
            return false;
        };
        read.reader = reader;
        self.resume(read, Duration::ZERO);
        true
    }

    /// What a reader without a window is to read.
    pub(super) fn next_window(
        &mut self,
        reader: usize,
        now: DateTime<Utc>,
    ) -> Option<(Lane, Window)> {
        if reader == 0 {
            self.follow_source();
            if let Some(window) = self.schedule.live(now) {
                if self.schedule.missing() > TimeDelta::zero() {
                    // So that the stored timeline shows what is missing.
                    self.ledger.is_changed = true;
                }
                self.tell_snapshot();
                return Some((Lane::Live, window));
            }
            if self.schedule.is_collecting() {
                return None;
            }
            // The first reader finds out whether anything is wrong.
        } else if self.service.is_unproven() || !self.may_read_beside() {
            return None;
        } else if self.service.is_failing(Instant::now())
            && let Some(never_read) = self.schedule.never_read()
        {
            return Some(never_read);
        }
        let beside = self.schedule.beside(now, Instant::now());
        beside.or_else(|| self.next_audit())
    }

    /// Whether the source wishes for fewer requests, or fails.
    fn is_restrained(&self) -> bool {
        let quota = self.parts.source.quota_use();
        quota.is_some_and(|quota| quota.allowed < quota.share)
            || self.service.is_failing(Instant::now())
    }

    /// A source may be another one from some moment on.
    pub(super) fn follow_source(&mut self) {
        let limits = without_latency(self.parts.source.limits());
        if limits != *self.schedule.limits() {
            self.schedule.adapt(&limits);
        }
    }

    /// Has one reader ask, while none does. Those whose page has failed come last, in the order in which it
    /// has: whether others are answered shows what is wrong.
    pub(super) fn ask_one(&mut self, now: DateTime<Utc>) {
        let readers = self.readers.len();
        let first = self.last_failed + 1;
        let mut order: Vec<usize> = (0..readers).map(|at| (first + at) % readers).collect();
        order.sort_by_key(|reader| self.service.failed_at(*reader));
        for reader in order {
            if self.is_asking() {
                return;
            }
            self.turn_to(reader, now);
        }
    }

    /// Asks for as little as there is, while no reader asks, to find out whether the source answers.
    pub(super) async fn probe(&mut self, now: DateTime<Utc>, small: bool) -> Flow {
        if self.is_asking() || !self.may_ask(0) {
            return Ok(());
        }
        if !self.schedule.is_collecting() {
            // The last window of an order may always fail: only an answer to something else shows that it is
            // the window, and has it read in narrower ones.
            return self.ask_time().await;
        }
        if let Some(read) = self
            .readers
            .first_mut()
            .and_then(|reader| reader.read.take())
        {
            self.put_back(read).await?;
        }
        let span = if small { PROBE.1 } else { PROBE.0 };
        match self.schedule.probe(now, span) {
            Some((lane, window)) => {
                self.service.probes();
                self.begin(0, lane, window);
                let read = self.readers.first_mut();
                if let Some(read) = read.and_then(|reader| reader.read.as_mut()) {
                    read.is_probe = true;
                }
            }
            // All of that is being read.
            None => self.ask_one(now),
        }
        Ok(())
    }

    /// Leaves a window to be asked for in another way.
    pub(super) async fn put_back(&mut self, read: WindowRead<S, K>) -> Flow {
        self.schedule.release(read.window);
        self.abandon(read).await
    }

    /// A window is not read to its end: what was read of it is sent.
    pub(super) async fn abandon(&mut self, read: WindowRead<S, K>) -> Flow {
        self.pending.abandon(read.id);
        self.send(read.draft).await
    }

    /// Whether a reader's pause is over.
    pub(super) fn may_ask(&self, reader: usize) -> bool {
        self.service.held_until(reader, Instant::now()).is_none()
    }

    pub(super) fn is_asking(&self) -> bool {
        self.readers.iter().any(Reader::is_asking)
    }

    /// Whether one more reader may read beside that of the live edge. Those that pause do not count.
    pub(super) fn may_read_beside(&self) -> bool {
        let readers = self.readers.iter().enumerate().skip(1);
        let reading = readers.filter(|(at, reader)| !reader.is_idle() && self.may_ask(*at));
        reading.count() < self.parts.source.limits().readers().min(BESIDE)
    }

    pub(super) fn begin(&mut self, reader: usize, lane: Lane, window: Window) {
        self.tell(Event::Asking(window));
        let began = self.moment();
        let id = self.pending.begin(lane, window, began);
        let draft = self.outflow.draft(lane, window);
        // Windows of the live edge are alike, and fail for the same reason.
        if lane != Lane::Live {
            self.service.begun(reader);
        }
        if let Some(reader) = self.readers.get_mut(reader) {
            let shown = self.schedule.limits().recipients_shown;
            let mut read = WindowRead::<S, K>::new(id, lane, window, began, draft, shown);
            let verification = self.verification.as_ref();
            if let Some(verification) = verification.filter(|_| lane == Lane::Verify) {
                read.order = Some(verification.work.order.id);
                read.heals = verification.heals();
            }
            reader.read = Some(read);
        }
        self.ask(reader);
    }

    pub(super) fn ask(&mut self, reader: usize) {
        let read = self.readers.get(reader).and_then(|one| one.read.as_ref());
        if let Some(asked) = read.map(WindowRead::asks) {
            self.fetch(reader, asked);
        }
    }

    /// Asks for a page beside everything else.
    pub(super) fn fetch(
        &mut self,
        reader: usize,
        (lane, question, link): (Lane, Question, Option<S::Link>),
    ) {
        let source = Arc::clone(&self.parts.source);
        let full_page = source.limits().rows_per_page;
        let task = self.asked.spawn(async move {
            let page = source.page(lane, question, link).await;
            Answer::Page(reader, full_page, page)
        });
        if let Some(reader) = self.readers.get_mut(reader) {
            reader.asked_by = Some(task.id());
        }
        if lane == Lane::Backfill
            && let Some(backfill) = &mut self.backfill
        {
            // It is told when it may ask.
            _ = backfill.work.changed();
        }
    }
}
