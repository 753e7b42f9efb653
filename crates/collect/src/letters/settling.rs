//! How letters leave: sent at last, or thrown away.

use std::{collections::BTreeSet, io};

use chrono::{DateTime, Utc};

use super::{
    Letters, SETTLED, Settled, file_name,
    letter::{Head, Note},
    line, lines,
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
        self.is_settling = true;
        // Half of a line may be there, of an addition that has failed.
        let mut text = vec![b'\n'];
        let filed = notes(store).await?;
        for id in ids.difference(&filed).cloned() {
            text.extend_from_slice(&line(&Note { id, became, time })?);
        }
        if text.len() > 1 {
            store.append(SETTLED, text.into()).await?;
        }
        store.sync(SETTLED).await?;
        self.take_out(store, ids).await
    }

    /// Writes the files without these letters.
    pub(super) async fn take_out(
        &mut self,
        store: &impl Store,
        ids: &BTreeSet<String>,
    ) -> io::Result<()> {
        let of_file = |id: &String| self.places.get(id).map(|(number, _)| *number);
        let own: BTreeSet<u64> = ids.iter().filter_map(of_file).collect();
        let numbers: BTreeSet<u64> = own.union(&self.doubled).copied().collect();
        for number in numbers {
            let is_own = own.contains(&number);
            let name = file_name(number);
            let text = match store.read(&name).await {
                // None of them is known to lie there.
                Err(error) if error.kind() == io::ErrorKind::InvalidData && !is_own => continue,
                read => read?.unwrap_or_default(),
            };
            let is_settled = |line: &&[u8]| {
                serde_json::from_slice::<Head>(line).is_ok_and(|head| ids.contains(&head.id))
            };
            let (gone, stay): (Vec<_>, Vec<_>) = lines(&text).partition(is_settled);
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
            // At once: what comes again before the others are gone is to be kept anew.
            self.places
                .retain(|id, (place, _)| *place != number || !ids.contains(id));
        }
        store.delete(SETTLED).await?;
        self.is_settling = false;
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
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text
}

/// The ids that are being taken out.
pub(super) async fn notes(store: &impl Store) -> io::Result<BTreeSet<String>> {
    let text = store.read_or_empty(SETTLED).await?.unwrap_or_default();
    let notes = lines(&text).filter_map(|line| serde_json::from_slice::<Note>(line).ok());
    Ok(notes.map(|note| note.id).collect())
}
