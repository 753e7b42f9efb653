//! Files as objects.
//!
//! A file is the object of its name. One that is appended to goes on in parts when that object is
//! 256 KiB long or longer: `.parts/<name>/.<generation>/<number>`. The object of the name carries
//! the generation, a random word that every write changes; so parts belong to it or to nothing, and
//! one write replaces them all. The last part is written anew with every addition until it is long
//! enough, too.

use std::collections::{HashMap, VecDeque};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    client::{Client, Condition, Head, Put},
    error::{ObjectError, Problem},
    lease::Lease,
};

/// A part this long is not written anew.
pub(super) const PART: usize = 256 << 10;

/// Below it are the parts of all files. No stored file has such a name.
const PARTS: &str = ".parts/";

/// Parts that are asked for at once.
const AT_ONCE: usize = 8;

/// Files whose last part is kept in memory.
const TAILS: usize = 8;

/// How often a write is tried anew because the object changed meanwhile.
const ATTEMPTS: usize = 3;

/// The files in the folder of a client.
#[derive(Debug)]
pub(super) struct Files {
    client: Client,
    /// Held while something is written.
    versions: Mutex<Versions>,
}

/// What this instance wrote last. What is not here is looked up first.
#[derive(Debug, Default)]
struct Versions {
    heads: HashMap<String, Head>,
    /// The latest at the end.
    tails: VecDeque<(String, Tail)>,
}

impl Versions {
    fn keep_tail(&mut self, name: String, tail: Tail) {
        if self.tails.len() == TAILS {
            self.tails.pop_front();
        }
        self.tails.push_back((name, tail));
    }

    fn take_tail(&mut self, name: &str) -> Option<Tail> {
        let at = self.tails.iter().position(|(kept, _)| kept == name)?;
        self.tails.remove(at).map(|(_, tail)| tail)
    }
}

/// The last part of a file.
#[derive(Clone, Debug)]
struct Tail {
    generation: String,
    /// 0 is the object of the name.
    part: u64,
    content: Bytes,
    condition: Condition,
    /// Whether an addition begins a new part.
    full: bool,
}

impl Tail {
    fn new() -> Self {
        Self {
            generation: fresh(),
            part: 0,
            content: Bytes::new(),
            condition: Condition::Absent,
            full: false,
        }
    }

    /// The object to write for an addition.
    fn with(&self, addition: &Bytes) -> Self {
        if self.full {
            Self {
                part: self.part + 1,
                content: addition.clone(),
                condition: Condition::Absent,
                generation: self.generation.clone(),
                full: false,
            }
        } else {
            Self {
                content: [self.content.as_ref(), addition].concat().into(),
                ..self.clone()
            }
        }
    }

    /// Whether the store has exactly what was to be written.
    fn is_version_of(&self, next: &Self) -> bool {
        self.generation == next.generation && self.part == next.part && self.content == next.content
    }

    /// After it was written.
    fn written(self, etag: String) -> Self {
        self.written_as(Condition::Matches(etag))
    }

    fn written_as(self, condition: Condition) -> Self {
        let full = self.content.len() >= PART;
        Self {
            content: if full { Bytes::new() } else { self.content },
            condition,
            full,
            ..self
        }
    }
}

impl Files {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            versions: Mutex::default(),
        }
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, ObjectError> {
        let Some((head, first)) = self.client.get(name).await? else {
            return Ok(None);
        };
        let Some(generation) = with_parts(&head) else {
            return Ok(Some(first));
        };
        let numbers = self.parts(name, generation).await?;
        let parts = stream::iter(numbers)
            .map(|number| self.part(name, generation, number))
            .buffered(AT_ONCE)
            .try_fold(BytesMut::from(first), async |mut whole, part| {
                whole.extend_from_slice(&part);
                Ok(whole)
            });
        Ok(Some(parts.await?.freeze()))
    }

    pub(super) async fn write(
        &self,
        lease: &Lease,
        name: &str,
        content: Bytes,
    ) -> Result<(), ObjectError> {
        let mut versions = self.versions.lock().await;
        versions.take_tail(name);
        let known = versions.heads.remove(name);
        lease.ensure().await?;
        let mut before = match known {
            Some(head) => Some(head),
            None => self.look_up(lease, name).await?,
        };
        for _ in 0..ATTEMPTS {
            let generation = fresh();
            let condition = match &before {
                _ if !lease.is_fenced() => Condition::None,
                None => Condition::Absent,
                Some(head) => Condition::Matches(head.etag.clone()),
            };
            let length = content.len() as u64;
            let put = self
                .client
                .put(name, content.clone(), &condition, Some(&generation));
            if let Put::Done(etag) = put.await? {
                if let Some(generation) = before.as_ref().and_then(with_parts) {
                    // Nothing refers to them. What stays is taken away when the file is.
                    _ = self.delete_all(&folder(name, generation)).await;
                }
                let head = Head {
                    etag,
                    length,
                    generation: Some(generation),
                    age: None,
                };
                versions.heads.insert(name.to_owned(), head);
                return Ok(());
            }
            before = self.look_up(lease, name).await?;
        }
        Err(self.client.error(Problem::Changed))
    }

    pub(super) async fn append(
        &self,
        lease: &Lease,
        name: &str,
        addition: &Bytes,
    ) -> Result<(), ObjectError> {
        let mut versions = self.versions.lock().await;
        let known = versions.take_tail(name);
        versions.heads.remove(name);
        lease.ensure().await?;
        let mut tail = match known {
            Some(tail) => tail,
            None => self.look_up_tail(lease, name).await?,
        };
        for _ in 0..ATTEMPTS {
            let next = tail.with(addition);
            let key = if next.part == 0 {
                name.to_owned()
            } else {
                part_key(name, &next.generation, next.part)
            };
            let condition = if lease.is_fenced() {
                &next.condition
            } else {
                &Condition::None
            };
            let (content, generation) = (next.content.clone(), Some(next.generation.as_str()));
            if let Put::Done(etag) = self
                .client
                .put(&key, content, condition, generation)
                .await?
            {
                versions.keep_tail(name.to_owned(), next.written(etag));
                return Ok(());
            }
            tail = self.look_up_tail(lease, name).await?;
            if tail.is_version_of(&next) {
                // It was written, and the answer got lost.
                versions.keep_tail(name.to_owned(), next.written_as(tail.condition));
                return Ok(());
            }
        }
        Err(self.client.error(Problem::Changed))
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let mut names = self.client.list(prefix).await?;
        names.retain(|name| super::super::checked(name).is_ok());
        Ok(names)
    }

    pub(super) async fn delete(&self, lease: &Lease, name: &str) -> Result<(), ObjectError> {
        let mut versions = self.versions.lock().await;
        versions.take_tail(name);
        versions.heads.remove(name);
        lease.ensure().await?;
        let parts = format!("{PARTS}{name}/.");
        if !self.client.list(&parts).await?.is_empty() {
            // Without this, a crash could leave a file that lacks some of its parts.
            let (nothing, generation) = (Bytes::new(), fresh());
            let emptied = self
                .client
                .put(name, nothing, &Condition::None, Some(&generation));
            emptied.await?;
            self.delete_all(&parts).await?;
        }
        self.client.delete(name).await
    }

    /// What the store has now. The lease is ours after that, so nobody else has written it since.
    async fn look_up(&self, lease: &Lease, name: &str) -> Result<Option<Head>, ObjectError> {
        let head = self.client.head(name).await?;
        if head.is_some() {
            lease.renew().await?;
        }
        Ok(head)
    }

    /// The same for the last part.
    async fn look_up_tail(&self, lease: &Lease, name: &str) -> Result<Tail, ObjectError> {
        let Some((head, content)) = self.client.get(name).await? else {
            return Ok(Tail::new());
        };
        lease.renew().await?;
        let tail = Tail {
            content,
            full: with_parts(&head).is_some(),
            condition: Condition::Matches(head.etag),
            part: 0,
            generation: head.generation.unwrap_or_else(fresh),
        };
        let parts = match tail.full {
            true => self.parts(name, &tail.generation).await?,
            false => Vec::new(),
        };
        let Some(last) = parts.last().copied() else {
            return Ok(tail);
        };
        let key = part_key(name, &tail.generation, last);
        let found = self.client.get(&key).await?;
        let (head, content) = found.ok_or_else(|| self.missing(name, &key))?;
        Ok(Tail {
            part: last,
            full: content.len() >= PART,
            condition: Condition::Matches(head.etag),
            content,
            ..tail
        })
    }

    /// The numbers of the parts of a file, from 1 to the last.
    async fn parts(&self, name: &str, generation: &str) -> Result<Vec<u64>, ObjectError> {
        let folder = folder(name, generation);
        let keys = self.client.list(&folder).await?;
        let number = |key: &String| key.strip_prefix(&folder)?.parse().ok();
        let numbers: Vec<u64> = keys.iter().filter_map(number).collect();
        match (1..).zip(&numbers).find(|(due, number)| due != *number) {
            None => Ok(numbers),
            Some((due, _)) => Err(self.missing(name, &part_key(name, generation, due))),
        }
    }

    async fn part(&self, name: &str, generation: &str, number: u64) -> Result<Bytes, ObjectError> {
        let key = part_key(name, generation, number);
        let found = self.client.get(&key).await?;
        let (_, content) = found.ok_or_else(|| self.missing(name, &key))?;
        Ok(content)
    }

    fn missing(&self, name: &str, key: &str) -> ObjectError {
        self.client.error(Problem::Part {
            key: key.to_owned(),
            name: name.to_owned(),
        })
    }

    async fn delete_all(&self, prefix: &str) -> Result<(), ObjectError> {
        let keys = self.client.list(prefix).await?;
        let deleted =
            stream::iter(keys).map(|key| Ok(async move { self.client.delete(&key).await }));
        deleted.try_buffer_unordered(AT_ONCE).try_collect().await
    }
}

/// The generation of an object after which there may be parts.
fn with_parts(head: &Head) -> Option<&str> {
    let generation = head.generation.as_deref()?;
    (head.length >= PART as u64).then_some(generation)
}

fn fresh() -> String {
    Uuid::new_v4().simple().to_string()
}

fn folder(name: &str, generation: &str) -> String {
    format!("{PARTS}{name}/.{generation}/")
}

fn part_key(name: &str, generation: &str, number: u64) -> String {
    format!("{}{number:08}", folder(name, generation))
}
