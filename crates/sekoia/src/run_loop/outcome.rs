//! How the task of a run has ended.

use tokio::task::JoinError;

use crate::RunError;

/// A panic is an error of the run.
pub(super) fn outcome(ended: Result<Result<(), RunError>, JoinError>) -> Result<(), RunError> {
    ended.unwrap_or_else(|error| Err(RunError::failed(panicked(error))))
}

fn panicked(error: JoinError) -> String {
    let payload = match error.try_into_panic() {
        Ok(payload) => payload,
        Err(error) => return error.to_string(),
    };
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the trigger panicked: {}", text.unwrap_or_default())
}
