//! What a person has asked for besides, while it has not ended.

use chrono::{DateTime, TimeDelta, Utc};
use collect::backfill::BackfillProgress;
use serde_json::{Value, json};

use super::super::{backfill::BackfillStanding, words::span};

impl BackfillStanding {
    /// What has not ended yet: what there is to say, the same for machines, and whether it needs
    /// somebody. None when that is nothing. `in_use` when a process works on these files; none when
    /// that is not known.
    pub(in crate::triggers) fn tell(
        &self,
        in_use: Option<bool>,
        now: DateTime<Utc>,
    ) -> Option<(String, Value, bool)> {
        let order = self.unfinished.as_ref()?;
        let progress = self.progress.as_ref();
        let progress = progress.filter(|progress| progress.counts.asked > 0);
        let mut text = match progress {
            Some(progress) => format!(
                "of the rows received from {}, {} % are read",
                order.range,
                progress.percent()
            ),
            None => format!("the rows received from {} are asked for", order.range),
        };
        let eta = progress
            .and_then(BackfillProgress::seconds_left)
            .filter(|_| in_use == Some(true));
        text.push_str(match (order.cancelled, in_use, progress) {
            (true, _, _) => "; it is being given up",
            (false, None, _) => "",
            (false, Some(true), Some(_)) => ", beside the collection",
            (false, Some(true), None) => "; it is not taken up yet",
            (false, Some(false), _) => {
                ", and nothing works on it: the trigger, once started, goes on with it, and so \
                 does `message-trace backfill`"
            }
        });
        let left = eta.map(|seconds| span(TimeDelta::seconds(seconds)));
        text.extend(left.map(|left| format!(", done in about {left}")));
        let waits = progress.and_then(|progress| progress.next_request);
        let waits = waits.filter(|at| in_use == Some(true) && *at > now);
        text.extend(waits.map(|at| format!("; quota: next request in {}", span(at - now))));
        let trouble = progress.and_then(|progress| progress.trouble.as_ref());
        text.extend(trouble.map(|trouble| format!("; it cannot go on: {}", trouble.sentence)));
        let facts = json!({
            "from": order.range.start(),
            "to": order.range.end(),
            "cancelled": order.cancelled,
            "begun": progress.map(|progress| progress.begun),
            "percent": progress.map(BackfillProgress::percent),
            "seconds_to_go": eta,
            "next_request": waits,
            "trouble": trouble.map(|trouble| &trouble.sentence),
        });
        Some((text, facts, trouble.is_some()))
    }
}
