//! Whether a trigger is there that carries an order out.

use sekoia::OfflineSession;
use tokio::time::Instant;

use super::{GONE, PRESENCE};

/// Looks now and then whether the trigger is still running.
pub(in crate::cli) struct Presence {
    looked: Instant,
    gone: Option<Instant>,
}

impl Presence {
    pub(in crate::cli) fn new() -> Self {
        Self {
            looked: Instant::now(),
            gone: None,
        }
    }

    /// Whether it is gone for so long that it is not being restarted. That it has stopped is said once.
    pub(in crate::cli) async fn is_lost(
        &mut self,
        session: &OfflineSession<'_>,
        say: impl Fn(&str),
    ) -> bool {
        if self.looked.elapsed() >= PRESENCE {
            self.looked = Instant::now();
            let is_there = session.is_in_use().await;
            if !is_there && self.gone.is_none() {
                say("The trigger has stopped; once it is started again, it goes on.");
            }
            self.gone = self.gone.or(Some(self.looked)).filter(|_| !is_there);
        }
        self.gone.is_some_and(|gone| gone.elapsed() >= GONE)
    }
}
