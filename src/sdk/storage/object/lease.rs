//! Who may write: one instance at a time.
//!
//! The lease is an object that names its owner and is renewed every ten seconds by a write that is
//! done only when the object is still the version that this owner wrote last. An owner that does
//! not renew it for thirty seconds has lost it to whoever comes first. How old it is, the store
//! says, so the clocks of the machines do not matter.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    client::{Client, Condition, Head, Put},
    error::{ObjectError, Problem},
};
use crate::{
    Clock,
    http::{Backoff, chain},
    sdk::log::Log,
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
const MARGIN: Duration = Duration::from_secs(2);

/// How often a lease of somebody else is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// An ETag that no object has.
const NO_VERSION: &str = "\"00000000000000000000000000000000\"";

/// How often a write is tried anew because the object changed meanwhile.
const ATTEMPTS: usize = 3;

/// What the object holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Note {
    owner: String,
    /// The name of the owner's machine, for people.
    #[serde(default)]
    host: String,
    /// Makes every version differ from the one before.
    renewal: u64,
    /// Whether the owner has given it back.
    #[serde(default)]
    released: bool,
}

/// The right to write.
#[derive(Debug)]
pub(super) struct Lease {
    client: Client,
    clock: Clock,
    /// Whether the store does conditional writes.
    fenced: bool,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    note: Note,
    /// None when somebody took the object away.
    etag: Option<String>,
    since: Moment,
    end: Option<End>,
}

/// Why a lease is no more.
#[derive(Clone, Debug)]
enum End {
    Released,
    /// Taken over by somebody on this machine.
    Lost(String),
}

/// Now, on the machine's clock and as time goes by. A machine that was suspended shows it only on
/// its clock, one whose clock was set back only in the other.
#[derive(Clone, Copy, Debug)]
struct Moment(Instant, DateTime<Utc>);

impl Moment {
    fn now(clock: &Clock) -> Self {
        Self(Instant::now(), clock.now())
    }

    fn elapsed(&self, clock: &Clock) -> Duration {
        let shown = (clock.now() - self.1).to_std().unwrap_or_default();
        self.0.elapsed().max(shown)
    }
}

impl Lease {
    /// Takes the lease. One of another instance is waited for a little longer than it lives.
    /// None when the stop came first.
    ///
    /// # Errors
    /// When another instance has renewed it meanwhile, or the store refuses for good.
    pub(super) async fn take(
        client: Client,
        host: &str,
        clock: &Clock,
        log: &Log,
        stop: &CancellationToken,
    ) -> Result<Option<Self>, ObjectError> {
        let note = Note {
            owner: Uuid::new_v4().simple().to_string(),
            host: host.to_owned(),
            renewal: 0,
            released: false,
        };
        let taking = Taking {
            client,
            clock,
            log,
            note,
        };
        match stop.run_until_cancelled(taking.patiently()).await {
            Some(lease) => lease.map(Some),
            None => Ok(None),
        }
    }

    /// Whether the store does conditional writes.
    pub(super) fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// That there is time for a write.
    pub(super) async fn ensure(&self) -> Result<(), ObjectError> {
        let mut held = self.held.lock().await;
        self.check(&held)?;
        if held.since.elapsed(&self.clock) + RESERVE > LIFE {
            self.renew_held(&mut held).await?;
        }
        Ok(())
    }

    /// Renews the lease, which is certain to be ours then.
    pub(super) async fn renew(&self) -> Result<(), ObjectError> {
        let mut held = self.held.lock().await;
        self.check(&held)?;
        self.renew_held(&mut held).await
    }

    /// Gives the lease back: the next instance need not wait.
    pub(super) async fn release(&self) -> Result<(), ObjectError> {
        let mut held = self.held.lock().await;
        self.check(&held)?;
        held.end = Some(End::Released);
        let note = Note {
            released: true,
            ..held.note.clone()
        };
        let condition = self.condition(&held);
        let written = self.client.put(KEY, note.to_json(), &condition, None);
        written.await.map(|_| ())
    }

    fn check(&self, held: &Held) -> Result<(), ObjectError> {
        match held.end.clone() {
            None => Ok(()),
            Some(End::Released) => Err(self.client.error(Problem::Released)),
            Some(End::Lost(host)) => Err(self.client.error(Problem::Lost { host })),
        }
    }

    async fn renew_held(&self, held: &mut Held) -> Result<(), ObjectError> {
        if !self.fenced {
            self.find(held).await?;
        }
        for _ in 0..ATTEMPTS {
            let since = Moment::now(&self.clock);
            held.note.renewal += 1;
            let condition = self.condition(held);
            let written = self.client.put(KEY, held.note.to_json(), &condition, None);
            if let Put::Done(etag) = written.await? {
                held.etag = Some(etag);
                held.since = since;
                return Ok(());
            }
            self.find(held).await?;
        }
        Err(self.client.error(Problem::Changed))
    }

    /// Looks who has the lease. It may be a version of ours whose answer did not reach us.
    async fn find(&self, held: &mut Held) -> Result<(), ObjectError> {
        held.etag = match read(&self.client).await? {
            None => None,
            Some((head, note)) if note.owner == held.note.owner => Some(head.etag),
            Some((_, note)) => {
                held.end = Some(End::Lost(note.host));
                return self.check(held);
            }
        };
        Ok(())
    }

    fn condition(&self, held: &Held) -> Condition {
        match &held.etag {
            _ if !self.fenced => Condition::None,
            None => Condition::Absent,
            Some(etag) => Condition::Matches(etag.clone()),
        }
    }
}

impl Note {
    fn to_json(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

/// The lease as it is. One that cannot be read has no owner.
async fn read(client: &Client) -> Result<Option<(Head, Note)>, ObjectError> {
    let found = client.get(KEY).await?;
    Ok(found.map(|(head, content)| {
        let note = serde_json::from_slice(&content).unwrap_or_default();
        (head, note)
    }))
}

/// An instance that wants the lease.
struct Taking<'a> {
    client: Client,
    clock: &'a Clock,
    log: &'a Log,
    note: Note,
}

/// What is known of the lease of somebody else.
struct Other {
    etag: String,
    first_seen: Instant,
}

impl Taking<'_> {
    /// Waits an outage out.
    async fn patiently(mut self) -> Result<Lease, ObjectError> {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        loop {
            match self.take().await {
                Err(error) if error.is_transient() => {
                    let pause = backoff.next_pause(None);
                    self.log.warning(format!(
                        "The object store is not ready, trying again in {} s: {}",
                        pause.as_secs(),
                        chain(&error)
                    ));
                    sleep(pause).await;
                }
                other => return other,
            }
        }
    }

    async fn take(&mut self) -> Result<Lease, ObjectError> {
        let begun = Instant::now();
        let mut other: Option<Other> = None;
        loop {
            let found = read(&self.client).await?;
            let condition = match found {
                None => Condition::Absent,
                Some((head, note)) if self.is_free(&head, &note, other.as_ref()) => {
                    self.tell_of(&note);
                    Condition::Matches(head.etag)
                }
                Some((_, note)) if begun.elapsed() > LIFE + MARGIN + LOOK => {
                    let host = note.host;
                    return Err(self.client.error(Problem::InUse { host }));
                }
                Some((head, note)) => {
                    if other.is_none() {
                        self.log.info(format!(
                            "Another instance{} works on {}, or did so until a moment ago: waiting \
                             up to {} s for its end.",
                            on(&note),
                            self.client.place(),
                            (LIFE + MARGIN + LOOK).as_secs()
                        ));
                    }
                    if other.as_ref().is_none_or(|other| other.etag != head.etag) {
                        other = Some(Other {
                            etag: head.etag,
                            first_seen: Instant::now(),
                        });
                    }
                    sleep(LOOK).await;
                    continue;
                }
            };
            if let Some(lease) = self.write(condition).await? {
                return Ok(lease);
            }
        }
    }

    /// Whether nobody holds the lease any more.
    fn is_free(&self, head: &Head, note: &Note, other: Option<&Other>) -> bool {
        let watched = other
            .filter(|other| other.etag == head.etag)
            .map(|other| other.first_seen.elapsed());
        note.released
            || note.owner == self.note.owner
            || head.age.max(watched) > Some(LIFE + MARGIN)
    }

    fn tell_of(&self, note: &Note) {
        if !note.released && note.owner != self.note.owner {
            self.log.info(format!(
                "The instance before this one{} ended without giving its lease back.",
                on(note)
            ));
        }
    }

    /// Writes the lease. None when somebody else was faster.
    async fn write(&mut self, condition: Condition) -> Result<Option<Lease>, ObjectError> {
        let since = Moment::now(self.clock);
        self.note.renewal += 1;
        let etag = match self.put(&condition).await? {
            Attempt::Done(etag) => etag,
            Attempt::Refused => return Ok(None),
            Attempt::Unconditional => return self.without_conditions(since).await.map(Some),
        };
        // Some stores take conditions for granted that they never look at.
        let mut lease = self.lease(etag, since, true);
        for impossible in [Condition::Matches(NO_VERSION.to_owned()), Condition::Absent] {
            match self.put(&impossible).await? {
                Attempt::Refused => {}
                Attempt::Done(etag) => lease = self.lease(etag, since, false),
                Attempt::Unconditional => lease.fenced = false,
            }
        }
        if !lease.fenced {
            self.warn();
        }
        Ok(Some(lease))
    }

    async fn without_conditions(&self, since: Moment) -> Result<Lease, ObjectError> {
        self.warn();
        match self.put(&Condition::None).await? {
            Attempt::Done(etag) => Ok(self.lease(etag, since, false)),
            Attempt::Refused | Attempt::Unconditional => {
                Err(self.client.error(Problem::Unconditional))
            }
        }
    }

    fn warn(&self) {
        self.log.warning(format!(
            "The object store has no conditional writes ({}): nothing but the lease keeps a second \
             instance from writing to the same files. Make sure that there is only one.",
            self.client.place()
        ));
    }

    async fn put(&self, condition: &Condition) -> Result<Attempt, ObjectError> {
        let written = self.client.put(KEY, self.note.to_json(), condition, None);
        match written.await {
            Ok(Put::Done(etag)) => Ok(Attempt::Done(etag)),
            Ok(Put::Refused) => Ok(Attempt::Refused),
            Err(error) if matches!(*error.problem, Problem::Unconditional) => {
                Ok(Attempt::Unconditional)
            }
            Err(error) => Err(error),
        }
    }

    fn lease(&self, etag: String, since: Moment, fenced: bool) -> Lease {
        Lease {
            client: self.client.clone(),
            clock: self.clock.clone(),
            fenced,
            held: Mutex::new(Held {
                note: self.note.clone(),
                etag: Some(etag),
                since,
                end: None,
            }),
        }
    }
}

/// What became of a write with a condition.
enum Attempt {
    Done(String),
    Refused,
    Unconditional,
}

fn on(note: &Note) -> String {
    if note.host.is_empty() {
        String::new()
    } else {
        format!(" on {}", note.host)
    }
}
