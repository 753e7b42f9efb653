//! How letters leave: sent at last, or thrown away.

use std::{collections::BTreeSet, io};

use chrono::{DateTime, Utc};

use super::{
    Letters, SETTLED, Settled, file_name,
    letter::{Head, Note},
    line, lines,
    listing::text_of,
    parsed,
};
use crate::Store;

impl Letters {
    /// Letters leave. What became of them is filed before they go.
    ///
    /// # Errors
    /// When it could not be written: call it again.
    pub async fn settle(
        &mut self,
        store: &impl Store,
        ids: &BTreeSet<String>,
        became: Settled,
        time: DateTime<Utc>,
    ) -> io::Result<()> {
        self.file(store, ids, became, time).await?;
        self.take_out(store).await
    }

    /// Files what became of letters. They are none any more, also after a crash; until they are taken out, they
    /// only lie there.
    ///
    /// # Errors
    /// When it could not be written: call it again.
    pub(super) async fn file(
        &mut self,
        store: &impl Store,
        ids: &BTreeSet<String>,
        became: Settled,
        time: DateTime<Utc>,
    ) -> io::Result<()> {
        self.is_settling = true;
        // Half of a line may be there, of an addition that has failed.
        let mut text = vec![b'\n'];
        for id in ids
            .iter()
            .filter(|id| self.places.contains_key(*id))
            .cloned()
        {
            text.extend_from_slice(&line(&Note { id, became, time })?);
        }
        if text.len() > 1 {
            store.append(SETTLED, text.into()).await?;
            store.sync(SETTLED).await?;
        }
        self.leave(ids);
        Ok(())
    }

    /// How many are to be taken out.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.len()
    }

    /// Writes the files without the letters of which it is filed what became of them. In a file in whose place something
    /// else is they stay, and it stays filed: they leave it once it is back.
    ///
    /// # Errors
    /// When a file could not be read or written: call it again.
    pub(super) async fn take_out(&mut self, store: &impl Store) -> io::Result<()> {
        let own: BTreeSet<u64> = self.leaving.values().copied().collect();
        let numbers: BTreeSet<u64> = own.union(&self.doubled).copied().collect();
        let mut unread = BTreeSet::new();
        for number in numbers {
            let is_own = own.contains(&number);
            let name = file_name(number);
            let Some(text) = text_of(store, &name).await? else {
                unread.insert(number);
                continue;
            };
            let is_leaving = |line: &&[u8]| {
                let head = serde_json::from_slice::<Head>(line);
                head.is_ok_and(|head| self.leaving.contains_key(&head.id))
            };
            let (gone, stay): (Vec<_>, Vec<_>) = lines(&text).partition(is_leaving);
            if gone.is_empty() && !is_own {
                continue;
            }
            let rest = joined(stay);
            self.open.take_if(|open| *open == number);
            if rest.is_empty() {
                store.delete(&name).await?;
                self.files.remove(&number);
                self.doubled.remove(&number);
            } else {
                self.files.insert(number, rest.len() as u64);
                store.write(&name, rest.into()).await?;
            }
        }
        self.leaving.retain(|_, number| unread.contains(number));
        // A letter that has left may lie a second time in a file that was not read.
        if unread.is_empty() && self.unusable.is_empty() {
            store.delete(SETTLED).await?;
            self.is_settling = false;
        } else {
            self.is_settling = true;
        }
        Ok(())
    }

    /// A letter with this id is about to be kept. A note that is left of an earlier one would take it out
    /// at the next start.
    pub(super) async fn forget_note(&self, store: &impl Store, id: &str) -> io::Result<()> {
        let text = store.read_or_empty(SETTLED).await?.unwrap_or_default();
        let is_of =
            |line: &[u8]| serde_json::from_slice::<Note>(line).is_ok_and(|note| note.id == id);
        if !lines(&text).any(is_of) {
            return Ok(());
        }
        let rest = joined(lines(&text).filter(|line| !is_of(line)));
        store.write(SETTLED, rest.into()).await
    }
}

/// Lines as the content of a file.
fn joined<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let parts = lines.into_iter().flat_map(|line| [line, b"\n"]);
    parts.collect::<Vec<_>>().concat()
}

/// What is filed of letters that are being taken out.
pub(super) async fn notes(store: &impl Store) -> io::Result<Vec<Note>> {
    let text = store.read_or_empty(SETTLED).await?.unwrap_or_default();
    Ok(parsed::<Note>(&text).collect())
}
