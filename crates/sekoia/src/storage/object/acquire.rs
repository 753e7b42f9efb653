//! How an instance comes to the lease.

use std::time::Duration;

use base::{Clock, http::chain, retry::Backoff};
use object_store::PutMode;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    client::{Client, Head, in_place_of},
    error::{ObjectError, Problem, on},
    lease::{self, KEY, LIFE, Lease, MARGIN, Note, RENEWAL, Seen},
};
use crate::log::Log;

/// How often a lease of somebody else is looked at.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// A lease of somebody else is waited for so long: an owner that is alive renews it meanwhile.
const LONGEST_WAIT: Duration =
    Duration::from_secs(LIFE.as_secs() + MARGIN.as_secs() + LOOK.as_secs());

/// A lease that the store says is old must not be renewed under our eyes for so long: twice as long as one
/// that is alive goes without a renewal, as a store may be slow.
const OLD: Duration = Duration::from_secs(2 * RENEWAL.as_secs());

/// A store that is not ready for longer needs somebody who looks: no alert has a figure of a start that waits.
const MILD: Duration = Duration::from_secs(300);

/// A write is refused so often at most before that counts as an outage: others may be faster, but not always.
const REFUSALS: u32 = 3;

/// An ETag that no object has.
const NO_VERSION: &str = "\"00000000000000000000000000000000\"";

/// Takes the lease. One of another instance is waited for a little longer than it lives. None when
/// the stop came first.
///
/// # Errors
/// When another instance has renewed it meanwhile, or the store refuses for good.
pub(super) async fn take(
    client: &Client,
    host: &str,
    clock: &Clock,
    log: &Log,
    stop: &CancellationToken,
) -> Result<Option<Lease>, ObjectError> {
    let note = Note {
        owner: Uuid::new_v4().simple().to_string(),
        host: host.to_owned(),
        ..Note::default()
    };
    let acquisition = Acquisition {
        client,
        clock,
        log,
        note,
    };
    stop.run_until_cancelled(acquisition.patiently())
        .await
        .transpose()
}

struct Acquisition<'a> {
    client: &'a Client,
    clock: &'a Clock,
    log: &'a Log,
    note: Note,
}

impl Acquisition<'_> {
    /// Waits an outage out.
    async fn patiently(mut self) -> Result<Lease, ObjectError> {
        let begun = Instant::now();
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        loop {
            match self.take().await {
                Err(error) if error.problem.is_transient() => {
                    let pause = backoff.next_pause(None);
                    let text = format!(
                        "The object store is not ready, trying again in {} s: {}",
                        pause.as_secs(),
                        chain(&error)
                    );
                    match begun.elapsed() < MILD {
                        true => self.log.warning(text),
                        false => self.log.error(text),
                    }
                    sleep(pause).await;
                }
                other => return other,
            }
        }
    }

    async fn take(&mut self) -> Result<Lease, ObjectError> {
        // Since when somebody else's is watched: the first request may take long.
        let mut begun: Option<Instant> = None;
        let mut watched = None;
        let mut refusals = 0;
        loop {
            let mode = match lease::read(self.client).await? {
                None => PutMode::Create,
                Some((head, note)) if self.is_free(&head, &note, watched.as_ref()) => {
                    self.tell_of(&note);
                    in_place_of(&head.etag)
                }
                Some((_, note)) if begun.is_some_and(|at| at.elapsed() >= LONGEST_WAIT) => {
                    let host = note.host;
                    return Err(self.client.error(Problem::InUse { host }));
                }
                Some((head, note)) => {
                    if begun.is_none() {
                        self.tell_of_the_wait(&note);
                        begun = Some(Instant::now());
                    }
                    watched = Some(Seen::now(watched, head.etag));
                    sleep(LOOK).await;
                    continue;
                }
            };
            if let Some(lease) = self.write(mode).await? {
                return Ok(lease);
            }
            refusals += 1;
            if refusals == REFUSALS {
                return Err(self.client.error(Problem::Changed));
            }
            sleep(LOOK).await;
        }
    }

    /// Whether nobody holds the lease any more. The age that the store tells is the word of one header,
    /// which a proxy may set by a clock of its own: it counts only for a lease that was not renewed under
    /// our eyes, either.
    fn is_free(&self, head: &Head, note: &Note, watched: Option<&Seen>) -> bool {
        let unchanged = watched
            .filter(|seen| seen.etag == head.etag)
            .map_or(Duration::ZERO, |seen| seen.since.elapsed());
        let is_old = head.age >= Some(LIFE + MARGIN);
        let needed = if is_old { OLD } else { LIFE };
        note.released || note.owner == self.note.owner || unchanged >= needed + MARGIN
    }

    fn tell_of(&self, note: &Note) {
        if !note.released && note.owner != self.note.owner {
            self.log.info(format!(
                "The instance before this one{} ended without giving its lease back.",
                on(&note.host)
            ));
        }
    }

    fn tell_of_the_wait(&self, note: &Note) {
        self.log.info(format!(
            "Another instance{} works on {}, or came to no orderly end: waiting up to {} s to find \
             out.",
            on(&note.host),
            self.client.place,
            LONGEST_WAIT.as_secs()
        ));
    }

    /// Writes the lease. None when somebody else was faster.
    async fn write(&mut self, mode: PutMode) -> Result<Option<Lease>, ObjectError> {
        let since = self.clock.reading();
        self.note.renewal += 1;
        let (written, mut fenced) = match self.put(mode).await {
            Err(error) if matches!(*error.problem, Problem::Unconditional) => {
                (self.put(PutMode::Overwrite).await?, false)
            }
            written => (written?, true),
        };
        let Some(mut etag) = written else {
            return Ok(None);
        };
        if fenced {
            (etag, fenced) = self.probe(etag).await?;
        }
        if !fenced {
            self.log.warning(format!(
                "The object store has no conditional writes ({}): nothing but the lease keeps a second \
                 instance from writing to the same files. Make sure that there is only one.",
                self.client.place
            ));
        }
        let (client, clock, note) = (self.client.clone(), self.clock.clone(), self.note.clone());
        let lease = Lease::new(client, clock, note, etag, since, fenced);
        Ok(Some(lease))
    }

    /// Whether the store looks at conditions: some take them for granted. The lease's ETag then.
    async fn probe(&self, mut etag: String) -> Result<(String, bool), ObjectError> {
        let mut fenced = true;
        for impossible in [in_place_of(NO_VERSION), PutMode::Create] {
            match self.put(impossible).await {
                Ok(None) => {}
                Ok(Some(new)) => (etag, fenced) = (new, false),
                Err(error) if matches!(*error.problem, Problem::Unconditional) => fenced = false,
                Err(error) => return Err(error),
            }
        }
        Ok((etag, fenced))
    }

    async fn put(&self, mode: PutMode) -> Result<Option<String>, ObjectError> {
        self.client.put(KEY, self.note.to_json(), mode, None).await
    }
}
