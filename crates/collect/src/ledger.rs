//! What is kept between restarts: the keys of delivered rows, and the timeline.
//!
//! A batch that was accepted is journaled, then synced; only then the timeline may say that its
//! windows count as read. [`Ledger`] owns what is between these steps. Each of its operations is
//! one try: it leaves everything in place when the store fails, to be tried again.

pub mod journal;
pub mod timeline;

use std::{io, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use self::{
    journal::Journal,
    timeline::{Found, Timeline},
};
use crate::{
    Store,
    decide::evidence::SourceTime,
    known::{BatchId, KeyRef},
    proof::Proof,
};

/// Batches on their way at once (contract J-07), with those that are accepted and not journaled yet.
pub(crate) const IN_FLIGHT: usize = 4;

/// Batches that are accepted one soon after the other are journaled together, and what is journaled is
/// synced together: each visit to the disk costs as much as hundreds of rows.
const TOGETHER: Duration = Duration::from_millis(50);

/// So many batches at most are journaled and not synced, which a crash of the machine makes the intake
/// get a second time.
const UNSYNCED: usize = 16;

/// The timeline is persisted at most this often, as a crash between costs no more than that windows are
/// read again whose rows are known.
const PERSISTING: Duration = Duration::from_secs(1);

/// Accepted batches on their way to the disk, and the timeline.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) journal: Journal,
    /// What rows add up to that the journal does not need any more.
    pub(crate) proof: Proof,
    accepted: Accepted,
    unsynced: Unsynced,
    /// When the timeline was persisted last, and whether it has changed since.
    persisted: Option<Instant>,
    pub(crate) is_changed: bool,
    /// The checkpoint that was persisted last, as far as is known.
    pub(crate) checkpoint: Option<DateTime<Utc>>,
}

/// Batches that are accepted and not journaled yet.
#[derive(Debug, Default)]
struct Accepted {
    rows: Vec<KeyRef>,
    batches: Vec<BatchId>,
    since: Option<Instant>,
}

/// Batches that are journaled and not synced yet: a kill does not make them forgotten, a crash of the
/// machine may.
#[derive(Debug, Default)]
struct Unsynced {
    batches: usize,
    since: Option<Instant>,
}

impl Unsynced {
    fn add(&mut self, batches: usize) {
        self.batches += batches;
        self.since.get_or_insert_with(Instant::now);
    }

    fn due_in(&self) -> Option<Duration> {
        let rested = self.since?.elapsed();
        let is_full = self.batches + IN_FLIGHT > UNSYNCED;
        Some(if is_full {
            Duration::ZERO
        } else {
            TOGETHER.saturating_sub(rested)
        })
    }
}

impl Ledger {
    pub(crate) fn new(journal: Journal, proof: Proof) -> Self {
        Self {
            journal,
            proof,
            accepted: Accepted::default(),
            unsynced: Unsynced::default(),
            persisted: None,
            is_changed: false,
            checkpoint: None,
        }
    }

    pub(crate) fn accepted(&mut self, batch: BatchId, rows: Vec<KeyRef>) {
        self.accepted.batches.push(batch);
        self.accepted.rows.extend(rows);
        self.accepted.since.get_or_insert_with(Instant::now);
    }

    /// How many batches are accepted and not journaled yet.
    pub(crate) fn waiting(&self) -> usize {
        self.accepted.batches.len()
    }

    /// How many accepted rows are not journaled yet.
    pub(crate) fn unremembered(&self) -> usize {
        self.accepted.rows.len()
    }

    /// Whether accepted batches have waited for others long enough, or stand in the way of the next.
    pub(crate) fn is_journal_due(&self) -> bool {
        self.waiting() >= IN_FLIGHT || self.journal_due_in() == Some(Duration::ZERO)
    }

    pub(crate) fn is_sync_due(&self) -> bool {
        self.unsynced.due_in() == Some(Duration::ZERO)
    }

    /// Whether the timeline has changed since it was persisted, and that is long enough ago.
    pub(crate) fn is_timeline_due(&self) -> bool {
        self.timeline_due_in() == Some(Duration::ZERO)
    }

    /// How long until batches are to be journaled or synced; none when there are none.
    pub(crate) fn batches_due_in(&self) -> Option<Duration> {
        let due = [self.journal_due_in(), self.unsynced.due_in()];
        due.into_iter().flatten().min()
    }

    /// How long until something is to be written; none when there is nothing. When it `is_quiet`, no
    /// batch is on its way that accepted ones could wait for.
    pub(crate) fn due_in(&self, is_quiet: bool) -> Option<Duration> {
        let journal = self.journal_due_in();
        let journal = journal.map(|due| if is_quiet { Duration::ZERO } else { due });
        let due = [journal, self.unsynced.due_in(), self.timeline_due_in()];
        due.into_iter().flatten().min()
    }

    fn journal_due_in(&self) -> Option<Duration> {
        Some(TOGETHER.saturating_sub(self.accepted.since?.elapsed()))
    }

    fn timeline_due_in(&self) -> Option<Duration> {
        let rested = self.persisted.map_or(PERSISTING, |at| at.elapsed());
        self.is_changed.then(|| PERSISTING.saturating_sub(rested))
    }

    /// Journals what is accepted: from then on a restart knows its rows. The batches.
    pub(crate) async fn journal(&mut self, store: &impl Store) -> io::Result<Vec<BatchId>> {
        let mut rows = std::mem::take(&mut self.accepted.rows);
        let journaled = self.append(store, &mut rows, self.waiting()).await;
        self.accepted.rows = rows;
        journaled?;
        Ok(std::mem::take(&mut self.accepted).batches)
    }

    /// Journals rows, which count as those of so many batches. What is journaled is taken out of `rows`.
    pub(crate) async fn append(
        &mut self,
        store: &impl Store,
        rows: &mut Vec<KeyRef>,
        batches: usize,
    ) -> io::Result<()> {
        if !rows.is_empty() {
            let proven = self.proof.among(store, rows).await?;
            self.journal.go_on_from(self.proof.counted_in());
            self.journal.append(store, rows).await?;
            self.proof.add(proven);
            self.unsynced.add(batches);
        }
        Ok(())
    }

    /// Makes sure that what is journaled survives a crash of the machine, too.
    pub(crate) async fn sync(&mut self, store: &impl Store) -> io::Result<()> {
        self.journal.sync(store).await?;
        self.unsynced = Unsynced::default();
        Ok(())
    }

    /// Keeps what rows add up to that are forgotten. All that is journaled must be synced.
    pub(crate) async fn prove(
        &mut self,
        store: &impl Store,
        time: SourceTime,
        retention: TimeDelta,
    ) -> io::Result<()> {
        let position = self.journal.position();
        self.proof.keep(store, &position, time, retention).await
    }

    /// All rows of an hour are to be sent once more. All that is journaled must be synced.
    pub(crate) async fn resend(&mut self, store: &impl Store, hour: u32) -> io::Result<()> {
        let position = self.journal.position();
        self.proof.take_away(store, hour, position).await
    }

    /// Rows of an hour are about to be sent once more. All that is journaled must be synced.
    pub(crate) fn renews(&mut self, hour: u32) {
        let position = self.journal.position();
        self.proof.renews(hour, position);
    }

    /// Persists the timeline. What it counts as read must be synced.
    pub(crate) async fn save(
        &mut self,
        store: &impl Store,
        timeline: &mut Timeline,
    ) -> io::Result<()> {
        if self.checkpoint.is_none()
            && let Found::Timeline(earlier) = Timeline::load(store).await?
        {
            // After a kill before the position was persisted, it still has the one before.
            let before = earlier.before.unwrap_or(earlier.checkpoint);
            self.checkpoint = Some(before.max(earlier.checkpoint));
        }
        timeline.before = self.checkpoint;
        timeline.save(store).await?;
        self.persisted = Some(Instant::now());
        self.is_changed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rows::RowKeyer;
    use tokio::time::advance;

    use super::*;
    use crate::{
        decide::{coverage::Coverage, lateness::Lateness},
        testing::{Files, at_minute as at},
    };

    fn ledger() -> Ledger {
        Ledger::new(Journal::default(), Proof::default())
    }

    fn timeline(checkpoint: i64) -> Timeline {
        let coverage = Coverage::new(at(checkpoint));
        Timeline::new(at(60), coverage, Lateness::default())
    }

    fn row(number: u32) -> KeyRef {
        let key = RowKeyer::new([3; 16]).key(&[number.to_string()], "");
        KeyRef { hour: 494_000, key }
    }

    /// Batches of one row each are accepted.
    fn accepts(ledger: &mut Ledger, batches: std::ops::Range<u32>) {
        for batch in batches {
            ledger.accepted(BatchId(batch), vec![row(batch)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_journaled_together_and_soon_and_at_once_when_none_may_follow() {
        let (store, mut ledger) = (Files::default(), ledger());
        assert_eq!((ledger.due_in(true), ledger.batches_due_in()), (None, None));
        assert!(!ledger.is_journal_due());
        accepts(&mut ledger, 0..1);
        assert_eq!(ledger.due_in(true), Some(Duration::ZERO));
        advance(TOGETHER / 2).await;
        accepts(&mut ledger, 1..3);
        let due = Some(TOGETHER / 2);
        assert_eq!((ledger.due_in(false), ledger.batches_due_in()), (due, due));
        assert!(!ledger.is_journal_due());
        advance(TOGETHER / 2).await;
        assert!(ledger.is_journal_due());
        store.breaks_after(Some(0));
        assert!(ledger.journal(&store).await.is_err());
        assert_eq!((ledger.waiting(), ledger.unremembered()), (3, 3));
        store.breaks_after(None);
        let journaled = ledger.journal(&store).await.unwrap();
        assert_eq!(journaled, [0, 1, 2].map(BatchId));
        assert_eq!((ledger.waiting(), ledger.unremembered()), (0, 0));
        assert!(!ledger.is_journal_due());
        accepts(&mut ledger, 3..7);
        assert!(ledger.is_journal_due(), "no other may leave before");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_journaled_is_synced_soon_and_before_a_crash_costs_more_than_it_may() {
        let (store, mut ledger) = (Files::default(), ledger());
        let mut rows = vec![row(0)];
        ledger.append(&store, &mut rows, 1).await.unwrap();
        assert!(rows.is_empty() && !ledger.is_sync_due());
        assert_eq!(ledger.due_in(true), Some(TOGETHER));
        advance(TOGETHER).await;
        assert!(ledger.is_sync_due());
        ledger.sync(&store).await.unwrap();
        assert_eq!((ledger.is_sync_due(), ledger.due_in(true)), (false, None));
        // As many as may be on their way are perhaps journaled before that is looked at again.
        for (batches, is_due) in [(0..12, false), (12..13, true)] {
            accepts(&mut ledger, batches);
            ledger.journal(&store).await.unwrap();
            assert_eq!(ledger.is_sync_due(), is_due);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_timeline_is_kept_at_once_and_then_once_a_second() {
        let (store, mut ledger) = (Files::default(), ledger());
        assert!(!ledger.is_timeline_due());
        ledger.is_changed = true;
        store.breaks_after(Some(0));
        assert!(ledger.save(&store, &mut timeline(5)).await.is_err());
        assert!(ledger.is_timeline_due(), "it is tried again");
        store.breaks_after(None);
        ledger.save(&store, &mut timeline(5)).await.unwrap();
        assert_eq!((ledger.is_changed, ledger.due_in(true)), (false, None));
        ledger.is_changed = true;
        assert_eq!(ledger.due_in(true), Some(PERSISTING));
        advance(PERSISTING).await;
        assert!(ledger.is_timeline_due());
    }

    /// After a kill the position may have the checkpoint before the last one.
    #[tokio::test]
    async fn a_start_takes_the_later_checkpoint_of_the_run_before_for_that_of_the_position() {
        for (checkpoint, before, expected) in [(5, None, 5), (5, Some(3), 5), (5, Some(9), 9)] {
            let (store, mut ledger) = (Files::default(), ledger());
            let mut earlier = timeline(checkpoint);
            earlier.before = before.map(at);
            earlier.save(&store).await.unwrap();
            let mut next = timeline(12);
            ledger.save(&store, &mut next).await.unwrap();
            assert_eq!(next.before, Some(at(expected)));
            ledger.checkpoint = Some(at(12));
            ledger.save(&store, &mut next).await.unwrap();
            assert_eq!(next.before, Some(at(12)));
        }
    }
}
