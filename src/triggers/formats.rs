//! The versions of the state files' formats: what a later version of this program has written is
//! neither guessed at nor overwritten.

use collect::{
    EXCLUSIONS_FILE,
    backfill::{BackfillOrder, BackfillProgress},
    journal,
    nightly::{Nights, StandingOrder},
    order::OrderFile as _,
    proof::{self, NOTES_FILE},
    timeline::{self, TIMELINE_FILE},
    verify::{VerifyOrder, VerifyProgress},
};
use sekoia::{RunError, StateFile, Storage, StorageError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    first_start::FIRST_START_FILE,
    service_choice::{SERVICE_FILE, SIGN_IN_FILE},
    source::QUOTA_FILE,
    state::STATE_FILE,
    tenant::{TENANT_COPY, TENANT_FILE},
};

/// The version of all formats that have their version inside, and the latest that is known. Files
/// without a version are of the first.
pub(super) const VERSION: u64 = 1;

/// The key of the version in the state file, which other modules write, too.
pub(super) const STATE_VERSION: &str = "message_trace_format";

/// Files with a version inside, and its key.
const FILES: [(&str, &str); 16] = [
    (STATE_FILE, STATE_VERSION),
    (TIMELINE_FILE, "version"),
    (EXCLUSIONS_FILE, "version"),
    (BackfillOrder::NAME, "version"),
    (BackfillProgress::NAME, "version"),
    (NOTES_FILE, "version"),
    (VerifyOrder::NAME, "version"),
    (VerifyProgress::NAME, "version"),
    (StandingOrder::NAME, "version"),
    (Nights::NAME, "version"),
    (QUOTA_FILE, "version"),
    (TENANT_FILE, "version"),
    (TENANT_COPY, "version"),
    (FIRST_START_FILE, "version"),
    (SERVICE_FILE, "version"),
    (SIGN_IN_FILE, "version"),
];

/// Files that are kept twice, each with the other one, and the key of the version in both.
const PAIRS: [(&str, &str, &str); 3] = [
    (STATE_FILE, StateFile::COPY, STATE_VERSION),
    (TENANT_FILE, TENANT_COPY, "version"),
    (TENANT_COPY, TENANT_FILE, "version"),
];

/// Reads the version in the name of a file.
type VersionOf = fn(&str) -> Option<u64>;

/// Folders of files with a version in their names, and the latest that is known.
const IN_NAMES: [(&str, VersionOf, u64); 2] = [
    (journal::FOLDER, journal::version, journal::VERSION),
    (proof::FOLDER, proof::version, proof::VERSION),
];

/// A file that a later version of this program has written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the file {name} has the format version {version}, which is later than the {known} that this \
     program knows: start the version that wrote it, or give this one a data directory of its own. \
     Nothing was changed"
)]
pub(super) struct Later {
    name: String,
    version: u64,
    known: u64,
}

impl Later {
    /// Nothing that a later version has written is touched.
    pub(super) async fn ensure_none(storage: &Storage) -> Result<(), RunError> {
        match Self::in_storage(storage).await? {
            Some(later) => Err(RunError::hopeless(later)),
            None => Ok(()),
        }
    }

    /// The first such file among all files, or in the folder of them that is used: a run looks at both.
    pub(super) async fn in_use(all: &Storage, folder: &str) -> Result<Option<Self>, StorageError> {
        match Self::in_storage(all).await? {
            None if !folder.is_empty() => Self::in_storage(&all.inside(folder)).await,
            found => Ok(found),
        }
    }

    /// The first such file; none when all are known.
    pub(super) async fn in_storage(storage: &Storage) -> Result<Option<Self>, StorageError> {
        for (name, key) in FILES {
            let text = match storage.read(name).await {
                Ok(text) => text.unwrap_or_default(),
                // What is damaged is told elsewhere.
                Err(error) if error.is_damage().is_some() => continue,
                Err(error) => return Err(error),
            };
            let version = version(&text, key);
            if let Some(version) = version.filter(|version| *version > VERSION)
                && !is_flipped(storage, name, &text).await?
            {
                return Ok(Some(Self {
                    name: name.to_owned(),
                    version,
                    known: VERSION,
                }));
            }
        }
        for (folder, version_of, known) in IN_NAMES {
            for name in storage.list(folder).await? {
                if let Some(version) = version_of(&name).filter(|version| *version > known) {
                    return Ok(Some(Self {
                        name,
                        version,
                        known,
                    }));
                }
            }
        }
        Ok(None)
    }
}

/// Whether a version is a later one only as the file is damaged: its checksum says so, or its copy, which is
/// otherwise the same. Each is written with the version that wrote it.
async fn is_flipped(storage: &Storage, name: &str, text: &[u8]) -> Result<bool, StorageError> {
    if name == TIMELINE_FILE {
        return Ok(!timeline::is_intact(text));
    }
    let mut pairs = PAIRS.into_iter();
    let Some((_, copy, key)) = pairs.find(|(file, ..)| *file == name) else {
        return Ok(false);
    };
    let Some(mut before) = read::<Map<String, Value>>(storage, copy).await? else {
        return Ok(false);
    };
    let Ok(mut current) = serde_json::from_slice::<Map<String, Value>>(text) else {
        return Ok(false);
    };
    let take = |object: &mut Map<String, Value>| object.remove(key)?.as_u64();
    let (_, known) = (take(&mut current), take(&mut before));
    Ok(known.is_some_and(|version| version <= VERSION) && current == before)
}

/// The content of a file; none when it is missing or damaged.
pub(super) async fn read<T: DeserializeOwned>(
    storage: &Storage,
    name: &str,
) -> Result<Option<T>, StorageError> {
    match storage.read(name).await {
        Ok(text) => Ok(text.and_then(|text| serde_json::from_slice(&text).ok())),
        Err(error) if error.is_damage().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

fn version(text: &[u8], key: &str) -> Option<u64> {
    let content: Value = serde_json::from_slice(text).ok()?;
    content.get(key)?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sekoia::MemoryBackend;

    async fn later(name: &str, text: &str) -> Option<Later> {
        let storage = Storage::new(MemoryBackend::default());
        storage.write(name, text.to_owned()).await.unwrap();
        Later::in_storage(&storage).await.unwrap()
    }

    #[tokio::test]
    async fn a_later_version_is_found_in_every_file() {
        for (name, key) in FILES {
            let found = later(name, &format!("{{\"{key}\": 2, \"other\": []}}")).await;
            let sentence = found.unwrap().to_string();
            assert!(sentence.contains(name), "{sentence}");
            assert!(sentence.contains("version 2,"), "{sentence}");
            for known in [
                "",
                "{",
                "[]",
                "[1, 2]",
                "null",
                "{\"a\": 7}",
                "{\"b\": \"2\"}",
            ] {
                assert_eq!(later(name, known).await, None, "{name} {known}");
            }
            let text = format!("{{\"{key}\": 1}}");
            assert_eq!(later(name, &text).await, None, "{name}");
        }
        let found = later("known-rows/seed-v3", "x").await.unwrap();
        assert_eq!((found.version, found.known), (3, 2));
        let found = later("proof/2026-11-29.v2", "x").await.unwrap();
        assert_eq!((found.version, found.known), (2, 1));
        for name in [
            "known-rows/seed-v2",
            "known-rows/seed-v1",
            "seed-v3",
            "proof/2026-11-29.v1",
            "proof/other.v",
        ] {
            assert_eq!(later(name, "x").await, None, "{name}");
        }
    }

    #[tokio::test]
    async fn a_later_version_counts_where_it_ends_a_run() {
        let folder = "tenants/x/graph";
        for (written, used, is_told) in [
            ("", "", true),
            ("", folder, true),
            (folder, folder, true),
            (folder, "", false),
        ] {
            let all = Storage::new(MemoryBackend::default());
            let files = all.inside(written);
            files.write(QUOTA_FILE, "{\"version\":2}").await.unwrap();
            let found = Later::in_use(&all, used).await.unwrap();
            assert_eq!(found.is_some(), is_told, "{written:?} {used:?}");
        }
    }

    /// Else one bit ends the process, and what stands beside it is not used.
    #[tokio::test]
    async fn a_version_that_one_bit_makes_later_is_damage() {
        let storage = Storage::new(MemoryBackend::default());
        let later = async || Later::in_storage(&storage).await.unwrap();
        let now = chrono::DateTime::UNIX_EPOCH;
        let coverage = collect::coverage::Coverage::new(now);
        let timeline =
            timeline::Timeline::new(now, coverage, collect::lateness::Lateness::default());
        timeline.save(&storage).await.unwrap();
        let text = storage.read(TIMELINE_FILE).await.unwrap().unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let flipped = text.replacen("\"version\":1", "\"version\":3", 1);
        assert_ne!(flipped, text);
        storage.write(TIMELINE_FILE, flipped).await.unwrap();
        assert_eq!(later().await, None);
        storage.delete(TIMELINE_FILE).await.unwrap();

        let object = |version, at| format!("{{\"{STATE_VERSION}\":{version},\"at\":{at}}}");
        let copy = format!("{STATE_FILE}.previous");
        for (current, before, is_later) in [
            (object(3, 7), object(1, 7), false),
            // A crash came between the two writes of a later version.
            (object(3, 8), object(1, 7), true),
            (object(3, 7), object(3, 7), true),
            (object(3, 7), "{\"at\":7}".to_owned(), true),
        ] {
            storage.write(STATE_FILE, current.clone()).await.unwrap();
            storage.write(&copy, before).await.unwrap();
            assert_eq!(later().await.is_some(), is_later, "{current}");
        }
        storage.delete(STATE_FILE).await.unwrap();

        let object = |version| format!("{{\"version\":{version},\"tenant\":\"a.example\"}}");
        for (name, other) in [(TENANT_FILE, TENANT_COPY), (TENANT_COPY, TENANT_FILE)] {
            storage.write(name, object(3)).await.unwrap();
            for (before, is_later) in [(object(1), false), (object(3), true)] {
                storage.write(other, before).await.unwrap();
                assert_eq!(later().await.is_some(), is_later, "{name}");
            }
        }
    }
}
