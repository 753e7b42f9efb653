//! Whether an intake takes events with a key, asked without sending one.

use bytes::Bytes;
use http::StatusCode;

use super::{
    Intake,
    answer::{Verdict, verdict},
    batch::HEAD,
};
use crate::http::{HttpError, chain};

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
    /// Events would not get in; what happened and what to do.
    Refused(String),
}

impl Intake {
    /// Asks with an empty batch, which adds no event. An intake that checks the key first refuses
    /// a wrong one (W-02, J-11).
    pub async fn probe(&self) -> Probed {
        let mut body = HEAD.to_vec();
        body.extend_from_slice(&self.0.tail);
        let answer = match self.exchange(Bytes::from(body)).await {
            Ok(answer) => answer,
            Err(error) => return Probed::Refused(unreachable(&error)),
        };
        let status = answer.status();
        let says_so = String::from_utf8_lossy(answer.body()).contains("INTAKE_KEY_ERROR");
        match verdict(self.host(), status, answer.body(), 0) {
            Verdict::Accepted(_) => Probed::Accepted,
            Verdict::TooLarge => Probed::Untold { status },
            Verdict::Refused(_)
                if !says_so
                    && matches!(
                        status,
                        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY
                    ) =>
            {
                Probed::Untold { status }
            }
            Verdict::Refused(sentence) | Verdict::Unavailable(sentence) => {
                Probed::Refused(sentence)
            }
        }
    }
}

/// The sentence for an intake that gives no answer.
pub(super) fn unreachable(error: &HttpError) -> String {
    format!("the intake cannot be reached: {}", chain(error))
}
