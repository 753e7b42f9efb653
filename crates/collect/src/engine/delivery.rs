//! From rows to accepted batches.

use std::{pin::pin, sync::Arc, time::Duration};

use chrono::TimeDelta;
use rows::{Page, RowRef, Window, privacy::Unhidden};
use tokio::time::Instant;

use crate::{
    CheckpointStore, Event, EventBatch as _, Pushed, Sink, Source, Store,
    engine::{Collector, End, Flow, Joined, Lane, WindowRead, privacy::Leaving},
    event::{Novelty, PageCount},
    known::{DedupDecision, KeyRef},
    outflow::{Delivery, Draft},
};

/// At the end of a stop, batches that are given up have so long to tell what was accepted of them.
const LAST_RECEIPTS: Duration = Duration::from_millis(100);

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// Takes a page in. Whether it had a row that nobody had seen before.
    pub(super) async fn take(
        &mut self,
        page: &Page<S::Link>,
        read: &mut WindowRead<S, K>,
    ) -> Flow<bool> {
        let is_news = match read.lane {
            Lane::Verify => Box::pin(self.take_for_proof(page, read)).await?,
            _ => self.take_new(page, read).await?,
        };
        self.count_unreadable(page, read);
        Ok(is_news)
    }

    /// Puts the rows of a page that are not known into batches. Whether there were any.
    pub(super) async fn take_new(
        &mut self,
        page: &Page<S::Link>,
        read: &mut WindowRead<S, K>,
    ) -> Flow<bool> {
        Box::pin(self.renew_records(page, read)).await?;
        self.look_for_strays();
        self.parts.excluded.begin_page(read.began.time);
        let mut count = PageCount::default();
        let mut rows = page.rows();
        let mut leaving = Leaving::default();
        while let Some((row, key_ref, pushed)) =
            self.fill(&mut rows, read, &mut count, &mut leaving)
        {
            self.add_otherwise(row, key_ref, pushed, read, &mut leaving)
                .await?;
        }
        if count.sent() > 0 {
            read.draft.filled = Some(Instant::now());
        }
        read.pages += 1;
        if !read.is_completing() {
            read.rows += page.len() as u64;
        }
        read.new += count.sent() as u64;
        read.first_seen += (count.new + count.late) as u64;
        if read.lane == Lane::Backfill {
            let mut count = count;
            if read.is_completing() {
                // The window has shown the others, too.
                (count.known, count.excluded) = (0, 0);
            }
            match &mut self.backfill {
                Some(backfill) => backfill.work.changed().page(count),
                None => self.orders.has_uncounted = true,
            }
        }
        self.tell(Event::PageRead {
            lane: read.lane,
            count,
        });
        self.tell_excluded().await;
        self.tell_unknown();
        self.remember_strays(read.window).await?;
        Ok(count.sent() > 0)
    }

    /// Puts rows that are not known into the batch, up to one that it does not take, or that cannot be hidden.
    /// All that is done with every row is done here, without a pause, so that little is kept in memory meanwhile.
    fn fill<'a>(
        &mut self,
        rows: &mut impl Iterator<Item = RowRef<'a>>,
        read: &mut WindowRead<S, K>,
        count: &mut PageCount,
        leaving: &mut Leaving,
    ) -> Option<(RowRef<'a>, KeyRef, Result<Pushed, Unhidden>)> {
        let (otherwise, carrier) = (read.draft.otherwise, read.draft.id);
        // Rows in it are new without looking further.
        let mut unread = None;
        let excludes = self.parts.excluded.has_rules();
        for mut row in rows {
            if excludes && self.excludes(&row, read, count) {
                continue;
            }
            let received = row.received;
            let decision = if received.is_some_and(|received| read.window.contains(received)) {
                self.known.admit(row.key, received, otherwise, carrier)
            } else {
                match self.admit_outside(&mut row, read) {
                    Some(decision) => decision,
                    None => continue,
                }
            };
            let key_ref = match decision {
                DedupDecision::Delivered => {
                    count.known += 1;
                    continue;
                }
                DedupDecision::OnItsWay(batch) => {
                    self.pending.carried_by(read.id, batch);
                    count.known += 1;
                    continue;
                }
                DedupDecision::New(key_ref) => {
                    let novelty = self.novelty(&row, read, &mut unread);
                    if novelty == Novelty::Late {
                        self.ledger
                            .proof
                            .note(key_ref.hour, |notes| notes.late += 1);
                    }
                    count.add(novelty);
                    key_ref
                }
                DedupDecision::Changed(key_ref) => {
                    count.add(Novelty::Changed);
                    self.ledger.proof.changed(key_ref);
                    if let Some(received) = received {
                        self.schedule.status_changed(received, read.began.time);
                    }
                    key_ref
                }
            };
            if self.details.is_some() && self.waits_for_details(&row, key_ref, read, leaving) {
                continue;
            }
            match self.push(&row, read, leaving) {
                Ok(Pushed::Added) => self.added(&row, key_ref, read),
                pushed => return Some((row, key_ref, pushed)),
            }
        }
        None
    }

    /// Whether a row that was never seen before is late. What lies in the `unread` stretch is not, and
    /// the stretch around the row is kept there.
    fn novelty(
        &mut self,
        row: &RowRef<'_>,
        read: &WindowRead<S, K>,
        unread: &mut Option<Window>,
    ) -> Novelty {
        let Some(received) = row.received else {
            return Novelty::New;
        };
        if let Some(novelty) = self.explained(row.key, received) {
            return novelty;
        }
        if !unread.is_some_and(|unread| unread.contains(received)) {
            if let Some(lateness) = self.schedule.first_seen(received, read.began.time) {
                self.tell(Event::FirstSeen(lateness));
                return Novelty::Late;
            }
            *unread = self.schedule.coverage().unread_around(received);
        }
        // How long a backlog has waited says nothing about the service.
        if read.lane == Lane::Live {
            let lateness = (read.began.time - received).max(TimeDelta::zero());
            self.tell(Event::FirstSeen(lateness));
        }
        Novelty::New
    }

    /// A row is in the draft now.
    #[inline]
    fn added(&mut self, row: &RowRef<'_>, key_ref: KeyRef, read: &mut WindowRead<S, K>) {
        let draft = &mut read.draft;
        if draft.rows.is_empty() {
            self.pending.carried_by(read.id, draft.id);
        }
        draft.rows.push(key_ref);
        draft.newest = draft.newest.max(row.received);
    }

    /// A row was not added to the draft: it goes into a new one when this one is full, which is sent, or alone.
    async fn add_otherwise(
        &mut self,
        row: RowRef<'_>,
        key_ref: KeyRef,
        mut pushed: Result<Pushed, Unhidden>,
        read: &mut WindowRead<S, K>,
        leaving: &mut Leaving,
    ) -> Flow {
        if matches!(pushed, Ok(Pushed::Full)) && !read.draft.rows.is_empty() {
            let full = read.take_draft(&mut self.outflow);
            self.known.carry_instead(key_ref, full.id, read.draft.id);
            self.send(full).await?;
            pushed = self.push(&row, read, leaving);
        }
        match pushed {
            Ok(Pushed::Added) => self.added(&row, key_ref, read),
            Ok(Pushed::Full | Pushed::TooLong) => {
                let alone = self.goes_alone(key_ref, read);
                self.put_alone_away(alone, leaving.text(&row)).await?;
            }
            Err(Unhidden) => self.withhold(&row, key_ref, read).await?,
        }
        Ok(())
    }

    #[inline]
    fn push(
        &mut self,
        row: &RowRef<'_>,
        read: &mut WindowRead<S, K>,
        leaving: &mut Leaving,
    ) -> Result<Pushed, Unhidden> {
        let json = leaving.hide(row, &mut self.parts.privacy)?;
        let batch = &mut read.draft.batch;
        let batch = batch.get_or_insert_with(|| self.parts.sink.batch());
        Ok(batch.push(json))
    }

    /// How long until a batch that is not full is to leave; none when there is none, or no room for
    /// one more on its way.
    pub(super) fn until_lingering(&self) -> Option<Duration> {
        let room = self.room_in()?;
        let reads = self.readers.iter().flat_map(|reader| &reader.read);
        let due = reads.filter_map(|read| read.draft.leaves_in()).min()?;
        Some(due.max(room))
    }

    /// Sends batches that are not full and whose next page has not come, as far as there is room: the
    /// loop does not wait for the intake here.
    pub(super) async fn send_lingering(&mut self) -> Flow {
        while self.until_lingering() == Some(Duration::ZERO) {
            let readers = self.readers.iter_mut();
            let mut reads = readers.flat_map(|reader| &mut reader.read);
            let Some(read) = reads.find(|read| read.draft.leaves_in() == Some(Duration::ZERO))
            else {
                break;
            };
            let rest = read.take_draft(&mut self.outflow);
            self.send(rest).await?;
        }
        Ok(())
    }

    /// How long until one more batch may leave; none when something must come to its end before.
    pub(super) fn room_in(&self) -> Option<Duration> {
        self.outflow.room_in(self.ledger.waiting())
    }

    /// Sends a batch on its way, when there is room for one more.
    pub(super) async fn send(&mut self, draft: Draft<K::Batch>) -> Flow {
        if draft.rows.is_empty() {
            return Ok(());
        }
        while self.room_in() != Some(Duration::ZERO) {
            self.wait_for_room().await?;
        }
        self.outflow.send(draft);
        // It goes out while the processor still has it at hand, not after the rest of the page.
        tokio::task::yield_now().await;
        Ok(())
    }

    pub(super) async fn delivered(&mut self, first: Joined<Delivery<K::InHand>>) -> Flow {
        let mut failed = None;
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Ok(delivery) => self.take_receipt(delivery).await?,
                Err(error) => failed = Some(End::Failed(error)),
            }
            next = self.outflow.try_next();
        }
        self.journal_when_due().await?;
        failed.map_or(Ok(()), Err)
    }

    /// Takes in what is accepted shortly after a stop, and gives up the rest.
    pub(super) async fn drain(&mut self) {
        let sink = Arc::clone(&self.parts.sink);
        let mut over = pin!(sink.gives_up());
        let mut is_over = false;
        while !is_over {
            let due = self.ledger.batches_due_in();
            tokio::select! {
                biased;
                done = self.outflow.next() => match done {
                    // A letter that cannot be kept now says nothing of what else is accepted.
                    Some(done) => _ = self.delivered(done).await,
                    None => break,
                },
                () = &mut over => is_over = true,
                // What is accepted does not wait for the rest.
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {
                    // Only a stop ends it, which is under way already.
                    if self.journal_when_due().await.is_err() {
                        break;
                    }
                }
            }
        }
        if is_over {
            // Each of them ends at this instant, and tells what was accepted of it.
            let ends = async {
                while let Some(done) = self.outflow.next().await {
                    _ = self.delivered(done).await;
                }
            };
            _ = tokio::time::timeout(LAST_RECEIPTS, ends).await;
        }
        self.outflow.abort();
        // A store that fails now is not waited for.
        if self.journal_accepted().await.is_ok() && self.persist_changes().await.is_ok() {
            _ = self.sync().await;
        }
        let unremembered = self.ledger.unremembered();
        if unremembered > 0 {
            self.tell(Event::Unremembered(unremembered));
        }
        // The event of a letter has as long: accepted and not filed, it would be sent again.
        let offered = match is_over {
            true => self.letter_work.offers.try_join_next(),
            false => tokio::select! {
                biased;
                offered = self.letter_work.offers.join_next() => offered,
                () = &mut over => None,
            },
        };
        if let Some(done) = offered {
            _ = Box::pin(self.file_offered(done)).await;
        }
        // They say that hours are folded, which would never get a record that is not safe.
        if !self.ledger.proof.has_folded() {
            let store = self.parts.store.as_ref();
            _ = self.ledger.proof.write_notes(store).await;
        }
    }
}
