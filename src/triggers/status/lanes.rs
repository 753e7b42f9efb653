//! What a process does at the moment, as its `/health` tells it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sekoia::Answers;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        details::reason,
        hiding::sentence,
        words::{moment, span},
    },
    Line, line,
};

/// What a process does.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Doing {
    /// All of it, as the process has told it.
    #[serde(skip)]
    work: Value,
    lanes: Vec<AtWork>,
    next_query: Option<DateTime<Utc>>,
    caught_up: Option<DateTime<Utc>>,
    #[serde(default)]
    excluded: Vec<TakenOut>,
    hidden: Option<Hidden>,
    details: Option<Detailed>,
    #[serde(default)]
    mass_mail: MassWork,
}

/// Of which rows details are wanted, and how they have gone.
#[derive(Debug, Deserialize)]
struct Detailed {
    statuses: Vec<String>,
    rows: BTreeMap<String, u64>,
}

/// What became of messages with many recipients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct MassWork {
    messages: u64,
    rows_only_by_id: u64,
    given_up: u64,
    windows_waiting: u64,
}

/// What becomes of subjects and addresses, in the words of the settings.
#[derive(Debug, Deserialize)]
struct Hidden {
    subject: String,
    addresses: String,
}

/// What a rule took out.
#[derive(Debug, Deserialize)]
struct TakenOut {
    setting: String,
    rule: u16,
    rows: u64,
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
        let told = Self::deserialize(&work).unwrap_or_default();
        Self { work, ..told }
    }

    /// What became of messages with many recipients; none when there were none.
    pub(super) fn mass_mail(&self) -> Option<Line> {
        let MassWork {
            messages,
            rows_only_by_id,
            given_up,
            windows_waiting,
        } = self.mass_mail;
        let mut text = format!(
            "{messages} messages were asked for by their ids since the run began, which has shown \
             {rows_only_by_id} more rows"
        );
        if windows_waiting > 0 {
            text.push_str(&format!("; {windows_waiting} windows wait for that"));
        }
        if given_up > 0 {
            text.push_str(&format!(
                "; of {given_up} nobody knows whether Microsoft shows all recipients"
            ));
        }
        let facts = self.work.get("mass_mail").cloned().unwrap_or_default();
        let is_any = self.mass_mail != MassWork::default();
        is_any.then(|| line("mass mail", text, facts, given_up > 0))
    }

    /// How long it will take to fill the gaps, as far as that is known.
    pub(super) fn eta(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        Some((self.caught_up? - now).max(TimeDelta::zero()))
    }

    /// What is hidden of rows; none when all of it stays.
    pub(super) fn hidden(&self) -> Option<Line> {
        let Hidden { subject, addresses } = self.hidden.as_ref()?;
        let facts = self.work.get("hidden").cloned().unwrap_or_default();
        let keeps_all = subject == "keep" && addresses == "keep";
        (!keeps_all).then(|| line("hidden", sentence(subject, addresses), facts, false))
    }

    /// What came of asking for details; none when they are not wanted.
    pub(super) fn details(&self) -> Option<Line> {
        let Detailed { statuses, rows } = self.details.as_ref()?;
        let facts = self.work.get("details").cloned().unwrap_or_default();
        let added = rows.get("added").copied().unwrap_or(0);
        let without = rows
            .iter()
            .filter(|(fate, rows)| *fate != "added" && **rows > 0);
        let reasons = without
            .clone()
            .map(|(fate, rows)| format!("{rows} {}", reason(fate)));
        let reasons: Vec<String> = reasons.collect();
        let mut text = format!(
            "of rows with the status {}: since the run began {added} with details, {} without",
            statuses.join(", "),
            without.map(|(_, rows)| rows).sum::<u64>(),
        );
        if !reasons.is_empty() {
            text.push_str(&format!(" ({})", reasons.join(", ")));
        }
        (!statuses.is_empty()).then(|| line("details", text, facts, false))
    }

    /// What the rules took out; none when that is nothing.
    pub(super) fn excluded(&self) -> Option<Line> {
        let rules = self.excluded.iter();
        let told = rules.map(|one| format!("{} {}: {} rows", one.setting, one.rule, one.rows));
        let told: Vec<String> = told.collect();
        let facts = self.work.get("excluded").cloned().unwrap_or_default();
        let text = format!("since the run began, by {}", told.join(", "));
        (!told.is_empty()).then(|| line("excluded", text, facts, false))
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
