//! Rows that were missing, on their way to the sink.

use std::collections::btree_map::Entry;

use super::*;

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// These rows of an hour are missing: they are looked for once more, to be sent.
    pub(super) async fn heal(
        &mut self,
        hour: u32,
        verdict: Verdict,
        missing: Vec<Message>,
    ) -> Flow {
        let Some(verification) = &mut self.verification else {
            return Ok(());
        };
        let wanted: BTreeSet<Message> = missing.into_iter().collect();
        let missing = Missing {
            wanted: wanted.clone(),
            found: BTreeMap::new(),
        };
        let healing = Healing {
            wanted: Some(wanted),
            left: verdict.parts.clone(),
            verdict,
        };
        verification.healing.insert(hour, healing);
        // What the journal still has of it, the ledger does not know: it is sent.
        self.known.forget_hour(hour);
        self.keep_missing(hour, missing).await
    }

    /// All rows of an hour are to be sent again, which make its new record: from the beginning, or the rest
    /// of them after a stop.
    pub(super) async fn resend(&mut self, hour: u32, resumed: bool) -> Flow {
        if resumed && self.ledger.proof.is_resending(hour) {
            return Ok(());
        }
        self.known.forget_hour(hour);
        self.sync().await?;
        let store = self.parts.store.as_ref();
        until_stored!(self, self.ledger.resend(store, hour).await);
        // A start must find that it was begun before the first row is sent.
        self.persist().await
    }

    /// Whether all rows of an hour are sent again, which make its new record.
    pub(in crate::engine) fn sends_hours_again(&self) -> bool {
        let verification = self.verification.as_ref();
        verification.is_some_and(|one| one.work.order.work.resend)
    }

    /// What nobody sends again any more, since its order has ended or was given up, gets no record.
    pub(in crate::engine) fn break_off_resends(&mut self) {
        let verification = self.verification.as_ref();
        let is_sent = |hour: &u32| verification.is_some_and(|one| one.healing.contains_key(hour));
        let broken: Vec<u32> = self
            .ledger
            .proof
            .resends()
            .filter(|hour| !is_sent(hour))
            .collect();
        for hour in broken {
            self.ledger.proof.break_off(hour);
            self.ledger.is_changed = true;
        }
    }

    /// Rows of a window are delivered that were missing.
    pub(in crate::engine) async fn healed(&mut self, window: Window) -> Flow {
        self.schedule.audited(window);
        let Some(verification) = &mut self.verification else {
            return Ok(());
        };
        let hour = hour(window.start());
        let Entry::Occupied(mut healing) = verification.healing.entry(hour) else {
            return Ok(());
        };
        let left = &mut healing.get_mut().left;
        *left = without(left, [window]);
        if !left.is_empty() {
            return Ok(());
        }
        let Healing {
            wanted, verdict, ..
        } = healing.remove();
        if wanted.is_none() {
            self.ledger.proof.finishes(hour);
        }
        // Its rows are forgotten again, and count.
        Box::pin(self.settle_windows()).await?;
        self.persist().await?;
        match wanted {
            Some(_) => self.judge_healed(hour, verdict).await?,
            None => self.judge_resent(hour, verdict).await?,
        }
        self.settle_verification().await
    }

    /// While the rows of an hour are read to be sent, the source does not answer for a message alone: those that
    /// only its id would show may be missing.
    pub(in crate::engine) fn heals_without(&mut self, window: Window) {
        let verification = self.verification.as_mut();
        let hour = hour(window.start());
        if let Some(healing) = verification.and_then(|one| one.healing.get_mut(&hour)) {
            healing.verdict.doubt(MAY_LACK);
        }
    }

    /// All rows of an hour were sent again.
    pub(super) async fn judge_resent(&mut self, hour: u32, mut verdict: Verdict) -> Flow {
        if let Provable::Yes(record) = self.provable(hour).await? {
            verdict.accepted = record.sums.rows();
            verdict.digest = Some(record.sums.digest());
            verdict.parts = record.parts;
        } else {
            // While something older is still to be read, its rows are remembered, and its record comes later.
            verdict.accepted = self.known.messages_of(hour) as u64;
        }
        verdict.shown = verdict.accepted;
        self.judge(verdict).await?;
        self.ledger.proof.resend_told(hour);
        self.ledger.is_changed = true;
        Ok(())
    }

    /// Nothing of an hour is missing any more that is shown: says what was.
    pub(super) async fn judge_healed(&mut self, hour: u32, mut verdict: Verdict) -> Flow {
        if let Some(verification) = &mut self.verification
            && let Some(missing) = verification.missing.remove(&hour)
        {
            verdict.vanished = missing.vanished();
            verdict.missing = missing.names();
            verdict.finding = match verdict.vanished {
                0 => Finding::Delivered,
                _ => Finding::Gone,
            };
            verification.work.changed().delivered += verdict.delivered();
        }
        if verdict.finding == Finding::Proven && verdict.reason.is_some() {
            // Something is shown of which nobody knows where it lies, or may not have been shown.
            verdict.finding = Finding::Unprovable;
        }
        self.judge(verdict).await
    }

    /// A row of an hour became a dead letter instead of being delivered.
    pub(in crate::engine) fn became_letter(&mut self, hour: u32) {
        let dead = |notes: &mut Notes| {
            notes.dead_letters += 1;
            notes.undeliverable += 1;
        };
        self.ledger.proof.note(hour, dead);
        let verification = self.verification.as_mut();
        if let Some(healing) = verification.and_then(|one| one.healing.get_mut(&hour)) {
            dead(&mut healing.verdict.notes);
            healing.verdict.refused += 1;
        }
    }

    /// These of the rows were found, and are about to be sent: from then on they count as accepted.
    pub(super) async fn keep_found(
        &mut self,
        hour: u32,
        mut found: BTreeMap<Message, RowName>,
    ) -> Flow {
        if let Some(verification) = &self.verification
            && let Some(missing) = verification.missing.get(&hour)
        {
            found.retain(|row, _| !missing.found.contains_key(row));
        }
        if found.is_empty() {
            return Ok(());
        }
        let wanted = BTreeSet::new();
        self.keep_missing(hour, Missing { wanted, found }).await
    }

    /// Keeps what of an hour was missing, before it is sent.
    pub(super) async fn keep_missing(&mut self, hour: u32, missing: Missing) -> Flow {
        let Some(order) = self.verification.as_ref().map(|one| one.work.order.id) else {
            return Ok(());
        };
        let at = window_of(hour).map_or(DateTime::UNIX_EPOCH, |hour| hour.start());
        let store = self.parts.store.as_ref();
        until_stored!(self, missing.save(store, order, at).await);
        if let Some(verification) = &mut self.verification {
            verification.missing.entry(hour).or_default().add(missing);
        }
        Ok(())
    }
}
