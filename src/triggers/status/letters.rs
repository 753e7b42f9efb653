//! What there is to say of dead letters. To find it, all of them are read, and they may have a gigabyte.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sekoia::Storage;
use serde_json::json;
use tokio::time::Instant;

use super::{Line, found};
use crate::triggers::letters;

/// Who asks every second is told what was found at most so long ago.
const LASTING: Duration = Duration::from_secs(30);

/// What was said of dead letters last.
#[derive(Debug, Default)]
pub(crate) struct SeenLetters {
    line: Option<Line>,
    at: Option<Instant>,
}

impl SeenLetters {
    /// What there is to say of them; none when there are none.
    pub(super) async fn line(&mut self, storage: &Storage, now: DateTime<Utc>) -> Option<Line> {
        if self.at.is_none_or(|at| at.elapsed() >= LASTING) {
            self.line = look_at(storage, now).await;
            self.at = Some(Instant::now());
        }
        self.line.clone()
    }
}

/// What could not be delivered and waits for a person; none when there is nothing.
async fn look_at(storage: &Storage, now: DateTime<Utc>) -> Option<Line> {
    let stock = collect::letters::stock(storage).await;
    let told = stock.map(|(stock, unusable)| {
        let unreadable = unusable.iter().map(|name| letters::unreadable(name));
        let told = letters::told(&stock, now).into_iter();
        let told: Vec<String> = told.chain(unreadable).collect();
        let (letters, bytes, oldest) = (stock.letters, stock.bytes, stock.oldest);
        let facts = json!({
            "letters": letters,
            "bytes": bytes,
            "oldest": oldest,
            "unreadable": unusable,
        });
        Some((told.join("; "), facts, true)).filter(|(text, ..)| !text.is_empty())
    });
    found("letters", told)
}

#[cfg(test)]
mod tests {
    use sekoia::MemoryBackend;

    use super::*;

    /// Else each second of a watch reads a gigabyte.
    #[tokio::test(start_paused = true)]
    async fn they_are_read_now_and_then_only() {
        let storage = Storage::new(MemoryBackend::default());
        let mut seen = SeenLetters::default();
        let now = DateTime::UNIX_EPOCH;
        let mut count = async || {
            let line = seen.line(&storage, now).await;
            line.map(|line| line.facts["letters"].clone())
        };
        assert_eq!(count().await, None);
        let letter =
            r#"{"id":"1","time":"1970-01-01T00:00:00Z","reason":"","intake":"","event":"{}"}"#;
        let written = storage.write("dead-letters/0000000001.jsonl", letter);
        written.await.unwrap();
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(count().await, None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(count().await, Some(json!(1)));
    }
}
