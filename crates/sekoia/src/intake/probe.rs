//! Single requests of a person: whether an intake takes events with a key, asked without sending one; and one
//! event alone, sent once: a dead letter that is to be delivered.

use base::http::{HttpError, chain};
use bytes::Bytes;
use http::StatusCode;
use tokio::time::{self, Instant};

use super::{
    Intake, Outcome, Stopped, Unaccepted,
    answer::{Cause, is_web_page, judge},
    batch::HEAD,
};

/// What is said of an event that may have been accepted.
pub(super) const MAYBE_TWICE: &str = "; it may come twice when it is sent again";

/// What an empty batch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// The intake accepted it, and so the key.
    Accepted,
    /// The intake was reached, but does not take an empty batch, which says nothing of the key.
    Untold {
        /// Its answer.
        status: StatusCode,
    },
    /// Events would not get in.
    Refused {
        /// What happened and what to do.
        sentence: String,
        /// Whether the key is what is refused.
        is_of_the_key: bool,
    },
}

impl Probed {
    /// Events would not get in, which says nothing of the key.
    fn kept_out(sentence: String) -> Self {
        Self::Refused {
            sentence,
            is_of_the_key: false,
        }
    }
}

impl Intake {
    /// Asks with an empty batch, which adds no event. An intake that checks the key first refuses
    /// a wrong one (W-02, J-11).
    pub async fn probe(&self) -> Probed {
        let body = Bytes::from([HEAD, &self.0.tail].concat());
        let sent = match self.exchange(body.clone()).await {
            Ok(sent) => sent,
            Err(error) => return Probed::kept_out(unreachable(&error)),
        };
        let answer = sent.answer;
        let status = answer.status();
        let is_untold = matches!(
            status,
            StatusCode::BAD_REQUEST
                | StatusCode::UNPROCESSABLE_ENTITY
                | StatusCode::PAYLOAD_TOO_LARGE
        );
        match judge(self.host(), &answer, 0, &body) {
            Outcome::Told(_) | Outcome::Short(_) => Probed::Accepted,
            Outcome::Failed(Unaccepted {
                cause: Cause::Uncertain,
                sentence,
                ..
            }) => Probed::kept_out(format!(
                "{sentence}: check that intake_server is the address of your region's intake, and that \
                 no proxy answers in its place"
            )),
            Outcome::Failed(unaccepted) if is_untold && unaccepted.cause != Cause::Barred => {
                Probed::Untold { status }
            }
            Outcome::Failed(unaccepted) => Probed::Refused {
                sentence: unaccepted.sentence + &sent.astray.unwrap_or_default(),
                is_of_the_key: match status {
                    StatusCode::FORBIDDEN => !is_web_page(&String::from_utf8_lossy(answer.body())),
                    // A 422 of another kind tells nothing.
                    _ => matches!(
                        status,
                        StatusCode::UNAUTHORIZED | StatusCode::UNPROCESSABLE_ENTITY
                    ),
                },
            },
        }
    }

    /// Sends one event alone, once: whether it is accepted, or why not.
    ///
    /// # Errors
    /// Only when the stop comes first.
    pub async fn offer(&self, event: &[u8]) -> Result<Result<(), String>, Stopped> {
        let parcel = self.batch().seal_alone(event);
        let _one = self.until_stopped(self.0.hand.lock()).await?;
        let _turn = self.turn(None).await?;
        let paced = self.gate().due_in(Instant::now());
        self.until_stopped(time::sleep(paced)).await?;
        let before = self.gate().begins();
        let said = match self.attempt(&parcel).await? {
            Outcome::Told(_) => {
                self.accepted(1, before);
                return Ok(Ok(()));
            }
            Outcome::Short(_) => "the answer is not certain".to_owned(),
            Outcome::Failed(unaccepted) if unaccepted.unsure => unaccepted.sentence + MAYBE_TWICE,
            Outcome::Failed(unaccepted) => unaccepted.sentence,
        };
        self.gate().failed_beside(Instant::now());
        // It is kept in a file, and may echo the key.
        Ok(Err(self.0.around.log.masked(&said)))
    }
}

/// The sentence for an intake that gives no answer.
pub(super) fn unreachable(error: &HttpError) -> String {
    format!("the intake cannot be reached: {}", chain(error))
}
