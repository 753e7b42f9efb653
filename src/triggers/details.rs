//! Of which rows a person wants to know what happened to their message.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use collect::{DetailsFate, DetailsTerms, DetailsWish, SourceError, verify::RowName};
use microsoft::{Details, field};
use rows::details::WantedStatuses;
use sekoia::Log;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::source::source_error;

/// A row waits no longer for details, also when it is asked for rows less often.
const PATIENCE: u32 = 60;

/// What a person fills in; bounds and defaults are in the manifests.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Inquiry {
    /// The statuses.
    pub(super) details: Vec<String>,
    details_quota: u32,
}

impl Inquiry {
    /// What is asked for, of a collection that asks for rows every so many seconds; none when nothing is.
    pub(super) fn wish(&self, frequency: u32) -> Option<DetailsWish> {
        let statuses = WantedStatuses::new(field, &self.details)?;
        let patience = Duration::from_secs(frequency.min(PATIENCE).into());
        let terms = DetailsTerms {
            patience,
            calls: self.details_quota,
        };
        Some(DetailsWish { statuses, terms })
    }

    /// How many requests in five minutes it takes out of the quota.
    pub(super) fn calls(&self) -> u32 {
        match self.details.is_empty() {
            true => 0,
            false => self.details_quota,
        }
    }

    /// What is asked for, for people and for machines; none when nothing is.
    pub(super) fn told(&self) -> Option<(String, Value)> {
        let Self {
            details,
            details_quota,
        } = self;
        let text = format!(
            "rows with these statuses carry what happened to their message, as far as {details_quota} requests \
             in 5 minutes suffice: {}",
            details.join(", ")
        );
        let facts = json!({"details": details, "details_quota": details_quota});
        (!details.is_empty()).then_some((text, facts))
    }
}

/// Of rows with which statuses details are wanted, and how they have gone, for machines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Detailed {
    pub(super) statuses: Vec<String>,
    pub(super) rows: BTreeMap<String, u64>,
}

impl Detailed {
    pub(super) fn new(statuses: &[String]) -> Self {
        let rows = DetailsFate::ALL.map(|fate| (fate.word().to_owned(), 0));
        Self {
            statuses: statuses.to_vec(),
            rows: BTreeMap::from(rows),
        }
    }
}

/// Why rows went without details, by the words for metrics labels.
pub(super) fn reason(fate: &str) -> &str {
    match fate {
        "unknown" => "Microsoft knows none",
        "failed" => "refused or failed",
        "late" => "not in time",
        "quota" => "details_quota used up",
        "paused" => "not asked after a refusal",
        "crowded" => "too many rows waited",
        "too_long" => "too long with them",
        other => other,
    }
}

pub(super) async fn ask(
    details: &Details,
    name: RowName,
    received: Option<DateTime<Utc>>,
    log: &Log,
) -> Result<Option<String>, SourceError> {
    let (Some(id), Some(recipient)) = (name.message_trace_id, name.recipient) else {
        return Ok(None);
    };
    let answer = details.ask(&id, &recipient, received).await;
    answer.map_err(|error| source_error(&error, log))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inquiry(details: &[&str]) -> Inquiry {
        serde_json::from_value(json!({"details": details, "details_quota": 10})).unwrap()
    }

    #[test]
    fn nothing_is_asked_by_default_and_no_row_waits_for_more_than_a_minute() {
        let none = inquiry(&[]);
        assert!(none.wish(60).is_none() && none.told().is_none());
        assert_eq!(none.calls(), 0);
        let some = inquiry(&["failed"]);
        assert_eq!(some.calls(), 10);
        for (frequency, expected) in [(10, 10), (60, 60), (86_400, 60)] {
            let patience = some.wish(frequency).unwrap().terms.patience;
            assert_eq!(patience.as_secs(), expected);
        }
        let (text, facts) = some.told().unwrap();
        assert!(
            text.ends_with("as far as 10 requests in 5 minutes suffice: failed"),
            "{text}"
        );
        assert_eq!(facts["details_quota"], 10);
    }
}
