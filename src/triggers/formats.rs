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
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    first_start::{FIRST_START_FILE, FirstStart},
    service_choice::{Decision, RefusedPassword, SERVICE_FILE, SIGN_IN_FILE},
    source::{QUOTA_FILE, UsedQuota},
    state::STATE_FILE,
    tenant::{TENANT_COPY, TENANT_FILE},
};

/// The version of all formats that have their version inside, and the latest that is known. Files
/// without a version are of the first. No later one is 3, 5 or 9, which one wrong bit makes of it.
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
                && !is_flipped(storage, (name, key), &text, version).await?
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
/// otherwise the same, and was written with the version that wrote it. What costs nothing if it was a later one
/// after all is believed by its number, when all else is as this version writes it.
async fn is_flipped(
    storage: &Storage,
    (name, key): (&str, &str),
    text: &[u8],
    version: u64,
) -> Result<bool, StorageError> {
    let is_one_bit_off = is_one_bit_off(version);
    let copy = match name {
        TIMELINE_FILE => return Ok(!timeline::is_intact(text)),
        QUOTA_FILE => return Ok(is_one_bit_off && is_as_written::<UsedQuota>(text)),
        SERVICE_FILE => return Ok(is_one_bit_off && is_as_written::<Decision>(text)),
        SIGN_IN_FILE => return Ok(is_one_bit_off && is_as_written::<RefusedPassword>(text)),
        FIRST_START_FILE => return Ok(is_one_bit_off && is_as_written::<FirstStart>(text)),
        STATE_FILE => StateFile::COPY,
        TENANT_FILE => TENANT_COPY,
        TENANT_COPY => TENANT_FILE,
        _ => return Ok(false),
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

/// Whether a text has what this version writes, and nothing else.
fn is_as_written<T: Serialize + DeserializeOwned>(text: &[u8]) -> bool {
    let found = serde_json::from_slice::<Value>(text).ok();
    let known = serde_json::from_slice::<T>(text).ok();
    let known = known.and_then(|known| serde_json::to_value(known).ok());
    found.is_some() && found == known
}

/// Whether one wrong bit has made this version of the one that is known.
fn is_one_bit_off(version: u64) -> bool {
    let (found, known) = (version.to_string(), VERSION.to_string());
    let bytes = found.bytes().zip(known.bytes());
    let wrong: u32 = bytes.map(|(one, other)| (one ^ other).count_ones()).sum();
    found.len() == known.len() && wrong == 1
}

/// What a file tells.
pub(super) enum FileContent<T> {
    Missing,
    Damaged,
    Whole(T),
}

impl<T: DeserializeOwned> FileContent<T> {
    pub(super) async fn of(storage: &Storage, name: &str) -> Result<Self, StorageError> {
        match storage.read(name).await {
            Ok(None) => Ok(Self::Missing),
            Ok(Some(text)) => Ok(serde_json::from_slice(&text).map_or(Self::Damaged, Self::Whole)),
            Err(error) if error.is_damage().is_some() => Ok(Self::Damaged),
            Err(error) => Err(error),
        }
    }
}

/// The content of a file; none when it is missing or damaged.
pub(super) async fn read<T: DeserializeOwned>(
    storage: &Storage,
    name: &str,
) -> Result<Option<T>, StorageError> {
    Ok(match FileContent::of(storage, name).await? {
        FileContent::Whole(content) => Some(content),
        FileContent::Missing | FileContent::Damaged => None,
    })
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

    /// They are written anew, and hold what this version has written: else the process would end for ever.
    #[tokio::test]
    async fn what_is_found_anew_is_told_from_a_later_version_by_its_number() {
        for (name, rest) in [
            (QUOTA_FILE, r#""requests":[1795000000000]"#),
            (
                SERVICE_FILE,
                r#""settings":"f00d","refusals":["2026-11-18T11:00:00Z","2026-11-18T11:05:00Z"],"said":"gone","since":"2026-11-18T11:06:00Z""#,
            ),
            (
                SIGN_IN_FILE,
                r#""settings":"f00d","salt":"11111111-aaaa-4aaa-8aaa-111111111111","password":"a7","refused":[1795000000000]"#,
            ),
            (FIRST_START_FILE, r#""started":"2026-11-18T11:00:00Z""#),
        ] {
            for (version, more, is_later) in [
                (3, "", false),
                (5, "", false),
                (9, "", false),
                (2, "", true),
                (11, "", true),
                (3, ",\"other\":7", true),
            ] {
                let text = format!("{{\"version\":{version},{rest}{more}}}");
                assert_eq!(
                    later(name, &text).await.is_some(),
                    is_later,
                    "{name} {text}"
                );
            }
        }
    }
}
