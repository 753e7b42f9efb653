//! Who may write: one instance at a time.
//!
//! The lease is an object that names its owner and is renewed every ten seconds by a write that is
//! done only when the object is still the version that this owner wrote last. An owner that does
//! not renew it for thirty seconds has lost it to the first instance that comes. That one goes by its
//! own watch, so the clocks of the machines do not matter; the age that the store tells makes it wait
//! less, but never for less than two renewals take.

use std::{sync::Arc, time::Duration};

use base::{Clock, clock::Reading, lock, retry::Backoff};
use bytes::Bytes;
use object_store::PutMode;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep, timeout},
};

use super::{
    client::{Client, Head, in_place_of},
    error::{ObjectError, Problem},
};

/// The key of the lease. No stored file has such a name.
pub(super) const KEY: &str = ".lease";

/// How long a lease lives.
pub(super) const LIFE: Duration = Duration::from_secs(30);

/// How often it is renewed.
pub(super) const RENEWAL: Duration = Duration::from_secs(10);

/// Nothing is written with less of its life left than this.
const RESERVE: Duration = Duration::from_secs(15);

/// The store tells times in whole seconds.
pub(super) const MARGIN: Duration = Duration::from_secs(2);

/// How often a write is tried anew because the object changed meanwhile.
pub(super) const ATTEMPTS: usize = 3;

/// What the object holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Note {
    pub(super) owner: String,
    /// The name of the owner's machine, for people.
    #[serde(default)]
    pub(super) host: String,
    /// Makes every version differ from the one before.
    pub(super) renewal: u64,
    /// Whether the owner has given it back.
    #[serde(default)]
    pub(super) released: bool,
}

/// The right to write.
#[derive(Debug)]
pub(super) struct Lease {
    client: Client,
    clock: Clock,
    /// Whether the store does conditional writes.
    fenced: bool,
    held: Mutex<Held>,
    /// Since when it is ours for certain, for those who cannot wait for a renewal under way; none once
    /// it is lost or given back.
    since: std::sync::Mutex<Option<Reading>>,
    /// Somebody has found out that it is lost.
    lost: Notify,
}

#[derive(Debug)]
struct Held {
    note: Note,
    /// None when somebody took the object away.
    etag: Option<String>,
    /// The version of the object that cannot be read.
    unreadable: Option<Seen>,
    /// When it could not be renewed, and why.
    failed: Option<(Instant, Arc<Problem>)>,
    /// Why it is no more: released or lost.
    end: Option<Arc<Problem>>,
}

/// A version of the object that somebody else has written, and since when it is seen there.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) etag: String,
    pub(super) since: Instant,
}

impl Seen {
    /// What is there now, after what was there before.
    pub(super) fn now(before: Option<Self>, etag: String) -> Self {
        let same = before.filter(|seen| seen.etag == etag);
        same.unwrap_or_else(|| Self {
            etag,
            since: Instant::now(),
        })
    }
}

impl Lease {
    /// A lease that was just written as this version.
    pub(super) fn new(
        client: Client,
        clock: Clock,
        note: Note,
        etag: String,
        since: Reading,
        fenced: bool,
    ) -> Self {
        Self {
            client,
            clock,
            fenced,
            since: std::sync::Mutex::new(Some(since)),
            lost: Notify::new(),
            held: Mutex::new(Held {
                note,
                etag: Some(etag),
                unreadable: None,
                failed: None,
                end: None,
            }),
        }
    }

    /// The condition of a write, where the store looks at conditions.
    pub(super) fn guarded(&self, mode: PutMode) -> PutMode {
        match self.fenced {
            true => mode,
            false => PutMode::Overwrite,
        }
    }

    /// Whether it is ours for this much longer at least, as far as this process knows. A machine that was
    /// suspended shows it only on its wall clock, one whose wall clock was set back only on the other.
    fn lives(&self, longer: Duration) -> bool {
        let since = *lock(&self.since);
        since.is_some_and(|since| {
            let shown = (self.clock.now() - since.wall).to_std().unwrap_or_default();
            since.instant.elapsed().max(shown) + longer < LIFE
        })
    }

    /// That there is time for a write.
    pub(super) async fn ensure(&self) -> Result<(), ObjectError> {
        let asked = Instant::now();
        let mut held = self.held.lock().await;
        self.check(&held)?;
        if !self.lives(RESERVE) {
            self.renew_held(&mut held, asked).await?;
        }
        Ok(())
    }

    /// Waits until the lease is certain to be ours: at once, unless it ran out while this process
    /// slept, or the store did not answer or refused. Never, when another instance has it, or it was
    /// given back.
    pub(super) async fn certain(&self) {
        let mut backoff = Backoff::new(Duration::from_secs(1), RENEWAL);
        while !self.lives(MARGIN) {
            match self.renew().await {
                Ok(()) => {}
                Err(error) if error.is_end() => {
                    self.lost.notify_one();
                    std::future::pending::<()>().await;
                }
                // What a person mends, such as the rights of a key, passes as an outage does.
                Err(_) => sleep(backoff.next_pause(None)).await,
            }
        }
    }

    /// Waits until the next renewal is due, or it is known to be in vain.
    pub(super) async fn due(&self) {
        _ = timeout(RENEWAL, self.lost.notified()).await;
    }

    /// Renews the lease, which is certain to be ours then.
    pub(super) async fn renew(&self) -> Result<(), ObjectError> {
        let asked = Instant::now();
        let mut held = self.held.lock().await;
        self.check(&held)?;
        self.renew_held(&mut held, asked).await
    }

    /// Gives the lease back: the next instance need not wait.
    pub(super) async fn release(&self) -> Result<(), ObjectError> {
        let mut held = self.held.lock().await;
        self.check(&held)?;
        self.end(&mut held, Problem::Released);
        let note = Note {
            released: true,
            ..held.note.clone()
        };
        let mode = self.mode(&held);
        let written = self.client.put(KEY, note.to_json(), mode, None);
        written.await.map(|_| ())
    }

    fn check(&self, held: &Held) -> Result<(), ObjectError> {
        match &held.end {
            None => Ok(()),
            Some(end) => Err(self.client.error(Arc::clone(end))),
        }
    }

    /// Renews it for one who has waited since he asked. What has failed meanwhile for another has failed for him,
    /// too: a store that does not answer would hold up a write as many times as there are others.
    async fn renew_held(&self, held: &mut Held, asked: Instant) -> Result<(), ObjectError> {
        if let Some((at, problem)) = &held.failed
            && *at > asked
        {
            return Err(self.client.error(Arc::clone(problem)));
        }
        let renewed = self.write_anew(held).await;
        let failed = renewed.as_ref().err();
        held.failed = failed.map(|error| (Instant::now(), Arc::clone(&error.problem)));
        renewed
    }

    async fn write_anew(&self, held: &mut Held) -> Result<(), ObjectError> {
        if !self.fenced {
            self.find(held).await?;
        }
        for _ in 0..ATTEMPTS {
            let since = self.clock.reading();
            held.note.renewal += 1;
            let mode = self.mode(held);
            let written = self.client.put(KEY, held.note.to_json(), mode, None);
            if let Some(etag) = written.await? {
                held.etag = Some(etag);
                *lock(&self.since) = Some(since);
                return Ok(());
            }
            self.find(held).await?;
        }
        Err(self.client.error(Problem::Changed))
    }

    /// Looks who has the lease. It may be a version of ours whose answer did not reach us. What cannot
    /// be read says of nobody that he has taken over: it is replaced where the store sees to it that
    /// it is what lies there, and else when it has lain there for so long that anybody may take it.
    async fn find(&self, held: &mut Held) -> Result<(), ObjectError> {
        let found = read(&self.client).await?;
        let unreadable = held.unreadable.take();
        held.etag = match found {
            None => None,
            Some((head, note)) if note.owner == held.note.owner => Some(head.etag),
            Some((head, note)) if note.owner.is_empty() && self.fenced => Some(head.etag),
            Some((head, note)) if note.owner.is_empty() => {
                let seen = Seen::now(unreadable, head.etag.clone());
                let seen = held.unreadable.insert(seen);
                if seen.since.elapsed() < LIFE + MARGIN {
                    return Err(self.client.error(Problem::Changed));
                }
                Some(head.etag)
            }
            Some((_, note)) => {
                self.end(held, Problem::Lost { host: note.host });
                return self.check(held);
            }
        };
        Ok(())
    }

    /// Nothing is certain any more.
    fn end(&self, held: &mut Held, end: Problem) {
        held.end = Some(end.into());
        *lock(&self.since) = None;
    }

    fn mode(&self, held: &Held) -> PutMode {
        self.guarded(held.etag.as_deref().map_or(PutMode::Create, in_place_of))
    }
}

pub(super) async fn is_held(client: &Client) -> Result<bool, ObjectError> {
    let found = read(client).await?;
    Ok(found.is_some_and(|(head, note)| {
        let alive = head.age.is_none_or(|age| age < LIFE + MARGIN);
        alive && !note.released
    }))
}

impl Note {
    pub(super) fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// The lease as it is. One that cannot be read has no owner.
pub(super) async fn read(client: &Client) -> Result<Option<(Head, Note)>, ObjectError> {
    let found = client.get(KEY).await?;
    Ok(found.map(|(head, content)| {
        let note = serde_json::from_slice(&content).unwrap_or_default();
        (head, note)
    }))
}
