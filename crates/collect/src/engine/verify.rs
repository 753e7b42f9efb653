//! Reads hours once more that were read for the last time, compares them with the proof's ledger, and
//! delivers what is missing.

mod heal;
mod judge;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rows::{
    Message, Page, RowKey, Window,
    sums::{Difference, Sums},
};

use crate::{
    CheckpointStore, Event, Lane, Sink, Source, Store,
    coverage::Stage,
    decide::coverage::windows::without,
    engine::{Collector, Flow, orders::OrderUnderWay, persist::until_stored, privacy::named},
    event::PageCount,
    known::{KeyRef, hour},
    proof::{HourRecord, Notes, Provable, hours_of, window_of},
    reader::{MARGIN, ShownBroken, WindowRead},
    verify::{
        Finding, Missing, RowName, Verdict, VerifyCounts, VerifyOrder, VerifyProgress, VerifyWork,
        append,
    },
};

/// Why not all of what was shown may be all that there is.
const MAY_LACK: &str = "the service did not answer for a message with very many recipients by its id, and may not \
                        have shown all rows";

#[derive(Debug)]
pub(super) struct Verification {
    pub(super) work: OrderUnderWay<VerifyWork>,
    /// Hours that have no verdict yet.
    left: BTreeSet<u32>,
    audits: BTreeMap<u32, Audit>,
    /// Hours of which rows are missing, or all are to be sent again: one after the other.
    healing: BTreeMap<u32, Healing>,
    /// The rows that were found missing of hours without a verdict, also before the last stop.
    missing: BTreeMap<u32, Missing>,
}

/// An hour that is being read.
#[derive(Debug, Default)]
struct Audit {
    /// The parts of it that are compared, and those of them that are still to be read.
    parts: Vec<Window>,
    left: Vec<Window>,
    /// What was read so far, and the rows of it that a rule leaves out.
    shown: Sums,
    unwanted: Vec<RowKey>,
    /// Things of the hour that cannot be read as rows.
    broken: BTreeSet<ShownBroken>,
    /// Whether the source may not have shown all of it, as it did not answer for a message alone.
    may_lack: bool,
    /// The rows that were about to be sent at a stop, and that were not read yet since.
    unseen: BTreeSet<Message>,
}

/// An hour of which rows are delivered.
#[derive(Debug)]
struct Healing {
    /// The rows; none for all.
    wanted: Option<BTreeSet<Message>>,
    /// What is still to be read for it.
    left: Vec<Window>,
    verdict: Verdict,
}

impl Audit {
    /// How many things of the hour cannot be read as rows, and how many of these are not remembered as put aside. The
    /// same that windows beside each other show is one, as services look a little beyond them.
    fn unreadable(&self) -> (u64, u64) {
        let (mut all, mut unknown) = (0, 0);
        let mut last: Option<&ShownBroken> = None;
        for one in &self.broken {
            let is_same = last.is_some_and(|last| {
                !one.is_known
                    && (last.row, last.before) == (one.row, one.before)
                    && one.second - last.second <= MARGIN.num_seconds()
            });
            if !is_same {
                all += 1;
                unknown += u64::from(!one.is_known);
                last = Some(one);
            }
        }
        (all, unknown)
    }
}

impl Verification {
    /// The oldest hour of which rows are being delivered: they are remembered until that is done.
    pub(super) fn healing_since(&self) -> Option<DateTime<Utc>> {
        let (hour, _) = self.healing.first_key_value()?;
        Some(window_of(*hour)?.start())
    }

    /// Whether what is read for it is delivered.
    pub(super) fn heals(&self) -> bool {
        !self.healing.is_empty()
    }

    fn verdict(&self, hour: u32, at: DateTime<Utc>, finding: Finding) -> Verdict {
        let missing = self.missing.get(&hour);
        Verdict {
            order: self.work.order.id,
            hour: window_of(hour).map_or(at, |hour| hour.start()),
            at,
            finding,
            missing: missing.map(Missing::names).unwrap_or_default(),
            ..Verdict::default()
        }
    }

    /// Of an hour that is not compared: there is a reason why it never can be, or it is left to a later one.
    fn uncompared(&self, hour: u32, at: DateTime<Utc>, reason: Option<String>) -> Verdict {
        let finding = match reason {
            Some(_) => Finding::Unprovable,
            None => Finding::Open,
        };
        Verdict {
            reason,
            ..self.verdict(hour, at, finding)
        }
    }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// What is to be read next for a verification, when there is nothing else to do.
    pub(super) fn next_audit(&mut self) -> Option<(Lane, Window)> {
        let verification = self.verification.as_ref()?;
        let schedule = &self.schedule;
        let mut healing = verification.healing.values();
        let window = match verification.heals() {
            true => healing.find_map(|healing| schedule.audit_of(&healing.left)),
            false => schedule.audit(),
        };
        Some((Lane::Verify, self.schedule.occupy(window?)))
    }

    /// A page of a verification.
    pub(super) async fn take_for_proof(
        &mut self,
        page: &Page<S::Link>,
        read: &mut WindowRead<S, K>,
    ) -> Flow<bool> {
        let Some(verification) = &mut self.verification else {
            return Ok(false);
        };
        verification.work.changed().rows += page.len() as u64;
        if read.heals {
            return self.take_missing(page, read).await;
        }
        let mut excluded = 0;
        for row in page.rows() {
            // What is not wanted is not sent, so that it is not missing.
            let is_unwanted = self.parts.excluded.rule(row.json).is_some();
            excluded += usize::from(is_unwanted);
            if let Some(received) = row.received
                && read.window.contains(received)
            {
                let rows = match is_unwanted {
                    true => &mut read.shown.unwanted,
                    false => &mut read.shown.wanted,
                };
                rows.push(KeyRef {
                    hour: hour(received),
                    key: row.key,
                });
            }
        }
        let damage = page.damage();
        let places = damage.map(|damage| self.places(read, damage));
        for (key, before) in places.unwrap_or_default() {
            // What stands on every page is none of the hour.
            let Some(before) = before else {
                continue;
            };
            // Only the narrowest window is read with any that was not put aside lately.
            let place = self.place_of(key, read.window, before);
            let at = place.unwrap_or(read.window.start());
            read.shown.broken.push(ShownBroken {
                row: KeyRef {
                    hour: hour(at),
                    key,
                },
                before,
                second: at.timestamp(),
                is_known: place.is_some(),
            });
        }
        read.pages += 1;
        if !read.is_completing() {
            read.rows += page.len() as u64;
        }
        let count = PageCount {
            known: page.len() - excluded,
            excluded,
            ..PageCount::default()
        };
        self.tell(Event::PageRead {
            lane: read.lane,
            count,
        });
        Ok(false)
    }

    /// Puts the rows of a page into batches that were found missing, or are to be sent again.
    async fn take_missing(
        &mut self,
        page: &Page<S::Link>,
        read: &mut WindowRead<S, K>,
    ) -> Flow<bool> {
        let hour = hour(read.window.start());
        let verification = self.verification.as_ref();
        let Some(healing) = verification.and_then(|one| one.healing.get(&hour)) else {
            return Ok(false);
        };
        let wanted = healing.wanted.as_ref();
        let (source, privacy) = (&self.parts.source, &mut self.parts.privacy);
        let (window, excluded) = (read.window, &self.parts.excluded);
        let mut found = BTreeMap::new();
        let chosen = page.only(|row| {
            let message = row.key.message();
            let is_in = row.received.is_some_and(|at| window.contains(at));
            let is_chosen = is_in && wanted.is_none_or(|wanted| wanted.contains(&message));
            // Its status may have changed since it was found missing, to one that is not wanted.
            if is_chosen && wanted.is_some() && excluded.rule(row.json).is_none() {
                found
                    .entry(message)
                    .or_insert_with(|| named(source.as_ref(), privacy, row.json));
            }
            is_chosen
        });
        self.keep_found(hour, found).await?;
        Box::pin(self.take_new(&chosen, read)).await
    }

    /// A window of a verification was read to its end.
    pub(super) async fn audited(&mut self, read: &mut WindowRead<S, K>) -> Flow {
        self.pending.abandon(read.id);
        let window = read.window;
        self.schedule.audited(window);
        let mut shown = std::mem::take(&mut read.shown);
        // A service may show a row on two pages; the later status counts.
        let wanted = &mut shown.wanted;
        wanted.sort_by_key(|row| (row.hour, row.key.message()));
        wanted.dedup_by(|later, row| {
            let is_same = later.hour == row.hour && later.key.same_message(row.key);
            if is_same {
                *row = *later;
            }
            is_same
        });
        let mut rows = wanted.as_slice();
        for hour in hours_of(window) {
            let (of_hour, rest) = rows.split_at(rows.partition_point(|row| row.hour <= hour));
            rows = rest;
            let sums = Sums::of(of_hour.iter().map(|row| row.key), &[]);
            let Some(audit) = self.audit_of_hour(hour, window).await? else {
                continue;
            };
            audit.shown.merge(&sums);
            let unwanted = shown.unwanted.iter().filter(|row| row.hour == hour);
            // One that was shown with a status that is wanted, too, is.
            let unwanted = unwanted.filter(|row| {
                let message = row.key.message();
                let found = of_hour.binary_search_by_key(&message, |one| one.key.message());
                found.is_err()
            });
            audit.unwanted.extend(unwanted.map(|row| row.key));
            let broken = shown.broken.iter().filter(|one| one.row.hour == hour);
            audit.broken.extend(broken);
            audit.may_lack |= read.completion.gave_up;
            for row in of_hour {
                audit.unseen.remove(&row.key.message());
            }
            audit.left = without(&audit.left, [window]);
            if audit.left.is_empty() {
                self.compare(hour).await?;
            }
        }
        self.settle_verification().await
    }

    /// The record of an hour. Without one it has its verdict, when it waits for that.
    async fn record_of(&mut self, hour: u32) -> Flow<Option<Box<HourRecord>>> {
        let found = self.provable(hour).await?;
        let waits =
            |one: &Verification| one.left.contains(&hour) && !one.healing.contains_key(&hour);
        if !self.verification.as_ref().is_some_and(waits) {
            return Ok(None);
        }
        match found {
            Provable::Yes(record) => return Ok(Some(record)),
            Provable::No(reason) => self.leave_aside(hour, Some(reason)).await?,
            Provable::Open => self.leave_aside(hour, None).await?,
        }
        Ok(None)
    }

    /// The hour of which this window was read; none when that is not asked for any more.
    async fn audit_of_hour(&mut self, hour: u32, read: Window) -> Flow<Option<&mut Audit>> {
        let is_known = |one: &Verification| one.audits.contains_key(&hour);
        if !self.verification.as_ref().is_some_and(is_known) {
            let Some(record) = self.record_of(hour).await? else {
                return Ok(None);
            };
            let parts = record.parts;
            let read = window_of(hour).and_then(|hour| hour.intersection(read));
            if !without(read.as_slice(), parts.iter().copied()).is_empty() {
                // It has a new record since that was asked for, of less of it: the rest would seem to be missing.
                self.leave_aside(hour, None).await?;
                return Ok(None);
            }
            if let Some(verification) = &mut self.verification {
                let missing = verification.missing.get(&hour);
                let audit = Audit {
                    left: parts.clone(),
                    parts,
                    unseen: missing.map(Missing::found).unwrap_or_default(),
                    ..Audit::default()
                };
                verification.audits.insert(hour, audit);
            }
        }
        let verification = self.verification.as_mut();
        Ok(verification.and_then(|one| one.audits.get_mut(&hour)))
    }

    /// An hour is left to a later verification, or cannot be proven for a reason.
    async fn leave_aside(&mut self, hour: u32, reason: Option<String>) -> Flow {
        let now = self.time().now;
        let Some(verification) = &self.verification else {
            return Ok(());
        };
        let verdict = verification.uncompared(hour, now, reason);
        self.judge(verdict).await
    }

    async fn provable(&mut self, hour: u32) -> Flow<Provable> {
        let timeline = self.schedule.coverage().intervals();
        let store = self.parts.store.as_ref();
        let found = until_stored!(
            self,
            self.ledger.proof.of_hour(store, hour, &timeline).await
        );
        Ok(found)
    }

    /// The source does not keep any more what a window begins with, and nothing from before `oldest`. Its other
    /// hours are asked for without that.
    pub(super) async fn audit_refused(&mut self, window: Window, oldest: DateTime<Utc>) -> Flow {
        self.schedule.release(window);
        let first = *hours_of(window).start();
        for hour in hours_of(window) {
            let Some(verification) = &mut self.verification else {
                break;
            };
            let whole = window_of(hour);
            if hour > first && whole.is_none_or(|hour| hour.end() > oldest) {
                break;
            }
            if let Some(part) = whole.and_then(|hour| hour.intersection(window)) {
                self.schedule.audited(part);
            }
            verification.audits.remove(&hour);
            verification.healing.remove(&hour);
            self.ledger.proof.break_off(hour);
            if verification.left.contains(&hour) {
                let reason = "the service refuses it as older than what it keeps".to_owned();
                self.leave_aside(hour, Some(reason)).await?;
            }
        }
        self.settle_verification().await
    }
}
