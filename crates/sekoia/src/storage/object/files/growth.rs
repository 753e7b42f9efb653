//! How a file grows: each addition is an object of its own, written once. Small ones are joined now and
//! then, so that there are never many; those that were joined are taken away after that.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::PutMode;

use super::{
    AT_ONCE, ATTEMPTS, Files, GROWS, PART, fresh, may_have_parts, part_key,
    parts::{Parts, Span},
};
use crate::storage::object::{
    client::in_place_of,
    error::{ObjectError, Problem},
    lease::Lease,
};

/// Parts that are not joined yet are fewer.
pub(super) const LOOSE: usize = 32;

/// Where the next addition to a file goes.
#[derive(Debug)]
pub(super) enum Tail {
    /// Into the object of the name: there is none, or one after which there cannot be parts.
    Name { content: Bytes, mode: PutMode },
    Part {
        generation: String,
        number: u64,
        /// The last parts, as long as they are not joined.
        loose: Vec<(Span, Bytes)>,
    },
}

impl Files {
    pub(in super::super) async fn append(
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
            if let Some(mut tail) = self.add(lease, name, tail, addition).await? {
                // The addition is safe. What cannot be joined now is with the next one.
                _ = self.join(lease, name, &mut tail).await;
                versions.keep_tail(name.to_owned(), tail);
                return Ok(());
            }
            tail = self.look_up_tail(lease, name).await?;
        }
        Err(self.client.error(Problem::Changed))
    }

    /// Writes an addition; none when something else is in its place.
    async fn add(
        &self,
        lease: &Lease,
        name: &str,
        tail: Tail,
        addition: &Bytes,
    ) -> Result<Option<Tail>, ObjectError> {
        match tail {
            Tail::Name { content, mode } => {
                let generation = format!("{GROWS}{}", fresh());
                let whole = Bytes::from([content.as_ref(), addition].concat());
                let mode = lease.guarded(mode);
                let put = self.client.put(name, whole, mode, Some(&generation));
                let is_done = match put.await? {
                    Some(_) => true,
                    // It may have been written, and the answer got lost.
                    None => {
                        let found = self.look_up(lease, name).await?;
                        found.and_then(|head| head.generation).as_ref() == Some(&generation)
                    }
                };
                Ok(is_done.then_some(Tail::Part {
                    generation,
                    number: 1,
                    loose: Vec::new(),
                }))
            }
            Tail::Part {
                generation,
                number,
                mut loose,
            } => {
                let span = Span::one(number);
                let key = part_key(name, &generation, span);
                if !self.put_part(lease, &key, addition).await? {
                    return Ok(None);
                }
                loose.push((span, addition.clone()));
                Ok(Some(Tail::Part {
                    generation,
                    number: number + 1,
                    loose,
                }))
            }
        }
    }

    /// Writes a part; false when there is another one. A part that is there as it is to be was written by
    /// us, and the answer got lost.
    async fn put_part(
        &self,
        lease: &Lease,
        key: &str,
        content: &Bytes,
    ) -> Result<bool, ObjectError> {
        let mode = lease.guarded(PutMode::Create);
        let put = self.client.put(key, content.clone(), mode, None);
        if put.await?.is_some() {
            return Ok(true);
        }
        let found = self.client.get(key).await?;
        lease.renew().await?;
        Ok(found.is_some_and(|(_, found)| found == *content))
    }

    /// Joins the last parts when they are many or long enough.
    async fn join(&self, lease: &Lease, name: &str, tail: &mut Tail) -> Result<(), ObjectError> {
        let Tail::Part {
            generation, loose, ..
        } = tail
        else {
            return Ok(());
        };
        let length: usize = loose.iter().map(|(_, content)| content.len()).sum();
        let (Some((first, _)), Some((last, _))) = (loose.first(), loose.last()) else {
            return Ok(());
        };
        if loose.len() < LOOSE && length < PART {
            return Ok(());
        }
        let span = Span {
            first: first.first,
            last: last.last,
        };
        if loose.len() > 1 {
            let contents: Vec<&[u8]> = loose.iter().map(|(_, content)| content.as_ref()).collect();
            let content = Bytes::from(contents.concat());
            let key = part_key(name, generation, span);
            if !self.put_part(lease, &key, &content).await? {
                return Err(self.client.error(Problem::Changed));
            }
            let joined = std::mem::replace(loose, vec![(span, content)]);
            // Only who has the lease takes something away. What stays is taken away by the next one.
            lease.ensure().await?;
            let joined = joined.into_iter();
            let keys = joined.map(|(span, _)| part_key(name, generation, span));
            self.delete_each(keys.collect()).await?;
        }
        loose.retain(|(_, content)| content.len() < PART);
        Ok(())
    }

    /// What the store has now. The lease is ours after that, so nobody else has written it since.
    async fn look_up_tail(&self, lease: &Lease, name: &str) -> Result<Tail, ObjectError> {
        let Some((head, content)) = self.client.get(name).await? else {
            return Ok(Tail::Name {
                content: Bytes::new(),
                mode: PutMode::Create,
            });
        };
        lease.renew().await?;
        let Some(generation) = may_have_parts(&head) else {
            return Ok(Tail::Name {
                content,
                mode: in_place_of(&head.etag),
            });
        };
        let parts = self.parts(name, generation).await?;
        let number = parts.next();
        let Parts { whole, doubled } = parts;
        // A crash came between the join and this.
        let doubled = doubled.into_iter();
        let doubled = doubled.map(|span| part_key(name, generation, span));
        _ = self.delete_each(doubled.collect()).await;
        let last = whole.into_iter().rev().take(LOOSE);
        let last = stream::iter(last)
            .map(|span| async move { Ok((span, self.part(name, generation, span).await?)) })
            .buffered(AT_ONCE)
            .try_take_while(|(_, content)| {
                let is_short = content.len() < PART;
                std::future::ready(Ok::<_, ObjectError>(is_short))
            });
        let mut loose: Vec<_> = last.try_collect().await?;
        loose.reverse();
        Ok(Tail::Part {
            generation: generation.to_owned(),
            number,
            loose,
        })
    }
}
