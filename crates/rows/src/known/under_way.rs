//! Which batches are under way.

use super::BatchId;

/// The batches that are under way, sorted, and how many rows each carries: a few, or thousands when
/// many rows stay in hand one by one.
#[derive(Debug, Default)]
pub(super) struct UnderWay(pub(super) Vec<(BatchId, usize)>);

impl UnderWay {
    fn find(&self, batch: BatchId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&batch, |(other, _)| *other)
    }

    pub(super) fn has(&self, batch: BatchId) -> bool {
        self.find(batch).is_ok()
    }

    pub(super) fn add(&mut self, batch: BatchId) {
        match self.find(batch) {
            Ok(at) => {
                if let Some((_, rows)) = self.0.get_mut(at) {
                    *rows += 1;
                }
            }
            Err(at) => self.0.insert(at, (batch, 1)),
        }
    }

    pub(super) fn take(&mut self, batch: BatchId) {
        if let Ok(at) = self.find(batch)
            && let Some((_, rows)) = self.0.get_mut(at)
        {
            *rows = rows.saturating_sub(1);
            if *rows == 0 {
                self.0.remove(at);
            }
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.0.iter().map(|(_, rows)| rows).sum()
    }
}
