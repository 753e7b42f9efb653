//! Where a collection would go on.

use chrono::TimeDelta;
use serde_json::json;

use super::{STATE, moment, network::span};
use crate::{
    http::chain,
    sdk::{Context, Findings},
    triggers::{
        collection::Collection,
        state::{Found, STATE_FILE},
    },
};

/// Looks at the state that a run would begin with.
pub(super) async fn find(collection: &Collection, context: &Context, findings: &mut Findings<'_>) {
    let now = context.clock.now();
    match Found::in_storage(&context.storage).await {
        Err(error) => findings.skip(STATE, chain(&error)),
        Ok(Found::Nothing) => {
            let text = format!(
                "none yet: the first run begins {} ago",
                span(collection.start_time())
            );
            findings.pass(STATE, text, json!({"complete_until": null}));
        }
        Ok(Found::Mark { mark, by_python }) => {
            let facts = json!({
                "complete_until": mark,
                "written_by": if by_python { "python" } else { "message-trace" },
            });
            let writer = if by_python {
                "the Python module"
            } else {
                "this module"
            };
            let age = now - mark;
            if age < TimeDelta::zero() {
                let text = format!(
                    "the position that {writer} left is in the future, at {}: check the clock of \
                     this machine; a run goes on from now",
                    moment(mark)
                );
                findings.fail(STATE, text, facts);
            } else {
                let text = format!(
                    "of {writer}: all that was received before {} ({} ago) is delivered",
                    moment(mark),
                    span(age)
                );
                findings.pass(STATE, text, facts);
            }
        }
        Ok(Found::Unusable(reason)) => {
            let text = format!(
                "{STATE_FILE} cannot be used ({reason}), so that a run begins {} ago: set the \
                 position in it, or take the file away",
                span(collection.start_time())
            );
            findings.fail(STATE, text, json!({}));
        }
        Ok(Found::Copy { mark, reason }) => {
            let text = format!(
                "{STATE_FILE} is broken ({reason}): a run puts it aside, and goes on at {} with \
                 the last good copy",
                moment(mark)
            );
            findings.pass(STATE, text, json!({"complete_until": mark}));
        }
    }
}
