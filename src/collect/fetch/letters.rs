//! What cannot be delivered goes to the dead letters.

use super::{
    super::{
        Checkpoint, Event, Sink, Source, Store,
        letters::{Keeping, Undelivered},
    },
    Collector, End, books,
};

impl<S: Source, K: Sink, T: Store, C: Checkpoint> Collector<S, K, T, C> {
    /// Keeps what cannot be delivered. On return it is safe on the disk, so that it may count as
    /// dealt with; false when there is no room for it.
    pub(super) async fn keep_undelivered(&mut self, undelivered: Undelivered) -> Result<bool, End> {
        let reason = undelivered.reason.clone();
        let copy_sent = undelivered.copy_sent;
        let message_id = self.parts.letters.message_id(&undelivered.content);
        let mut backoff = books::store_backoff();
        let store = std::sync::Arc::clone(&self.parts.store);
        loop {
            let now = self.parts.clock.now();
            let letters = &mut self.parts.letters;
            match letters.keep(store.as_ref(), now, undelivered.clone()).await {
                Ok(Keeping::Kept(id)) => {
                    self.tell(Event::Undeliverable {
                        id: &id,
                        message_id: message_id.as_deref(),
                        reason: &reason,
                        copy_sent,
                    });
                    self.tell(Event::Letters(self.parts.letters.stock()));
                    return Ok(true);
                }
                Ok(Keeping::Full) => {
                    let stock = self.parts.letters.stock();
                    self.tell(Event::NoRoom { stock });
                    return Ok(false);
                }
                Err(error) => self.store_failed(&error, &mut backoff).await?,
            }
        }
    }
}
