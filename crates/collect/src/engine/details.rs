//! Rows wait for the details of their message, each under a name of its own as if in a batch: its window
//! stays open meanwhile, and a kill loses nothing.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use rows::{
    RowRef,
    details::{WantedStatuses, joined},
};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    CheckpointStore, DetailsFate, DetailsTerms, ErrorClass, Event, EventBatch as _, Pushed,
    RowText as _, Sink, Source, SourceError, Store,
    decide::details::{DetailsQueue, Released},
    engine::{Collector, Flow, Joined, WindowRead, hand::Alone, privacy::Leaving},
    known::{BatchId, KeyRef},
    outflow::Draft,
    verify::RowName,
};

/// Of which rows details are wanted.
#[derive(Clone, Debug)]
pub struct DetailsWish {
    /// Those with these statuses.
    pub statuses: WantedStatuses,
    /// What they may cost.
    pub terms: DetailsTerms,
}

#[derive(Debug)]
pub(super) struct DetailsCall {
    id: BatchId,
    answer: Result<Option<String>, SourceError>,
}

#[derive(Debug)]
struct WaitingRow {
    alone: Alone,
    received: Option<DateTime<Utc>>,
    /// What the source finds its message by.
    name: RowName,
    /// It as it may leave.
    event: Vec<u8>,
}

/// The rows that wait, and the calls under way.
#[derive(Debug)]
pub(super) struct Detailing {
    statuses: WantedStatuses,
    queue: DetailsQueue<WaitingRow>,
    calls: JoinSet<DetailsCall>,
    handles: HashMap<BatchId, AbortHandle>,
    /// What is to be told.
    fates: BTreeMap<DetailsFate, usize>,
}

impl Detailing {
    pub(super) fn new(wish: DetailsWish) -> Self {
        let DetailsWish { statuses, terms } = wish;
        Self {
            statuses,
            queue: DetailsQueue::new(terms),
            calls: JoinSet::new(),
            handles: HashMap::new(),
            fates: BTreeMap::new(),
        }
    }

    /// What came of a call; none when none is under way.
    pub(super) async fn next(details: &mut Option<Box<Self>>) -> Option<Joined<DetailsCall>> {
        details.as_mut()?.calls.join_next().await
    }

    fn count(&mut self, fate: DetailsFate) {
        *self.fates.entry(fate).or_default() += 1;
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Whether a new row waits for details; it is not in the draft then.
    #[inline(never)]
    pub(super) fn waits_for_details(
        &mut self,
        row: &RowRef<'_>,
        key_ref: KeyRef,
        read: &WindowRead<S, K>,
        leaving: &mut Leaving,
    ) -> bool {
        let Some(details) = &mut self.details else {
            return false;
        };
        if !details.statuses.include(row.json) {
            return false;
        }
        let Ok(event) = leaving.hide(row, &mut self.parts.privacy) else {
            return false;
        };
        let now = Instant::now();
        let name = self.parts.source.text().name(row.json);
        let turned_away = if event.len() > self.parts.sink.longest_event() {
            Some(DetailsFate::TooLong)
        } else if name.is_whole() {
            details.queue.turned_away(event.len(), now)
        } else {
            // Nothing would be asked: that uses up no call, and says nothing of a source that has refused.
            Some(DetailsFate::Unknown)
        };
        if let Some(fate) = turned_away {
            details.count(fate);
            return false;
        }
        let alone = self.goes_alone(key_ref, read);
        let (id, received) = (alone.id, row.received);
        let waiting = WaitingRow {
            alone,
            received,
            name,
            event: event.to_vec(),
        };
        if let Some(details) = &mut self.details {
            details.queue.add(id, received, event.len(), waiting, now);
        }
        true
    }

    /// How long until a row waits no longer, or details are to be asked for; none when nothing waits, or
    /// there is no room for one more batch on its way.
    pub(super) fn until_details(&self) -> Option<std::time::Duration> {
        let details = self.details.as_ref()?;
        let due = details.queue.due_in(Instant::now())?;
        let room = self.room_in()?;
        Some(due.max(room))
    }

    /// Sends the rows that wait no longer, and asks for the details of others.
    pub(super) async fn look_after_details(&mut self) -> Flow {
        self.take_answers();
        self.ask_for_details();
        // The loop does not wait for the intake here.
        if self.until_details().is_some_and(|due| due.is_zero()) {
            self.send_detailed().await?;
        }
        let Some(details) = &mut self.details else {
            return Ok(());
        };
        for (fate, rows) in std::mem::take(&mut details.fates) {
            self.tell(Event::Details { fate, rows });
        }
        Ok(())
    }

    /// Takes in the calls that have ended while the loop waited for the intake: their rows are not late.
    fn take_answers(&mut self) {
        let next = |details: &mut Detailing| details.calls.try_join_next();
        while let Some(done) = self.details.as_deref_mut().and_then(next) {
            self.details_came(done);
        }
    }

    /// Asks beside everything else, as far as that is allowed now.
    fn ask_for_details(&mut self) {
        let Some(details) = &mut self.details else {
            return;
        };
        while let Some((id, row)) = details.queue.next_question(Instant::now()) {
            let source = std::sync::Arc::clone(&self.parts.source);
            let (name, received) = (row.name.clone(), row.received);
            let call = details.calls.spawn(async move {
                let answer = source.details(name, received).await;
                DetailsCall { id, answer }
            });
            details.handles.insert(id, call);
        }
    }

    pub(super) fn details_came(&mut self, done: Joined<DetailsCall>) {
        let Some(details) = &mut self.details else {
            return;
        };
        // A row whose call has ended otherwise goes when its time is over.
        let Ok(DetailsCall { id, answer }) = done else {
            return;
        };
        details.handles.remove(&id);
        match answer {
            Ok(found) => {
                if details.queue.answered(id, found) {
                    self.tell(Event::DetailsRecovered);
                }
            }
            Err(error) => {
                let after = match error.class {
                    ErrorClass::Transient { after } | ErrorClass::Throttled { after } => after,
                    _ => None,
                };
                let pause = details.queue.failed(id, after, Instant::now());
                self.tell(Event::DetailsRefused {
                    sentence: Some(&error.sentence),
                    pause,
                });
            }
        }
    }

    /// Sends the rows that wait no longer.
    async fn send_detailed(&mut self) -> Flow {
        let mut drafts = [false, true].map(|flag| self.outflow.draft_of_waiting(flag));
        while let Some(details) = &mut self.details
            && let Some((released, pause)) = details.queue.next_released(Instant::now())
        {
            if released.is_asked
                && let Some(call) = details.handles.remove(&released.id)
            {
                // What comes later is not sent.
                call.abort();
                let sentence = None;
                self.tell(Event::DetailsRefused { sentence, pause });
            }
            let [collected, backfilled] = &mut drafts;
            let draft = match released.row.alone.for_backfill {
                true => backfilled,
                false => collected,
            };
            self.add_detailed(released, draft).await?;
        }
        for draft in drafts {
            self.send(draft).await?;
        }
        Ok(())
    }

    /// Moves a row from where it has waited to a draft, which is sent first when it is full.
    async fn add_detailed(
        &mut self,
        released: Released<WaitingRow>,
        draft: &mut Draft<K::Batch>,
    ) -> Flow {
        let row = released.row;
        let alone = row.alone;
        let (event, fate) = match released.details {
            None => (row.event, released.fate),
            Some(details) => match self.with_details(&row.event, &details) {
                Some(event) => (event, DetailsFate::Added),
                None => (row.event, DetailsFate::TooLong),
            },
        };
        if let Some(details) = &mut self.details {
            details.count(fate);
        }
        let mut pushed = self.push_detailed(draft, &event);
        if matches!(pushed, Pushed::Full) {
            let next = self.outflow.draft_of_waiting(alone.for_backfill);
            self.send(std::mem::replace(draft, next)).await?;
            pushed = self.push_detailed(draft, &event);
        }
        if !matches!(pushed, Pushed::Added) {
            let event = String::from_utf8_lossy(&event).into_owned();
            return Box::pin(self.put_alone_away(alone, event)).await;
        }
        self.known.carry_instead(alone.row, alone.id, draft.id);
        self.pending.carried_on(alone.id, draft.id);
        draft.rows.push(alone.row);
        draft.newest = draft.newest.max(row.received);
        Ok(())
    }

    fn push_detailed(&self, draft: &mut Draft<K::Batch>, event: &[u8]) -> Pushed {
        let batch = draft.batch.get_or_insert_with(|| self.parts.sink.batch());
        batch.push(event)
    }

    /// The event with details, as far as they may leave; none when that is no event, or too long.
    fn with_details(&mut self, event: &[u8], details: &str) -> Option<Vec<u8>> {
        let event = joined(str::from_utf8(event).ok()?, details)?;
        let event = self.leaving(event).ok()?;
        (event.len() <= self.parts.sink.longest_event()).then(|| event.into_bytes())
    }
}
