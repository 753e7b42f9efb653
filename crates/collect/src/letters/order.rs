//! What a person wants done with dead letters, and how far that is.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{letter::Note, opened::OpenedFile};
use crate::{
    Store,
    letters::{Content, Letter, Letters, Settled},
    order::{FormatVersion, OrderFile},
};

/// So many letters are taken out of their files at once: for each time, whole files are written anew, and so is all
/// that came of the order.
const AT_ONCE: usize = 1000;

/// How often it is told how far an order is.
const TELLING: TimeDelta = TimeDelta::seconds(10);

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
    version: FormatVersion,
    /// Tells it from other orders.
    pub id: Uuid,
    /// What is to be done.
    pub act: Act,
    /// With which letters; none for all.
    pub letters: Option<Vec<String>>,
    /// Also those in whose place a copy with the subject cut goes.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersOutcome {
    version: FormatVersion,
    /// The order.
    pub id: Uuid,
    /// When it was begun: what was kept later, it is not about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began: Option<DateTime<Utc>>,
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
    /// A new order. A letter that is named twice counts once.
    pub fn new(id: Uuid, act: Act, mut letters: Option<Vec<String>>, also_cut: bool) -> Self {
        let mut named = BTreeSet::new();
        if let Some(letters) = &mut letters {
            letters.retain(|letter| named.insert(letter.clone()));
        }
        Self {
            version: FormatVersion,
            id,
            act,
            letters,
            also_cut,
        }
    }
}

/// Why a letter stays in whose file's place something else is.
const UNREADABLE: &str = "its file cannot be read";

/// Why a letter stays of which nobody knows.
const NOT_THERE: &str = "there is no such letter";

impl LettersOutcome {
    /// Of an order of which nothing has come yet.
    pub fn new(id: Uuid) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Of an order that another one has taken the place of: letters of which it was told that they leave, and
    /// a stop came before they did, leave now. Nobody else knows that they were sent.
    async fn finish(
        &self,
        letters: &mut Letters,
        store: &impl Store,
        now: DateTime<Utc>,
    ) -> io::Result<()> {
        let Some(began) = self.began.filter(|_| !self.done) else {
            return Ok(());
        };
        // What was kept since is another letter.
        let left = |ids: &[String]| -> BTreeSet<String> {
            let is_of_it = |id: &&String| letters.since(id).is_some_and(|since| since <= began);
            ids.iter().filter(is_of_it).cloned().collect()
        };
        let (accepted, dropped) = (left(&self.accepted), left(&self.dropped));
        for (ids, became) in [(accepted, Settled::Accepted), (dropped, Settled::Dropped)] {
            if !ids.is_empty() {
                letters.settle(store, &ids, became, now).await?;
            }
        }
        Ok(())
    }

    /// What was filed since the order was begun, and not told before a stop.
    fn add_filed(&mut self, notes: &[Note], began: DateTime<Utc>) {
        let told = self.accepted.iter().chain(&self.dropped);
        let mut told: BTreeSet<String> = told.cloned().collect();
        for Note { id, became, time } in notes {
            if *time >= began && told.insert(id.clone()) {
                match became {
                    Settled::Accepted => self.accepted.push(id.clone()),
                    Settled::Dropped => self.dropped.push(id.clone()),
                }
            }
        }
    }

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
    /// The file that was looked into last.
    opened: Option<OpenedFile>,
    /// When it was told last how far it is.
    told: Option<DateTime<Utc>>,
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
        let before = LettersOutcome::kept(store).await?;
        if let Some(other) = before.as_ref().filter(|before| before.id != order.id) {
            other.finish(letters, store, now).await?;
        }
        let before = before.filter(|before| before.id == order.id);
        let mut work = Self {
            outcome: before.unwrap_or_else(|| LettersOutcome::new(order.id)),
            queue: VecDeque::new(),
            opened: None,
            told: None,
            order,
        };
        if work.outcome.done {
            return Ok(work);
        }
        // What stayed before a stop is tried again.
        work.outcome.left.clear();
        let began = *work.outcome.began.get_or_insert(now);
        work.outcome.add_filed(&letters.settled, began);
        let gone = work.outcome.accepted.iter().chain(&work.outcome.dropped);
        let gone: BTreeSet<String> = gone.cloned().collect();
        // A letter that is gone, and came again since, is another one.
        let is_again =
            |id: &String| gone.contains(id) && letters.since(id).is_some_and(|since| since > began);
        let wanted = work.order.letters.clone();
        let wanted = wanted.unwrap_or_else(|| letters.ids()).into_iter();
        let wanted = wanted.filter(|id| !is_again(id));
        let (there, others): (Vec<_>, Vec<_>) = wanted.partition(|id| letters.since(id).is_some());
        for id in others.iter().filter(|id| !gone.contains(*id)) {
            work.outcome.stays(id, NOT_THERE);
        }
        let (halfway, there): (Vec<_>, Vec<_>) =
            there.into_iter().partition(|id| gone.contains(id));
        // A stop came after that was told, and before they went.
        work.settle(letters, store, now, halfway).await?;
        match work.order.act {
            Act::Drop => {
                let unreadable = letters.unreadable(store, &there).await?;
                let (unreadable, there): (Vec<_>, Vec<_>) =
                    there.into_iter().partition(|id| unreadable.contains(id));
                for id in unreadable {
                    work.outcome.stays(&id, UNREADABLE);
                }
                work.outcome.dropped.extend(there.iter().cloned());
                work.settle(letters, store, now, there).await?;
            }
            Act::Retry => work.queue.extend(there),
        }
        Ok(work)
    }

    /// Letters leave. That they do is told first: after a stop nobody else knows.
    async fn settle(
        &self,
        letters: &mut Letters,
        store: &impl Store,
        now: DateTime<Utc>,
        ids: Vec<String>,
    ) -> io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.outcome.save(store).await?;
        let became = match self.order.act {
            Act::Retry => Settled::Accepted,
            Act::Drop => Settled::Dropped,
        };
        let ids = ids.into_iter().collect();
        letters.settle(store, &ids, became, now).await
    }

    /// The next event to send, with the id of its letter; none when there is none left.
    ///
    /// # Errors
    /// When the store cannot be read or written: call it again.
    pub async fn next(
        &mut self,
        letters: &mut Letters,
        store: &impl Store,
    ) -> io::Result<Option<(String, String)>> {
        while let Some(id) = self.queue.front().cloned() {
            let found = match letters.find(store, &id, &mut self.opened).await {
                // Nobody waits until a person has taken away what is in its place.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(UNREADABLE),
                found => found?.ok_or(NOT_THERE),
            };
            self.queue.pop_front();
            match found.and_then(|letter| self.sendable(letters, letter)) {
                Ok(event) => return Ok(Some((id, event))),
                Err(reason) => self.outcome.stays(&id, reason),
            }
        }
        self.opened = None;
        if letters.leaving() > 0 {
            self.take_out(letters, store).await?;
        }
        self.outcome.done = true;
        Ok(None)
    }

    /// The letters that were accepted are taken out of their files. That they go is told first: what is filed of them
    /// is gone then.
    async fn take_out(&self, letters: &mut Letters, store: &impl Store) -> io::Result<()> {
        self.outcome.save(store).await?;
        letters.take_out(store).await
    }

    /// The event of a letter, or why it is not sent.
    fn sendable(&self, letters: &Letters, letter: Letter) -> Result<String, &'static str> {
        let is_named = self.order.letters.is_some();
        match letter.content {
            Content::Bytes(_) => Err("it is no event, but bytes of an answer"),
            Content::Withheld { .. } => Err("only its length and a hash of it were kept"),
            _ if letter.copy_sent && !self.order.also_cut => Err(
                "a copy with its subject cut goes in its place; --also-cut sends the whole of it",
            ),
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
                let id = id.to_owned();
                if self.outcome.accepted.last() != Some(&id) {
                    self.outcome.accepted.push(id.clone());
                }
                let ids = BTreeSet::from([id]);
                letters.file(store, &ids, Settled::Accepted, now).await?;
                if self.queue.is_empty() || letters.leaving() >= AT_ONCE {
                    self.take_out(letters, store).await?;
                }
            }
            Err(reason) => self.outcome.stays(id, reason),
        }
        Ok(())
    }

    /// Tells now and then how far it is; once it is done, the order goes.
    ///
    /// # Errors
    /// When the store cannot be read or written: call it again.
    pub async fn tell(&mut self, store: &impl Store, now: DateTime<Utc>) -> io::Result<()> {
        let is_due = self.told.is_none_or(|told| (now - told).abs() >= TELLING);
        if !self.outcome.done && !is_due {
            return Ok(());
        }
        self.outcome.save(store).await?;
        self.told = Some(now);
        if !self.outcome.done {
            return Ok(());
        }
        // Another order may lie there by now: nobody has read that one.
        let left = LettersOrder::kept(store).await?;
        match left.is_some_and(|left| left.id == self.order.id) {
            true => store.delete(LettersOrder::NAME).await,
            false => Ok(()),
        }
    }
}
