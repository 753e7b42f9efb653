//! Rows that were missing, on their way to the sink.

use super::*;

impl<S: Source, K: Sink, T: Store, C: CheckpointStore> Collector<S, K, T, C> {
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
