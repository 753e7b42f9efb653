//! Which batches are under way.

use std::collections::BTreeMap;

use super::BatchId;

/// The batches that are under way, and how many rows each carries: a few, or thousands when many rows
/// stay in hand one by one.
#[derive(Debug, Default)]
pub(super) struct UnderWay(pub(super) BTreeMap<BatchId, usize>);

impl UnderWay {
    pub(super) fn has(&self, batch: BatchId) -> bool {
        self.0.contains_key(&batch)
    }

    pub(super) fn add(&mut self, batch: BatchId) {
        *self.0.entry(batch).or_default() += 1;
    }

    pub(super) fn take(&mut self, batch: BatchId) {
        if let Some(rows) = self.0.get_mut(&batch) {
            *rows -= 1;
            if *rows == 0 {
                self.0.remove(&batch);
            }
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.0.values().sum()
    }
}
