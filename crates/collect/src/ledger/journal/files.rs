//! What a start finds before it reads what was delivered.

use std::io;

use rows::RowKeyer;

use super::{
    FOLDER, Inventory, Journal, Remembered, SEED, SEED_COPY, TOO_HIGH, delete_all, is_version_1,
    segment, segment_number,
};
use crate::{
    Store,
    ledger::timeline::TIMELINE_FILE,
    proof::{self, Proof},
};

/// The files of a journal, found and not read yet.
///
/// Its keys can be made already. To read millions of rows takes a while, in which the source can be
/// asked for the first time.
#[derive(Debug)]
pub struct JournalFiles {
    seed: [u8; 16],
    seed_taken_back: Option<&'static str>,
    segments: Vec<(u64, String)>,
    expected: Inventory,
    proof: Proof,
    damage: Vec<String>,
}

impl JournalFiles {
    /// Finds what `store` remembers, which is no less than `expected`, with keys made by the seed that has
    /// this mark; `fresh_seed` is used when it remembers nothing.
    ///
    /// # Errors
    /// When the store cannot be read or written. Damage is no error.
    pub async fn find(
        store: &impl Store,
        fresh_seed: [u8; 16],
        expected: &Inventory,
        mark: Option<u32>,
    ) -> io::Result<Self> {
        let mut damage = Vec::new();
        let mut proof = Proof::open(store).await?;
        damage.extend(proof.damage());
        let files = store.list(FOLDER).await?;
        let (earlier, files): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|name| is_version_1(name));
        if delete_all(store, earlier.into_iter()).await? {
            damage.push(format!(
                "{FOLDER} holds rows that an earlier version delivered, which are forgotten"
            ));
        }
        let mut segments: Vec<_> = files
            .into_iter()
            .filter_map(|name| Some((segment_number(&name)?, name)))
            .collect();
        for (_, name) in segments.extract_if(.., |(number, _)| *number >= TOO_HIGH) {
            damage.push(format!("{name} is left alone: its number is too high"));
        }
        let (first, copy) = (
            seed_in(store, SEED).await?,
            seed_in(store, SEED_COPY).await?,
        );
        let mut expected = expected.clone();
        let is_right = |seed: &[u8; 16]| mark.is_none_or(|mark| mark == segment::seed_mark(*seed));
        let (seed, seed_taken_back) = match (first.filter(is_right), copy.filter(is_right)) {
            (Some(_), _) => (first, None),
            (None, Some(_)) => (copy, Some(SEED_COPY)),
            (None, None) => {
                let kept = proof.kept_seed(store).await?;
                match kept.filter(is_right) {
                    Some(_) => (kept, Some(proof::FOLDER)),
                    // None is the one that the mark is of: a file was put back from another time.
                    None => (first.or(copy).or(kept), None),
                }
            }
        };
        if seed.is_some_and(|seed| !is_right(&seed)) {
            damage.push(format!(
                "{SEED} holds another key than {TIMELINE_FILE} tells of: no row is known that was filed \
                 with that one"
            ));
        }
        if seed.is_none() {
            // Keys made with another seed say nothing.
            let any = delete_all(store, segments.drain(..).map(|(_, name)| name)).await?;
            if any || !expected.is_empty() {
                damage.push(format!(
                    "{SEED}: missing or damaged, all known rows are forgotten"
                ));
            }
            expected.clear();
        }
        let seed = seed.unwrap_or(fresh_seed);
        if first != Some(seed) {
            store.write(SEED, segment::seed(seed)).await?;
        }
        if copy != Some(seed) {
            // On a full disk it goes on without, until there is room.
            _ = store.write(SEED_COPY, segment::seed(seed)).await;
        }
        // Without them the next start forgets all that is delivered from now on.
        for name in [SEED, SEED_COPY] {
            store.keep(name, segment::seed(seed));
        }
        proof.set_seed(seed);
        Ok(Self {
            seed,
            seed_taken_back,
            segments,
            expected,
            proof,
            damage,
        })
    }

    /// Makes keys that agree with the remembered ones.
    pub fn keyer(&self) -> RowKeyer {
        RowKeyer::new(self.seed)
    }

    /// Reads all of them.
    ///
    /// # Errors
    /// When the store cannot be read or written. Damage is no error.
    pub async fn read(mut self, store: &impl Store) -> io::Result<Remembered> {
        let segments = std::mem::take(&mut self.segments);
        let (expected, damage, proof) = (&self.expected, &mut self.damage, &mut self.proof);
        let (known, mut journal) = Journal::load(store, segments, expected, damage, proof).await?;
        journal.seed_mark = Some(segment::seed_mark(self.seed));
        Ok(Remembered {
            known,
            journal,
            keyer: self.keyer(),
            proof: self.proof,
            seed_taken_back: self.seed_taken_back,
            damage: self.damage,
        })
    }
}

/// The seed in a file; none when it is missing or damaged.
async fn seed_in(store: &impl Store, name: &str) -> io::Result<Option<[u8; 16]>> {
    let text = store.read_or_empty(name).await?;
    Ok(text.and_then(|text| segment::parse_seed(&text)))
}
