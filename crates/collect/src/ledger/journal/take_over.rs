//! What one store remembers of delivered rows, taken over by another.

use std::{collections::BTreeSet, io};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;

use super::{FOLDER, SEED, TOO_HIGH, is_damage, segment_name, segment_number};
use crate::{Store, proof::Proof};

/// Has `store` remember what `other` remembers, too, if the keys of both are made with one seed: no row is
/// sent twice by it. How many segments that is. A segment that it has already is not taken over again.
///
/// # Errors
/// When one of them cannot be read or written: call it again. What is damaged is left out.
pub async fn take_over(store: &impl Store, other: &impl Store) -> io::Result<usize> {
    let seed = read(other, SEED).await?;
    if seed.is_none() || read(store, SEED).await? != seed {
        return Ok(0);
    }
    let (own, others) = (segments(store).await?, segments(other).await?);
    let mut there = BTreeSet::new();
    for number in &own {
        let text = read(store, &segment_name(*number)).await?;
        there.extend(text.as_deref().map(hash));
    }
    // What counts as counted in by the proof is not counted again, and these rows were not.
    let mut proof = Proof::open(store).await?;
    proof.kept_seed(store).await?;
    let mut next = own.last().map_or(0, |last| last + 1);
    next = next.max(proof.counted_in());
    let mut taken = 0;
    for number in others {
        let Some(text) = read(other, &segment_name(number)).await? else {
            continue;
        };
        if there.insert(hash(&text)) {
            store.write(&segment_name(next), text).await?;
            next += 1;
            taken += 1;
        }
    }
    Ok(taken)
}

async fn segments(store: &impl Store) -> io::Result<BTreeSet<u64>> {
    let names = store.list(FOLDER).await?;
    Ok(names
        .iter()
        .filter_map(|name| segment_number(name))
        .filter(|number| *number < TOO_HIGH)
        .collect())
}

/// None when there is no such file, or it is damaged.
async fn read(store: &impl Store, name: &str) -> io::Result<Option<Bytes>> {
    match store.read(name).await {
        Err(error) if is_damage(&error) => Ok(None),
        read => read,
    }
}

fn hash(text: &[u8]) -> Vec<u8> {
    digest(&SHA256, text).as_ref().to_vec()
}
