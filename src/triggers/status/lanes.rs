//! What a process does at the moment, as its `/health` tells it.

use chrono::{DateTime, TimeDelta, Utc};
use sekoia::Answers;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::words::{moment, span},
    Line, line,
};

/// What a process does.
#[derive(Debug, Default)]
pub(super) struct Doing {
    lanes: Vec<AtWork>,
    next_query: Option<DateTime<Utc>>,
    caught_up: Option<DateTime<Utc>>,
    work: Value,
}

/// The same as it is written.
#[derive(Debug, Default, Deserialize)]
struct Written {
    lanes: Vec<AtWork>,
    next_query: Option<DateTime<Utc>>,
    caught_up: Option<DateTime<Utc>>,
}

/// A window that is being read.
#[derive(Debug, Deserialize)]
struct AtWork {
    lane: String,
    window: Span,
    waits_for: String,
    until: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct Span {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Doing {
    /// What the process has told; nothing when it tells nothing that is understood.
    pub(super) fn of(process: &Answers) -> Self {
        let work = process.errors.work.clone();
        let Written {
            lanes,
            next_query,
            caught_up,
        } = Written::deserialize(&work).unwrap_or_default();
        Self {
            lanes,
            next_query,
            caught_up,
            work,
        }
    }

    /// How long it will take to fill the gaps, as far as that is known.
    pub(super) fn eta(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        Some((self.caught_up? - now).max(TimeDelta::zero()))
    }

    /// The lanes at work, and for machines what Microsoft lets be asked, too.
    pub(super) fn lines(&self, now: DateTime<Utc>) -> [Line; 2] {
        let told: Vec<String> = self.lanes.iter().map(|lane| lane.told(now)).collect();
        let text = match self.next_query {
            _ if !told.is_empty() => told.join("; "),
            Some(next) => format!(
                "none at work; the newest rows are asked for in {}",
                left(next, now)
            ),
            None => "none at work".to_owned(),
        };
        let facts = |name, otherwise| {
            let facts = self.work.get(name).filter(|facts| !facts.is_null());
            facts.cloned().unwrap_or(otherwise)
        };
        [
            line("lanes", text, facts("lanes", json!([])), false),
            // Of a service without a known quota there is nothing to tell.
            line(
                "allowance",
                String::new(),
                facts("allowance", json!({})),
                false,
            ),
        ]
    }
}

impl AtWork {
    fn told(&self, now: DateTime<Utc>) -> String {
        let Self {
            lane,
            window: Span { from, to },
            waits_for,
            until,
        } = self;
        let waits = match (waits_for.as_str(), until) {
            ("quota", Some(until)) => {
                format!("waits for the quota: next request in {}", left(*until, now))
            }
            ("pause", Some(until)) => {
                format!(
                    "pauses after a failure: next request in {}",
                    left(*until, now)
                )
            }
            ("answer", _) => "waits for the answer".to_owned(),
            ("turn", _) => "waits for its turn".to_owned(),
            (other, _) => format!("waits for the {other}"),
        };
        format!(
            "{lane} reads {} to {} and {waits}",
            moment(*from),
            moment(*to)
        )
    }
}

/// How long until an instant, not less than nothing.
fn left(until: DateTime<Utc>, now: DateTime<Utc>) -> String {
    span((until - now).max(TimeDelta::zero()))
}
