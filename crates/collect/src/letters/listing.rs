//! What lies in the folder, for those who only look.

use std::{collections::BTreeSet, io};

use bytes::Bytes;

use super::{FOLDER, Letter, Stock, file_number, parsed, settling::notes};
use crate::Store;

/// The files with letters and their numbers, and what is in the place of the folder and none: nobody knows what lay
/// there.
pub(super) async fn files(store: &impl Store) -> io::Result<(Vec<(u64, String)>, Option<String>)> {
    let names = store.list(FOLDER).await?;
    let folder = FOLDER.trim_end_matches('/');
    // A folder has no content.
    let is_file = names.is_empty() && matches!(store.read(folder).await, Ok(Some(_)));
    let numbered = names.into_iter();
    let numbered = numbered.filter_map(|name| Some((file_number(&name)?, name)));
    Ok((numbered.collect(), is_file.then(|| folder.to_owned())))
}

/// The content of a file; none when something else is in its place.
pub(super) async fn text_of(store: &impl Store, name: &str) -> io::Result<Option<Bytes>> {
    match store.read(name).await {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        read => Ok(Some(read?.unwrap_or_default())),
    }
}

/// Calls `look` with each letter in `store`, file by file, each once. Another process may write there. The names
/// of files in the place of which something else is: nobody knows which letters lay there.
///
/// # Errors
/// When the store cannot be read.
pub async fn each(store: &impl Store, mut look: impl FnMut(Letter)) -> io::Result<Vec<String>> {
    let settled = notes(store).await?;
    let mut seen: BTreeSet<String> = settled.into_iter().map(|note| note.id).collect();
    let (found, in_its_place) = files(store).await?;
    let mut unusable = Vec::from_iter(in_its_place);
    for (_, name) in found {
        match text_of(store, &name).await? {
            Some(text) => parsed::<Letter>(&text)
                .filter(|letter| seen.insert(letter.id.clone()))
                .for_each(&mut look),
            None => unusable.push(name),
        }
    }
    Ok(unusable)
}

/// How much lies in `store`, and the names of files that are none, as for [`each`]. Another process may write there.
///
/// # Errors
/// When the store cannot be read.
pub async fn stock(store: &impl Store) -> io::Result<(Stock, Vec<String>)> {
    let mut stock = Stock::default();
    let look = |letter: Letter| {
        stock.letters += 1;
        stock.bytes += letter.content.text().len() as u64;
        let oldest = stock.oldest.unwrap_or(letter.time);
        stock.oldest = Some(oldest.min(letter.time));
    };
    let unusable = each(store, look).await?;
    Ok((stock, unusable))
}
