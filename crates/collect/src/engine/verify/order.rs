//! The order of a verification, from its beginning to its end.

use crate::{engine::orders::is_over, order::OrderPhase, proof::MOST_HOURS};

use super::*;

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// There is an order to verify a range: a new one, one under way, or one that has ended.
    pub(in crate::engine) async fn verification_found(
        &mut self,
        order: VerifyOrder,
        known: Option<VerifyProgress>,
    ) -> Flow {
        let awaited = self.orders.awaited.take();
        let awaited = awaited.filter(|work| work.order.id == order.id);
        if is_over(&mut self.orders.ended_verification, &order, known.as_ref()) {
            return Ok(());
        }
        let known = match &awaited {
            Some(work) => Some(work.progress.clone()),
            None => known
                .filter(|known| known.id == order.id)
                .map(VerifyProgress::taken_up),
        };
        if order.work.resend && self.ledger.proof.has_ended(order.id) {
            // All rows were sent once more, and what told that is lost: they are not sent a third time.
            self.orders.ended_verification = Some(order.id);
            if self.verification.is_some() {
                // There is one file for what is told.
                return Ok(());
            }
            let hours = hours_of(order.range).count() as u64;
            let counts = VerifyCounts {
                hours,
                judged: hours,
                ..VerifyCounts::default()
            };
            return self.tell_ended(&order, known, counts).await;
        }
        let under_way = self.verification.as_ref().map(|one| one.work.order.id);
        if under_way.is_some_and(|id| id != order.id) {
            // A person's own order goes before what is done every day.
            return self.break_off_night().await;
        }
        if order.cancelled {
            if under_way.is_some() {
                // An hour whose rows are being delivered is finished first.
                return self.give_up_verification().await;
            }
            self.orders.ended_verification = Some(order.id);
            return self
                .tell_ended(&order, known, VerifyCounts::default())
                .await;
        }
        if under_way.is_some() {
            return Ok(());
        }
        if self.has_begun() {
            return self.begin_verification(order, known).await;
        }
        let awaited = awaited.unwrap_or_else(|| {
            let now = self.time().now;
            let begins = || VerifyProgress::new(order.id, VerifyCounts::default(), now);
            let progress = known.unwrap_or_else(begins);
            let mut work = OrderUnderWay::new(order, progress);
            work.set_trouble(self.orders.trouble.clone());
            Box::new(work)
        });
        self.orders.awaited = Some(awaited);
        Ok(())
    }

    /// The time is known.
    pub(in crate::engine) async fn begin_awaited(&mut self) -> Flow {
        let Some(awaited) = self.orders.awaited.take() else {
            return Ok(());
        };
        let OrderUnderWay {
            order, progress, ..
        } = *awaited;
        self.begin_verification(order, Some(progress)).await
    }

    /// Begins, or goes on with what has no verdict yet.
    pub(in crate::engine) async fn begin_verification(
        &mut self,
        order: VerifyOrder,
        known: Option<VerifyProgress>,
    ) -> Flow {
        let now = self.time().now;
        let store = self.parts.store.as_ref();
        // One that has only waited for the time begins.
        let known = known.filter(|known| known.counts.hours > 0);
        let resumed = known.is_some();
        if !resumed {
            until_stored!(self, store.delete(crate::verify::VERDICTS_FILE).await);
        }
        let judged = until_stored!(self, Verdict::of_order(store, order.id).await);
        let mut missing = until_stored!(self, Missing::of_order(store, order.id).await);
        let last = *hours_of(order.range).end();
        let first = hour(order.range.start()).max(last.saturating_sub(MOST_HOURS));
        let begins = || VerifyProgress::new(order.id, VerifyCounts::default(), now);
        let mut progress = known.unwrap_or_else(begins);
        progress.after = progress.after.or(self.orders.ended_verification);
        let counts = &mut progress.counts;
        let mut left: BTreeSet<u32> = (first..=last).collect();
        counts.hours = left.len() as u64;
        for verdict in &judged {
            left.remove(&hour(verdict.hour));
        }
        missing.retain(|hour, _| left.contains(hour));
        counts.judged = counts.hours - left.len() as u64;
        // A kill may have come between the last verdict and the progress.
        let healed = |one: &&Verdict| matches!(one.finding, Finding::Delivered | Finding::Gone);
        let delivered = judged.iter().filter(healed).map(Verdict::delivered).sum();
        counts.delivered = counts.delivered.max(delivered);
        self.tell(Event::OrderBegun {
            what: "verification",
            range: order.range,
            resumed,
        });
        let hours: Vec<u32> = left.iter().copied().collect();
        let mut work = OrderUnderWay::new(order, progress);
        work.set_trouble(self.orders.trouble.clone());
        self.verification = Some(Verification {
            work,
            left,
            audits: BTreeMap::new(),
            healing: BTreeMap::new(),
            missing,
        });
        // Rows that were added to their hours count.
        self.persist().await?;
        let (mut windows, mut judged) = (Vec::new(), Vec::new());
        for hour in hours {
            windows.extend(self.place_hour(hour, resumed, &mut judged).await?);
        }
        self.judge_all(judged).await?;
        self.schedule.set_audits(windows);
        self.settle_verification().await
    }

    /// What of an hour is to be read: nothing when its rows are sent again. An hour of which nothing can be
    /// proven is `judged` at once.
    async fn place_hour(
        &mut self,
        hour: u32,
        resumed: bool,
        judged: &mut Vec<Verdict>,
    ) -> Flow<Vec<Window>> {
        let is_resend = self.sends_hours_again();
        let found = self.provable(hour).await?;
        let now = self.time().now;
        let Some(verification) = &self.verification else {
            return Ok(Vec::new());
        };
        match found {
            Provable::Yes(_) if is_resend && resumed && self.ledger.proof.is_resending(hour) => {
                // A stop came before that was said.
                let verdict = verification.verdict(hour, now, Finding::Resent);
                self.judge_resent(hour, verdict).await?;
            }
            _ if is_resend => self.place_again(hour, resumed).await?,
            Provable::Yes(record) => return Ok(record.parts),
            Provable::No(reason) => judged.push(verification.uncompared(hour, now, Some(reason))),
            Provable::Open => judged.push(verification.uncompared(hour, now, None)),
        }
        Ok(Vec::new())
    }

    /// All rows of an hour are to be sent again, and make its new record.
    async fn place_again(&mut self, hour: u32, resumed: bool) -> Flow {
        let now = self.time().now;
        let timeline = self.schedule.coverage().intervals();
        let stages = |wanted: Stage| {
            let parts = timeline.iter().filter(move |(_, stage)| *stage == wanted);
            parts.filter_map(|(part, _)| part.intersection(window_of(hour)?))
        };
        let parts: Vec<Window> = stages(Stage::Final).collect();
        // Before its rows are forgotten it has no record that could be made anew.
        let is_remembered = !parts.is_empty() && !self.ledger.proof.was_folded(hour);
        let mut open = stages(Stage::Settling).chain(stages(Stage::Missing));
        let is_open = is_remembered || open.next().is_some();
        let Some(verification) = &mut self.verification else {
            return Ok(());
        };
        if is_open || parts.is_empty() {
            let reason = (!is_open).then(|| "this module has not collected it".to_owned());
            return self.leave_aside(hour, reason).await;
        }
        let verdict = verification.verdict(hour, now, Finding::Resent);
        let healing = Healing {
            wanted: None,
            left: parts,
            verdict,
        };
        verification.healing.insert(hour, healing);
        Box::pin(self.resend(hour, resumed)).await
    }

    /// Nothing more of it is begun, and it ends when no hour's rows are being delivered.
    pub(in crate::engine) async fn give_up_verification(&mut self) -> Flow {
        if let Some(verification) = &mut self.verification {
            verification.work.order.cancelled = true;
        }
        self.schedule.set_audits(Vec::new());
        self.settle_verification().await
    }

    /// Whether a window is read for a verification that is not under way any more: what it has shown is not
    /// judged, since nobody knows which of its pages another one has seen.
    pub(in crate::engine) fn is_of_another_order(&self, read: &WindowRead<S, K>) -> bool {
        let under_way = self.verification.as_ref().map(|one| one.work.order.id);
        read.lane == Lane::Verify && read.order != under_way
    }

    /// All was read that was asked for when it began: an hour of which more is collected since is open.
    async fn judge_the_rest(&mut self) -> Flow {
        let now = self.time().now;
        let waits = |one: &Verification| {
            one.work.order.cancelled || one.heals() || !self.schedule.is_audited()
        };
        let verification = self.verification.as_ref().filter(|one| !waits(one));
        let rest = verification.map_or_else(Vec::new, |one| {
            let hours = one.left.iter();
            hours.map(|hour| one.uncompared(*hour, now, None)).collect()
        });
        self.judge_all(rest).await
    }

    /// Ends the verification when all hours have a verdict.
    pub(super) async fn settle_verification(&mut self) -> Flow {
        self.judge_the_rest().await?;
        let Some(verification) = &self.verification else {
            return Ok(());
        };
        let is_cancelled = verification.work.order.cancelled && verification.healing.is_empty();
        if !verification.left.is_empty() && !is_cancelled {
            return Ok(());
        }
        self.schedule.set_audits(Vec::new());
        if verification.work.order.work.resend {
            self.ledger.proof.ends_order(verification.work.order.id);
            self.ledger.is_changed = true;
        }
        self.persist_changes().await?;
        let Some(verification) = &mut self.verification else {
            return Ok(());
        };
        verification.work.ends(match verification.left.is_empty() {
            true => OrderPhase::Done,
            false => OrderPhase::Cancelled,
        });
        self.tell_progress().await?;
        if let Some(Verification { work, .. }) = self.verification.take() {
            self.orders.ended_verification = Some(work.order.id);
            self.tell(Event::VerificationEnded {
                range: work.order.range,
                progress: &work.progress,
            });
            Box::pin(self.night_ended(&work.order, &work.progress)).await?;
        }
        self.order_is_over()
    }
}
