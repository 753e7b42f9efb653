//! Files as objects.
//!
//! A file is the object of its name. What is added to it goes into further objects, each written once and
//! never changed: `.parts/<name>/.<generation>/<numbers>`. The object of the name carries the generation,
//! a random word that every write changes; so parts belong to it or to nothing, and one write replaces
//! them all.
//!
//! A version of this program before wrote parts of 256 KiB and more under the same names, and the last one
//! anew with every addition. Its files are read, and go on in this way.

mod growth;
mod parts;

use std::collections::{HashMap, VecDeque};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::PutMode;
use tokio::sync::Mutex;
use uuid::Uuid;

use self::{
    growth::Tail,
    parts::{Parts, Span},
};
use super::{
    super::LONGEST,
    client::{Client, Head, in_place_of},
    error::{ObjectError, Problem},
    lease::{ATTEMPTS, Lease},
};

/// A part this long is not joined with others any more.
pub(super) const PART: usize = 1 << 20;

/// Begins the generation of an object after which there may be parts.
const GROWS: &str = "grows-";

/// An object of an earlier version had parts when it was this long.
const EARLIER_PART: u64 = 256 << 10;

/// Below it are the parts of all files. No stored file has such a name.
const PARTS: &str = ".parts/";

/// Parts that are asked for at once.
const AT_ONCE: usize = 8;

/// Files whose last parts are kept in memory.
const TAILS: usize = 8;

#[derive(Debug)]
pub(super) struct Files {
    pub(super) client: Client,
    /// Whether another instance may write while they are read. One that writes reads no file that has parts
    /// while it replaces it: each of them belongs to one task.
    beside: bool,
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

impl Files {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            beside: false,
            versions: Mutex::default(),
        }
    }

    /// The same for one who looks at them beside the instance that writes.
    pub(super) fn beside(client: Client) -> Self {
        Self {
            beside: true,
            ..Self::new(client)
        }
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Bytes>, ObjectError> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.read_parts(name).await {
                // The instance that writes has joined parts meanwhile, or replaced the file.
                Err(error) if error.is_change() && tried < ATTEMPTS => {}
                read => {
                    let read = read?;
                    self.bound(read.as_ref().map_or(0, Bytes::len))?;
                    return Ok(read);
                }
            }
        }
    }

    fn bound(&self, length: usize) -> Result<(), ObjectError> {
        let most = LONGEST;
        match length > most {
            true => Err(self.client.error(Problem::TooLong { length, most })),
            false => Ok(()),
        }
    }

    async fn read_parts(&self, name: &str) -> Result<Option<Bytes>, ObjectError> {
        let Some((head, first)) = self.client.get(name).await? else {
            return Ok(None);
        };
        let Some(generation) = may_have_parts(&head) else {
            return Ok(Some(first));
        };
        let parts = self.parts(name, generation).await?;
        let parts = stream::iter(parts.whole)
            .map(|span| self.part(name, generation, span))
            .buffered(AT_ONCE)
            .try_fold(BytesMut::from(first), async |mut whole, part| {
                self.bound(whole.len() + part.len())?;
                whole.extend_from_slice(&part);
                Ok(whole)
            });
        let whole = parts.await?.freeze();
        if self.beside {
            // The parts of a file that was replaced are taken away, so that there may have been fewer.
            let head = self.client.head(name).await?;
            if head.and_then(|head| head.generation).as_deref() != Some(generation) {
                return Err(self.client.error(Problem::Changed));
            }
        }
        Ok(Some(whole))
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
            let mode = match &before {
                None => PutMode::Create,
                Some(head) => in_place_of(&head.etag),
            };
            let length = content.len() as u64;
            let put = self.client.put(
                name,
                content.clone(),
                lease.guarded(mode),
                Some(&generation),
            );
            if let Some(etag) = put.await? {
                if let Some(generation) = before.as_ref().and_then(may_have_parts) {
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
            // Nothing but the lease keeps these requests from what another instance has written, and each
            // of them may have taken long.
            lease.ensure().await?;
            // Without this, a crash could leave a file that lacks some of its parts.
            let (nothing, generation) = (Bytes::new(), fresh());
            let emptied = self
                .client
                .put(name, nothing, PutMode::Overwrite, Some(&generation));
            emptied.await?;
            lease.ensure().await?;
            self.delete_all(&parts).await?;
        }
        lease.ensure().await?;
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

    async fn parts(&self, name: &str, generation: &str) -> Result<Parts, ObjectError> {
        let folder = folder(name, generation);
        let keys = self.client.list(&folder).await?;
        let found = keys.iter().filter_map(|key| key.strip_prefix(&folder));
        let parts = Parts::arrange(found.filter_map(Span::parse).collect());
        parts.map_err(|due| self.missing(name, &part_key(name, generation, Span::one(due))))
    }

    async fn part(&self, name: &str, generation: &str, span: Span) -> Result<Bytes, ObjectError> {
        let key = part_key(name, generation, span);
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
        self.delete_each(keys).await
    }

    async fn delete_each(&self, keys: Vec<String>) -> Result<(), ObjectError> {
        let deleted =
            stream::iter(keys).map(|key| Ok(async move { self.client.delete(&key).await }));
        deleted.try_buffer_unordered(AT_ONCE).try_collect().await
    }
}

/// The generation of an object after which there may be parts.
fn may_have_parts(head: &Head) -> Option<&str> {
    let generation = head.generation.as_deref()?;
    (generation.starts_with(GROWS) || head.length >= EARLIER_PART).then_some(generation)
}

fn fresh() -> String {
    Uuid::new_v4().simple().to_string()
}

fn folder(name: &str, generation: &str) -> String {
    format!("{PARTS}{name}/.{generation}/")
}

fn part_key(name: &str, generation: &str, span: Span) -> String {
    format!("{}{span}", folder(name, generation))
}
