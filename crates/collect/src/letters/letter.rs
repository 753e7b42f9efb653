//! What a letter is, and what becomes of it.

use std::io;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use rows::RowKey;
use serde::{Deserialize, Serialize};

use super::{FILE_BYTES, id, line};

/// What is too long for one file is kept in parts of so many bytes, which take a third more in base64.
const PART: usize = 8 << 20;

/// However it is escaped, a shorter text fits into a file.
const SHORT: usize = 2 << 20;

/// A letter as it lies in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Tells it from others: a hash of intake and content, so that the same event is kept once. Of what is no
    /// event it is a hash of the reason, too.
    pub id: String,
    /// When it was kept.
    pub time: DateTime<Utc>,
    /// Why it cannot be delivered.
    pub reason: String,
    /// A fingerprint of the intake's key.
    pub intake: String,
    /// The message that it is about; none when that cannot be read.
    #[serde(default)]
    pub message_id: Option<String>,
    /// Whether a copy of the event with its subject cut goes in its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copy_sent: bool,
    /// What cannot be delivered.
    #[serde(flatten)]
    pub content: Content,
}

impl Letter {
    /// The letter itself; or, when it is too long for one file, which nobody could read then, letters with the parts
    /// of its content as bytes.
    pub(super) fn parts(self) -> io::Result<Vec<Self>> {
        if self.content.text().len() <= SHORT || line(&self)?.len() as u64 <= FILE_BYTES {
            return Ok(vec![self]);
        }
        let bytes = match &self.content {
            Content::Bytes(text) => BASE64_STANDARD.decode(text).map_err(io::Error::other)?,
            content => content.text().as_bytes().to_vec(),
        };
        let count = bytes.len().div_ceil(PART);
        let parts = bytes.chunks(PART).map(Content::bytes).enumerate();
        let parts = parts.map(|(at, content)| Self {
            id: id(&self.intake, &content),
            time: self.time,
            reason: format!(
                "{} (part {} of {count} of its bytes, as it is too long for one file)",
                self.reason,
                at + 1
            ),
            intake: self.intake.clone(),
            message_id: self.message_id.clone(),
            copy_sent: self.copy_sent,
            content,
        });
        Ok(parts.collect())
    }
}

/// What cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// An event, as it would go to the intake.
    Event(String),
    /// Bytes of an answer that are not to be read as a row, in base64.
    Bytes(String),
    /// What must not be kept as it is, since the settings hide what is in rows.
    Withheld {
        /// How many bytes it has.
        bytes: usize,
        /// A keyed hash that tells it from others.
        hash: String,
    },
}

/// Why the event of a letter is not sent.
pub const UNHIDDEN: &str = "it cannot be hidden as `subject` or `addresses` wishes";

impl Content {
    /// Bytes that are not to be read as a row.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Bytes(BASE64_STANDARD.encode(bytes))
    }

    /// What must not be kept as it is: its length, and the key that it has.
    pub fn withheld(bytes: usize, key: RowKey) -> Self {
        let hash = key.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        Self::Withheld { bytes, hash }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Event(text) | Self::Bytes(text) => text,
            Self::Withheld { hash, .. } => hash,
        }
    }
}

/// What is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Why it cannot be delivered.
    pub reason: String,
    /// Whether a copy of the event with its subject cut goes in its place.
    pub copy_sent: bool,
    /// What cannot be delivered.
    pub content: Content,
}

/// What became of a letter that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// The intake has accepted it after all.
    Accepted,
    /// A person has thrown it away.
    Dropped,
}

/// What is filed of a letter that leaves.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) id: String,
    pub(super) became: Settled,
    pub(super) time: DateTime<Utc>,
}

/// What is looked at of each letter at a start.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) time: DateTime<Utc>,
}

/// How many letters there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Letters.
    pub letters: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// When the oldest was kept.
    pub oldest: Option<DateTime<Utc>>,
}

/// Whose letters are kept.
#[derive(Clone, Debug)]
pub struct Owner {
    /// A [`fingerprint`](super::fingerprint) of the key of the intake that they are for.
    pub intake: String,
    /// Finds the message that an event is about.
    pub identify: fn(&str) -> Option<String>,
}

impl Owner {
    pub(super) fn message_id(&self, content: &Content) -> Option<String> {
        match content {
            Content::Event(text) => (self.identify)(text),
            Content::Bytes(_) | Content::Withheld { .. } => None,
        }
    }
}
