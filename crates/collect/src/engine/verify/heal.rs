//! Rows that were missing, on their way to the sink.

use super::*;

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// All rows of an hour are to be sent again, which make its new record: from the beginning, or the rest
    /// of them after a stop.
    pub(super) async fn resend(&mut self, hour: u32, resumed: bool) -> Result<(), End> {
        if resumed && self.ledger.proof.is_resending(hour) {
            return Ok(());
        }
        self.known.forget_hour(hour);
        self.sync().await?;
        let store = Arc::clone(&self.parts.store);
        let mut backoff = persist::store_backoff();
        while let Err(error) = self.ledger.resend(store.as_ref(), hour).await {
            self.store_failed(&error, &mut backoff).await?;
        }
        // A start must find that it was begun before the first row is sent.
        self.persist().await
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
            self.ledger.timeline_changes();
        }
    }

    /// Rows of a window are delivered that were missing.
    pub(in crate::engine) async fn healed(&mut self, window: Window) -> Result<(), End> {
        self.schedule.audited(window);
        let Some(verification) = &mut self.verification else {
            return Ok(());
        };
        let hour = hour(window.start());
        let Some(healing) = verification.healing.get_mut(&hour) else {
            return Ok(());
        };
        healing.left = without(&healing.left, [window]);
        if !healing.left.is_empty() {
            return Ok(());
        }
        let Some(healing) = verification.healing.remove(&hour) else {
            return Ok(());
        };
        let Healing {
            wanted,
            found,
            mut verdict,
            ..
        } = healing;
        if let Some(wanted) = wanted {
            let vanished = wanted.len().saturating_sub(found.len());
            verdict.vanished = vanished as u64;
            if vanished > 0 {
                verdict.finding = Finding::Gone;
            }
            verdict.missing = found.into_values().collect();
            verification.work.changed().delivered += verdict.missing.len() as u64;
        } else {
            self.ledger.proof.is_resent(hour);
        }
        // Its rows are forgotten again, and count.
        Box::pin(self.completed()).await?;
        self.persist().await?;
        if verdict.finding == Finding::Resent
            && let Provable::Yes(record) = self.provable(hour).await?
        {
            verdict.accepted = record.sums.rows();
            verdict.shown = verdict.accepted;
            verdict.digest = Some(record.sums.digest());
            verdict.parts = record.parts;
        }
        self.judge(hour, verdict).await?;
        self.settle_verification().await
    }
}
