//! What a query asks for.

use chrono::{DateTime, TimeDelta, Utc};

use super::Refusal;
use crate::{
    ReportSettings,
    answer::Call,
    microsoft::{
        odata::{self, Comparison, Literal},
        trouble,
    },
    settings::ById,
};

/// Without a window, the service answers for this long until now.
const DEFAULT_SPAN: TimeDelta = TimeDelta::hours(48);
/// How far back the service answers.
const OLDEST: TimeDelta = TimeDelta::days(30);

pub(super) fn number(call: &Call, name: &str) -> Result<Option<u64>, Refusal> {
    call.option(name)
        .map(|text| {
            text.parse().map_err(|_| {
                Refusal::bad(format!("Incorrect format for {name} argument '{text}'."))
            })
        })
        .transpose()
}

/// What a filter asks for.
pub(super) struct Query {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    pub(super) conditions: Vec<Comparison>,
}

impl Query {
    /// Whether it asks for a message by its id in the trace.
    pub(super) fn has_id(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| condition.property == "MessageTraceId")
    }

    /// What happens to it if it asks for a message by its id. One that is overlooked asks for no message
    /// any more.
    pub(super) fn by_id(&mut self, settings: &ReportSettings) -> Result<Option<ById>, Refusal> {
        let by_id = self.has_id().then_some(settings.by_id);
        match by_id {
            Some(ById::Refused) => {
                return Err(Refusal::bad(
                    "Operator 'eq' incompatible with operand types 'Edm.Guid' and 'Edm.String'.",
                ));
            }
            Some(ById::Failing) => {
                return Err(Refusal {
                    status: 503,
                    ..Refusal::bad("Try again later.")
                });
            }
            Some(ById::Overlooked) => self.conditions.clear(),
            _ => {}
        }
        Ok(by_id)
    }
}

pub(super) fn query(
    settings: &ReportSettings,
    call: &Call,
    now: DateTime<Utc>,
) -> Result<Query, Refusal> {
    let (mut start, mut end, mut conditions) = (None, None, Vec::new());
    let filter = call.option("$filter").unwrap_or_default();
    let comparisons = if filter.trim().is_empty() {
        Vec::new()
    } else {
        odata::conjunction(&filter)
            .ok_or_else(|| Refusal::bad("Syntax error in the $filter expression."))?
    };
    for comparison in comparisons {
        let bound = match comparison.property.as_str() {
            "StartDate" => &mut start,
            "EndDate" => &mut end,
            "SenderAddress" | "RecipientAddress" | "Status" | "MessageId" | "MessageTraceId"
            | "Subject" | "FromIP" | "ToIP" => {
                conditions.push(comparison);
                continue;
            }
            unknown => {
                return Err(Refusal::bad(format!(
                    "Type 'TenantReporting.MessageTrace' does not have a property named \
                     '{unknown}' or there is no type with '{unknown}' name."
                )));
            }
        };
        let Literal::Date(text) = &comparison.value else {
            return Err(Refusal::bad(
                "Operator 'eq' incompatible with operand types.",
            ));
        };
        let date = odata::date(text).ok_or_else(|| {
            Refusal::bad(format!("Unrecognized 'Edm.DateTime' literal '{text}'."))
        })?;
        *bound = Some(date);
    }
    let (start, end) = match (start, end) {
        (Some(start), Some(end)) => (start, end),
        (None, None) => (now - DEFAULT_SPAN, now),
        _ => {
            return Err(Refusal::bad(
                "StartDate and EndDate must be specified together.",
            ));
        }
    };
    let oldest = now - OLDEST;
    if trouble::heedless(&settings.trouble) {
        return Ok(Query {
            start: oldest,
            end: now,
            conditions,
        });
    }
    if start < oldest {
        return Err(Refusal::bad(format!(
            "Invalid StartDate value. The StartDate can't be older than {} days from today.",
            OLDEST.num_days()
        )));
    }
    Ok(Query {
        start,
        end,
        conditions,
    })
}
