//! What is said of an hour.

use super::*;

/// How what was accepted differs from what is shown, when most of the rows that a rule leaves out now were
/// accepted before there was the rule: these count as not shown, and the others of them are not missing.
fn before_the_rule(accepted: &Sums, shown: &Sums, mut unwanted: Vec<RowKey>) -> Difference {
    unwanted.sort_unstable();
    unwanted.dedup_by_key(|row| row.message());
    let mut all = shown.clone();
    all.merge(&Sums::of(unwanted.iter().copied(), &[]));
    let Difference::Of { mut first, second } = accepted.difference(&all) else {
        return Difference::Many;
    };
    let is_unwanted = |row: &Message| {
        let found = unwanted.binary_search_by_key(row, |unwanted| unwanted.message());
        found.is_ok()
    };
    let (never, second): (Vec<Message>, Vec<Message>) = second.into_iter().partition(is_unwanted);
    let before = unwanted.iter().map(|row| row.message());
    first.extend(before.filter(|row| !never.contains(row)));
    Difference::Of { first, second }
}

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
    /// All of an hour was read: says whether it is what was accepted.
    pub(super) async fn compare(&mut self, hour: u32) -> Flow {
        if self.ledger.proof.has_news() {
            // What was accepted meanwhile counts.
            self.persist().await?;
        }
        Box::pin(self.adopt(hour)).await?;
        let found = self.provable(hour).await?;
        let now = self.time().now;
        let Some(verification) = &mut self.verification else {
            return Ok(());
        };
        let Some(audit) = verification.audits.remove(&hour) else {
            return Ok(());
        };
        let record = match found {
            Provable::Yes(record) if record.parts == audit.parts => record,
            Provable::No(reason) => return self.leave_aside(hour, Some(reason)).await,
            Provable::Yes(_) | Provable::Open => return self.leave_aside(hour, None).await,
        };
        let HourRecord { sums, notes, .. } = *record;
        // The letters of an hour that was sent again may be of an earlier record, and are remembered.
        let (all, unknown) = audit.unreadable();
        let lost = notes.unaccounted(all).min(unknown);
        let mut verdict = Verdict {
            parts: audit.parts,
            accepted: sums.rows(),
            shown: audit.shown.rows(),
            digest: Some(sums.digest()),
            notes,
            ..verification.verdict(hour, now, Finding::Proven)
        };
        if lost > 0 {
            verdict.doubt(&format!(
                "the service shows rows of it that cannot be read, and its record knows of no dead letter \
                 for {lost} of them"
            ));
        }
        if audit.may_lack {
            verdict.doubt(MAY_LACK);
        }
        let mut difference = sums.difference(&audit.shown);
        if difference == Difference::Many && !audit.unwanted.is_empty() {
            difference = before_the_rule(&sums, &audit.shown, audit.unwanted);
        }
        let Difference::Of { first, second } = difference else {
            verdict.finding = match audit.may_lack {
                // To send all of it again would double rows for nothing.
                true => Finding::Unprovable,
                false => Finding::Many,
            };
            return self.judge(verdict).await;
        };
        verdict.not_shown = first.len() as u64;
        if let Some(missing) = verification.missing.get_mut(&hour) {
            // Neither accepted before the stop nor shown since: nobody can send it any more.
            missing.lose(audit.unseen.iter().filter(|row| !first.contains(row)));
            // What was found before the stop, and is missing still, is to be found once more.
            missing.lose(second.iter());
        }
        if sums.has_messages_of(&audit.shown) {
            verdict.statuses_differ = Some(!sums.has_statuses_of(&audit.shown));
        }
        match second.is_empty() {
            true => self.judge_healed(hour, verdict).await,
            false => self.heal(hour, verdict, second).await,
        }
    }

    /// Rows that seem to be missing, and were delivered when the source showed them without a date, or with one
    /// of no hour: they count in their hour from now on.
    async fn adopt(&mut self, hour: u32) -> Flow {
        let Provable::Yes(record) = self.provable(hour).await? else {
            return Ok(());
        };
        let audits = self.verification.as_ref().map(|one| &one.audits);
        let audit = audits.and_then(|audits| audits.get(&hour));
        let audit = audit.filter(|audit| audit.parts == record.parts);
        let difference = audit.map(|audit| record.sums.difference(&audit.shown));
        let Some(Difference::Of { second, .. }) = difference else {
            return Ok(());
        };
        // What is still remembered has the later status.
        let before = self.ledger.proof.delivered_beside(&second).into_iter();
        let delivered = before.chain(self.known.arrived_aside(&second));
        let delivered: BTreeMap<Message, RowKey> =
            delivered.map(|key| (key.message(), key)).collect();
        let rows = delivered.into_values().map(|key| KeyRef { hour, key });
        let rows: Vec<KeyRef> = rows.collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.remember(rows).await?;
        self.persist().await
    }

    pub(super) async fn judge(&mut self, verdict: Verdict) -> Flow {
        self.judge_all(vec![verdict]).await
    }

    /// Many hours have their verdicts at once: to keep each by itself would hold all else up.
    pub(super) async fn judge_all(&mut self, verdicts: Vec<Verdict>) -> Flow {
        if verdicts.is_empty() {
            return Ok(());
        }
        let store = self.parts.store.as_ref();
        until_stored!(self, append(store, &verdicts).await);
        for verdict in &verdicts {
            if verdict.finding != Finding::Open {
                self.tell(Event::Verified(verdict));
            }
            if let Some(verification) = &mut self.verification {
                let hour = hour(verdict.hour);
                verification.left.remove(&hour);
                verification.missing.remove(&hour);
                verification.work.changed().judged += 1;
            }
        }
        Ok(())
    }
}
