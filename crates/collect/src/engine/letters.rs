//! What cannot be delivered goes to the dead letters.

use std::sync::Arc;

use rows::privacy::Unhidden;
use tokio::task::JoinSet;

use crate::{
    CheckpointStore, Event, Sink, Source, Store,
    engine::{Collector, End, Flow, Joined, persist::until_stored, privacy::Withheld},
    letters::{
        UNHIDDEN, Undelivered,
        order::{LettersOrder, Work},
    },
};

/// What a person wants done with letters.
#[derive(Debug, Default)]
pub(super) struct LetterWork {
    pub(super) work: Option<Work>,
    /// The event that is on its way, with the id of its letter.
    pub(super) offers: JoinSet<Offered>,
    /// Rows that wait for room.
    pub(super) withheld: Vec<Withheld>,
}

/// What the intake said to the event of a letter; none at a stop.
pub(super) type Offered = (String, Option<Result<(), String>>);

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Keeps what cannot be delivered. On return it is safe on the disk, so that it may count as
    /// dealt with; false when there is no room for it.
    pub(super) async fn keep_undelivered(&mut self, undelivered: Undelivered) -> Flow<bool> {
        let store = self.parts.store.as_ref();
        let id = until_stored!(self, {
            let (now, letter) = (self.parts.clock.now(), undelivered.clone());
            self.parts.letters.keep(store, now, letter).await
        });
        let stock = self.parts.letters.stock();
        let Some(id) = id else {
            self.tell(Event::NoRoom(stock));
            return Ok(false);
        };
        let message_id = self.parts.letters.message_id(&undelivered.content);
        self.tell(Event::Undeliverable {
            id: &id,
            message_id: message_id.as_deref(),
            reason: &undelivered.reason,
            copy_sent: undelivered.copy_sent,
        });
        self.tell(Event::Letters(stock));
        Ok(true)
    }

    /// A person wants something done with letters. What cannot be begun is found again soon.
    pub(super) async fn begin_with_letters(&mut self, order: LettersOrder) -> Flow {
        let now = self.parts.clock.now();
        let (letters, store) = (&mut self.parts.letters, self.parts.store.as_ref());
        let begun = Work::begin(order, letters, store, now).await;
        self.letter_work.work = self.readable(begun.map(Some));
        self.go_on_with_letters().await
    }

    /// Sends the event of the next letter.
    async fn go_on_with_letters(&mut self) -> Flow {
        let store = self.parts.store.as_ref();
        let next = until_stored!(self, {
            let Some(work) = &mut self.letter_work.work else {
                return Ok(());
            };
            work.next(&mut self.parts.letters, store).await
        });
        // It is out of the queue: what fails from here on must not make it forgotten.
        until_stored!(self, {
            let now = self.parts.clock.now();
            match &mut self.letter_work.work {
                Some(work) => work.tell(store, now).await,
                None => Ok(()),
            }
        });
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
    pub(super) async fn offered(&mut self, done: Joined<Offered>) -> Flow {
        match self.file_offered(done).await? {
            true => self.go_on_with_letters().await,
            false => Ok(()),
        }
    }

    /// Files what the intake has answered to the event of a letter. Whether it has.
    pub(super) async fn file_offered(&mut self, done: Joined<Offered>) -> Flow<bool> {
        let (id, answer) = done.map_err(End::Failed)?;
        let Some(answer) = answer else {
            return Ok(false);
        };
        until_stored!(self, {
            let Some(work) = &mut self.letter_work.work else {
                return Ok(false);
            };
            let now = self.parts.clock.now();
            let (letters, store) = (&mut self.parts.letters, self.parts.store.as_ref());
            work.offered(letters, store, now, &id, &answer).await
        });
        Ok(true)
    }
}
