//! The contract's state file: one JSON object, `context.json` (L-02, L-03).

use base::Clock;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Storage, StorageError};
use crate::log::Log;

/// What a state file and its copy hold, as they are.
#[derive(Debug)]
pub struct Peek {
    /// The object, or why the file is none; none where there is no file.
    pub current: Option<Result<Map<String, Value>, String>>,
    /// The last good content.
    pub copy: Option<Map<String, Value>>,
}

/// A JSON object that survives restarts.
///
/// Keys that this program does not know survive too (L-04). A copy of the last good content is
/// kept beside the file; when the file is broken, it is put aside under a name with the time and
/// the copy takes its place. A file that was taken away means a fresh start.
#[derive(Debug)]
pub struct StateFile {
    storage: Storage,
    object: Map<String, Value>,
}

impl StateFile {
    /// Its name (L-02).
    pub const NAME: &str = "context.json";

    /// The name of its copy.
    pub const COPY: &str = "context.json.previous";

    /// Reads the file, or starts with an empty object where there is none.
    ///
    /// # Errors
    /// When the storage fails; a broken file is no error.
    pub async fn load(storage: &Storage, clock: &Clock, log: &Log) -> Result<Self, StorageError> {
        let object = match read(storage, Self::NAME).await? {
            None => Map::new(),
            Some(Ok(content)) => match parse(&content) {
                Ok(object) => object,
                Err(reason) => recover(storage, Some(content), &reason, clock, log).await?,
            },
            Some(Err(reason)) => recover(storage, None, &reason, clock, log).await?,
        };
        Ok(Self {
            storage: storage.clone(),
            object,
        })
    }

    /// Looks at the file and its copy, and mends nothing.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn peek(storage: &Storage) -> Result<Peek, StorageError> {
        let current = read(storage, Self::NAME).await?;
        let copy = read(storage, Self::COPY).await?;
        Ok(Peek {
            current: current.map(|content| parse(&content?)),
            copy: copy.and_then(|content| parse(&content.ok()?).ok()),
        })
    }

    /// Sets a key; [`save`](Self::save) makes it last.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.object.insert(key.to_owned(), value.into());
    }

    /// Writes the file, then the copy. A crash between the two leaves a good file and an older
    /// good copy.
    ///
    /// # Errors
    /// When the storage fails; the old file is then still there.
    pub async fn save(&self) -> Result<(), StorageError> {
        let content = Bytes::from(Value::Object(self.object.clone()).to_string());
        self.storage.write(Self::NAME, content.clone()).await?;
        self.storage.write(Self::COPY, content).await
    }
}

/// The content of a file, or why it can have none; none where there is no file.
async fn read(
    storage: &Storage,
    name: &str,
) -> Result<Option<Result<Bytes, String>>, StorageError> {
    match storage.read(name).await {
        Ok(content) => Ok(content.map(Ok)),
        Err(error) => error.is_damage().map(Err).map(Some).ok_or(error),
    }
}

fn parse(content: &[u8]) -> Result<Map<String, Value>, String> {
    let content = content
        .strip_prefix("\u{feff}".as_bytes())
        .unwrap_or(content);
    match serde_json::from_slice(content) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it is not a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn recover(
    storage: &Storage,
    broken: Option<Bytes>,
    reason: &str,
    clock: &Clock,
    log: &Log,
) -> Result<Map<String, Value>, StorageError> {
    let name = StateFile::NAME;
    let is_file = broken.is_some();
    let aside = match broken {
        Some(broken) => {
            let aside = format!("{name}.broken-{}", clock.now().format("%Y%m%dT%H%M%S%3fZ"));
            storage.write(&aside, broken).await?;
            format!(" and was put aside as {aside}")
        }
        None => String::new(),
    };
    let copy = read(storage, StateFile::COPY).await?.and_then(Result::ok);
    let copied = copy.as_deref().map(parse);
    let (object, instead) = match copied {
        Some(Ok(object)) => (object, "the last good copy is used instead"),
        Some(Err(_)) => (Map::new(), "its copy is broken too: nothing of it is used"),
        None => (Map::new(), "there is no copy of it: nothing of it is used"),
    };
    match copy.filter(|_| !object.is_empty()) {
        // At once: without a file the next start would take nothing from the copy.
        Some(copy) => storage.write(name, copy).await?,
        None if is_file => storage.delete(name).await?,
        None => {}
    }
    log.error(format!(
        "the state file {name} is broken ({reason}){aside}; {instead}"
    ));
    Ok(object)
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;
    use base::Store;
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::{log::tests::log, storage::MemoryBackend};

    const NAME: &str = StateFile::NAME;

    async fn load(storage: &Storage) -> (StateFile, Vec<String>) {
        let (log, lines) = log();
        let clock = Clock::virtual_from(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let state = StateFile::load(storage, &clock, &log).await.unwrap();
        let lines = lines.lock().unwrap().clone();
        (state, lines)
    }

    #[tokio::test(start_paused = true)]
    async fn foreign_keys_survive_in_compact_utf8() {
        let storage = Storage::new(MemoryBackend::default());
        storage
            .write(
                NAME,
                "\u{feff}{\"zoé\": {\"a\": [1, 2]}, \"most_recent_date_requested\": \"old\"}\n",
            )
            .await
            .unwrap();
        let (mut state, _) = load(&storage).await;
        let position = state.object.get("most_recent_date_requested");
        assert_eq!(position, Some(&json!("old")));
        state.set("most_recent_date_requested", "new");
        state.save().await.unwrap();
        assert_eq!(
            storage.read(NAME).await.unwrap().unwrap(),
            r#"{"most_recent_date_requested":"new","zoé":{"a":[1,2]}}"#
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_file_is_kept_aside_and_the_copy_used() {
        for broken in ["", "{\"cursor\":", "null", "[]", "\u{0}\u{0}"] {
            let storage = Storage::new(MemoryBackend::default());
            let (mut state, _) = load(&storage).await;
            state.set("cursor", 7);
            state.save().await.unwrap();
            storage.write(NAME, broken).await.unwrap();

            let (state, lines) = load(&storage).await;
            assert_eq!(state.object.get("cursor"), Some(&json!(7)), "{broken:?}");
            assert!(lines[0].contains("the last good copy is used"), "{lines:?}");
            let aside = storage.list("context.json.broken-").await.unwrap();
            assert_eq!(aside, ["context.json.broken-20261118T110640000Z"]);
            assert_eq!(storage.read(&aside[0]).await.unwrap().unwrap(), broken);
            let (_, lines) = load(&storage).await;
            assert!(lines.is_empty(), "the file is whole again");
        }
    }

    /// The file itself cannot be written, as the disk is full by then.
    #[derive(Debug)]
    struct Full(MemoryBackend);

    #[async_trait]
    impl Store for Full {
        async fn read(&self, name: &str) -> io::Result<Option<Bytes>> {
            self.0.read(name).await
        }

        async fn write(&self, name: &str, content: Bytes) -> io::Result<()> {
            match name {
                NAME => Err(io::ErrorKind::StorageFull.into()),
                _ => self.0.write(name, content).await,
            }
        }

        async fn append(&self, name: &str, content: Bytes) -> io::Result<()> {
            self.0.append(name, content).await
        }

        async fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
            self.0.list(prefix).await
        }

        async fn delete(&self, name: &str) -> io::Result<()> {
            self.0.delete(name).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_file_stays_until_the_copy_takes_its_place() {
        let files = MemoryBackend::default();
        let storage = Storage::new(files.clone());
        let (mut state, _) = load(&storage).await;
        state.set("foreign", 7);
        state.save().await.unwrap();
        storage.write(NAME, "{").await.unwrap();
        let clock = Clock::virtual_from(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        let full = Storage::new(Full(files));
        let loaded = StateFile::load(&full, &clock, &log().0).await;
        assert!(loaded.is_err());
        let (state, lines) = load(&storage).await;
        assert_eq!(state.object.get("foreign"), Some(&json!(7)));
        assert!(lines[0].contains("the last good copy is used"), "{lines:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_copy_it_starts_anew_and_says_so() {
        let storage = Storage::new(MemoryBackend::default());
        storage.write(NAME, "{").await.unwrap();
        let (state, lines) = load(&storage).await;
        assert_eq!(state.object.get("x"), None);
        assert!(lines[0].contains("there is no copy of it"), "{lines:?}");

        storage
            .write("context.json.previous", json!({"x": 1}).to_string())
            .await
            .unwrap();
        storage.delete(NAME).await.unwrap();
        let (state, lines) = load(&storage).await;
        let left = state.object.get("x");
        assert_eq!(left, None, "a file taken away is a fresh start");
        assert!(lines.is_empty());
    }
}
