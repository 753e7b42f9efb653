//! One event alone, sent once: a dead letter that a person wants delivered.

use tokio::time::Instant;

use super::{Intake, Outcome, Stopped, Unaccepted};

/// What is said of an event that may have been accepted.
pub(super) const MAYBE_TWICE: &str = "; it may come twice when it is sent again";

impl Intake {
    /// Sends one event alone, once: whether it is accepted, or why not.
    ///
    /// # Errors
    /// Only when the stop comes first.
    pub async fn offer(&self, event: &[u8]) -> Result<Result<(), String>, Stopped> {
        let parcel = self.batch().seal_alone(event);
        let _one = self.until_stopped(self.0.hand.lock()).await?;
        let _turn = self.turn(None).await?;
        let paced = self.gate().due_in(Instant::now());
        self.pause_beside(paced).await?;
        let before = self.gate().begins();
        let said = match self.attempt(&parcel).await? {
            Outcome::Told(_) => {
                self.accepted(1, before);
                return Ok(Ok(()));
            }
            Outcome::Short(_) => "the answer is not certain".to_owned(),
            Outcome::Failed(Unaccepted {
                sentence,
                unsure: true,
                ..
            }) => sentence + MAYBE_TWICE,
            Outcome::Failed(Unaccepted { sentence, .. }) => sentence,
        };
        self.gate().failed_beside(Instant::now());
        // It is kept in a file, and may echo the key.
        Ok(Err(self.0.around.log.masked(&said)))
    }
}
