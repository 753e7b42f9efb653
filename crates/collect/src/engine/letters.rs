//! What cannot be delivered goes to the dead letters.

use std::sync::Arc;

use rows::privacy::Unhidden;
use tokio::task::{JoinError, JoinSet};

use crate::{
    CheckpointStore, Event, Sink, Source, Store,
    engine::{Collector, End, persist, privacy::Withheld},
    letters::{
        Keeping, UNHIDDEN, Undelivered,
        order::{LettersOrder, Work},
    },
};

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Keeps what cannot be delivered. On return it is safe on the disk, so that it may count as
    /// dealt with; false when there is no room for it.
    pub(super) async fn keep_undelivered(&mut self, undelivered: Undelivered) -> Result<bool, End> {
        let reason = undelivered.reason.clone();
        let copy_sent = undelivered.copy_sent;
        let message_id = self.parts.letters.message_id(&undelivered.content);
        let mut backoff = persist::store_backoff();
        let store = Arc::clone(&self.parts.store);
        loop {
            let now = self.parts.clock.now();
            let letters = &mut self.parts.letters;
            match letters.keep(store.as_ref(), now, undelivered.clone()).await {
                Ok(Keeping::Kept(id)) => {
                    self.tell(Event::Undeliverable {
                        id: &id,
                        message_id: message_id.as_deref(),
                        reason: &reason,
                        copy_sent,
                    });
                    self.tell(Event::Letters(self.parts.letters.stock()));
                    return Ok(true);
                }
                Ok(Keeping::Full) => {
                    let stock = self.parts.letters.stock();
                    self.tell(Event::NoRoom { stock });
                    return Ok(false);
                }
                Err(error) => self.store_failed(&error, &mut backoff).await?,
            }
        }
    }
}

/// What a person wants done with letters.
#[derive(Debug, Default)]
pub(super) struct LetterWork {
    work: Option<Work>,
    /// The event that is on its way, with the id of its letter.
    pub(super) offers: JoinSet<Offered>,
    /// Rows that wait for room.
    pub(super) withheld: Vec<Withheld>,
}

/// What the intake said to the event of a letter; none at a stop.
pub(super) type Offered = (String, Option<Result<(), String>>);

impl LetterWork {
    /// Whether an order is being carried out.
    pub(super) fn is_under_way(&self) -> bool {
        self.work.is_some()
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// A person wants something done with letters. What cannot be begun is found again soon.
    pub(super) async fn begin_with_letters(&mut self, order: LettersOrder) -> Result<(), End> {
        let store = Arc::clone(&self.parts.store);
        let now = self.parts.clock.now();
        let letters = &mut self.parts.letters;
        let begun = Work::begin(order, letters, store.as_ref(), now).await;
        self.letter_work.work = self.readable(begun.map(Some));
        self.go_on_with_letters().await
    }

    /// Sends the event of the next letter.
    async fn go_on_with_letters(&mut self) -> Result<(), End> {
        let store = Arc::clone(&self.parts.store);
        let mut backoff = persist::store_backoff();
        let next = loop {
            let Some(work) = &mut self.letter_work.work else {
                return Ok(());
            };
            match work.next(&self.parts.letters, store.as_ref()).await {
                Ok(next) => break next,
                Err(error) => self.store_failed(&error, &mut backoff).await?,
            }
        };
        // It is out of the queue: what fails from here on must not make it forgotten.
        while let Some(work) = &self.letter_work.work
            && let Err(error) = work.tell(store.as_ref()).await
        {
            self.store_failed(&error, &mut backoff).await?;
        }
        self.tell(Event::Letters(self.parts.letters.stock()));
        Box::pin(self.keep_withheld()).await?;
        let Some((id, event)) = next else {
            self.letter_work.work = None;
            return Ok(());
        };
        let event = self.leaving(event);
        let sink = Arc::clone(&self.parts.sink);
        self.letter_work.offers.spawn(async move {
            let answer = match event {
                Ok(event) => sink.offer(event.as_bytes()).await,
                Err(Unhidden) => Some(Err(UNHIDDEN.to_owned())),
            };
            (id, answer)
        });
        Ok(())
    }

    /// The intake has answered to the event of a letter.
    pub(super) async fn offered(&mut self, done: Result<Offered, JoinError>) -> Result<(), End> {
        match self.file_offered(done).await? {
            true => self.go_on_with_letters().await,
            false => Ok(()),
        }
    }

    /// Files what the intake has answered to the event of a letter. Whether it has.
    pub(super) async fn file_offered(
        &mut self,
        done: Result<Offered, JoinError>,
    ) -> Result<bool, End> {
        let (id, answer) = done.map_err(End::Failed)?;
        let Some(answer) = answer else {
            return Ok(false);
        };
        let store = Arc::clone(&self.parts.store);
        let mut backoff = persist::store_backoff();
        loop {
            let now = self.parts.clock.now();
            let letters = &mut self.parts.letters;
            let Some(work) = &mut self.letter_work.work else {
                return Ok(false);
            };
            match work
                .offered(letters, store.as_ref(), now, &id, &answer)
                .await
            {
                Ok(()) => return Ok(true),
                Err(error) => self.store_failed(&error, &mut backoff).await?,
            }
        }
    }
}
