//! What time it is: asked of the source before anything is judged by it, and after every step of the
//! local clock.

use std::{sync::Arc, time::Duration};

use base::clock::StepWatch;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    CheckpointStore, Event, Lane, Parts, Sink, Source, SourceError, Store,
    decide::{
        coverage::windows::hours,
        evidence::{Judgement, Loss, Moment, SourceTime},
        leaps::{KeptLeaps, Leaps},
        pending::Done,
        schedule::{Completed, Schedule},
        service::Asking,
    },
    engine::{ALMOST_AT_ONCE, Answer, Collector, Flow, WindowRead},
    journal::Remembered,
    known::KnownRows,
};

/// The pause between two questions for the end of the source's reach.
const SOON: Duration = Duration::from_secs(1);

/// The source's time is known to the second or so: what was received later than this after its page was
/// asked for is not on it.
const AHEAD: TimeDelta = TimeDelta::seconds(10);

/// Makes the schedule of a collection, once the time is known.
type Begin = Box<dyn FnOnce(Opening, &KnownRows) -> Schedule + Send + Sync>;

/// When a collection begins, by the source's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Now.
    pub now: DateTime<Utc>,
    /// When the process began to ask for the time, by the earlier of both clocks where either may be right: what is
    /// older than a first collection is never asked for.
    pub started: DateTime<Utc>,
}

/// What waits until the time is known for certain.
#[derive(Default)]
pub(super) struct Waiting {
    /// What was found at the start is not judged yet.
    begin: Option<Begin>,
    /// The oldest instant that is missing by it.
    pub(super) missing: Option<DateTime<Utc>>,
    /// Since when the time has been asked for.
    started: Option<Instant>,
    /// Windows that are done, and not known to be past for certain.
    done: Vec<Done>,
    steps: StepWatch,
    leaps: Leaps,
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// A collector that follows `schedule` and knows the rows that `recall` reads. Meanwhile the source is
    /// asked for the time, which a collection wants first: reading millions of rows takes a while.
    ///
    /// # Errors
    /// What `recall` fails with.
    pub async fn recalling<E>(
        parts: Parts<S, K, T, C>,
        schedule: Schedule,
        recall: impl Future<Output = Result<Remembered, E>>,
    ) -> Result<Self, E> {
        let mut asked = JoinSet::new();
        let task = asked.spawn(Self::told_time(Arc::clone(&parts.source))).id();
        let mut collector = Self::new(parts, schedule, recall.await?);
        collector.asked = asked;
        if let Some(reader) = collector.readers.first_mut() {
            reader.asked_by = Some(task);
        }
        Ok(collector)
    }

    /// The schedule is made anew by `begin`, as soon as the source's time is known: what a start finds
    /// is not judged by the local clock alone. Until then `missing` counts as the oldest instant that is
    /// missing, for people. `leaps` is what a process before has seen of the time.
    #[must_use]
    pub fn beginning(
        mut self,
        missing: Option<DateTime<Utc>>,
        leaps: Option<KeptLeaps>,
        begin: impl FnOnce(Opening, &KnownRows) -> Schedule + Send + Sync + 'static,
    ) -> Self {
        self.waiting.begin = Some(Box::new(begin));
        self.waiting.missing = missing;
        if let Some(leaps) = leaps {
            self.waiting.leaps = Leaps::restored(leaps, self.parts.clock.reading());
        }
        self
    }

    /// What is known of leaps of the time, for the next process.
    pub(super) fn leaps(&self) -> Option<KeptLeaps> {
        self.waiting.leaps.kept(self.parts.clock.reading())
    }

    /// Whether what was found at the start has been judged.
    pub(super) fn has_begun(&self) -> bool {
        self.waiting.begin.is_none()
    }

    /// What is known of the time, as windows are made by it.
    pub(super) fn time(&self) -> SourceTime {
        let told = self.told();
        // What is read only once, and too early, is never seen.
        match self.schedule.settle_time().is_zero() {
            true => told.by_both(),
            false => told,
        }
    }

    /// What the source and the local clock tell.
    fn told(&self) -> SourceTime {
        self.parts.source.time(self.parts.clock.now())
    }

    /// Now, by both clocks.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            time: self.time().now,
            instant: Instant::now(),
        }
    }

    /// Looks at the clocks, and does what has waited for the time. Whether it is known for certain.
    pub(super) async fn look_at_clocks(&mut self) -> Flow<bool> {
        if let Some(step) = self.waiting.steps.look(self.parts.clock.reading()) {
            self.tell(Event::ClockStepped(step));
        }
        self.waiting.started.get_or_insert_with(Instant::now);
        let time = self.time();
        if time.certain.is_none() {
            return Ok(false);
        }
        self.strays.judge(time.now);
        // Before anything is kept: the next process is to know of it.
        self.waiting.leaps.begin(self.moment(), time.far_ahead());
        if let Some(begin) = self.waiting.begin.take() {
            let started = self.waiting.started.unwrap_or_else(Instant::now);
            let waited = TimeDelta::from_std(started.elapsed()).unwrap_or_default();
            let opening = Opening {
                now: time.now,
                started: time.by_both().now - waited,
            };
            let limits = *self.schedule.limits();
            self.schedule = begin(opening, &self.known);
            self.schedule.adapt(&limits);
            self.begin_proof();
            self.persist().await?;
            self.place_backfill().await?;
            Box::pin(self.begin_awaited()).await?;
        }
        let leapt = self.waiting.leaps.look(self.moment(), time.skew);
        if let Some(window) = self.schedule.retract(time.now, leapt) {
            self.tell(Event::Retracted(window));
            self.persist().await?;
        }
        // After what was read by a wrong clock is taken back: this changes when some of it seems to be read.
        self.schedule.set_ahead(time.ahead());
        self.windows_done(Vec::new()).await?;
        Ok(true)
    }

    /// Windows are done. Until the time is known for certain, they wait, and nothing counts as read.
    pub(super) async fn windows_done(&mut self, done: Vec<Done>) -> Flow {
        self.waiting.done.extend(done);
        if self.waiting.done.is_empty() || !self.has_begun() {
            return Ok(());
        }
        let Some(certain) = self.time().certain else {
            return Ok(());
        };
        let (now, horizon) = (self.moment(), self.horizon());
        let certain = self.waiting.leaps.surely(certain, now.instant);
        self.ledger.proof.reopen(self.schedule.coverage(), horizon);
        self.schedule.look_for_standstill(now.instant);
        for done in std::mem::take(&mut self.waiting.done) {
            if done.lane == Lane::Verify {
                Box::pin(self.healed(done.window)).await?;
                continue;
            }
            let began = done.began.at_the_earliest(now);
            // What had not happened when it was asked for is not read, however long that has taken.
            let until = done.read.until.at_the_earliest(now);
            let completed = Completed {
                window: done.window,
                began,
                until: until.min(began + AHEAD),
                rows: done.read.rows,
            };
            self.ledger.proof.read(done.window, began);
            for window in self.schedule.complete(completed, certain) {
                self.tell(Event::Unsettled(window));
            }
        }
        self.settle_windows().await
    }

    /// Asks for the time with the reader of the live edge, when it may ask.
    pub(super) async fn ask_time(&mut self) -> Flow {
        let asking = self.service.asking(Instant::now());
        if !self.may_ask(0) || asking != Asking::All && self.is_asking() {
            return Ok(());
        }
        // Whether its window lies in the future is not known any more. One that has begun goes on,
        // but not while single requests are made: this is the one, and no other would tell the time.
        let read = self.readers.first_mut().and_then(|reader| match asking {
            Asking::All => reader.give_back(),
            Asking::One | Asking::Probe { .. } => reader.read.take(),
        });
        if let Some(read) = read {
            self.put_back(read).await?;
        }
        let Some(reader) = self.readers.first_mut().filter(|reader| reader.is_idle()) else {
            return Ok(());
        };
        let source = Arc::clone(&self.parts.source);
        reader.asked_by = Some(self.asked.spawn(Self::told_time(source)).id());
        if matches!(asking, Asking::Probe { .. }) {
            self.service.probes();
        }
        Ok(())
    }

    /// Asks the source for the time, on behalf of the reader of the live edge.
    pub(super) async fn told_time(source: Arc<S>) -> Answer<S::Link> {
        Answer::Time(source.ask_time().await)
    }

    pub(super) fn time_came(&mut self, told: Result<(), SourceError>) {
        if let Some(reader) = self.readers.first_mut() {
            _ = reader.answered();
        }
        match told {
            Ok(()) => {
                let failures = self.service.probe_answered(0, Instant::now());
                self.answers_again(failures);
                self.service.paces(0, ALMOST_AT_ONCE, Instant::now());
            }
            Err(error) => _ = self.pause_after(0, &error),
        }
    }

    /// The source refuses a window as older than what it keeps.
    pub(super) async fn refused(
        &mut self,
        mut read: WindowRead<S, K>,
        days: Option<u32>,
        error: &SourceError,
    ) -> Flow {
        self.send_rest(&mut read).await?;
        if read.link.is_some() {
            // Its first page was in reach: it is the link that fails, and it may do so for ever.
            return self.failed(read, error).await;
        }
        self.pending.abandon(read.id);
        if self.is_of_another_order(&read) {
            self.schedule.release(read.window);
            return Ok(());
        }
        let (time, now) = (self.told(), Instant::now());
        let days = days.map(|days| TimeDelta::days(days.into()));
        let oldest = days.and_then(|days| time.now.checked_sub_signed(days));
        if read.lane == Lane::Verify {
            let kept = time.now - self.schedule.limits().retention;
            // What one text says of days judges no hour that was not asked for by itself.
            let oldest = oldest.map_or(kept, |oldest| oldest.min(kept));
            return Box::pin(self.audit_refused(read.window, oldest)).await;
        }
        let Some(judgement) = self.schedule.refuse(read.window, oldest, time, now) else {
            self.pause_after(read.reader, error);
            return Ok(());
        };
        self.service.hold(read.reader, SOON, now);
        self.tell_failed(&error.sentence, error.label);
        match judgement {
            Judgement::Begun(window) => self.tell(Event::Refused(window)),
            Judgement::Lost(loss) => {
                // Of that, nothing more is read.
                self.ledger.proof.close(&hours(loss.window));
                // What was delivered, and asked for again, is not lost.
                for window in self.schedule.coverage().lost_within(loss.window) {
                    let loss = Loss { window, ..loss };
                    self.tell(Event::Lost(&loss));
                }
                if let Some(backfill) = &mut self.backfill {
                    let counts = backfill.work.changed();
                    let lost = counts.range.intersection(loss.window);
                    counts.lost += lost.map_or(0, |lost| lost.span().num_seconds());
                }
                self.persist().await?;
                self.settle_backfill().await?;
            }
            Judgement::Held(_) => {}
        }
        Ok(())
    }
}
