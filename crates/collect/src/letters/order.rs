//! What a person wants done with dead letters, and how far that is.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Store,
    letters::{Content, Letter, Letters, Settled},
    order::{OrderFile, OrderVersion},
};

/// What is to be done with letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// They are sent to the intake, each once.
    Retry,
    /// They are thrown away.
    Drop,
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersOrder {
    version: OrderVersion,
    /// Tells it from other orders.
    pub id: Uuid,
    /// What is to be done.
    pub act: Act,
    /// With which letters; none for all.
    pub letters: Option<Vec<String>>,
    /// Also those of which a copy with the subject cut was delivered.
    pub also_cut: bool,
}

/// A letter that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its id.
    pub id: String,
    /// Why it stays.
    pub reason: String,
}

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersOutcome {
    version: OrderVersion,
    /// The order.
    pub id: Uuid,
    /// Whether nothing more will come of it.
    pub done: bool,
    /// Letters that the intake has accepted.
    pub accepted: Vec<String>,
    /// Letters that were thrown away.
    pub dropped: Vec<String>,
    /// Letters that stay.
    pub left: Vec<Left>,
}

impl OrderFile for LettersOrder {
    const NAME: &'static str = "dead-letters-order.json";
}

impl OrderFile for LettersOutcome {
    const NAME: &'static str = "dead-letters-outcome.json";
}

impl LettersOrder {
    /// A new order.
    pub fn new(id: Uuid, act: Act, letters: Option<Vec<String>>, also_cut: bool) -> Self {
        Self {
            version: OrderVersion,
            id,
            act,
            letters,
            also_cut,
        }
    }
}

impl LettersOutcome {
    fn stays(&mut self, id: &str, reason: &str) {
        self.left.push(Left {
            id: id.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

/// An order that is being carried out.
#[derive(Debug)]
pub struct Work {
    order: LettersOrder,
    /// Letters that are still to be sent.
    queue: VecDeque<String>,
    /// What came of it so far.
    pub outcome: LettersOutcome,
}

impl Work {
    /// Begins to carry out an order. Letters that are to be thrown away are so at once.
    ///
    /// # Errors
    /// When the store cannot be written: the order can be begun again.
    pub async fn begin(
        order: LettersOrder,
        letters: &mut Letters,
        store: &impl Store,
        now: DateTime<Utc>,
    ) -> io::Result<Self> {
        let known = letters.ids();
        let wanted = order.letters.clone().unwrap_or_else(|| known.clone());
        let mut outcome = LettersOutcome {
            version: OrderVersion,
            id: order.id,
            done: false,
            accepted: Vec::new(),
            dropped: Vec::new(),
            left: Vec::new(),
        };
        let known: BTreeSet<String> = known.into_iter().collect();
        let (there, gone): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|id| known.contains(id));
        for id in gone {
            outcome.stays(&id, "there is no such letter");
        }
        let mut queue = VecDeque::new();
        match order.act {
            Act::Drop => {
                let ids = there.iter().cloned().collect();
                letters.settle(store, &ids, Settled::Dropped, now).await?;
                outcome.dropped = there;
            }
            Act::Retry => queue.extend(there),
        }
        Ok(Self {
            order,
            queue,
            outcome,
        })
    }

    /// The next event to send, with the id of its letter; none when there is none left.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(
        &mut self,
        letters: &Letters,
        store: &impl Store,
    ) -> io::Result<Option<(String, String)>> {
        while let Some(id) = self.queue.front().cloned() {
            let found = match letters.find(store, &[id.clone()].into()).await {
                // Nobody waits until a person has taken away what is in its place.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.queue.pop_front();
                    self.outcome.stays(&id, "its file cannot be read");
                    continue;
                }
                found => found?,
            };
            self.queue.pop_front();
            match found.into_iter().next() {
                Some(letter) => match self.sendable(letters, letter) {
                    Ok(event) => return Ok(Some((id, event))),
                    Err(reason) => self.outcome.stays(&id, reason),
                },
                None => self.outcome.stays(&id, "there is no such letter"),
            }
        }
        self.outcome.done = true;
        Ok(None)
    }

    /// The event of a letter, or why it is not sent.
    fn sendable(&self, letters: &Letters, letter: Letter) -> Result<String, &'static str> {
        let is_named = self.order.letters.is_some();
        match letter.content {
            Content::Bytes(_) => Err("it is no event, but bytes of an answer"),
            Content::Withheld { .. } => Err("only its length and a hash of it were kept"),
            _ if letter.copy_sent && !self.order.also_cut => {
                Err("a copy with its subject cut was delivered; --also-cut sends the whole of it")
            }
            _ if letter.intake != letters.intake() && !is_named => {
                Err("it is for an intake with another key; it is sent when it is named")
            }
            Content::Event(text) => Ok(text),
        }
    }

    /// What the intake said to the event of a letter. An acceptance is filed before the letter goes.
    ///
    /// # Errors
    /// When the store cannot be written: call it again.
    pub async fn offered(
        &mut self,
        letters: &mut Letters,
        store: &impl Store,
        now: DateTime<Utc>,
        id: &str,
        answer: &Result<(), String>,
    ) -> io::Result<()> {
        match answer {
            Ok(()) => {
                let ids = [id.to_owned()].into();
                letters.settle(store, &ids, Settled::Accepted, now).await?;
                self.outcome.accepted.push(id.to_owned());
            }
            Err(reason) => self.outcome.stays(id, reason),
        }
        Ok(())
    }

    /// Tells how far it is; once it is done, the order goes.
    ///
    /// # Errors
    /// When the store cannot be written: call it again.
    pub async fn tell(&self, store: &impl Store) -> io::Result<()> {
        self.outcome.save(store).await?;
        if self.outcome.done {
            store.delete(LettersOrder::NAME).await?;
        }
        Ok(())
    }
}
